import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { ip } from '../../src/net/ip.ts'
import { HandleWire } from '../../src/proxy/wire/handle-wire.ts'
import { StreamWire } from '../../src/proxy/wire/stream-wire.ts'
import { handleOf } from '../../src/proxy/wire/tcp-handle.ts'
import { socketTransport, type Transport, transport } from '../../src/proxy/wire/transport.ts'
import type { Wire } from '../../src/proxy/wire/wire.ts'
import { dialPlain, listen, next, readToEnd } from '../support/tcp.ts'
import { acceptWire, dialWire, Ears, untilClosed, untilEnded } from '../support/wires.ts'

const TEN_MB = randomBytes(10 * 1024 * 1024)

/** A plain client and the wire it was accepted as. */
async function pair(by: Transport): Promise<{ readonly client: Socket; readonly wire: Wire; readonly port: number }> {
  const { port, wire } = await acceptWire(by)
  const client = await dialPlain(port)
  return { client, wire: await wire, port }
}

it('the TCP handles of this version of Node are as we know them', async () => {
  expect(transport).not.toBe(socketTransport)
  const { wire } = await pair(transport)
  expect(wire).toBeInstanceOf(HandleWire)
  const origin = await listen()
  expect(await dialWire(transport, origin.port)).toBeInstanceOf(HandleWire)
})

it('a server whose handle is not as we know it hands over sockets', async () => {
  const server = createServer({ allowHalfOpen: true })
  const accepted = Promise.withResolvers<Wire>()
  transport.serve(server, accepted.resolve)
  expect(handleOf(server)).toBeUndefined()
  server.prependOnceListener('listening', () => Object.assign(handle(server), { getpeername: undefined }))
  server.listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await next(server, 'listening')
  await dialPlain((server.address() as { port: number }).port)
  const wire = await accepted.promise
  onTestFinished(() => wire.destroy())
  expect(wire).toBeInstanceOf(StreamWire)
})

describe.each<[string, Transport]>([
  ['a handle', transport],
  ['a socket', socketTransport],
])('a wire on %s', (_name, by) => {
  it('tells bytes, the end behind them and the close, in this order', async () => {
    const { client, wire } = await pair(by)
    const ears = new Ears()
    wire.attend(ears)
    client.end('hello')
    await ears.until('end')
    expect([wire.hasEnded, wire.destroyed]).toEqual([true, false])
    wire.end()
    await ears.until('close')
    expect(ears.heard).toEqual(['bytes hello', 'end', 'close'])
    expect([wire.bytesRead, wire.destroyed]).toEqual([5, true])
  })

  it('tells a new listener at once what it missed, and the old one nothing more', async () => {
    const { client, wire } = await pair(by)
    const [first, second] = [new Ears(), new Ears()]
    wire.attend(first)
    client.write('one')
    await first.until('bytes one')
    wire.attend(undefined)
    client.end('two')
    await vi.waitFor(() => expect(wire.waiting).toBe(3))
    wire.unread(Buffer.from('put back, '))
    wire.attend(second)
    await second.until('end')
    const bytes = second.heard.filter((what) => what !== 'end').map((what) => what.replace('bytes ', ''))
    expect(bytes.join('')).toBe('put back, two')
    expect(first.heard).toEqual(['bytes one'])
    const third = new Ears()
    wire.attend(third)
    await third.until('end')
  })

  it('makes a peer wait while nobody is attending, and loses nothing of it (TU-04)', async () => {
    const { client, wire } = await pair(by)
    client.end(TEN_MB)
    let before = -1
    await vi.waitFor(
      () => {
        const last = before
        before = wire.waiting
        expect(before).toBe(last)
        expect(before).toBeGreaterThan(0)
      },
      { timeout: 10_000, interval: 60 },
    )
    expect(wire.waiting).toBeLessThanOrEqual(512 * 1024)
    const received: Buffer[] = []
    const ears = new Ears()
    wire.attend({ ...listenerOf(ears), onBytes: (bytes) => void received.push(Buffer.from(bytes)) })
    await ears.until('end')
    expect(Buffer.concat(received).equals(TEN_MB)).toBe(true)
  })

  it('tells nothing while it is paused', async () => {
    const { client, wire } = await pair(by)
    const ears = new Ears()
    wire.attend({
      ...listenerOf(ears),
      onBytes: (bytes) => {
        wire.pause()
        ears.onBytes(bytes)
      },
    })
    client.write('one')
    await ears.until('bytes one')
    client.write('two')
    await new Promise<void>((resolve) => client.end(resolve))
    // a whole connection later
    await pair(by)
    expect(ears.heard).toEqual(['bytes one'])
    wire.resume()
    await ears.until('bytes two')
  })

  it('says when a write has to wait, and when all of it is taken', async () => {
    const { client, wire } = await pair(by)
    const ears = new Ears()
    wire.attend(ears)
    while (wire.write(TEN_MB));
    expect(wire.unsent).toBeGreaterThan(0)
    const received = readToEnd(client)
    await ears.until('drain')
    expect(wire.unsent).toBe(0)
    wire.end()
    expect((await received).length).toBe(wire.bytesWritten)
  })

  it('forwards bytes that are overwritten as soon as the call is over', async () => {
    const { client, wire } = await pair(by)
    const borrowed = Buffer.alloc(200 * 1024)
    const expected: Buffer[] = []
    for (let round = 0; round < 40; round++) {
      borrowed.fill(round)
      expected.push(Buffer.from(borrowed))
      wire.forward(borrowed)
      borrowed.fill(255)
    }
    wire.end()
    expect((await readToEnd(client)).equals(Buffer.concat(expected))).toBe(true)
  })

  it('shows a reset as a reset, both ways (TU-07)', async () => {
    const one = await pair(by)
    const error = new Promise((resolve) => one.client.on('error', resolve))
    one.wire.reset()
    expect(await error).toMatchObject({ code: 'ECONNRESET' })
    const other = await pair(by)
    const ears = new Ears()
    other.wire.attend(ears)
    other.client.resetAndDestroy()
    await ears.until('close')
    expect(ears.heard).toEqual(['error read ECONNRESET', 'close'])
  })

  it('notices that the peer has gone while nobody is attending', async () => {
    const { client, wire } = await pair(by)
    client.resetAndDestroy()
    await untilClosed(wire)
    expect(wire.destroyed).toBe(true)
    const ears = new Ears()
    wire.attend(ears)
    await ears.until('close')
    expect([wire.localEndpoint(), wire.remoteEndpoint()]).toEqual([undefined, undefined])
    expect(wire.asSocket().destroyed).toBe(true)
  })

  it('tells who waits for the close, once, and not who changed its mind', async () => {
    const { wire } = await pair(by)
    const told: string[] = []
    const other = () => told.push('other')
    wire.onceClosed(() => told.push('first'))
    wire.onceClosed(other)
    wire.offClose(other)
    wire.destroy()
    wire.destroy()
    await untilClosed(wire)
    expect(told).toEqual(['first'])
    wire.onceClosed(() => told.push('late'))
    await vi.waitFor(() => expect(told).toEqual(['first', 'late']))
  })

  it('knows both its ends', async () => {
    const { client, wire, port } = await pair(by)
    expect(wire.localEndpoint()).toEqual({ ip: ip('127.0.0.1'), port })
    expect(wire.remoteEndpoint()).toEqual({ ip: ip('127.0.0.1'), port: client.localPort })
  })

  it('becomes a socket with all that is unread in it, and goes on over that', async () => {
    const { client, wire } = await pair(by)
    const closed = untilClosed(wire)
    client.write('unread, ')
    await vi.waitFor(() => expect(wire.waiting).toBeGreaterThan(0))
    const socket = wire.asSocket()
    expect(wire.asSocket()).toBe(socket)
    client.end('and later')
    expect((await readToEnd(socket)).toString()).toBe('unread, and later')
    expect([wire.bytesRead, wire.hasEnded]).toEqual([17, true])
    socket.end('from the socket')
    expect((await readToEnd(client)).toString()).toBe('from the socket')
    await closed
    expect(wire.bytesWritten).toBe(15)
  })

  it('gives a socket the end that came before it', async () => {
    const { client, wire } = await pair(by)
    client.end()
    await untilEnded(wire)
    const socket = wire.asSocket().resume()
    await vi.waitFor(() => expect(socket.readableEnded).toBe(true))
  })

  it('connects from the address and port that were asked for', async () => {
    const origin = await listen()
    const wire = await dialWire(by, origin.port, { address: '127.0.0.9', port: 20_123 })
    expect(wire.localEndpoint()).toEqual({ ip: ip('127.0.0.9'), port: 20_123 })
    expect(wire.remoteEndpoint()).toEqual({ ip: ip('127.0.0.1'), port: origin.port })
  })

  it('names the call that failed when it cannot connect', async () => {
    const origin = await listen()
    const { server, port } = await listen()
    await new Promise((resolve) => server.close(resolve))
    await expect(dialWire(by, port)).rejects.toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect' })
    const notOurs = dialWire(by, origin.port, { address: '192.0.2.1', port: 20_124 })
    await expect(notOurs).rejects.toMatchObject({ code: 'EADDRNOTAVAIL', syscall: 'bind' })
    const from = { address: '127.0.0.9', port: 20_125 }
    await dialWire(by, origin.port, from)
    const taken = dialWire(by, origin.port, from)
    await expect(taken).rejects.toMatchObject({ code: expect.stringMatching(/EADDRNOTAVAIL|EADDRINUSE/) })
    await expect(taken).rejects.not.toMatchObject({ syscall: 'bind', code: 'EADDRNOTAVAIL' })
  })

  it('tells nothing of a dial that was given up', async () => {
    const origin = await listen()
    const told: string[] = []
    const tell = { onConnect: () => told.push('connect'), onFailure: () => told.push('failure') }
    by.dial({ to: { ip: ip('127.0.0.1'), port: origin.port } }, tell).cancel()
    // a whole dial later
    await dialWire(by, origin.port)
    expect(told).toEqual([])
  })

  it.runIf(existsSync('/proc/net/tcp'))('looks for a dead peer once it is told to (TU-10)', async () => {
    const { wire } = await pair(by)
    expect(timerOf(wire)).not.toBe(KEEP_ALIVE_TIMER)
    wire.keepAlive()
    expect(timerOf(wire)).toBe(KEEP_ALIVE_TIMER)
  })
})

/** of proc_net_tcp(5) */
const KEEP_ALIVE_TIMER = '02'

/** The kernel's timer of a connection on 127.0.0.1. */
function timerOf(wire: Wire): string | undefined {
  const [local, remote] = [wire.localEndpoint(), wire.remoteEndpoint()].map(
    (end) => `0100007F:${(end?.port ?? 0).toString(16).toUpperCase().padStart(4, '0')}`,
  )
  const lines = readFileSync('/proc/net/tcp', 'latin1').trim().split('\n')
  const fields = lines.map((line) => line.trim().split(/\s+/))
  return fields.find((line) => line[1] === local && line[2] === remote)?.[5]?.slice(0, 2)
}

function listenerOf(ears: Ears) {
  return {
    onBytes: (bytes: Buffer) => ears.onBytes(bytes),
    onEnd: () => ears.onEnd(),
    onError: (cause: NodeJS.ErrnoException) => ears.onError(cause),
    onClose: () => ears.onClose(),
    onDrain: () => ears.onDrain(),
  }
}

function handle(server: ReturnType<typeof createServer>): object {
  return (server as unknown as { _handle: object })._handle
}
