// TLS between client and proxy: what is taken on which door, what stays whole through it, and whom a certificate makes somebody.

import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { issueAuthority, issueLeaf } from '../../src/tls/issue-certificates.ts'
import { VNETS } from '../policy/build.ts'
import { byteLogOrigin } from '../support/byte-log-origin.ts'
import { curl } from '../support/curl.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { ALICE, BOB, EGRESS, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen, next } from '../support/tcp.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'
import { clientFile, connectTls, NAMES, testTls, tlsSource } from '../support/tls.ts'

const LOGIN = ['-U', `${BOB}:${PASSWORD}`]
const { authority, authorityFile } = await testTls()

function https(port: number): string[] {
  return ['-x', `https://127.0.0.1:${port}`, '--proxy-cacert', authorityFile]
}

function head(method: string, target: string): string {
  return `${method} ${target} HTTP/1.1\r\nHost: o\r\n${basic(BOB, PASSWORD)}\r\n`
}

test('TL-03 one door takes plain and TLS clients, h2 and http/1.1, and a client that offers neither', async () => {
  const source = await tlsSource()
  const gateway = await startGateway({ settings: { tlsFor: () => source } })
  for (const offered of [['h2'], ['http/1.1'], ['h2', 'http/1.1'], undefined]) {
    const socket = await connectTls(gateway.port, offered === undefined ? {} : { ALPNProtocols: offered })
    expect(socket.alpnProtocol).toBe(offered?.[0] ?? false)
  }
  await expect(connectTls(gateway.port, { ALPNProtocols: ['spdy/3'] })).rejects.toThrow(/no.application.protocol/i)

  const origin = await tellMeOrigin()
  const plain = await curl('-x', `http://127.0.0.1:${gateway.port}`, ...LOGIN, `http://echo.test:${origin.port}/`)
  expect(plain.body).toBe(`${EGRESS[BOB]?.bound}\n`)
})

test('`alpn` of a listener is all that is offered, and clients that would take h2 get their HTTP/1.1', async () => {
  const source = await tlsSource()
  const tls = { mode: 'optional', alpn: ['http/1.1'] } as const
  const gateway = await startGateway({ listener: { tls }, settings: { tlsFor: () => source } })
  const socket = await connectTls(gateway.port, { ALPNProtocols: ['h2', 'http/1.1'] })
  expect(socket.alpnProtocol).toBe('http/1.1')
  const origin = await tellMeOrigin()
  const url = `http://echo.test:${origin.port}/`
  expect((await curl(...https(gateway.port), ...LOGIN, url)).body).toBe(`${EGRESS[BOB]?.bound}\n`)
  expect((await curl('-x', `http://127.0.0.1:${gateway.port}`, ...LOGIN, url)).body).toBe(`${EGRESS[BOB]?.bound}\n`)
})

test('a client that chooses h2 and then speaks HTTP/1.1 leaves a record that names the cause and the switch', async () => {
  const source = await tlsSource()
  const gateway = await startGateway({ settings: { tlsFor: () => source } })
  const socket = await connectTls(gateway.port, { ALPNProtocols: ['h2', 'http/1.1'] })
  socket.resume().end(head('CONNECT', 'o.test:443'))
  const [record] = await gateway.recorded(1)
  expect(record).toMatchObject({ Lab: { error: { code: 'request.malformed' } } })
  expect(record?.Lab.error?.message).toMatch(
    /chose h2 .* HTTP\/1\.1 .*golang\/go#26479.*`tls: { alpn: \[http\/1\.1\] }`/,
  )
})

test('TL-02 nothing below TLS 1.2 is spoken', async () => {
  const source = await tlsSource()
  const gateway = await startGateway({ settings: { tlsFor: () => source } })
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  await expect(connectTls(gateway.port, old)).rejects.toThrow()
  expect(await gateway.recorded(1)).toMatchObject([
    { ConnectionCloseReason: 'CLIENT_TLS_ERROR', Lab: { error: { code: 'request.tls_failed' } } },
  ])
})

test('SOCKS5 works inside TLS, too', async () => {
  const origin = await byteLogOrigin()
  const source = await tlsSource()
  const gateway = await startGateway({ listener: { fixedUser: BOB }, settings: { tlsFor: () => source } })
  const socket = await connectTls(gateway.port)
  const port = Buffer.from([origin.port >> 8, origin.port & 255])
  socket.write(Buffer.concat([Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1]), port]))
  socket.write('GET / HTTP/1.0\r\n\r\n')
  await origin.text('GET / HTTP/1.0\r\n\r\n')
})

test('TLS inside TLS is refused, and a door without TLS answers with an alert', async () => {
  const source = await tlsSource()
  const gateway = await startGateway({ settings: { tlsFor: () => source } })
  const socket = await connectTls(gateway.port)
  socket.write(Buffer.from('16030100050100', 'hex'))
  expect(Buffer.concat(await socket.toArray())[0]).toBe(0x15)

  const without = await startGateway({ listener: { tls: { mode: 'refused' } }, settings: { tlsFor: () => source } })
  await expect(connectTls(without.port)).rejects.toThrow(/handshake failure/)
})

test.each([
  ['CONNECT', 'CONNECT o.test:443 HTTP/1.1\r\nHost: o\r\n\r\n', /^HTTP\/1\.1 400 .*accepts TLS only/s],
  ['a request', 'GET http://o.test/ HTTP/1.1\r\nHost: o\r\n\r\n', /^HTTP\/1\.1 400 .*accepts TLS only/s],
  ['SOCKS5', '\x05\x01\0', /^HTTP\/1\.1 400 /],
])('a door that requires TLS tells a plain client so: %s', async (_what, bytes, answer) => {
  const source = await tlsSource()
  const gateway = await startGateway({ listener: { tls: { mode: 'required' } }, settings: { tlsFor: () => source } })
  const client = await (await RawClient.connect(gateway.port)).send(bytes).end()
  expect(client.received).toMatch(answer)
  expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'request.malformed' } } }])
})

test('TU-06 half-close passes through TLS both ways, nothing lost after it', async () => {
  const { port } = await listen((socket) => {
    let said = 0
    socket.on('data', (chunk) => {
      said += chunk.length
    })
    socket.on('end', () => socket.end(`you said ${said}`))
  })
  const source = await tlsSource()
  const gateway = await startGateway({ settings: { tlsFor: () => source } })
  const socket = await connectTls(gateway.port)
  socket.write(head('CONNECT', `o.test:${port}`))
  socket.end('x'.repeat(1_000_000))
  expect(await text(socket)).toBe('HTTP/1.1 200 Connection established\r\n\r\nyou said 1000000')
  expect(await gateway.recorded(1)).toMatchObject([{ BytesSent: 1_000_000, ConnectionCloseReason: 'CLIENT_CLOSED' }])
})

test("TU-07 an origin's reset reaches a client behind TLS as a reset on the wire", async () => {
  const { port } = await listen((socket) => socket.once('data', () => socket.resetAndDestroy()))
  const source = await tlsSource()
  const gateway = await startGateway({ settings: { tlsFor: () => source } })
  const socket = await connectTls(gateway.port)
  const failed = once(socket, 'error')
  socket.write(head('CONNECT', `o.test:${port}`))
  await next(socket, 'data')
  socket.write('now')
  expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
})

test('TL-01 a new certificate is presented from now on, and a tunnel that is open goes on', async () => {
  const origin = await byteLogOrigin()
  const source = await tlsSource()
  const gateway = await startGateway({ settings: { tlsFor: () => source } })
  const before = await connectTls(gateway.port)
  before.write(head('CONNECT', `o.test:${origin.port}`))
  await next(before, 'data')

  const other = await issueAuthority(Date.now())
  source.replace(await issueLeaf(other, NAMES, Date.now()))

  await expect(connectTls(gateway.port)).rejects.toThrow(/self-signed|unable to (get|verify)/)
  const after = await connectTls(gateway.port, { ca: other.certificate })
  expect(after.authorized).toBe(true)
  before.write('GET / HTTP/1.0\r\n\r\n')
  await origin.text('GET / HTTP/1.0\r\n\r\n')
})

test('TL-06 a client certificate is a login, without a password, resumed or not', async () => {
  const origin = await tellMeOrigin()
  const source = await tlsSource({ revoked: [] })
  const gateway = await startGateway({ settings: { tlsFor: () => source } })
  const url = `http://echo.test:${origin.port}/`
  const certificate = await clientFile(authority, ALICE)

  const answer = await curl(...https(gateway.port), '--proxy-cert', certificate, url)
  expect(answer.body).toBe(`${EGRESS[ALICE]?.bound}\n`)
  expect((await curl(...https(gateway.port), url)).status).toBe(407)
  expect((await curl(...https(gateway.port), ...LOGIN, url)).body).toBe(`${EGRESS[BOB]?.bound}\n`)
  const both = (await curl(...https(gateway.port), '--proxy-cert', certificate, ...LOGIN, url)).status
  expect(both, "somebody else's name beside the certificate").toBe(407)
  const choice = ['-U', `${ALICE};vnet=${VNETS.amer}:`]
  expect((await curl(...https(gateway.port), '--proxy-cert', certificate, ...choice, url)).body).toBe('127.0.10.40\n')
})

test('TL-06 revoked, expired, foreign and nameless certificates are refused in words', async () => {
  const origin = await tellMeOrigin()
  const good = await clientFile(authority, ALICE)
  const pem = readFileSync(good, 'utf8')
  const serial = new X509Certificate(pem).serialNumber.replace(/^0+/, '')
  const foreign = await clientFile(await issueAuthority(Date.now()), ALICE)
  const stranger = await clientFile(authority, 'mallory@example.com')
  const source = await tlsSource({ revoked: [serial] })
  const gateway = await startGateway({ settings: { tlsFor: () => source } })

  for (const [certificate, why] of [
    [good, 'is revoked'],
    [foreign, "is not signed by the listener's authority"],
    [stranger, 'names `mallory@example.com`, who is not a user of this lab'],
  ] as const) {
    const answer = await curl(
      ...https(gateway.port),
      ...LOGIN,
      ...['--proxy-cert', certificate],
      `http://echo.test:${origin.port}/`,
    )
    expect(answer.status).toBe(403)
    expect(answer.body).toContain(`egresslab: the client certificate ${why}`)
    expect(answer.body).toContain('code: identity.certificate_refused')
  }
  expect(origin.connections).toHaveLength(0)
  expect(await gateway.recorded(3)).toMatchObject([
    { ConnectionCloseReason: 'CLIENT_TLS_ERROR', Lab: { error: { code: 'identity.certificate_refused' } } },
    {},
    {},
  ])
})

test('TL-06 a resumed session is examined like a new one', async () => {
  const origin = await tellMeOrigin()
  const certificate = readFileSync(await clientFile(authority, ALICE), 'utf8')
  const revoked: string[] = []
  const source = await tlsSource({ revoked })
  const gateway = await startGateway({ settings: { tlsFor: () => source } })
  const client = { cert: certificate, key: certificate, maxVersion: 'TLSv1.2' } as const
  const request = `GET http://echo.test:${origin.port}/ HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n`

  const first = await connectTls(gateway.port, client)
  const session = first.getSession()
  first.write(request)
  expect(await text(first)).toContain(`\r\n\r\n${EGRESS[ALICE]?.bound}\n`)

  const again = await connectTls(gateway.port, { ...client, ...(session === undefined ? {} : { session }) })
  expect(again.isSessionReused()).toBe(true)
  again.write(request)
  expect(await text(again)).toContain(`\r\n\r\n${EGRESS[ALICE]?.bound}\n`)

  revoked.push(new X509Certificate(certificate).serialNumber.replace(/^0+/, ''))
  const third = await connectTls(gateway.port, { ...client, ...(session === undefined ? {} : { session }) })
  expect(third.isSessionReused()).toBe(true)
  third.write(request)
  expect(await text(third)).toMatch(/^HTTP\/1\.1 403 .*is revoked/s)
})
