// Proxy endpoints of both kinds, in every protocol: who comes in, who they are, and what rules on `proxy.endpoint` make of it.

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Envelope } from '../api/running-api.ts'
import { curl } from '../support/curl.ts'
import { ownNetwork } from '../support/own-network.ts'
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

describe('made at the API', () => {
  /** The lab of a folder, with its endpoints by name. */
  async function labIn(folder: string) {
    const started = await startPrivateLab({ state: folder, ephemeral: false, standInNetwork: ownNetwork(1) })
    const { lab } = started
    const { id } = lab.snapshot().account
    const call = async (method: string, path: string, body?: unknown): Promise<Envelope> => {
      const url = `http://127.0.0.1:${lab.api.port}/client/v4/accounts/${id}/gateway/proxy_endpoints${path}`
      const headers = { authorization: `Bearer ${lab.token()}`, 'content-type': 'application/json' }
      return (await fetch(url, { method, headers, body: JSON.stringify(body) })).json() as Promise<Envelope>
    }
    const portOf = async (endpoint: string) => {
      const { messages } = await call('GET', `/${endpoint}`)
      return Number(/^listens on 127\.0\.0\.1:(\d+),/.exec(messages[0]?.message ?? '')?.[1])
    }
    const seen = async (port: number) =>
      (await curl('-x', `http://127.0.0.1:${port}`, '-U', 'bob@example.com:lab-bob', ECHO)).body.trim()
    return { ...started, call, portOf, seen }
  }

  test('they have the same port after a restart; one that is taken is another until the next start, and said', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'egresslab-endpoints-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const first = await labIn(folder)
    const { result: kept } = await first.call('POST', '', { name: 'kept', kind: 'identity' })
    const { result: gone } = await first.call('POST', '', { name: 'gone', kind: 'identity' })
    const [port, gonePort] = [await first.portOf(kept.id), await first.portOf(gone.id)]
    expect(await first.seen(port)).toBe('203.0.113.10')
    await first.call('DELETE', `/${gone.id}`)
    await first.lab.close()

    const second = await labIn(folder)
    expect(await second.portOf(kept.id)).toBe(port)
    expect(await second.seen(port)).toBe('203.0.113.10')
    expect(await second.seen(gonePort)).toBe('')
    await second.lab.close()

    const taken = createServer().listen(port, '127.0.0.1')
    await once(taken, 'listening')
    const third = await labIn(folder)
    expect(third.said()).toContain(`port ${port} of the proxy endpoint \`kept\` is taken`)
    const other = await third.portOf(kept.id)
    expect(other).not.toBe(port)
    expect(await third.seen(other)).toBe('203.0.113.10')
    await third.lab.close()
    taken.close()
    await once(taken, 'close')

    const fourth = await labIn(folder)
    onTestFinished(() => fourth.close())
    expect(await fourth.portOf(kept.id)).toBe(port)
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
