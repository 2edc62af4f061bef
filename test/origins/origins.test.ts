import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { InputError } from '../../src/errors/issue.ts'
import type { RunningOrigins } from '../../src/origins/serve.ts'
import { curl } from '../support/curl.ts'
import { loopback } from '../support/own-network.ts'
import { destination, HTTP_PORT, HTTPS_PORT, PROXY, spec, startTestOrigins } from '../support/test-origins.ts'

const ECHO = loopback(1)
const SAAS = loopback(2)
const SEARCH = loopback(3)
const SITES = loopback(4)
const PROXIED = loopback(6)
const FROM_LHR = '127.0.10.20'
const FROM_LAX = '127.0.10.40'
const FROM_IPV6 = '127.0.16.20'

let origins: RunningOrigins
let folder: string
let authorityFile: string

beforeAll(async () => {
  const running = await startTestOrigins(
    [
      spec('ipv4.icanhazip.com', 'echo'),
      spec('bank.saas.test', 'saas', ['203.0.113.20', '203.0.113.30', '2001:db8:20::/64']),
      spec('search.saas.test', 'search'),
      spec('espn.com', 'site'),
      spec('sports.test', 'site'),
      spec('cloudflare.com', 'site'),
    ],
    [
      destination('ipv4.icanhazip.com', '198.51.100.1', ECHO),
      destination('bank.saas.test', '198.51.100.2', SAAS),
      destination('search.saas.test', '198.51.100.3', SEARCH),
      destination('espn.com', '198.51.100.4', SITES),
      destination('sports.test', '198.51.100.6', SITES),
      destination('cloudflare.com', '104.16.132.229', PROXIED, true),
    ],
  )
  origins = running
  folder = mkdtempSync(join(tmpdir(), 'origins-'))
  authorityFile = join(folder, 'ca.pem')
  writeFileSync(authorityFile, running.authority)
})
afterAll(async () => {
  await origins.close()
  rmSync(folder, { recursive: true })
})

describe('an echo site', () => {
  test('answers with the public egress address alone and a line feed', async () => {
    const answer = await visit(FROM_LHR, 'ipv4.icanhazip.com', ECHO, '/')
    expect(answer).toMatchObject({ status: 200, body: '203.0.113.20\n' })
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  test("shows the user's own address inside an IPv6 range, whatever family really carried it", async () => {
    expect((await visit(FROM_IPV6, 'ipv4.icanhazip.com', ECHO, '/')).body).toBe('2001:db8:20::a11c:e\n')
  })

  test('answers over HTTPS with a certificate of the development authority', async () => {
    const url = `https://ipv4.icanhazip.com:${HTTPS_PORT}/json`
    const resolve = `ipv4.icanhazip.com:${HTTPS_PORT}:${ECHO}`
    const answer = await curl('--interface', FROM_LHR, '--cacert', authorityFile, '--resolve', resolve, url)
    expect(answer).toMatchObject({ exit: 0, status: 200 })
    const facts = JSON.parse(answer.body)
    expect(facts.address).toBe('203.0.113.20')
    expect(facts.http.scheme).toBe('https')
    expect(facts.tls).toMatchObject({ version: 'TLSv1.3', server_name: 'ipv4.icanhazip.com' })
  })

  test.each([
    ['at /json', '/json', []],
    ['for Accept: application/json', '/', ['-H', 'accept: application/json']],
  ])('tells everything it knows %s', async (_how, path, extra) => {
    const answer = await visit(FROM_LHR, 'ipv4.icanhazip.com', ECHO, path, ...extra)
    expect(answer.headers.get('content-type')).toContain('application/json')
    expect(JSON.parse(answer.body)).toMatchObject({
      address: '203.0.113.20',
      family: 4,
      geolocation: { city: 'London', country: 'GB' },
      site: { name: 'ipv4.icanhazip.com', address: '198.51.100.1:80', time: '2026-12-01T12:00:00.000Z' },
      http: { version: '1.1', method: 'GET', scheme: 'http' },
      tls: null,
      lab: {
        outcome: 'balanced',
        physical_colo: 'LAS',
        logical_colo: 'LHR',
        bound: expect.stringMatching(/^127\.0\.10\.20:\d+$/),
        dialled: `${ECHO}:${HTTP_PORT}`,
      },
    })
  })

  test('gives browsers a page that loads nothing and may load nothing', async () => {
    const answer = await visit(FROM_LHR, 'ipv4.icanhazip.com', ECHO, '/', '-H', 'accept: text/html,*/*;q=0.8')
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(answer.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-/)
    expect(answer.body).toContain('203.0.113.20')
    expect(answer.body).not.toMatch(/<script|<img|<link|\ssrc=|url\(/)
    expect(answer.body).toContain('<a href="https://db-ip.com/">IP Geolocation by DB-IP</a>')
  })

  test('answers HEAD with the head alone', async () => {
    const answer = await visit(FROM_LHR, 'ipv4.icanhazip.com', ECHO, '/', '-I')
    expect(answer.headers.get('content-length')).toBe('13')
    expect(answer.exit).toBe(0)
  })
})

describe('a service with an allowlist', () => {
  test('lets an address on the list in', async () => {
    const answer = await visit(FROM_LHR, 'bank.saas.test', SAAS, '/')
    expect(answer.status).toBe(200)
    expect(answer.body).toContain('seen: 203.0.113.20\n')
  })

  test('lets an address of an allowed IPv6 range in', async () => {
    const answer = await visit(FROM_IPV6, 'bank.saas.test', SAAS, '/any/path', '-H', 'accept: application/json')
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body)).toMatchObject({ allowed: true, entry: '2001:db8:20::/64' })
  })

  test('refuses another address with 403, saying which it saw and what it allows', async () => {
    const answer = await visit(FROM_LAX, 'bank.saas.test', SAAS, '/')
    expect(answer).toMatchObject({
      status: 403,
      body:
        'bank.saas.test refuses 203.0.113.40\nseen: 203.0.113.40\n' +
        'allowed: 203.0.113.20, 203.0.113.30, 2001:db8:20::/64\n',
    })
  })
})

describe('a search engine', () => {
  test("lands on the page of the visitor's country, in its language", async () => {
    const answer = await visit(FROM_LHR, 'search.saas.test', SEARCH, '/')
    expect(answer.body).toContain('country: GB\nlanguage: en\n')
    expect(answer.headers.get('content-language')).toBe('en')
  })

  test('is international where its database knows nothing', async () => {
    expect((await visit(FROM_LAX, 'search.saas.test', SEARCH, '/')).body).toContain('country: unknown\nlanguage: en\n')
  })
})

describe('[G2] a site whose database has not noticed a move yet', () => {
  test('shows the old place and when the new one will be seen', async () => {
    const standIn = loopback(5)
    const lagging = await startTestOrigins(
      [spec('slow.search.test', 'search')],
      [destination('slow.search.test', '198.51.100.5', standIn)],
      (_address, at) => ({
        place: { country: 'US', latitude: 38, longitude: -97 },
        changesAt: at + 86_400_000,
        comingPlace: { city: 'London', country: 'GB', latitude: 51.47, longitude: -0.45 },
      }),
    )
    try {
      const { body } = await visit(FROM_LHR, 'slow.search.test', standIn, '/')
      expect(body).toContain('country: US\n')
      expect(body).toContain('from: US (from 2026-12-02: London, GB)\n')
    } finally {
      await lagging.close()
    }
  })
})

describe('a plain site', () => {
  test('[E5] shows the physical colo beside the geolocation', async () => {
    const { body } = await visit(FROM_LHR, 'espn.com', SITES, '/')
    expect(body).toContain('physical_colo: LAS\nlogical: LHR (London, GB)\nproxied_by_cloudflare: no\n')
  })

  test('behind Cloudflare says so, and answers /cdn-cgi/trace', async () => {
    expect((await visit(FROM_LHR, 'cloudflare.com', PROXIED, '/')).body).toContain('proxied_by_cloudflare: yes')
    const { body } = await visit(FROM_LHR, 'cloudflare.com', PROXIED, '/cdn-cgi/trace')
    expect(body).toContain('ip=203.0.113.20\n')
    expect(body).toContain('colo=LAS\n')
    expect(body).toContain('loc=GB\n')
  })

  test('shares an address with others and is told apart by its name', async () => {
    expect((await visit(FROM_LHR, 'espn.com', SITES, '/')).body).toMatch(/^espn\.com\n/)
    expect((await visit(FROM_LHR, 'SPORTS.TEST.', SITES, '/')).body).toMatch(/^sports\.test\n/)
  })
})

describe('/cdn-cgi/trace, where people look at their address and data center', () => {
  test.each([
    ['an echo site', 'ipv4.icanhazip.com', ECHO],
    ['a service that would refuse the address', 'bank.saas.test', SAAS],
    ['a search engine', 'search.saas.test', SEARCH],
    ['a plain site', 'espn.com', SITES],
    ['a site behind Cloudflare', 'cloudflare.com', PROXIED],
  ])('is answered by %s', async (_what, name, standIn) => {
    const answer = await visit(FROM_LAX, name, standIn, '/cdn-cgi/trace', '-A', 'curl/8', '-H', 'accept: text/html')
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    const lines = Object.fromEntries(
      answer.body
        .trimEnd()
        .split('\n')
        .map((line) => line.split('=', 2)),
    )
    expect(lines).toEqual({
      h: name,
      ip: '203.0.113.40',
      ts: '1796126400.000',
      visit_scheme: 'http',
      uag: 'curl/8',
      colo: 'LAS',
      sliver: 'none',
      http: 'http/1.1',
      loc: 'XX',
      tls: 'off',
      sni: 'off',
      warp: 'on',
      gateway: 'on',
      rbi: 'off',
      kex: 'none',
    })
  })

  test('over HTTPS names the version of TLS', async () => {
    const name = 'ipv4.icanhazip.com'
    const resolve = ['--resolve', `${name}:${HTTPS_PORT}:${ECHO}`, '--cacert', authorityFile, '--interface', FROM_LHR]
    const { body } = await curl(...resolve, `https://${name}:${HTTPS_PORT}/cdn-cgi/trace`)
    expect(body).toContain('\ntls=TLSv1.3\nsni=plaintext\n')
  })

  test('is refused to those who come past the lab, who have no egress IP', async () => {
    expect((await visit('127.0.0.1', 'espn.com', SITES, '/cdn-cgi/trace')).status).toBe(403)
  })
})

describe('who comes another way', () => {
  test.each(['/', '/json'])('past the lab is told so and shown no address at %s', async (path) => {
    const answer = await visit('127.0.0.1', 'ipv4.icanhazip.com', ECHO, path)
    expect(answer.status).toBe(403)
    expect(answer.body).toContain('you came directly from 127.0.0.1:')
    expect(answer.body).toContain(`try: curl -x ${PROXY} -U 'EMAIL:PASSWORD' http://ipv4.icanhazip.com/\n`)
  })

  test('by address reaches the only site there', async () => {
    const answer = await curl('--interface', FROM_LHR, `http://${ECHO}:${HTTP_PORT}/`)
    expect(answer.body).toBe('203.0.113.20\n')
  })

  test.each([
    ['another name', 'nobody.test'],
    ['an address that several sites share', SITES],
    ['a name with markup', '<script>alert(1)</script>'],
  ])('asking for %s is told who is there', async (_what, host) => {
    const answer = await visit(FROM_LHR, host, SITES, '/', '-H', 'accept: text/html')
    expect(answer.status).toBe(421)
    expect(answer.body).toContain('<code>espn.com</code>')
    expect(answer.body).not.toContain('<script>')
  })
})

describe('starting', () => {
  test('names every address that is taken, and leaves nothing listening', async () => {
    const taken = createServer().listen(HTTP_PORT, loopback(90))
    await once(taken, 'listening')
    const attempt = startTestOrigins(
      [spec('free.test', 'echo'), spec('taken.test', 'echo')],
      [
        destination('free.test', '198.51.100.90', loopback(91)),
        destination('taken.test', '198.51.100.91', loopback(90)),
      ],
    )
    const failure = await attempt.catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(InputError)
    expect((failure as InputError).issues.map((issue) => issue.message)).toEqual([
      `the test origin taken.test cannot listen on \`${loopback(90)}:${HTTP_PORT}\` (EADDRINUSE)`,
    ])
    expect((await curl(`http://${loopback(91)}:${HTTP_PORT}/`)).exit).toBe(7)
    taken.close()
  })

  test('refuses an origin that has no destination', async () => {
    await expect(startTestOrigins([spec('nowhere.test', 'echo')], [])).rejects.toThrow(
      'the test origin `nowhere.test` has no destination of that name',
    )
  })
})

function visit(from: string, host: string, standIn: string, path: string, ...extra: readonly string[]) {
  return curl('--interface', from, '-H', `host: ${host}`, ...extra, `http://${standIn}:${HTTP_PORT}${path}`)
}
