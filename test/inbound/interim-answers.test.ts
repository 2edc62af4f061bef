// What may come around an answer and a body: interim answers (FR-12) and trailers (FR-05), wherever TCP cuts them.

import { describe, expect, test } from 'vitest'
import { byteLogOrigin } from '../support/byte-log-origin.ts'
import { RawClient } from '../support/raw-client.ts'
import { startGateway } from '../support/start-gateway.ts'

const OPEN = { listener: { authentication: 'anonymous' as const } }

function request(port: number, fields = '', method = 'GET'): string {
  return `${method} http://o.test:${port}/ HTTP/1.1\r\nHost: o.test\r\n${fields}\r\n`
}

/** Answers every request head with these pieces, each in a segment of its own. */
function piecewiseOrigin(pieces: readonly string[]) {
  return byteLogOrigin((socket, sofar) => {
    if (!sofar.endsWith('\r\n\r\n')) return
    const sendNext = (at: number) => {
      const piece = pieces[at]
      if (piece !== undefined) socket.write(piece, () => setImmediate(() => sendNext(at + 1)))
    }
    sendNext(0)
  })
}

test('FR-05 trailers of a request end at the proxy, whichever way it goes on', async () => {
  const origin = await byteLogOrigin()
  const gateway = await startGateway(OPEN)
  for (const more of ['', 'TE: trailers\r\nConnection: TE\r\n']) {
    const client = await RawClient.connect(gateway.port)
    const head = `${more}Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n`
    const body = '5\r\nhello\r\n0\r\nX-Sum: 42\r\nX-Other: 1\r\n\r\n'
    await client
      .send(request(origin.port, head, 'POST'))
      .send(body)
      .text('\r\n\r\nok')
  }
  expect(origin.received).toContain('hello')
  expect(origin.received).not.toMatch(/x-sum/i)
})

describe('FR-12 interim answers that nobody asked for', () => {
  const final = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  const hundred = 'HTTP/1.1 100 Continue\r\nX-Why: because\r\n\r\n'
  const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n'
  const processing = 'HTTP/1.1 102 Processing\r\n\r\n'

  test.each([
    ['100 whole', [hundred + final]],
    ['100 apart', [hundred, final]],
    ['100 byte by byte', [...(hundred + final)]],
    ['two of 100', [hundred + hundred + final]],
    ['100 behind 103', [hints + hundred + final]],
    ['102, 100, 103', [processing, hundred + hints, final]],
  ])('%s: they go on, and the answer after them is the answer', async (_name, pieces) => {
    const origin = await piecewiseOrigin(pieces)
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    for (let at = 1; at <= 2; at++) {
      await client.send(request(origin.port)).until(({ received }) => received.split('\r\n\r\nok').length === at + 1)
    }
    const statuses = [...client.received.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
    const sent = [...pieces.join('').matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
    expect(statuses).toEqual([...sent, ...sent])
    expect(origin.connections).toBe(1)
  })

  test('TU-08: one that is not sound, or one of very many, does no harm and hides no answer', async () => {
    const odd = 'HTTP/1.1 103 x\r\nA: b\x01c\r\nBad name: x\r\n folded\r\nTransfer-Encoding: gzip\r\nLink: </a>\r\n\r\n'
    const origin = await piecewiseOrigin([odd + hundred.repeat(500) + final])
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(request(origin.port)).text('\r\n\r\nok')
    const statuses = [...client.received.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
    expect(statuses).toEqual(['103', ...new Array<string>(15).fill('100'), '200'])
    expect(client.received.split('\r\n\r\n')[0]?.split('\r\n')).toEqual([
      'HTTP/1.1 103 Early Hints',
      'Link: </a>',
      expect.stringMatching(/^Via: /),
    ])
  })

  test('a client of HTTP/1.0 gets the answer alone', async () => {
    const origin = await piecewiseOrigin([hundred + hints + final])
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(`GET http://127.0.0.1:${origin.port}/ HTTP/1.0\r\n\r\n`).end()
    expect([...client.received.matchAll(/^HTTP\/1\.\d (\d+)/gm)].map(([, status]) => status)).toEqual(['200'])
  })
})
