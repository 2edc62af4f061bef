// The lab's own pages through the proxy: for clients that send everything by way of it, and for clients on other machines. With curl, raw
// sockets and a real Chromium.

import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { findChromium, openBrowser, signInOnPage } from '../console/browser.ts'
import { type CurlAnswer, curl } from '../support/curl.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { RawClient } from '../support/raw-client.ts'
import { file } from '../support/tls.ts'

const CONFIGURATION = `
dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }
rules:
  - { name: alice, identity: 'identity.email == "alice@example.com"', egress: { ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.10 } }
users: [{ email: alice@example.com, password: "lab-<alice>&" }]
listeners:
  - { name: people, port: 8081, endpoint: { kind: identity, sign_in: page } }
  - { name: balanced, port: 8084, endpoint: { kind: identity, sign_in: page }, proxy_protocol: { from: [127.0.0.0/8] } }
`
const HTML = ['-H', 'Accept: text/html,*/*;q=0.8']
const PASSWORD = 'lab-<alice>&'
const executable = findChromium()

let running: PrivateLab
let proxies: string[]
let authorize: string
let site: string

beforeAll(async () => {
  running = await startPrivateLab({ configFile: file('lab.yaml', CONFIGURATION) })
  proxies = running.lab.listeners.map(({ port }) => `http://127.0.0.1:${port}`)
  authorize = `http://127.0.0.1:${running.lab.api.port}/authorize`
  const server = createServer((_req, res) => res.end('the site'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}/page?x=1`
  return () => void server.close()
})
afterAll(() => running.close())

/** A browser made of curl: a cookie jar, HTML, and the proxy for everything it is told to. */
function browser() {
  const jar = join(mkdtempSync(join(tmpdir(), 'jar-')), 'jar')
  const page = (...args: string[]) => curl('-b', jar, '-c', jar, ...HTML, ...args)
  const visit = (url: string, ...args: string[]) => page('-x', proxies[0] ?? '', ...args, url)
  return { page, visit }
}

const location = (answer: CurlAnswer) => answer.headers.get('location') ?? ''
const stateOf = (answer: CurlAnswer) => new URL(location(answer)).searchParams.get('state') ?? ''
const linkIn = ({ body }: CurlAnswer) => (/href="([^"]+)"/.exec(body)?.[1] ?? '').replaceAll('&#38;', '&')
const codeOf = (answer: CurlAnswer) => /code="([^"]+)"/.exec(answer.headers.get('proxy-status') ?? '')?.[1]

describe('the proxy serves the lab’s own pages to clients that ask it for them', () => {
  const through = (...args: string[]) => curl('-x', proxies[0] ?? '', ...args)

  test('a client that sends everything through the proxy signs in without a loop', async () => {
    const { visit, page } = browser()
    const shown = await visit(site, '-L', '--max-redirs', '6')
    expect([shown.exit, shown.status, shown.body.includes('Email address')]).toEqual([0, 200, true])
    const state = stateOf(await visit(site))
    const form = ['state', state, 'email', 'alice@example.com', 'password', PASSWORD]
    const data = [0, 2, 4].flatMap((at) => ['--data-urlencode', `${form[at]}=${form[at + 1]}`])
    const welcome = await page('-x', proxies[0] ?? '', ...data, authorize)
    expect([welcome.status, welcome.body.includes('Signed in as alice@example.com')]).toEqual([200, true])
    const arrived = await visit(linkIn(welcome), '-L', '--max-redirs', '6')
    expect([arrived.status, arrived.body]).toEqual([200, 'the site'])
    const straight = await visit('http://ifconfig.me/', '-L', '--max-redirs', '6')
    expect([straight.status, straight.body]).toEqual([200, expect.stringMatching(/203\.0\.113\.20|2001:db8:20:/)])
    expect((await page('-x', proxies[0] ?? '', authorize)).body).toContain('Signed in as alice@example.com')
    expect((await page('-x', proxies[0] ?? '', '-d', 'action=sign-out', authorize)).body).toContain('Signed out')
    expect((await visit(site)).status).toBe(302)
  })

  test('a client on another machine is sent to a name that only the proxy knows, and finds the page there', async () => {
    const { port } = new URL(proxies[1] ?? '')
    const header = 'PROXY TCP4 10.77.0.9 10.77.0.1 50000 8084\r\n'
    const ask = async (url: string, ...lines: string[]) => {
      const client = await RawClient.connect(Number(port))
      const head = ['Accept: text/html', `Host: ${new URL(url).host}`, 'Connection: close', ...lines]
      await client.send(`${header}GET ${url} HTTP/1.1\r\n${head.join('\r\n')}\r\n\r\n`).end()
      return client.received
    }
    const sent = /Location: (\S+)/.exec(await ask('http://ipv4.icanhazip.com/'))?.[1] ?? ''
    expect(sent).toMatch(/^http:\/\/egresslab\.test\/authorize\?state=/)
    const shown = await ask(sent)
    expect(shown).toMatch(/^HTTP\/1\.1 200 /)
    expect(shown).toContain('ipv4.icanhazip.com')
    // the note in the address is good for that client alone
    expect((await through(...HTML, sent)).status).toBe(400)
  })

  test('/me with what it asks of the API, and PAC files, by the API’s address, localhost and the proxy’s own name', async () => {
    const { port } = running.lab.api
    const login = ['-u', `alice@example.com:${PASSWORD}`]
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, 'egresslab.test']) {
      expect((await through(`http://${host}/me`)).headers.get('content-type')).toBe('text/html; charset=utf-8')
      expect((await through(`http://${host}/proxy.pac`)).body).toContain('FindProxyForURL')
      const me = await through(...login, `http://${host}/lab/v1/me`)
      expect(JSON.parse(me.body)).toMatchObject({ result: { email: 'alice@example.com' } })
      expect((await through(`http://${host}/lab/v1/me`)).status).toBe(401)
    }
    expect((await through('-I', `http://127.0.0.1:${port}/proxy.pac`)).status).toBe(200)
  })

  test('SS-04: nothing else of the API, and nothing to whoever makes the proxy’s word up', async () => {
    const { port } = running.lab.api
    const bearer = ['-H', `Authorization: Bearer ${running.lab.apiToken.made ?? ''}`]
    const asAlice = ['-U', `alice@example.com:${PASSWORD}`]
    for (const path of [
      '/lab/v1/sessions',
      '/lab/v1/users',
      '/metrics',
      '/',
      '/dns-query',
      '/lab/v1/me/../users',
      '//me',
    ]) {
      const answer = await through(...bearer, ...asAlice, '--path-as-is', `http://127.0.0.1:${port}${path}`)
      expect([path, answer.status, codeOf(answer)]).toEqual([path, 403, 'guard.own_listener'])
    }
    expect((await through(...HTML, `http://127.0.0.1:${port}/`)).status).toBe(407)
    const forged = ['-H', 'egresslab-client: x 10.0.0.1', '-H', 'Host: evil.test']
    expect((await curl(...forged, `http://127.0.0.1:${port}/me`)).status).toBe(421)
  })
})

test.skipIf(executable === undefined)(
  'in a Chromium that sends loopback addresses through the proxy, too',
  async () => {
    const switches = [`--proxy-server=${proxies[0]}`, '--proxy-bypass-list=<-loopback>']
    const chromium = await openBrowser({ executable: executable ?? '', switches })
    onTestFinished(() => chromium.close())
    const { page, complaints } = chromium
    await signInOnPage(page, 'http://ipv4.icanhazip.com/', ['alice@example.com', PASSWORD])
    expect(await page.textContent('body')).toContain('203.0.113.20')
    await page.goto(site)
    expect(await page.textContent('body')).toBe('the site')
    await page.goto(authorize)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByText('Sites no longer recognize this browser').waitFor()
    expect(complaints).toEqual([])
  },
)
