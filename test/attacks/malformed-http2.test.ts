// Story: a client sends over HTTP/2 what no request may hold: line ends, NUL and blanks in values, colons in names, bodies that are longer or
// shorter than announced (RFC 9113 sections 8.1.1 and 8.2.1). That stream ends with PROTOCOL_ERROR, its record says why, nothing
// of it reaches an origin, and the other streams of the connection go on.

import { describe, expect, test } from 'vitest'
import { byteLogOrigin, OK } from '../support/byte-log-origin.ts'
import { authorization } from '../support/h2-client.ts'
import {
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  type Frame,
  frame,
  GOAWAY,
  HEADERS,
  headerBlock,
  type RawH2,
  RST_STREAM,
  rawH2,
  WINDOW_UPDATE,
} from '../support/h2-frames.ts'
import { BOB, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'
import { tlsSource } from '../support/tls.ts'

const AS_BOB = authorization({ email: BOB, password: PASSWORD })
const PROTOCOL_ERROR = 1
const PADDED = 0x8
const PRIORITY = 0x20
const TUNNEL = 1
const BAD = 3
const NEXT = 5

const CONTROL = 'the value of `x-a` holds a control character'
const BLANK = 'the value of `x-a` begins or ends with a blank'
const NAME = 'a field has no valid name'
const TOO_LONG = 'the body is longer than its `content-length`'
const CUT_SHORT = 'the body is shorter than its `content-length`'

type Fields = Readonly<Record<string, string>>

const FIELDS: [what: string, fields: Fields, why: string][] = [
  ['CR in a value', { 'x-a': 'b\rc' }, CONTROL],
  ['LF in a value', { 'x-a': 'b\nc' }, CONTROL],
  ['a line of its own in a value', { 'x-a': 'b\r\nX-Injected: c' }, CONTROL],
  ['NUL in a value', { 'x-a': 'b\0c' }, CONTROL],
  ['another control character in a value', { 'x-a': 'b\x1bc' }, CONTROL],
  ['a blank ahead of a value', { 'x-a': ' b' }, BLANK],
  ['a blank behind a value', { 'x-a': 'b ' }, BLANK],
  ['a tab ahead of a value', { 'x-a': '\tb' }, BLANK],
  ['a tab behind a value', { 'x-a': 'b\t' }, BLANK],
  ['a colon in a name', { 'x:a': 'b' }, NAME],
  ['a blank in a name', { 'x a': 'b' }, NAME],
  ['a line end in a name', { 'x-a\r\nx-injected': 'b' }, NAME],
  ['a name above ASCII', { 'x-\xe9': 'b' }, NAME],
  ['an empty name', { '': 'b' }, NAME],
  ['a capital in a name', { 'X-a': 'b' }, 'the name of a field has capital letters'],
  ['a connection option', { connection: 'close' }, '`connection` belongs to HTTP/1.1'],
  ['a transfer coding', { 'transfer-encoding': 'chunked' }, '`transfer-encoding` belongs to HTTP/1.1'],
  ['a TE other than trailers', { te: 'gzip' }, '`te` belongs to HTTP/1.1'],
  ['an unknown pseudo-header field', { ':x': 'b' }, 'a pseudo-header field is none of a request'],
]

/** A connection with a tunnel to an echo, and an origin that keeps what it gets. */
async function start() {
  const source = await tlsSource()
  const gateway = await startGateway({ settings: { tlsFor: () => source } })
  const echo = await listen((socket) => socket.pipe(socket))
  const origin = await byteLogOrigin((socket, sofar) => {
    if (/GET .*\r\n\r\n$/s.test(sofar) || sofar.endsWith('helloworld')) socket.write(OK)
  })
  const client = await rawH2(gateway.port)
  client.socket.write(frame(HEADERS, END_HEADERS, TUNNEL, connectTo(echo.port)))
  await expect.poll(() => answered(client, TUNNEL)).toBe(true)
  return { gateway, client, origin }
}

function connectTo(port: number, more: Fields = {}): Buffer {
  return headerBlock({ ':method': 'CONNECT', ':authority': `o.test:${port}`, ...AS_BOB, ...more })
}

function request(method: string, port: number, more: Fields = {}): Buffer {
  if (method === 'CONNECT') return connectTo(port, more)
  const pseudo = { ':method': method, ':scheme': 'http', ':authority': `o.test:${port}`, ':path': '/' }
  const { ':x': unknown, ...rest } = more
  return headerBlock({ ...pseudo, ...(unknown === undefined ? {} : { ':x': unknown }), ...AS_BOB, ...rest })
}

function malformed(why: string): string {
  return `the request is malformed: ${why}`
}

function answered({ frames }: RawH2, stream: number): boolean {
  return frames.some((each: Frame) => each.type === HEADERS && each.stream === stream)
}

async function isReset(client: RawH2, stream: number): Promise<void> {
  const resets = () => client.frames.filter((each) => each.type === RST_STREAM && each.stream === stream)
  await expect.poll(resets).not.toHaveLength(0)
  expect(resets()[0]?.payload.readUInt32BE(0)).toBe(PROTOCOL_ERROR)
}

/** The tunnel carries bytes in both directions, and a new request of the same connection gets its answer. */
async function othersGoOn(client: RawH2, port: number, next = NEXT): Promise<void> {
  const word = `still here ${client.frames.length}`
  client.socket.write(frame(DATA, 0, TUNNEL, Buffer.from(word)))
  const heard = () =>
    Buffer.concat(client.frames.filter(({ type, stream }) => type === DATA && stream === TUNNEL).map((f) => f.payload))
  await expect.poll(() => heard().toString().endsWith(word)).toBe(true)
  client.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, next, request('GET', port)))
  await expect.poll(() => answered(client, next)).toBe(true)
  expect(client.frames.some(({ type }) => type === GOAWAY)).toBe(false)
}

describe.each(['GET', 'CONNECT'])('a %s with', (method) => {
  test.each(FIELDS)('%s ends its stream alone, and is recorded with the reason', async (_what, fields, why) => {
    const { gateway, client, origin } = await start()
    client.socket.write(frame(HEADERS, END_HEADERS, BAD, request(method, origin.port, fields)))
    await isReset(client, BAD)
    expect(await gateway.recorded(1)).toMatchObject([
      {
        ConnectionCloseReason: 'CLIENT_ERROR',
        Lab: {
          inbound: method === 'GET' ? 'h2-forward' : 'h2-connect',
          error: { code: 'request.malformed', message: malformed(why) },
        },
      },
    ])
    expect(answered(client, BAD)).toBe(false)
    expect(origin.connections).toBe(0)
    await othersGoOn(client, origin.port)
    expect(origin.received).not.toMatch(/x-a|injected/i)
  })
})

test.each(FIELDS)('trailers with %s: the request never looks complete to its origin', async (_what, fields, why) => {
  const { gateway, client, origin } = await start()
  client.socket.write(frame(HEADERS, END_HEADERS, BAD, request('POST', origin.port)))
  client.socket.write(frame(DATA, 0, BAD, Buffer.from('half of it')))
  await origin.text('half of it')
  client.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, BAD, headerBlock({ 'x-sum': '1', ...fields })))
  await isReset(client, BAD)
  expect(await gateway.recorded(1)).toMatchObject([
    { ConnectionCloseReason: 'CLIENT_ERROR', Lab: { error: { code: 'request.malformed', message: malformed(why) } } },
  ])
  await othersGoOn(client, origin.port)
  expect(origin.received).not.toMatch(/\r\n0\r\n|x-a|injected/i)
})

test('a tunnel whose client sends malformed trailers is reset, and its record says why', async () => {
  const { gateway, client, origin } = await start()
  client.socket.write(frame(HEADERS, END_HEADERS, BAD, connectTo(origin.port)))
  await expect.poll(() => answered(client, BAD)).toBe(true)
  client.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, BAD, headerBlock({ 'x-a': 'b\r' })))
  await isReset(client, BAD)
  expect(await gateway.recorded(1)).toMatchObject([
    {
      ConnectionCloseReason: 'CLIENT_ERROR',
      Lab: { error: { code: 'request.malformed', message: malformed(CONTROL) } },
    },
  ])
  await othersGoOn(client, origin.port)
})

/** Two ways a body may come: together with its head, or after the origin has heard of the request. */
describe.each(['at once', 'later'])('a body that comes %s and is', (when) => {
  test.each<[what: string, length: string, body: readonly [flags: number, payload: string][], why: string]>([
    ['longer than its length', '2', [[END_STREAM, 'hello']], TOO_LONG],
    ['longer than its length, without an end', '2', [[0, 'hello']], TOO_LONG],
    [
      'longer in its second frame',
      '7',
      [
        [0, 'hello'],
        [0, 'hello'],
      ],
      TOO_LONG,
    ],
    ['longer than nothing', '0', [[END_STREAM, 'hello']], TOO_LONG],
    ['longer by what is behind its padding', '4', [[PADDED, '\x02hello..']], TOO_LONG],
    ['shorter than its length', '7', [[END_STREAM, 'hello']], CUT_SHORT],
    [
      'shorter, ended by an empty frame',
      '7',
      [
        [0, 'hello'],
        [END_STREAM, ''],
      ],
      CUT_SHORT,
    ],
    ['shorter, and padded up to its length', '7', [[PADDED | END_STREAM, '\x02hello..']], CUT_SHORT],
  ])('%s ends its stream alone', async (_what, length, body, why) => {
    const { gateway, client, origin } = await start()
    const head = frame(HEADERS, END_HEADERS, BAD, request('POST', origin.port, { 'content-length': length }))
    const frames = body.map(([flags, payload]) => frame(DATA, flags, BAD, Buffer.from(payload, 'latin1')))
    if (when === 'at once') client.socket.write(Buffer.concat([head, ...frames]))
    else {
      client.socket.write(head)
      await origin.text('Content-Length')
      client.socket.write(Buffer.concat(frames))
    }
    await isReset(client, BAD)
    expect(await gateway.recorded(1)).toMatchObject([
      { ConnectionCloseReason: 'CLIENT_ERROR', Lab: { error: { code: 'request.malformed', message: malformed(why) } } },
    ])
    await othersGoOn(client, origin.port)
  })
})

test('a request that announces a body and ends with its head, or with trailers, is malformed', async () => {
  const { gateway, client, origin } = await start()
  client.socket.write(
    frame(HEADERS, END_HEADERS | END_STREAM, BAD, request('GET', origin.port, { 'content-length': '3' })),
  )
  await isReset(client, BAD)
  client.socket.write(frame(HEADERS, END_HEADERS, 7, request('POST', origin.port, { 'content-length': '3' })))
  client.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, 7, headerBlock({ 'x-sum': '1' })))
  await isReset(client, 7)
  const defects = (await gateway.recorded(2)).map(({ Lab }) => Lab.error)
  expect(defects).toMatchObject([{ message: malformed(CUT_SHORT) }, { message: malformed(CUT_SHORT) }])
  await othersGoOn(client, origin.port, 9)
})

test.each([
  ['no number', ['five'], '`content-length` is not a number'],
  ['a list', ['5, 5'], '`content-length` is not a number'],
  ['two fields', ['5', '5'], 'there is more than one `content-length`'],
])('a content-length of %s is malformed', async (_what, lengths, why) => {
  const { gateway, client, origin } = await start()
  const block = Buffer.concat([
    request('POST', origin.port),
    ...lengths.map((length) => headerBlock({ 'content-length': length })),
  ])
  client.socket.write(frame(HEADERS, END_HEADERS, BAD, block))
  await isReset(client, BAD)
  expect((await gateway.recorded(1))[0]?.Lab.error).toMatchObject({
    code: 'request.malformed',
    message: malformed(why),
  })
  await othersGoOn(client, origin.port)
})

test('a body that is as long as it says, padded, cut and ended by an empty frame, arrives', async () => {
  const { client, origin } = await start()
  client.socket.write(frame(HEADERS, END_HEADERS, BAD, request('POST', origin.port, { 'content-length': '10' })))
  client.socket.write(frame(DATA, PADDED, BAD, Buffer.from('\x03hello...')))
  client.socket.write(frame(DATA, 0, BAD, Buffer.from('world')))
  client.socket.write(frame(DATA, END_STREAM, BAD))
  await origin.text('helloworld')
  await expect.poll(() => answered(client, BAD)).toBe(true)
  await othersGoOn(client, origin.port)
})

test('bodies that are thrown away give their room in the window of the connection back', async () => {
  const { gateway, client, origin } = await start()
  for (let id = 101; id < 301; id += 2) {
    client.socket.write(frame(HEADERS, END_HEADERS, id, request('POST', origin.port, { 'content-length': '1' })))
    client.socket.write(frame(DATA, 0, id, Buffer.alloc(16_000)))
    // as much as the window has room for, and no more
    await isReset(client, id)
    const given = () => sumOf(client.frames.filter(({ type, stream }) => type === WINDOW_UPDATE && stream === 0))
    await expect.poll(given).toBeGreaterThan(((id - 101) / 2 + 1) * 16_000 - 65_535)
  }
  expect(await gateway.recorded(100)).toHaveLength(100)
  expect(client.frames.some(({ type }) => type === GOAWAY)).toBe(false)
})

function sumOf(updates: readonly Frame[]): number {
  return updates.reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0)
}

describe('a malformed field is found', () => {
  const field = { 'x-a': 'b\nc' }

  test('in a head that is cut into frames, with padding and a priority', async () => {
    const { gateway, client, origin } = await start()
    const block = request('GET', origin.port, field)
    const first = Buffer.concat([Buffer.of(4, 0, 0, 0, 0, 16), block.subarray(0, 20), Buffer.alloc(4)])
    client.socket.write(frame(HEADERS, PADDED | PRIORITY | END_STREAM, BAD, first))
    client.socket.write(frame(CONTINUATION, 0, BAD, block.subarray(20, 21)))
    client.socket.write(frame(CONTINUATION, END_HEADERS, BAD, block.subarray(21)))
    await isReset(client, BAD)
    expect(await gateway.recorded(1)).toHaveLength(1)
    await othersGoOn(client, origin.port)
  })

  test('in a padded head of one frame', async () => {
    const { gateway, client, origin } = await start()
    const payload = Buffer.concat([Buffer.of(200), request('GET', origin.port, field), Buffer.alloc(200)])
    client.socket.write(frame(HEADERS, PADDED | END_HEADERS | END_STREAM, BAD, payload))
    await isReset(client, BAD)
    expect(await gateway.recorded(1)).toHaveLength(1)
    await othersGoOn(client, origin.port)
  })

  test('byte by byte', async () => {
    const { gateway, client, origin } = await start()
    const good = frame(HEADERS, END_HEADERS, 7, request('POST', origin.port, { 'content-length': '2' }))
    const bytes = Buffer.concat([
      frame(HEADERS, END_HEADERS | END_STREAM, BAD, request('GET', origin.port, field)),
      good,
      frame(DATA, PADDED, 7, Buffer.from('\x01hi.')),
      frame(DATA, 0, 7, Buffer.from('!')),
    ])
    for (const byte of bytes) client.socket.write(Buffer.of(byte))
    await isReset(client, BAD)
    await isReset(client, 7)
    const records = await gateway.recorded(2)
    expect(records.map(({ Lab }) => Lab.error)).toMatchObject([
      { message: malformed(CONTROL) },
      { message: malformed(TOO_LONG) },
    ])
    client.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, 9, request('GET', origin.port)))
    await expect.poll(() => answered(client, 9)).toBe(true)
  })

  test('by reference to the table, and the table stays in step', async () => {
    const { gateway, client, origin } = await start()
    // literals with incremental indexing: the name and value of entries 62 and 63
    const indexed = Buffer.from('\x40\x03x-a\x03b\nc\x40\x03x-b\x04fine', 'latin1')
    client.socket.write(
      frame(HEADERS, END_HEADERS | END_STREAM, BAD, Buffer.concat([request('GET', origin.port), indexed])),
    )
    await isReset(client, BAD)
    const by = (index: number) => Buffer.concat([request('GET', origin.port), Buffer.of(0x80 | index)])
    client.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, 7, by(62)))
    await expect.poll(() => answered(client, 7)).toBe(true)
    expect(origin.received).toContain('x-b: fine')
    client.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, 9, by(63)))
    await isReset(client, 9)
    expect((await gateway.recorded(2)).slice(0, 2).map(({ Lab }) => Lab.error)).toMatchObject([
      { message: malformed(CONTROL) },
      { message: malformed(CONTROL) },
    ])
    expect(origin.received).not.toContain('x-a')
  })
})

test.each<[string, Buffer]>([
  [
    'a header block that cannot be decoded',
    frame(HEADERS, END_HEADERS | END_STREAM, BAD, Buffer.of(0xff, 0xff, 0xff, 0x7f)),
  ],
  ['a frame larger than announced', frame(DATA, 0, TUNNEL, Buffer.alloc(16_385))],
  ['a frame in the middle of a header block', Buffer.concat([frame(HEADERS, 0, BAD), frame(DATA, 0, TUNNEL)])],
  ['CONTINUATION without HEADERS', frame(CONTINUATION, END_HEADERS, BAD)],
  ['HEADERS on a stream of the server', frame(HEADERS, END_HEADERS, 2)],
  ['more padding than frame', frame(HEADERS, PADDED | END_HEADERS, BAD, Buffer.of(9, 0x82))],
  ['PUSH_PROMISE', frame(5, END_HEADERS, TUNNEL, Buffer.of(0, 0, 0, 2, 0x82))],
])('%s ends the connection with GOAWAY, and nothing behind it is a request', async (_what, bytes) => {
  const { gateway, client, origin } = await start()
  client.socket.write(bytes)
  client.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, NEXT, request('GET', origin.port)))
  await expect.poll(() => client.frames.some(({ type }) => type === GOAWAY)).toBe(true)
  await expect.poll(() => gateway.gateway.clients).toBe(0)
  expect(origin.connections).toBe(0)
})

test('malformed requests without end cost their connection', async () => {
  const { gateway, client } = await start()
  const many = Array.from({ length: 3_000 }, (_, at) =>
    frame(HEADERS, END_HEADERS | END_STREAM, 2 * at + BAD, request('GET', 80, { 'x-a': 'b\r' })),
  )
  client.socket.write(Buffer.concat(many))
  await expect.poll(() => gateway.gateway.clients).toBe(0)
})
