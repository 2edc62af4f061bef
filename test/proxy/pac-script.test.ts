// The generated PAC file, judged by an engine for such files.

import { describe, expect, test } from 'vitest'
import { InputError } from '../../src/errors/issue.ts'
import { writePac } from '../../src/inbound/pac-script.ts'
import type { Listener } from '../../src/proxy/arrival.ts'
import { evaluatePac } from '../support/evaluate-pac.ts'

const MAIN: Listener = { name: 'main', host: '127.0.0.1', port: 8080, authentication: 'required' }
const CAROL: Listener = {
  name: 'carol',
  host: '::1',
  port: 8081,
  authentication: 'anonymous',
  fixedUser: 'carol@example.com',
}
const SECURE: Listener = { ...MAIN, name: 'secure', host: '0.0.0.0', port: 8443, tls: { mode: 'required' } }
const CLEAR: Listener = { ...MAIN, name: 'clear', tls: { mode: 'refused' } }
const LISTENERS = [MAIN, CAROL, SECURE, CLEAR]
const API = { host: '127.0.0.1', port: 8090, names: ['lab.example.com'] }
const pac = (changes: Partial<Parameters<typeof writePac>[0]> = {}) =>
  writePac({ listeners: LISTENERS, api: API, ...changes })

function refusal(changes: Parameters<typeof pac>[0]): string {
  try {
    pac(changes)
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown.message
    throw thrown
  }
  return 'written'
}

describe('what goes where', () => {
  test.each([
    ['http://ipv4.icanhazip.com/', 'PROXY 127.0.0.1:8080'],
    ['https://bank.saas.test/login?a=b', 'PROXY 127.0.0.1:8080'],
    ['ws://echo.saas.test/', 'PROXY 127.0.0.1:8080'],
    ['http://[2001:db8:f00::4]/', 'PROXY 127.0.0.1:8080'],
    ['http://198.51.100.4/', 'PROXY 127.0.0.1:8080'],
    // a user's own origin on this machine is reached through the lab
    ['http://127.0.0.1:9001/', 'PROXY 127.0.0.1:8080'],
    ['http://127.0.0.1:8090/sessions', 'DIRECT'],
    ['http://localhost:8090/', 'DIRECT'],
    ['http://lab.example.com:8090/', 'DIRECT'],
    ['http://user@127.0.0.1:8090/', 'DIRECT'],
    ['http://lab.example.com/', 'PROXY 127.0.0.1:8080'],
    ['http://127.0.0.1.evil.test:8090/', 'PROXY 127.0.0.1:8080'],
    ['http://intranet/', 'DIRECT'],
    ['http://app.localhost:3000/', 'DIRECT'],
    ['http://wiki.internal.test/', 'DIRECT'],
    ['http://WIKI.Internal.test/', 'DIRECT'],
    ['http://internal.test/', 'PROXY 127.0.0.1:8080'],
    ['http://notinternal.test/', 'PROXY 127.0.0.1:8080'],
    ['http://xn--bcher-kva.test/', 'DIRECT'],
  ])('%s: %s', async (url, way) => {
    expect(await evaluatePac(pac({ direct: ['*.internal.test', 'Bücher.test'] }), url)).toEqual([way])
  })
})

describe('by which listener, and how', () => {
  test.each([
    [{ listener: 'carol' }, 'PROXY [::1]:8081'],
    [{ listener: 'carol', scheme: 'socks5' }, 'SOCKS5 [::1]:8081'],
    [{ scheme: 'https' }, 'HTTPS 127.0.0.1:8080'],
    [{ listener: 'secure' }, 'HTTPS 127.0.0.1:8443'],
    [{ listener: 'secure', machine: 'lab.example.com' }, 'HTTPS lab.example.com:8443'],
  ] as const)('%j: %s', async (changes, way) => {
    expect(await evaluatePac(pac(changes), 'http://espn.com/')).toEqual([way])
  })

  test('there is no way around the proxy behind it', async () => {
    const [way] = await evaluatePac(pac(), 'http://espn.com/')
    expect(way).not.toMatch(/DIRECT|;/)
  })

  test('a SOCKS listener that asks who browsers are is warned of in the file, and one that is somebody is not', () => {
    expect(pac({ scheme: 'socks5' })).toContain('Browsers cannot log in to SOCKS proxies')
    expect(pac({ scheme: 'socks5', listener: 'carol' })).not.toContain('cannot log in')
  })
})

describe('what cannot be is refused in words', () => {
  test.each([
    [{ listener: 'nobody' }, 'there is no listener `nobody`'],
    [{ listeners: [{ ...MAIN, port: 0 }] }, 'the listener `main` chooses a free port at each start'],
    [
      { listener: 'clear', scheme: 'https' },
      'the listener `clear` does not accept TLS, so it cannot be an `https` proxy',
    ],
    [{ listener: 'secure', scheme: 'socks5' }, 'accepts TLS only'],
    [{ direct: ['"];alert(1);["'] }, 'is not a host name'],
    [{ direct: ['a b'] }, 'is not a host name'],
    [{ direct: ['*'] }, 'is not a host name'],
    [{ direct: Array.from({ length: 201 }, (_, at) => `h${at}.test`) }, 'more than 200 direct host names'],
  ] as const)('%j', (changes, words) => {
    expect(refusal(changes)).toContain(words)
  })
})

test('LG-02: a listener with a name made to be code stays a name', async () => {
  const text = pac({ listeners: [{ ...MAIN, name: '"\\n*/}function' }] })
  expect(await evaluatePac(text, 'http://espn.com/')).toEqual(['PROXY 127.0.0.1:8080'])
})
