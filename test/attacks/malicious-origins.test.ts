// Story: an origin answers with something two readers could understand differently, or cuts its answer short, hoping that a
// client or a cache takes it for something else (FR-08 … FR-11). The client gets a 502, or sees that the answer is broken.

import { describe, expect, test } from 'vitest'
import { byteLogOrigin } from '../support/byte-log-origin.ts'
import { RawClient } from '../support/raw-client.ts'
import { startGateway } from '../support/start-gateway.ts'

const OPEN = { listener: { authentication: 'anonymous' as const } }

async function ask(answer: string | Buffer, options: { close?: boolean; method?: string; fields?: string } = {}) {
  const origin = await byteLogOrigin((socket, sofar) => {
    if (!sofar.endsWith('\r\n\r\n')) return
    socket.write(answer)
    if (options.close !== false) socket.end()
  })
  const gateway = await startGateway(OPEN)
  const client = await RawClient.connect(gateway.port)
  const { method = 'GET', fields = '' } = options
  client.send(`${method} http://origin.test:${origin.port}/ HTTP/1.1\r\nHost: o\r\n${fields}\r\n`)
  return { client, gateway, origin }
}

const UNSOUND: Readonly<Record<string, string>> = {
  'length and chunked': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc',
  'a signed length': 'HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab',
  'a length that is no number': 'HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nab',
  'gzip, chunked': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n',
  'a folded field': 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nab',
  'NUL in a value': 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nab',
  'a bare CR in a value': 'HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nab',
  'status 99': 'HTTP/1.1 99 Low\r\nContent-Length: 2\r\n\r\nab',
  'status 999': 'HTTP/1.1 999 High\r\nContent-Length: 2\r\n\r\nab',
  'status 600': 'HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\nab',
  'no status': 'HTTP/1.1\r\nContent-Length: 2\r\n\r\nab',
  'no HTTP at all': '220 mail.example.com ESMTP\r\n',
  'NUL in the reason phrase': 'HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nab',
  'HTTP/2.0': 'HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nab',
  'a length with a leading zero': 'HTTP/1.1 200 OK\r\nContent-Length: 02\r\n\r\nab',
  'an overflowing length': 'HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nab',
  'chunked and U+00A0': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\xa0\r\n\r\n1\r\nZ\r\n0\r\n\r\n',
  'a bad first chunk size': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5Z\r\nhello\r\n0\r\n\r\n',
  'a version of its own': 'HTTP/7.3 200 OK\r\nContent-Length: 2\r\n\r\nab',
  'HTTP/0.9': '<html>hello</html>',
  'a switch nobody asked for': 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
  nothing: '',
  'half a head': 'HTTP/1.1 200 OK\r\nContent-Le',
  'too many fields': `HTTP/1.1 200 OK\r\n${Array.from({ length: 600 }, (_, at) => `X-${at}: 1\r\n`).join('')}Content-Length: 0\r\n\r\n`,
  'a head without end': `HTTP/1.1 200 OK\r\n${'X-Long: y\r\n'.repeat(10_000)}`,
}

test.each(Object.entries(UNSOUND))(
  'FR-08 FR-10 FR-11 %s: 502 with a named cause, and one record',
  async (_name, answer) => {
    const { client, gateway } = await ask(answer)

    await client.text('\r\n\r\negresslab: ')

    expect(client.received).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/)
    expect(client.received).toMatch(/Proxy-Status: egresslab; error=http_(protocol_error|response_incomplete);/)
    expect(await gateway.recorded(1)).toMatchObject([{ ConnectionCloseReason: 'ORIGIN_ERROR' }])
  },
)

test.each([
  ['two lengths', UNSOUND['two lengths'], 'different Content-Lengths: 2 and 3'],
  ['length and chunked', UNSOUND['length and chunked'], 'both Content-Length and Transfer-Encoding'],
  ['an overflowing length', UNSOUND['an overflowing length'], 'the Content-Length is too large'],
  ['a length with a leading zero', UNSOUND['a length with a leading zero'], 'the Content-Length field is not a number'],
  ['a bad first chunk size', UNSOUND['a bad first chunk size'], 'a chunk has no size'],
  [
    'a chunk size over 64 bits',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\n',
    'a chunk size is too large',
  ],
  ['HTTP/2.0', UNSOUND['HTTP/2.0'], 'it is in HTTP/2.0'],
])('%s has one diagnosis on every road, whether the origin closes or not', async (_name, answer = '', words) => {
  for (const close of [true, false]) {
    for (const fields of ['', 'TE: trailers\r\nConnection: TE\r\n']) {
      const { client, gateway } = await ask(answer, { close, fields })
      await client.text('code: origin.malformed_response')
      expect(client.received).toContain(words)
      expect((await gateway.recorded(1))[0]?.Lab.error).toMatchObject({ code: 'origin.malformed_response' })
    }
  }
})

describe('FR-09 an answer that is cut short shows as broken', () => {
  test.each([
    ['a length not reached', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome'],
    ['a chunk not finished', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nsome'],
    ['the last chunk missing', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n'],
  ])('%s', async (_name, answer) => {
    const { client, gateway } = await ask(answer)

    await client.end()

    expect(client.ending).toBe('RST')
    expect(client.received).not.toContain('\r\n0\r\n\r\n')
    const [record] = await gateway.recorded(1)
    expect(record).toMatchObject({ ConnectionCloseReason: 'ORIGIN_ERROR' })
    expect(record?.Lab.error?.code).toMatch(/^origin\./)
  })

  test('a bad chunk size behind what was passed on', async () => {
    let goOn = () => {}
    const origin = await byteLogOrigin((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n')
      goOn = () => socket.end('zz\r\n')
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(`GET http://o.test:${origin.port}/ HTTP/1.1\r\nHost: o\r\n\r\n`).text('some')
    goOn()
    await client.end()
    expect(client.ending).toBe('RST')
    expect(client.received).not.toContain('\r\n0\r\n\r\n')
    expect((await gateway.recorded(1))[0]?.Lab.error).toMatchObject({ code: 'origin.malformed_response' })
  })

  test('a reset in the middle of an answer that only the close would end', async () => {
    let reset = () => {}
    const origin = await byteLogOrigin((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\nsome')
      reset = () => socket.resetAndDestroy()
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(`GET http://o.test:${origin.port}/ HTTP/1.1\r\nHost: o\r\n\r\n`).text('some')
    reset()
    await client.end()
    expect(client.ending).toBe('RST')
  })

  test('but an answer that the close ends is whole', async () => {
    const { client } = await ask('HTTP/1.1 200 OK\r\n\r\nall of it')
    await client.text('\r\n0\r\n\r\n')
    expect(client.received).toContain('9\r\nall of it\r\n0\r\n\r\n')
  })
})

describe('what RFC 9112 lets a recipient accept reaches the client in one sound form', () => {
  test.each([
    ['equal repeated lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2, 2\r\n\r\nab'],
    ['LF alone', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nab'],
    ['a blank before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nab'],
    ['no reason phrase', 'HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nab'],
  ])('%s', async (_name, answer) => {
    const { client } = await ask(answer)
    await client.text('\r\n\r\nab')
    expect(client.received).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(client.received.match(/content-length.*/gi)).toEqual(['Content-Length: 2'])
  })

  test.each([
    ['chunked and a tab', 'HTTP/1.1 200 OK\r\nTransfer-Encoding:chunked\t\r\n\r\n1\r\nZ\r\n0\r\n\r\n'],
    ['chunked in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nZ\r\n0\r\n\r\n'],
    [
      'a Content-Length among the trailers',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nZ\r\n0\r\nContent-Length: 9\r\n\r\n',
    ],
  ])('%s', async (_name, answer) => {
    const { client, gateway } = await ask(answer, { fields: 'Connection: close, TE\r\nTE: trailers\r\n' })
    await client.end()
    expect(client.received.split('\r\n\r\n').slice(1).join('\r\n\r\n')).toBe('1\r\nZ\r\n0\r\n\r\n')
    expect((await gateway.recorded(1))[0]?.Lab.error).toBeUndefined()
  })

  test('205 has no body, whatever it says, and nothing is taken for one', async () => {
    const { client } = await ask('HTTP/1.1 205 Reset Content\r\nContent-Length: 4\r\n\r\nevil', {
      fields: 'Connection: close\r\n',
    })
    await client.end()
    expect(client.received).toMatch(/^HTTP\/1\.1 205 Reset Content\r\n.*\r\n\r\n$/s)
    expect(client.received).toContain('Content-Length: 0')
  })
})

test('FR-10 a reason with control characters and words is replaced by the canonical one', async () => {
  const { client } = await ask('HTTP/1.1 200 Totally\tFine <script>\r\nContent-Length: 2\r\n\r\nab')
  await client.text('\r\n\r\nab')
  expect(client.received).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
})

test('FR-08 bytes behind a complete answer are never taken for the next one', async () => {
  const origin = await byteLogOrigin((socket, sofar) => {
    if (sofar.endsWith('\r\n\r\n')) {
      const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood${sofar.includes('/second') ? '' : evil}`)
    }
  })
  const gateway = await startGateway(OPEN)
  const client = await RawClient.connect(gateway.port)
  const get = (path: string) => `GET http://o.test:${origin.port}${path} HTTP/1.1\r\nHost: o\r\n\r\n`

  await client.send(get('/first')).text('good')
  await client.send(get('/second')).until(({ received }) => (received.match(/good/g) ?? []).length === 2)

  expect(client.received).not.toContain('evil')
  expect(origin.connections).toBe(2)
})

test('FR-13 HEAD with a body, then GET: the answers stay apart', async () => {
  const origin = await byteLogOrigin((socket, sofar) => {
    if (!sofar.endsWith('\r\n\r\n')) return
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n'
    socket.write(sofar.startsWith('HEAD') ? `${head}evil` : `${head}good`)
  })
  const gateway = await startGateway(OPEN)
  const client = await RawClient.connect(gateway.port)
  const ask = (method: string) => `${method} http://o.test:${origin.port}/ HTTP/1.1\r\nHost: o\r\n\r\n`

  await client.send(ask('HEAD')).text('\r\n\r\n')
  await client.send(ask('GET')).text('good')

  expect(client.received).not.toContain('evil')
  expect(client.received.match(/Content-Length: 4/gi)).toHaveLength(2)
})
