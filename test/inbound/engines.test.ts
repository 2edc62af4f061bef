// What clients and origins see is the same on every engine.

import { describe, expect, it, vi } from 'vitest'
import { curl } from '../support/curl.ts'
import { ENGINES } from '../support/engine.ts'
import { PATIENT } from '../support/patience.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { BOB, EGRESS, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'
import { testTls, tlsSource } from '../support/tls.ts'

const LOGIN = ['-U', `${BOB}:${PASSWORD}`]

describe.each(ENGINES)('on %s', (_name, engine) => {
  it.each([
    ['a forwarded request', 'http', []],
    ['CONNECT', 'http', ['-p']],
    ['SOCKS5', 'socks5h', []],
    ['CONNECT through TLS', 'https', ['-p']],
  ])('%s leaves from the decided address, and leaves nothing behind', async (_what, scheme, options) => {
    const origin = await tellMeOrigin()
    const source = await tlsSource()
    const { authorityFile } = await testTls()
    const gateway = await startGateway({ engine, settings: { tlsFor: () => source } })
    const proxy = ['-x', `${scheme}://127.0.0.1:${gateway.port}`, '--proxy-cacert', authorityFile]
    const answer = await curl(...proxy, ...LOGIN, ...options, `http://echo.test:${origin.port}/`)
    expect(answer.body).toBe(`${EGRESS[BOB]?.bound}\n`)
    const [record] = await gateway.recorded(1)
    expect(record).toMatchObject({ ConnectionCloseReason: 'CLIENT_CLOSED', OriginPort: origin.port })
    await vi.waitFor(() => expect([gateway.leases.counts().active, gateway.gateway.clients]).toEqual([0, 0]), PATIENT)
  })

  it('a client asks again on its connection after a 407, and is told why a tunnel fails', async () => {
    const gateway = await startGateway({ engine })
    const client = await RawClient.connect(gateway.port)
    client.send('CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: o\r\n\r\n')
    await client.until(({ received }) => received.includes('identity.required'))
    expect(client.received).toMatch(/^HTTP\/1\.1 407 /)
    client.send(`CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: o\r\n${basic(BOB, PASSWORD)}\r\n`)
    await client.end()
    expect(client.received).toMatch(/HTTP\/1\.1 502 /)
    expect(client.received).toContain('dial.refused')
  })
})
