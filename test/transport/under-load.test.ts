// Promises every engine keeps, on real sockets of loopback. One suite: nothing above an engine may be able to tell them apart.
// Here: what becomes of streams among many, and of streams that become sockets.

import { readdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls'
import { describe, expect, test } from 'vitest'
import type { ByteStream } from '../../src/transport/byte-stream.ts'
import {
  dialBy,
  Ear,
  echoOf,
  enginesHere,
  generator,
  listenBy,
  pairBy,
  randomBytes,
} from '../support/engine-streams.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { dialPlain, readToEnd } from '../support/tcp.ts'
import { testTls } from '../support/tls.ts'

const MEGABYTE = 1024 * 1024

describe.each(enginesHere().map((engine) => [engine.name, engine] as const))('engine %s', (_name, engine) => {
  test('a stream becomes a socket with what was put back in it, and goes on over that socket', async () => {
    const [one, other] = await pairBy(engine)
    const ear = new Ear(one, true)
    other.write(Buffer.from('read ahead'))
    await ear.until(({ told }) => told.length > 0)
    const chunk = one.read() ?? Buffer.alloc(0)
    one.unread(chunk.subarray(5))
    one.unread(Buffer.from('READ '))
    const socket = one.asSocket()
    expect(one.asSocket()).toBe(socket)
    other.write(Buffer.from(', and the rest'))
    const nextEar = new Ear(one)
    await nextEar.until(({ text }) => text === 'READ ahead, and the rest')
    socket.write('from the socket')
    one.write(Buffer.from(', from the stream'))
    const otherEar = new Ear(other)
    await otherEar.until(({ text }) => text === 'from the socket, from the stream')
    const closed = Promise.withResolvers<void>()
    one.onceClosed(closed.resolve)
    other.end()
    one.end()
    await closed.promise
    expect([one.isClosed, socket.destroyed]).toEqual([true, true])
  })

  test('200 TLS and 200 plain connections on one port, told apart by their first byte', async () => {
    const { leaf } = await testTls()
    const secureContext = createSecureContext({ key: leaf.key, cert: leaf.certificate })
    const { port } = await listenBy(engine, (stream) => {
      stream.setHandler({
        onReadable() {
          const first = stream.read()
          if (first === undefined) return
          stream.setHandler(undefined)
          stream.unread(first)
          const socket = stream.asSocket()
          socket.on('error', () => {})
          const spoken: Socket = first[0] === 0x16 ? new TLSSocket(socket, { isServer: true, secureContext }) : socket
          spoken.on('error', () => {})
          spoken.pipe(spoken)
        },
        onWritable() {},
        onClose() {},
      })
    })
    const random = generator(11)
    for (let batch = 0; batch < 20; batch++) {
      await Promise.all(
        Array.from({ length: 20 }, async (_, at) => {
          const sent = randomBytes(random, 20_000)
          sent[0] = 0x47
          const isTls = at % 2 === 0
          const socket = isTls
            ? connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false })
            : await dialPlain(port)
          socket.end(sent)
          expect((await readToEnd(socket)).equals(sent)).toBe(true)
          socket.destroy()
        }),
      )
    }
  })

  test('thousands of connections that end in every way: none sees a byte of another, none is left', async () => {
    const before = openDescriptors()
    const listening = await engine.listen({ host: '127.0.0.1', port: 0, backlog: 1000 }, echoOf)
    const to = listening.address
    const random = generator(23)
    let whole = 0
    const one = async (id: number): Promise<void> => {
      const stream = await dialBy(engine, to)
      const ear = new Ear(stream)
      const sent = Buffer.alloc(1 + (random() % 3000), `${id};`)
      stream.write(sent)
      const way = random() % 10
      if (way === 0) stream.reset()
      else if (way === 1) stream.destroy()
      else {
        await ear.until(({ length, end }) => length === sent.length || end !== undefined)
        expect(ear.bytes.equals(sent)).toBe(true)
        whole++
        if (way < 6) stream.end()
        else if (way < 8) stream.destroy()
        else stream.reset()
      }
      await ear.untilClosed()
    }
    for (let batch = 0; batch < 40; batch++) {
      await Promise.all(Array.from({ length: 50 }, (_, at) => one(batch * 50 + at)))
    }
    expect(whole).toBeGreaterThan(1000)
    await listening.close()
    await until(() => openDescriptors() <= before)
  })

  test('promises and timers keep running while others send without end', async () => {
    const flood = await listenBy(engine, (stream) => {
      const chunk = Buffer.alloc(256 * 1024, 'x')
      const pump = () => {
        while (stream.write(chunk));
      }
      stream.setHandler({ onReadable: () => stream.read(), onWritable: pump, onClose: () => {} })
      pump()
    })
    const ears = await Promise.all(Array.from({ length: 4 }, async () => new CountingEar(await dialBy(engine, flood))))
    const echo = await listenBy(engine, echoOf)
    const stream = await dialBy(engine, echo)
    const ear = new Ear(stream)
    for (let round = 1; round <= 50; round++) {
      stream.write(Buffer.from('x'))
      await ear.until(({ length }) => length === round)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    for (const { length } of ears) expect(length).toBeGreaterThan(MEGABYTE)
  })

  test('what a handler throws is an uncaught exception, and no other stream misses its events', async () => {
    const [one, other] = await pairBy(engine)
    const thrown = new Error('thrown on purpose')
    const caught = nextUncaught()
    one.setHandler({
      onReadable() {
        throw thrown
      },
      onWritable() {},
      onClose() {},
    })
    const [third, fourth] = await pairBy(engine)
    const ear = new Ear(fourth)
    other.write(Buffer.from('x'))
    third.write(Buffer.from('y'))
    expect(await caught).toBe(thrown)
    await ear.until(({ text }) => text === 'y')
  })

  test('a promise that an event settles is told in the same turn, not with the next timer', async () => {
    const [one, other] = await pairBy(engine)
    const order: string[] = []
    const far = setTimeout(() => order.push('timer'), PATIENCE_MS)
    const told = new Promise<void>((resolve) => {
      one.setHandler({ onReadable: () => resolve(), onWritable() {}, onClose() {} })
    })
    other.write(Buffer.from('x'))
    await told
    order.push('promise')
    clearTimeout(far)
    expect(order).toEqual(['promise'])
  })
})

/** Counts what it reads and forgets it. */
class CountingEar {
  length = 0

  constructor(stream: ByteStream) {
    stream.setHandler({
      onReadable: () => {
        for (let chunk = stream.read(); chunk !== undefined; chunk = stream.read()) this.length += chunk.length
      },
      onWritable() {},
      onClose() {},
    })
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** The next uncaught exception, kept from the test runner. */
function nextUncaught(): Promise<unknown> {
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  return new Promise((resolve) => {
    process.once('uncaughtException', (thrown) => {
      for (const listener of others) process.on('uncaughtException', listener)
      resolve(thrown)
    })
  })
}

function openDescriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
}
