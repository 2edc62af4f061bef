// HTTP/2 between client and proxy: every stream is a connection of its own to whoever it asks for, and what is wrong with one stream
// stays with it (TL-04, TL-05).

import { once } from 'node:events'
import { type ClientHttp2Stream, constants } from 'node:http2'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { InspectedSocket } from '../../src/inbound/http2/inspected-socket.ts'
import { byteLogOrigin, OK } from '../support/byte-log-origin.ts'
import { authorization, connectH2, openStream, openTunnel } from '../support/h2-client.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { ALICE, BOB, EGRESS, type GatewayOptions, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { dialPlain, listen } from '../support/tcp.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'
import { tlsSource } from '../support/tls.ts'

const AS_BOB = { email: BOB, password: PASSWORD }

async function startH2(options: GatewayOptions = {}) {
  const source = await tlsSource()
  const gateway = await startGateway({ ...options, settings: { tlsFor: () => source, ...options.settings } })
  return { gateway, session: await connectH2(gateway.port) }
}

function get(port: number, more: Record<string, string> = {}): Record<string, string> {
  return {
    ':method': 'GET',
    ':scheme': 'http',
    ':authority': `o.test:${port}`,
    ':path': '/',
    ...authorization(AS_BOB),
    ...more,
  }
}

function closed(stream: ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => stream.once('close', () => resolve()))
}

test('AU-05 two streams of one connection are two people with two addresses, decisions and records', async () => {
  const origin = await tellMeOrigin()
  const { gateway, session } = await startH2()
  const address = async (email: string) => {
    const { stream } = await openTunnel(session, `o.test:${origin.port}`, { email, password: PASSWORD })
    stream.end('GET / HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n')
    return (await text(stream)).split('\r\n\r\n')[1]?.trim()
  }
  expect(await Promise.all([address(BOB), address(ALICE)])).toEqual([EGRESS[BOB]?.bound, EGRESS[ALICE]?.bound])
  const records = await gateway.recorded(2)
  expect(records.map(({ Email }) => Email).sort()).toEqual([ALICE, BOB])
  expect(records).toMatchObject([{ Lab: { inbound: 'h2-connect' } }, { ClientTLSVersion: 'TLSv1.3' }])
})

test('TL-04 half-close passes both ways: END_STREAM is FIN, and the other direction goes on', async () => {
  const { port } = await listen((socket) => {
    let said = 0
    socket.on('data', (chunk) => {
      said += chunk.length
    })
    socket.on('end', () => socket.end(`you said ${said}`))
  })
  const { session } = await startH2()
  const { stream } = await openTunnel(session, `o.test:${port}`, AS_BOB)
  stream.end('x'.repeat(1_000_000))
  expect(await text(stream)).toBe('you said 1000000')

  let heard = ''
  const first = await listen((socket) => {
    socket.end('that is all')
    socket.on('data', (chunk) => {
      heard += chunk
    })
  })
  const other = await openTunnel(session, `o.test:${first.port}`, AS_BOB)
  expect(await text(other.stream)).toBe('that is all')
  const gone = closed(other.stream)
  other.stream.end('not all of mine')
  await gone
  await expect.poll(() => heard).toBe('not all of mine')
})

test("TL-04 an origin's reset is RST_STREAM with CONNECT_ERROR, whether the client had finished or not; the connection stays", async () => {
  const { port } = await listen((socket) => socket.once('data', () => socket.resetAndDestroy()))
  const { session } = await startH2()
  for (const finish of [true, false]) {
    const { stream } = await openTunnel(session, `o.test:${port}`, AS_BOB)
    const gone = closed(stream)
    if (finish) stream.end('now')
    else stream.write('now')
    await gone
    expect(stream.rstCode).toBe(constants.NGHTTP2_CONNECT_ERROR)
  }
  expect(session.destroyed).toBe(false)
})

test("TU-07 a client's RST_STREAM resets the origin", async () => {
  const ending = Promise.withResolvers<string>()
  const { port } = await listen((socket) => {
    socket.on('error', (cause) => ending.resolve(String('code' in cause ? cause.code : '')))
    socket.on('end', () => ending.resolve('FIN'))
    socket.write('hello')
  })
  const { gateway, session } = await startH2()
  const { stream } = await openTunnel(session, `o.test:${port}`, AS_BOB)
  await once(stream, 'data')
  stream.close(constants.NGHTTP2_CANCEL)
  expect(await ending.promise).toBe('ECONNRESET')
  expect(await gateway.recorded(1)).toHaveLength(1)
})

test.each([
  ['no port', { ':authority': 'o.test' }, 400],
  ['a path', { ':authority': 'o.test:80/x' }, 400],
  ['user information', { ':authority': 'u@o.test:80' }, 400],
  ['no credentials', { ':authority': 'o.test:80', 'proxy-authorization': '' }, 407],
  ['a body length', { ':authority': 'o.test:80', 'content-length': '3' }, 400],
  ['a name that does not exist', { ':authority': 'nowhere.invalid:80' }, 502],
])('TL-04 CONNECT with %s is an error of its stream alone', async (_what, fields, status) => {
  const origin = await tellMeOrigin()
  const { gateway, session } = await startH2()
  const { 'proxy-authorization': given, ...rest } = { ...authorization(AS_BOB), ...fields } as Record<string, string>
  const headers = { ':method': 'CONNECT', ...rest, ...(given ? { 'proxy-authorization': given } : {}) }
  const refused = await openStream(session, headers as Record<string, string>).catch((error: Error) => error)
  // what nghttp2 finds malformed by itself never becomes an answer
  if (!(refused instanceof Error)) {
    expect(refused.status).toBe(status)
    expect(await text(refused.stream)).toMatch(/^egresslab: /)
    expect(await gateway.recorded(1)).toHaveLength(1)
  }
  const { stream } = await openTunnel(session, `o.test:${origin.port}`, AS_BOB)
  stream.end('GET / HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n')
  expect(await text(stream)).toContain(EGRESS[BOB]?.bound ?? '')
})

test('a 407 names its challenge, and the second try on the same connection gets its tunnel', async () => {
  const origin = await tellMeOrigin()
  const { session } = await startH2()
  const first = await openTunnel(session, `o.test:${origin.port}`)
  expect(first.status).toBe(407)
  expect(first.headers['proxy-authenticate']).toMatch(/^Basic realm="egresslab"/)
  expect((await openTunnel(session, `o.test:${origin.port}`, AS_BOB)).status).toBe(200)
})

test('extended CONNECT (RFC 8441) is not announced', async () => {
  const { session } = await startH2()
  if (session.remoteSettings.maxConcurrentStreams === undefined) await once(session, 'remoteSettings')
  expect(session.remoteSettings).toMatchObject({ maxConcurrentStreams: 100, enableConnectProtocol: false })
})

test('TU-09 a client that does not read stalls its origin, not its neighbours', async () => {
  let written = 0
  const { port } = await listen((socket) => {
    const chunk = Buffer.alloc(64 * 1024)
    const fill = () => {
      while (written < 256 * 1024 * 1024 && socket.write(chunk)) written += chunk.length
    }
    socket.on('drain', fill)
    fill()
  })
  const origin = await tellMeOrigin()
  const { session } = await startH2()
  const stalled = await openTunnel(session, `o.test:${port}`, AS_BOB)
  stalled.stream.pause()
  const lively = await openTunnel(session, `o.test:${origin.port}`, AS_BOB)
  lively.stream.end('GET / HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n')
  expect(await text(lively.stream)).toContain(EGRESS[BOB]?.bound ?? '')
  expect(written).toBeLessThan(64 * 1024 * 1024)
})

test('TL-05 a request becomes sound HTTP/1.1: Host from :authority, one cookie field, no proxy credentials, Via', async () => {
  const origin = await byteLogOrigin((socket, sofar) => {
    if (sofar.includes('\r\n\r\n')) socket.write(OK)
  })
  const { session } = await startH2()
  const fields = { cookie: ['a=1', 'b=2'], te: 'trailers', 'x-one': 'two' } as unknown as Record<string, string>
  const { status, stream, headers } = await openStream(session, get(origin.port, fields), true)
  expect([status, await text(stream)]).toEqual([200, 'ok'])
  expect(headers.via).toBe('1.1 egresslab-under-test')
  const sent = origin.received.toLowerCase()
  expect(sent).toMatch(/^get \/ http\/1\.1\r\nhost: o\.test:\d+\r\n/)
  expect(sent).toContain('cookie: a=1; b=2\r\n')
  expect(sent).toContain('via: 2 egresslab-under-test\r\n')
  expect(sent).not.toContain('proxy-authorization')
  expect(sent.match(/\r\nhost:/g)).toHaveLength(1)
})

test.each([
  ['another Host', { host: 'evil.test' }, 400],
  ['https', { ':scheme': 'https' }, 400],
  ['a port that is none', { ':authority': 'o.test:99999' }, 400],
  ['TRACE', { ':method': 'TRACE' }, 405],
])('TL-05 a request with %s is refused and reaches nobody', async (_what, fields, status) => {
  const origin = await byteLogOrigin()
  const { gateway, session } = await startH2()
  const refused = await openStream(session, get(origin.port, fields), true)
  expect(refused.status).toBe(status)
  expect(origin.connections).toBe(0)
  expect(await gateway.recorded(1)).toMatchObject([{ Lab: { inbound: 'h2-forward' } }])
})

test.each([
  ['a connection option', { connection: 'keep-alive' }],
  ['a transfer coding', { 'transfer-encoding': 'chunked' }],
])('TL-05 the client library itself refuses %s', async (_what, fields) => {
  const { session } = await startH2()
  expect(() => session.request(get(80, fields))).toThrow(/HTTP\/1 Connection specific/)
})

test.each([
  ['chunked', {}],
  ['that waits for 100 (Continue)', { expect: '100-continue' }],
])('FR-15 an upload %s that the client takes back never looks complete to the origin', async (_what, fields) => {
  const origin = await byteLogOrigin((socket, sofar) => {
    if (sofar.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 100 Continue\r\n\r\n')
  })
  const { gateway, session } = await startH2()
  const stream = session.request(get(origin.port, { ':method': 'POST', ...fields }), { waitForTrailers: true })
  stream.on('error', () => {})
  stream.write('half of it')
  await origin.text('half of it')
  stream.close(constants.NGHTTP2_CANCEL)
  expect(await gateway.recorded(1)).toMatchObject([{ ConnectionCloseReason: 'CLIENT_CLOSED' }])
  expect(origin.received).not.toContain('\r\n0\r\n')
})

test('FR-09 an answer that the origin cuts short ends in RST_STREAM, never cleanly', async () => {
  const { port } = await listen((socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort')),
  )
  const { session } = await startH2()
  const { stream } = await openStream(session, get(port), true)
  const gone = closed(stream)
  stream.resume()
  await gone
  expect(stream.rstCode).not.toBe(constants.NGHTTP2_NO_ERROR)
})

test('streams keep their connection to an origin for the next one of the same person, never for another (EG-02)', async () => {
  const origin = await tellMeOrigin()
  const { session } = await startH2()
  const ask = async (email: string) => {
    const { stream } = await openStream(session, get(origin.port, authorization({ email, password: PASSWORD })), true)
    await text(stream)
  }
  await ask(BOB)
  await ask(BOB)
  expect(origin.connections).toHaveLength(1)
  await ask(ALICE)
  expect(origin.connections.map(({ address }) => address)).toEqual([EGRESS[BOB]?.bound, EGRESS[ALICE]?.bound])
})

test('FR-14 an answer that comes before the upload is done reaches the client whole', async () => {
  const { port } = await listen((socket) =>
    socket.once('data', () => socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch')),
  )
  const { session } = await startH2()
  const stream = session.request(get(port, { ':method': 'POST', 'content-length': '1000000' }))
  stream.write('some')
  const [head] = await once(stream, 'response')
  expect(head[':status']).toBe(413)
  expect(await text(stream)).toBe('much')
})

test('HEAD, 204, interim answers and trailers come through as they are', async () => {
  const origin = await tellMeOrigin((req, res) => {
    if (req.method === 'HEAD') res.writeHead(200, { 'Content-Length': '1000' }).end()
    else if (req.url === '/empty') res.writeHead(204).end()
    else {
      res.writeEarlyHints({ link: '</style.css>; rel=preload' })
      res.writeHead(200, { Trailer: 'X-Sum' })
      res.addTrailers({ 'X-Sum': '42' })
      res.end('body')
    }
  })
  const { session } = await startH2()
  const seen = await openStream(session, get(origin.port, { ':method': 'HEAD' }), true)
  expect([seen.status, seen.headers['content-length'], await text(seen.stream)]).toEqual([200, '1000', ''])
  const empty = await openStream(session, get(origin.port, { ':path': '/empty' }), true)
  expect([empty.status, await text(empty.stream)]).toEqual([204, ''])

  const stream = session.request(get(origin.port, { te: 'trailers' }), { endStream: true })
  const [interim] = await once(stream, 'headers')
  const trailers = once(stream, 'trailers')
  expect(interim).toMatchObject({ ':status': 103, link: '</style.css>; rel=preload' })
  expect(await text(stream)).toBe('body')
  expect((await trailers)[0]).toMatchObject({ 'x-sum': '42' })
})

test('LC-01 a stop tells HTTP/2 clients, lets streams finish, and leaves nothing open', async () => {
  const origin = await tellMeOrigin()
  const { gateway, session } = await startH2({ settings: { drainMs: PATIENCE_MS } })
  const { stream } = await openTunnel(session, `o.test:${origin.port}`, AS_BOB)
  const told = once(session, 'goaway')
  const stopped = gateway.gateway.stop()
  expect((await told)[0]).toBe(constants.NGHTTP2_NO_ERROR)
  stream.end('GET / HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n')
  expect(await text(stream)).toContain(EGRESS[BOB]?.bound ?? '')
  await stopped
  await expect.poll(() => gateway.gateway.clients).toBe(0)
})

test('a connection on which nothing is asked is let go with a GOAWAY', async () => {
  const { session } = await startH2({ settings: { handshakeTimeoutMs: 2_000 } })
  const [code] = await once(session, 'goaway', { signal: AbortSignal.timeout(PATIENCE_MS) })
  expect(code).toBe(constants.NGHTTP2_NO_ERROR)
})

test.each([
  ['407', 80, {}],
  ['502', 1, authorization(AS_BOB)],
  ['400', 80, { ...authorization(AS_BOB), ':path': '/caf\xc3\xa9' }],
])('a HEAD that is refused with %s gets the head of that answer and a clean end', async (status, port, fields) => {
  const { session } = await startH2()
  const { 'proxy-authorization': _none, ...head } = get(port)
  const stream = session.request({ ...head, ':method': 'HEAD', ...fields }, { endStream: true })
  const [answer] = await once(stream, 'response', { signal: AbortSignal.timeout(PATIENCE_MS) })
  let length = 0
  for await (const chunk of stream) length += chunk.length
  expect([answer[':status'], length, stream.rstCode]).toEqual([Number(status), 0, constants.NGHTTP2_NO_ERROR])
})

test('a large answer comes whole to a client that takes it slowly, and a large upload to its origin', async () => {
  const size = 8 * 1024 * 1024
  const origin = await tellMeOrigin(async (req, res) => {
    let length = 0
    for await (const chunk of req) length += chunk.length
    res.setHeader('x-got', String(length))
    res.end(Buffer.alloc(size, 'x'))
  })
  const { session } = await startH2()
  const stream = session.request(get(origin.port, { ':method': 'POST' }))
  stream.end(Buffer.alloc(size, 'y'))
  const [answer] = await once(stream, 'response', { signal: AbortSignal.timeout(PATIENCE_MS) })
  let length = 0
  for await (const chunk of stream) {
    length += chunk.length
    if (length % 7 === 0) await new Promise(setImmediate)
  }
  expect([answer['x-got'], length]).toEqual([String(size), size])
})

test('an answer that HTTP/2 cannot say is a 502, and not a fault of the proxy', async () => {
  const twice = OK.replace('\r\n\r\n', '\r\nContent-Type: text/html\r\nContent-Type: text/plain\r\n\r\n')
  const origin = await byteLogOrigin((socket) => socket.write(twice))
  const { gateway, session } = await startH2()
  const { status } = await openStream(session, get(origin.port), true)
  expect(status).toBe(502)
  expect((await gateway.recorded(1))[0]?.Lab.error).toMatchObject({ code: 'origin.malformed_response' })
})

test('to Node’s session an end is done at once, and what it writes behind it goes nowhere instead of ending the process', async () => {
  const accepted = Promise.withResolvers<Socket>()
  const { port } = await listen(accepted.resolve)
  await dialPlain(port)
  const events = { onMalformed: () => {}, onBroken: () => {} }
  const inspected = new InspectedSocket(await accepted.promise, { headerTableSize: 4096, maxFrameSize: 16_384 }, events)
  const told: unknown[] = []
  inspected.on('error', (error) => told.push(error))
  inspected.end(() => told.push('ended'))
  expect(told).toEqual(['ended'])
  await new Promise<void>((resolve) => {
    inspected.write(Buffer.from('a late frame'), (error: unknown) => {
      told.push(error)
      resolve()
    })
  })
  expect(told).toEqual(['ended', undefined])
})
