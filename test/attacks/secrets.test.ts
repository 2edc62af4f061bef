// Story: somebody reads everything the proxy gives out, looking for other people's passwords (HH-03). There are none.

import { expect, test } from 'vitest'
import { byteLogOrigin } from '../support/byte-log-origin.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { BOB, PASSWORD, startGateway } from '../support/start-gateway.ts'

const ENCODED = Buffer.from(`${BOB}:${PASSWORD}`).toString('base64')

function expectNoSecret(text: string): void {
  expect(text).not.toContain(PASSWORD)
  expect(text).not.toContain(ENCODED)
}

test('HH-03 no credential in what origins get, clients are told, or records keep', async () => {
  const origin = await byteLogOrigin()
  const gateway = await startGateway()
  const login = basic(BOB, PASSWORD)
  const to = `http://o.test:${origin.port}`
  const requests = [
    `GET ${to}/ HTTP/1.1\r\nHost: o\r\n${login}Connection: close\r\n\r\n`,
    `GET ${to}/ HTTP/1.1\r\nHost: o\r\n${login}Connection: close, Host\r\n\r\n`,
    `GET ${to}/ HTTP/1.1\r\nHost: o\r\nProxy-Authorization: Basic ${ENCODED}==\r\nConnection: close\r\n\r\n`,
    `GET http://nowhere.invalid/ HTTP/1.1\r\nHost: o\r\n${login}Connection: close\r\n\r\n`,
    `TRACE ${to}/ HTTP/1.1\r\nHost: o\r\n${login}Max-Forwards: 0\r\n\r\n`,
    `GET http://${BOB}:${PASSWORD}@o.test/ HTTP/1.1\r\nHost: o\r\n\r\n`,
    `GET ${to}/ HTTP/1.1\r\nHost: o\r\nProxy-Authorization: Bearer ${ENCODED}\r\nConnection: close\r\n\r\n`,
    `CONNECT nowhere.invalid:443 HTTP/1.1\r\nHost: o\r\n${login}\r\n`,
    `CONNECT ${BOB}:${PASSWORD}@o.test:443 HTTP/1.1\r\nHost: o\r\n\r\n`,
    `GET ${to}/ HTTP/1.1\r\nHost: o\r\n${login}X: bare\nline\r\n\r\n`,
    `\x05\x01\x02\x01\x0f${BOB}${String.fromCharCode(PASSWORD.length)}${PASSWORD}\x05\x01\x00\x03\x03nix\0\x50`,
    `\x05\x01\x02\x01\x03nix${String.fromCharCode(PASSWORD.length)}${PASSWORD}`,
  ]
  for (const request of requests) {
    const client = await RawClient.connect(gateway.port)
    await client.send(request).end()
    expectNoSecret(client.received)
  }

  await gateway.recorded(requests.length)
  expectNoSecret(origin.received)
  expectNoSecret(JSON.stringify(gateway.records))
  expectNoSecret(JSON.stringify(gateway.pipeline.sessions.list()))
  expect(origin.received.toLowerCase()).not.toContain('proxy-authorization')
  expect(gateway.records).toHaveLength(requests.length)
})

test('LG-02 what a client sends comes back only as harmless text', async () => {
  const gateway = await startGateway({ listener: { authentication: 'anonymous' } })
  const client = await RawClient.connect(gateway.port)
  await client.send('GET http://<script>alert(1)</script>"\\/ HTTP/1.1\r\nHost: o\r\n\r\n').end()

  expect(client.received).toMatch(/^HTTP\/1\.1 400 /)
  expect(client.received).toContain('X-Content-Type-Options: nosniff')
  expect(client.received).not.toContain('<')
  expect(client.received.match(/^Proxy-Status: .*$/m)?.[0]).toMatch(/; details="[^"]*"\r?$/)
})
