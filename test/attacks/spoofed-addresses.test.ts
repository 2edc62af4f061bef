// Story: whoever can say a PROXY header can be anybody. Only the balancers a listener names may, and they must; everybody else's
// header is nonsense, and a broken one brings nobody down (PP-01).

import { expect, test } from 'vitest'
import { cidr } from '../../src/net/cidr.ts'
import { byteLogOrigin } from '../support/byte-log-origin.ts'
import { curl } from '../support/curl.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { BOB, EGRESS, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'
import { testTls, tlsSource } from '../support/tls.ts'

const HEADER = 'PROXY TCP4 198.51.100.7 203.0.113.1 4000 80\r\n'
const BALANCER = '127.9.0.1'

async function start(from: string, settings: Parameters<typeof startGateway>[0] = {}) {
  return startGateway({ ...settings, listener: { proxyProtocol: { from: [cidr(from)] } } })
}

function get(port: number): string {
  return `GET http://o.test:${port}/ HTTP/1.1\r\nHost: o\r\n${basic(BOB, PASSWORD)}Connection: close\r\n\r\n`
}

test('a trusted header names the client, in the record and to the policy', async () => {
  const origin = await tellMeOrigin()
  const gateway = await start('127.0.0.0/8')
  const client = await RawClient.connect(gateway.port)
  await client.send(HEADER + get(origin.port)).text(`${EGRESS[BOB]?.bound}\n`)
  await client.end()
  expect(await gateway.recorded(1)).toMatchObject([{ SourceIP: '198.51.100.7', SourcePort: 4000, Email: BOB }])
})

test("curl's own header is understood", async () => {
  const origin = await tellMeOrigin()
  const gateway = await start('127.0.0.1/32')
  const proxy = ['-x', `http://127.0.0.1:${gateway.port}`, '-U', `${BOB}:${PASSWORD}`]
  const answer = await curl('--haproxy-protocol', ...proxy, `http://o.test:${origin.port}/`)
  expect(answer.body).toBe(`${EGRESS[BOB]?.bound}\n`)
})

test('TLS comes behind the header', async () => {
  const source = await tlsSource()
  await testTls()
  const gateway = await start('127.0.0.0/8', { settings: { tlsFor: () => source } })
  const client = await RawClient.connect(gateway.port)
  client.send(Buffer.concat([Buffer.from(HEADER), Buffer.from('16030100040e000000', 'hex')]))
  await client.end()
  expect(await gateway.recorded(1)).toMatchObject([
    { SourceIP: '198.51.100.7', Lab: { error: { code: 'request.tls_failed' } } },
  ])
})

test.each([
  ['HTTP', (port: number) => get(port)],
  ['SOCKS5', () => '\x05\x01\0'],
  ['TLS', () => '\x16\x03\x01\0\x05'],
])('a trusted source that begins without a header is let go with a record: %s', async (_what, bytes) => {
  const origin = await byteLogOrigin()
  const gateway = await start('127.0.0.0/8')
  const client = await (await RawClient.connect(gateway.port)).send(bytes(origin.port)).end()
  expect(client.received).toBe('')
  expect(origin.connections).toBe(0)
  expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'request.malformed' } } }])
  expect(gateway.records[0]?.Lab.error?.message).toContain('the listener `test` requires one from 127.0.0.1')
})

test('a header from anywhere else is never believed', async () => {
  const origin = await byteLogOrigin()
  const gateway = await start(`${BALANCER}/32`)
  const spoof = await (await RawClient.connect(gateway.port)).send(HEADER + get(origin.port)).end()
  expect(spoof.received).toMatch(/^HTTP\/1\.1 400 /)
  const version2 = Buffer.from(
    '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x07\xcb\0\x71\x01\x0f\xa0\0\x50',
    'latin1',
  )
  const binary = await (await RawClient.connect(gateway.port)).send(version2).end()
  expect(binary.received).toMatch(/^HTTP\/1\.1 400 /)
  expect(origin.connections).toBe(0)
  const records = await gateway.recorded(2)
  expect(records.map(({ SourceIP }) => SourceIP)).toEqual(['127.0.0.1', '127.0.0.1'])
})

test('a second header, and one inside the first one’s connection, is not believed either', async () => {
  const origin = await byteLogOrigin()
  const gateway = await start('127.0.0.0/8')
  const client = await RawClient.connect(gateway.port)
  await client.send(`${HEADER}${HEADER.replace('.7', '.8')}${get(origin.port)}`).end()
  expect(client.received).toMatch(/^HTTP\/1\.1 400 /)
  expect(origin.connections).toBe(0)
  expect(await gateway.recorded(1)).toMatchObject([{ SourceIP: '198.51.100.7' }])
})

test('cut at every byte the header is the same; left at every byte it hurts nobody', async () => {
  const origin = await byteLogOrigin()
  const gateway = await start('127.0.0.0/8')
  const whole = Buffer.from(HEADER + get(origin.port))
  for (let cut = 1; cut <= HEADER.length; cut += 1) {
    const leaving = await RawClient.connect(gateway.port)
    await leaving.sendInPieces([whole.subarray(0, cut)])
    if (cut % 2 === 0) leaving.socket.end()
    else leaving.socket.resetAndDestroy()
    const client = await RawClient.connect(gateway.port)
    await client.sendInPieces([whole.subarray(0, cut), whole.subarray(cut)])
    await client.text('\r\n\r\nok')
    client.socket.destroy()
  }
  expect(origin.connections).toBe(HEADER.length)
})

test('slow: a header that trickles is cut at the deadline (RS-01)', async () => {
  const gateway = await start('127.0.0.0/8', { settings: { handshakeTimeoutMs: 1_000 } })
  const client = await RawClient.connect(gateway.port)
  await client.send('PROXY TCP4 198.').end()
  expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'request.timeout' } } }])
})
