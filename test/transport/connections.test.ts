// Promises every engine keeps, on real sockets of loopback. One suite: nothing above an engine may be able to tell them apart.
// Here: listening and dialling.

import { describe, expect, onTestFinished, test } from 'vitest'
import { ip } from '../../src/net/ip.ts'
import type { ByteStream } from '../../src/transport/byte-stream.ts'
import { dialBy, Ear, enginesHere, listenBy, loopback, turns } from '../support/engine-streams.ts'
import { ownPort } from '../support/own-network.ts'
import { PATIENT } from '../support/patience.ts'
import { silentOrigin } from '../support/silent-origin.ts'
import { listen, ownConnections } from '../support/tcp.ts'

/** as in /proc/net/tcp */
const SYN_SENT = '02'

describe.each(enginesHere().map((engine) => [engine.name, engine] as const))('engine %s', (_name, engine) => {
  test('each end knows both endpoints, over IPv4, IPv6, and IPv4 on a socket for both', async () => {
    for (const [host, from] of [
      ['127.0.0.1', '127.0.0.1'],
      ['::1', '::1'],
      ['::', '127.0.0.1'],
    ] as const) {
      const accepted = Promise.withResolvers<ByteStream>()
      const { port } = await listenBy(engine, accepted.resolve, { host })
      const to = { ip: ip(from), port }
      const one = await dialBy(engine, to, { ip: ip(from), port: 0 })
      const other = await accepted.promise
      expect(other.localEndpoint()).toEqual(to)
      expect(one.remoteEndpoint()).toEqual(to)
      expect(other.remoteEndpoint()).toEqual(one.localEndpoint())
      one.destroy()
      expect(one.localEndpoint()).toBe(undefined)
    }
  })

  test('a host name is listened on as net.Server would', async () => {
    const { ip: address } = await listenBy(engine, () => {}, { host: 'localhost' })
    expect(['127.0.0.1', '::1']).toContain(address.text)
  })

  test('a port in use, a missing address and an unknown name are the errors of net.Server', async () => {
    const { port } = await listenBy(engine, () => {})
    const inUse = engine.listen({ host: '127.0.0.1', port }, () => {})
    await expect(inUse).rejects.toMatchObject({ code: 'EADDRINUSE', syscall: 'listen', address: '127.0.0.1', port })
    const missing = engine.listen({ host: '203.0.113.9', port: 0 }, () => {})
    await expect(missing).rejects.toMatchObject({ code: 'EADDRNOTAVAIL', syscall: 'listen' })
  })

  test('several listen on one port when all say so', async () => {
    const { port } = await listenBy(engine, () => {}, { reusePort: true })
    await expect(listenBy(engine, () => {}, { reusePort: true, port })).resolves.toMatchObject({ port })
  })

  test('a closed listener gives its port back and leaves connections alone', async () => {
    const accepted = Promise.withResolvers<ByteStream>()
    const listening = await engine.listen({ host: '127.0.0.1', port: 0 }, accepted.resolve)
    const { port } = listening.address
    const one = await dialBy(engine, loopback(port))
    const other = await accepted.promise
    onTestFinished(() => other.destroy())
    await listening.close()
    await listenBy(engine, () => {}, { port })
    const ear = new Ear(other)
    one.write(Buffer.from('still here'))
    await ear.until(({ text }) => text === 'still here')
  })

  test('a failed dial says what failed, never within the call', async () => {
    const closedPort = ownPort(0)
    const dials = [
      [{ to: loopback(closedPort) }, 'ECONNREFUSED', 'connect'],
      [{ to: loopback(closedPort), from: { ip: ip('203.0.113.9'), port: 0 } }, 'EADDRNOTAVAIL', 'bind'],
      [{ to: { ip: ip('::1'), port: closedPort } }, 'ECONNREFUSED', 'connect'],
    ] as const
    for (const [request, code, syscall] of dials) {
      let isWithin = true
      const failure = new Promise<readonly [boolean, Error]>((resolve, reject) => {
        engine.dial(request, {
          onConnect: () => reject(new Error('connected')),
          onFailure: (cause) => resolve([isWithin, cause]),
        })
      })
      isWithin = false
      const [within, cause] = await failure
      expect(within).toBe(false)
      expect(cause).toMatchObject({ code, syscall })
    }
  })

  test('a dial from a decided address and port comes from there, and a port of its own is known at once where engines say so', async () => {
    const accepted: ByteStream[] = []
    const address = await listenBy(engine, (stream) => accepted.push(stream))
    const from = { ip: ip('127.0.0.3'), port: ownPort(1) }
    const one = await dialBy(engine, address, from)
    expect(one.localEndpoint()).toEqual(from)
    if (!engine.sharesPorts) return
    const connected = Promise.withResolvers<ByteStream>()
    const dial = engine.dial(
      { to: address, from: { ip: ip('127.0.0.3'), port: 0 } },
      { onConnect: connected.resolve, onFailure: connected.reject },
    )
    const { localPort } = dial
    expect(localPort).toBeGreaterThan(0)
    const stream = await connected.promise
    onTestFinished(() => stream.destroy())
    expect(stream.localEndpoint()?.port).toBe(localPort)
  })

  test.runIf(process.platform === 'linux')(
    'a dial that hangs at a full backlog leaves no descriptor when it is given up',
    async () => {
      const port = await silentOrigin('127.0.0.1')
      const from = ip('127.0.0.4')
      const ours = () => ownConnections().filter(({ local, remotePort }) => local === from.text && remotePort === port)
      const told: string[] = []
      const hear = { onConnect: () => told.push('connected'), onFailure: () => told.push('failed') }
      const dials = Array.from({ length: 20 }, (_, at) =>
        engine.dial({ to: loopback(port), from: { ip: from, port: engine.sharesPorts ? 0 : ownPort(10 + at) } }, hear),
      )
      await expect.poll(() => ours().map(({ state }) => state), PATIENT).toEqual(dials.map(() => SYN_SENT))
      for (const dial of dials) dial.cancel()
      await expect.poll(ours, PATIENT).toEqual([])
      expect(told).toEqual([])
    },
  )

  test.each(['destroy', 'reset'] as const)(
    'a stream that nobody has accepted yet, full of what it wrote, is closed by `%s`',
    async (how) => {
      const port = await silentOrigin('127.0.0.1', 1)
      const stream = await dialBy(engine, loopback(port))
      const { port: local = 0 } = stream.localEndpoint() ?? {}
      const chunk = Buffer.alloc(256 * 1024, 'x')
      while (stream.write(chunk));
      stream.end()
      stream[how]()
      await expect.poll(() => ownConnections().filter(({ localPort }) => localPort === local), PATIENT).toEqual([])
    },
  )

  test('a cancelled dial tells nothing and leaves no connection', async () => {
    const { port, server } = await listen((socket) => socket.resume().on('end', () => socket.end()))
    const told: string[] = []
    const hear = { onConnect: () => told.push('connected'), onFailure: () => told.push('failed') }
    const dials = Array.from({ length: 20 }, () => engine.dial({ to: loopback(port) }, hear))
    const failing = engine.dial({ to: loopback(ownPort(0)) }, hear)
    for (const dial of [...dials, failing]) dial.cancel()
    for (const dial of dials) dial.cancel()
    const proof = await dialBy(engine, loopback(port))
    proof.destroy()
    await turns(20)
    expect(told).toEqual([])
    await new Promise<void>((resolve) => {
      const look = () => server.getConnections((_, count) => (count <= 1 ? resolve() : setImmediate(look)))
      look()
    })
  })
})
