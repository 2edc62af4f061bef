// Proxy endpoints of both kinds, in every protocol: who comes in, who they are, and what rules on `proxy.endpoint` make of it.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { file } from '../support/tls.ts'

const CONFIGURATION = `
dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }
  - { colo: LAX, ipv4: 203.0.113.40, ipv6: "2001:db8:40::/64" }
rules:
  - name: alice anywhere
    identity: identity.email == "alice@example.com"
    egress: { ipv4: 203.0.113.40, ipv4_fallback: 203.0.113.20 }
  - name: branch
    traffic: proxy.endpoint == "branch0001.proxy.cloudflare-gateway.com"
    egress: { ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.10 }
  - name: people
    traffic: proxy.endpoint in {"people0001.proxy.cloudflare-gateway.com"}
    egress: { ipv4: 203.0.113.10, ipv4_fallback: 203.0.113.20 }
users: [{ email: alice@example.com, password: lab-alice }, { email: bob@example.com, password: lab-bob }]
sources: [{ network: 127.0.5.0/24, user: alice@example.com }]
listeners:
  - { name: branch, port: 8081, endpoint: { kind: ip, subdomain: branch0001, networks: [127.0.5.0/24] } }
  - { name: people, port: 8082, endpoint: { kind: identity, subdomain: people0001 } }
`
const ECHO = 'http://ipv4.icanhazip.com/'
const INSIDE = ['--interface', '127.0.5.9']
const OUTSIDE = ['--interface', '127.0.6.9']

let running: PrivateLab
const at = (listener: number, scheme = 'http') => `${scheme}://127.0.0.1:${running.lab.listeners[listener]?.port}`

beforeAll(async () => {
  running = await startPrivateLab({ configFile: file('lab.yaml', CONFIGURATION) })
})
afterAll(() => running.close())

const ways = ['http', 'connect', 'socks5h', 'socks4a'] as const

function ask(listener: number, way: (typeof ways)[number], ...args: readonly string[]) {
  const tunnel = way === 'connect' ? ['-p'] : []
  return curl(...tunnel, '-x', at(listener, way === 'connect' ? 'http' : way), ...args, ECHO)
}

describe('kind ip', () => {
  test.each(ways)(
    '%s: a client of its networks comes in without identity, whatever else would say who it is',
    async (way) => {
      expect((await ask(0, way, ...INSIDE)).body.trim()).toBe('203.0.113.20')
      await running.lab.pipeline.sessions.empty()
      const { Email, Lab, EgressRuleName } = running.lab.sessions.recent().at(-1) ?? {}
      expect([Email, Lab?.proxyEndpoint, EgressRuleName]).toEqual([
        '',
        'branch0001.proxy.cloudflare-gateway.com',
        'branch',
      ])
    },
  )

  test.each(['http', 'connect', 'socks5h'] as const)('%s: credentials make nobody of a client there', async (way) => {
    expect((await ask(0, way, ...INSIDE, '-U', 'alice@example.com:lab-alice')).body.trim()).toBe('203.0.113.20')
    await expect.poll(() => running.lab.sessions.recent().at(-1)?.Email).toBe('')
  })

  test.each(ways)('%s: a client of any other network is refused, with credentials too', async (way) => {
    const login = way === 'socks4a' ? [] : ['-U', 'alice@example.com:lab-alice']
    for (const args of [[], login]) {
      const answer = await ask(0, way, ...OUTSIDE, ...args)
      expect(answer.body).not.toContain('203.0.113')
      await expect.poll(() => running.lab.sessions.recent().at(-1)?.Lab.error?.code).toBe('identity.source_not_allowed')
    }
  })
})

describe('kind identity', () => {
  test.each(['http', 'connect', 'socks5h'] as const)(
    '%s: users log in, and rules know endpoint and user',
    async (way) => {
      expect((await ask(1, way, '-U', 'bob@example.com:lab-bob')).body.trim()).toBe('203.0.113.10')
      await expect
        .poll(() => running.lab.sessions.recent().at(-1))
        .toMatchObject({
          Email: 'bob@example.com',
          EgressRuleName: 'people',
          Lab: { proxyEndpoint: 'people0001.proxy.cloudflare-gateway.com' },
        })
      expect((await ask(1, way, '-U', 'alice@example.com:lab-alice')).body.trim()).toBe('203.0.113.40')
    },
  )

  test.each(ways)('%s: nobody comes in without a login, from a network that is somebody neither', async (way) => {
    expect((await ask(1, way, ...INSIDE)).body).not.toContain('203.0.113')
    await expect.poll(() => running.lab.sessions.recent().at(-1)?.Lab.error?.code).toBe('identity.required')
  })
})
