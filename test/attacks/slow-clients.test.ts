// Story: clients that connect and then say nothing, or say it one byte at a time, to hold connections for ever (RS-01). All are
// let go after the deadline; those that can be told are told. An honest slow upload is not cut (RS-02).

import { describe, expect, test } from 'vitest'
import { basic, RawClient } from '../support/raw-client.ts'
import { BOB, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'

/** Short enough to wait for, and long enough that a busy machine is not taken for a slow client. */
const SHORT = { settings: { handshakeTimeoutMs: 1_000, keepAliveMs: 1_000, bodyIdleMs: 1_500 } }

describe('RS-01 let go after the deadline', () => {
  test('a client that never says a word, without a record: nothing was asked', async () => {
    const gateway = await startGateway(SHORT)
    const client = await (await RawClient.connect(gateway.port)).end()
    expect(client.received).toBe('')
    expect(gateway.records).toHaveLength(0)
  })

  test.each([
    ['half a CONNECT', 'CONNECT origin.test:443 HTTP/1.1\r\nHost: ', 'HTTP/1.1 408 Request Timeout\r\n'],
    ['half a request head', 'GET http://origin.test/ HTTP/1.1\r\nHost: ', 'HTTP/1.1 408 Request Timeout\r\n'],
    ['half a method', 'CONN', 'HTTP/1.1 408 Request Timeout\r\n'],
    ['half a SOCKS5 greeting', '\x05\x02\x00', '\x05\xff'],
    ['half a SOCKS5 password', '\x05\x01\x02\x01\x05bob', '\x05\x02\x01\x01'],
    ['half a SOCKS4 request', '\x04\x01\x00\x50', '\x00\x5b\0\0\0\0\0\0'],
  ])('%s', async (_what, bytes, answer) => {
    const gateway = await startGateway(SHORT)
    const client = await RawClient.connect(gateway.port)

    await client.send(bytes).end()

    expect(client.received.slice(0, answer.length || undefined)).toBe(answer)
    expect(client.ending).toBe('FIN')
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'request.timeout' } } }])
  })

  test('a head that trickles in and never ends', async () => {
    const gateway = await startGateway(SHORT)
    const client = await RawClient.connect(gateway.port)
    client.send('GET http://origin.test/ HTTP/1.1\r\n')
    const trickle = setInterval(() => client.send('X-A: b\r\n'), 10)

    await client.end()
    clearInterval(trickle)

    expect(client.received).toMatch(/^HTTP\/1\.1 408 /)
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'request.timeout' } } }])
  })

  test('a kept connection on which nothing more comes', async () => {
    const origin = await tellMeOrigin()
    const gateway = await startGateway(SHORT)
    const client = await RawClient.connect(gateway.port)

    client.send(`GET http://o.test:${origin.port}/ HTTP/1.1\r\nHost: o\r\n${basic(BOB, PASSWORD)}\r\n`)
    await client.text('127.0.10.10')
    await client.end()

    expect(client.received.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    expect(await gateway.recorded(1)).toHaveLength(1)
  })

  test('a request body that stands still', async () => {
    const origin = await tellMeOrigin((req) => req.resume())
    const gateway = await startGateway(SHORT)
    const client = await RawClient.connect(gateway.port)

    client.send(`POST http://o.test:${origin.port}/ HTTP/1.1\r\nHost: o\r\n${basic(BOB, PASSWORD)}`)
    client.send('Content-Length: 100\r\n\r\nsome')
    await client.end()

    expect(client.received).toMatch(/^HTTP\/1\.1 408 /)
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'request.timeout' } } }])
  })
})

test('RS-02 a slow upload that keeps moving arrives whole, however long it takes', async () => {
  const origin = await tellMeOrigin(async (req, res) => {
    let length = 0
    for await (const chunk of req) length += chunk.length
    res.end(`got ${length}`)
  })
  const gateway = await startGateway(SHORT)
  const client = await RawClient.connect(gateway.port)
  client.send(
    `POST http://o.test:${origin.port}/ HTTP/1.1\r\nHost: o\r\n${basic(BOB, PASSWORD)}Content-Length: 20\r\n\r\n`,
  )

  let sent = 0
  const trickle = setInterval(() => {
    client.send('x')
    if (++sent === 20) clearInterval(trickle)
  }, 100)
  await client.text('got 20')

  expect(client.received).toMatch(/^HTTP\/1\.1 200 /)
})

test('a head longer than the limit is refused without waiting for its end (HH-11)', async () => {
  const gateway = await startGateway({ settings: { maxHeadBytes: 16 * 1024 } })
  for (const method of ['GET http://origin.test/', 'CONNECT origin.test:443']) {
    const client = await RawClient.connect(gateway.port)
    client.send(`${method} HTTP/1.1\r\nHost: o\r\n`)
    for (let at = 0; at < 20; at++) client.send(`X-${at}: ${'y'.repeat(1000)}\r\n`)
    await client.end()
    expect(client.received).toMatch(/^HTTP\/1\.1 431 /)
  }
})
