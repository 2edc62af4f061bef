// Byte streams over what Node carries: sockets, TLS, streams of HTTP/2. What every engine has to do with plain TCP is in
// engines.test.ts; here is what only Node's streams can get wrong.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  connect as connectHttp2,
  constants,
  createServer as createHttp2Server,
  type ServerHttp2Stream,
} from 'node:http2'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { ByteStream } from '../../src/transport/byte-stream.ts'
import { nodeEngine } from '../../src/transport/node/node-engine.ts'
import { NodeStream } from '../../src/transport/node/node-stream.ts'
import { PATIENT } from '../support/patience.ts'
import { acceptStream, Reader, untilClosed, untilEnded, untilStill } from '../support/streams.ts'
import { dialPlain, readToEnd } from '../support/tcp.ts'
import { testTls } from '../support/tls.ts'

const TEN_MB = randomBytes(10 * 1024 * 1024)
/** what Node reads ahead for one stream at most */
const READ_AHEAD = 128 * 1024

const TLS_CLIENT = { rejectUnauthorized: false, allowHalfOpen: true }

/** A plain client and the stream it was accepted as. */
async function pair(): Promise<{ readonly client: Socket; readonly stream: ByteStream }> {
  const { port, stream } = await acceptStream(nodeEngine)
  const client = await dialPlain(port)
  return { client, stream: await stream }
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** `under`: what the client's TLS runs over. */
async function tlsPair(): Promise<{ readonly client: Socket; readonly stream: NodeStream; readonly under: Socket }> {
  const { leaf } = await testTls()
  const accepted = Promise.withResolvers<NodeStream>()
  const server = createTlsServer({ cert: leaf.certificate, key: leaf.key, allowHalfOpen: true }, (socket) =>
    accepted.resolve(new NodeStream(socket)),
  )
  const port = await listening(server)
  const under = await dialPlain(port)
  const client = connectTls({ socket: under, ...TLS_CLIENT }).on('error', () => undefined)
  await once(client, 'secureConnect')
  const stream = await accepted.promise
  onTestFinished(() => {
    client.destroy()
    stream.destroy()
  })
  return { client, stream, under }
}

async function http2Pair() {
  const accepted = Promise.withResolvers<ServerHttp2Stream>()
  const server = createHttp2Server()
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => undefined)
    stream.respond({ ':status': 200 }, { waitForTrailers: true })
    accepted.resolve(stream)
  })
  const port = await listening(server)
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  onTestFinished(() => session.destroy())
  const client = session.request({ ':method': 'POST' }, { endStream: false })
  const ended = new Promise<number>((resolve) => client.once('close', () => resolve(client.rstCode)))
  client.on('error', () => undefined)
  const under = await accepted.promise
  const stream = new NodeStream(under, { reset: () => under.close(constants.NGHTTP2_CONNECT_ERROR) })
  return { client, stream, ended }
}

describe('a stream over a socket', () => {
  it('reads nothing ahead beyond the buffer of the socket while nobody reads', async () => {
    const { client, stream } = await pair()
    stream.setHandler({ onReadable: () => undefined, onWritable: () => undefined, onClose: () => undefined })
    client.end(TEN_MB)
    await untilStill(() => stream.bytesRead)
    expect(stream.bytesRead).toBe(stream.buffered)
    expect(stream.buffered).toBeLessThanOrEqual(READ_AHEAD)
    const reader = Reader.over(stream)
    await reader.until('end')
    expect(Buffer.concat(reader.bytes).equals(TEN_MB)).toBe(true)
  })

  it('gives other streams their turn while one has more to read than its share', async () => {
    const bulk = await pair()
    const order: string[] = []
    bulk.client.end(TEN_MB)
    const done = new Promise<void>((resolve) => {
      bulk.stream.setHandler({
        onReadable: () => {
          let bytes = 0
          for (let chunk = bulk.stream.read(); chunk !== undefined; chunk = bulk.stream.read()) bytes += chunk.length
          order.push(`bulk ${bytes}`)
          setImmediate(() => order.push('somebody else'))
          if (bulk.stream.hasEnded) resolve()
        },
        onWritable: () => undefined,
        onClose: () => undefined,
      })
    })
    await done
    const shares = order.filter((what) => what.startsWith('bulk')).map((what) => Number(what.slice(5)))
    expect(shares.reduce((sum, bytes) => sum + bytes, 0)).toBe(TEN_MB.length)
    expect(Math.max(...shares)).toBeLessThanOrEqual(256 * 1024 + READ_AHEAD)
    expect(order.lastIndexOf('somebody else')).toBeGreaterThan(order.indexOf('somebody else'))
  })

  it('tells an orderly end as that, and by whom it came first', async () => {
    const byPeer = await pair()
    const first = Reader.over(byPeer.stream)
    byPeer.client.end('bye')
    await first.until('end')
    byPeer.stream.end()
    await first.until('close')
    expect(first.told).toEqual(['bytes bye', 'end', 'close peer fin', 'close'])
    const byUs = await pair()
    const second = Reader.over(byUs.stream)
    byUs.stream.end()
    await readToEnd(byUs.client)
    byUs.client.end()
    await second.until('close')
    expect(second.told).toEqual(['end', 'close us fin', 'close'])
  })

  it('tells a reset as that, also while nothing is being read', async () => {
    const { client, stream } = await pair()
    const reader = Reader.over(stream)
    client.resetAndDestroy()
    await reader.until('close')
    expect(reader.end).toMatchObject({ by: 'peer', how: 'reset', cause: { code: 'ECONNRESET' } })
    const other = await pair()
    other.client.resetAndDestroy()
    await untilClosed(other.stream)
    expect(other.stream.isClosed).toBe(true)
  })

  it.each([
    ['destroy', 'destroyed'],
    ['reset', 'reset'],
  ] as const)('tells that it was us after %s, before the call returns', async (how, told) => {
    const { stream } = await pair()
    const reader = Reader.over(stream)
    stream[how]()
    expect(reader.told).toEqual([`close us ${told}`, 'close'])
    expect(stream.isClosed).toBe(true)
  })

  it('hands out what the peer sent before a write failed, and calls the end a reset', async () => {
    const { client, stream } = await pair()
    // unread bytes make the peer's close a reset
    stream.write(Buffer.from('unread by the peer'))
    client.pause()
    await once(client, 'readable')
    client.write('early answer', () => client.resetAndDestroy())
    await once(client, 'close')
    for (let round = 0; round < 3 && !stream.isClosed; round++) {
      stream.write(Buffer.from('more'))
      await new Promise((resolve) => setImmediate(resolve))
    }
    const reader = Reader.over(stream)
    await reader.until('close')
    expect(reader.text).toBe('early answer')
    expect(reader.end).toMatchObject({ by: 'peer', how: 'reset' })
    expect(reader.told).not.toContain('end')
  })

  it('hands out what is still buffered when the peer resets, to a reader that was not ready', async () => {
    const { client, stream } = await pair()
    const told: string[] = []
    let isReady = false
    const closed = new Promise<void>((resolve) => {
      stream.setHandler({
        onReadable: () => {
          if (!isReady) return
          for (let bytes = stream.read(); bytes !== undefined; bytes = stream.read()) told.push(bytes.toString())
        },
        onWritable: () => undefined,
        onClose: ({ by, how }) => {
          told.push(`${by} ${how}`)
          resolve()
        },
      })
    })
    client.write('last words')
    await vi.waitFor(() => expect(stream.buffered).toBe(10), PATIENT)
    client.resetAndDestroy()
    await once(client, 'close')
    isReady = true
    await vi.waitFor(() => {
      const bytes = stream.read()
      if (bytes !== undefined) told.push(bytes.toString())
      expect(stream.isClosed).toBe(true)
    }, PATIENT)
    await closed
    expect(told).toEqual(['last words', 'peer reset'])
  })

  it('answers true exactly when everything written is taken, and tells when it is', async () => {
    const { client, stream } = await pair()
    client.pause()
    const reader = Reader.over(stream)
    while (stream.write(TEN_MB)) expect(stream.unsent).toBe(0)
    expect(stream.unsent).toBeGreaterThan(0)
    expect(reader.told).toEqual([])
    const received = readToEnd(client)
    await reader.until('drain')
    expect(stream.unsent).toBe(0)
    stream.end()
    expect((await received).length).toBe(stream.bytesWritten)
  })

  it('copies what it cannot send at once, so that the caller may reuse its memory', async () => {
    const { client, stream } = await pair()
    const reused = Buffer.alloc(200 * 1024)
    const expected: Buffer[] = []
    for (let round = 0; round < 40; round++) {
      reused.fill(round)
      expected.push(Buffer.from(reused))
      stream.write(reused)
      reused.fill(255)
    }
    stream.end()
    expect((await readToEnd(client)).equals(Buffer.concat(expected))).toBe(true)
  })

  it('puts bytes back in front of everything, also behind the FIN of the peer', async () => {
    const { client, stream } = await pair()
    client.end('second')
    await untilEnded(stream)
    stream.unread(Buffer.from('first'))
    expect([stream.buffered, stream.hasEnded]).toEqual([5, false])
    const reader = Reader.over(stream)
    await reader.until('end')
    expect(reader.text).toBe('first')
  })

  it('becomes a socket with all that is unread in it, and goes on over that', async () => {
    const { client, stream } = await pair()
    const closed = untilClosed(stream)
    client.write('unread, ')
    await vi.waitFor(() => expect(stream.buffered).toBeGreaterThan(0), PATIENT)
    stream.unread(Buffer.from('put back, '))
    const socket = stream.asSocket()
    expect(stream.asSocket()).toBe(socket)
    client.end('and later')
    expect((await readToEnd(socket)).toString()).toBe('put back, unread, and later')
    socket.end('from the socket')
    expect((await readToEnd(client)).toString()).toBe('from the socket')
    await closed
    expect([stream.bytesRead, stream.bytesWritten]).toEqual([17, 15])
  })

  it('lets the owner of its socket hear of a write that failed', async () => {
    const { client, stream } = await pair()
    const socket = stream.asSocket()
    const failed = once(socket, 'error')
    client.resetAndDestroy()
    socket.resume()
    socket.write('to nobody')
    expect(await failed).toMatchObject([{ code: expect.stringMatching(/ECONNRESET|EPIPE/) }])
  })
})

describe('a stream over TLS', () => {
  it('carries bytes and both ends as a socket does', async () => {
    const { client, stream } = await tlsPair()
    const reader = Reader.over(stream)
    client.write('hello')
    await reader.until('bytes hello')
    stream.write(Buffer.from('and you'))
    stream.end()
    expect((await readToEnd(client)).toString()).toBe('and you')
    client.end()
    await reader.until('close')
    expect(reader.told.filter((what) => what !== 'drain')).toEqual(['bytes hello', 'end', 'close us fin', 'close'])
  })

  it.each([
    ['that is no TLS', Buffer.from('this is no record of TLS')],
    ['that was tampered with', Buffer.from(`1703030020${'00'.repeat(32)}`, 'hex')],
  ])('closes behind a record %s, and tells it', async (_what, record) => {
    const { stream, under } = await tlsPair()
    const reader = Reader.over(stream)
    under.write(record)
    await reader.until('close')
    expect(reader.end).toMatchObject({ by: 'peer', how: 'reset', cause: { code: expect.stringMatching(/^ERR_SSL_/) } })
    expect(stream.isClosed).toBe(true)
  })

  it('makes a peer wait that nobody reads, and loses nothing of it', async () => {
    const { client, stream } = await tlsPair()
    client.end(TEN_MB)
    await untilStill(() => stream.buffered)
    expect(stream.buffered).toBeLessThanOrEqual(READ_AHEAD)
    const reader = Reader.over(stream)
    await reader.until('end')
    expect(Buffer.concat(reader.bytes).equals(TEN_MB)).toBe(true)
  })
})

describe('a stream over HTTP/2', () => {
  it('carries bytes, and END_STREAM as FIN', async () => {
    const { client, stream, ended } = await http2Pair()
    const reader = Reader.over(stream)
    client.end('hello')
    await reader.until('end')
    stream.write(Buffer.from('and you'))
    stream.end()
    expect((await readToEnd(client as unknown as Socket)).toString()).toBe('and you')
    expect(await ended).toBe(constants.NGHTTP2_NO_ERROR)
    await reader.until('close')
    expect(reader.told.filter((what) => what !== 'drain')).toEqual(['bytes hello', 'end', 'close peer fin', 'close'])
  })

  it('shows a reset as RST_STREAM', async () => {
    const { client, stream, ended } = await http2Pair()
    const reader = Reader.over(stream)
    client.resume()
    stream.reset()
    expect(await ended).toBe(constants.NGHTTP2_CONNECT_ERROR)
    expect(reader.told).toEqual(['close us reset', 'close'])
  })

  it('takes RST_STREAM of the client for a reset by the peer', async () => {
    const { client, stream } = await http2Pair()
    const reader = Reader.over(stream)
    client.close(constants.NGHTTP2_INTERNAL_ERROR)
    await reader.until('close')
    expect(reader.end).toMatchObject({ by: 'peer', how: 'reset' })
  })

  it('has no connection of its own', async () => {
    const { stream } = await http2Pair()
    expect([stream.localEndpoint(), stream.remoteEndpoint(), stream.tcpInfo()]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(() => stream.asSocket()).toThrow(TypeError)
  })
})

it('a port is free as soon as the listener is closed, while its connections go on', async () => {
  const accepted = Promise.withResolvers<ByteStream>()
  const listening = await nodeEngine.listen({ host: '127.0.0.1', port: 0 }, accepted.resolve)
  const client = await dialPlain(listening.address.port)
  const stream = await accepted.promise
  onTestFinished(() => stream.destroy())
  await listening.close()
  const again = createServer().listen(listening.address.port, '127.0.0.1')
  await once(again, 'listening')
  again.close()
  client.end('still here')
  const reader = Reader.over(stream)
  await reader.until('end')
  expect(reader.text).toBe('still here')
})
