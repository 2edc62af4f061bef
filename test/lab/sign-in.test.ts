// Signing in by a page at an identity endpoint: with curl and a cookie jar step by step, and in a real Chromium.

import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { findChromium, openBrowser, signInOnPage } from '../console/browser.ts'
import { type CurlAnswer, curl } from '../support/curl.ts'
import { openStream } from '../support/h2-client.ts'
import { ownNetwork } from '../support/own-network.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { file } from '../support/tls.ts'

const CONFIGURATION = `
dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }
rules:
  - { name: alice, identity: 'identity.email == "alice@example.com"', egress: { ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.10 } }
users: [{ email: alice@example.com, password: "lab-<alice>&" }, { email: bob@example.com, password: lab-bob }]
listeners:
  - { name: people, port: 8081, endpoint: { kind: identity, sign_in: page } }
  - { name: others, port: 8082, endpoint: { kind: identity, sign_in: page } }
  - { name: plain, port: 8083, endpoint: { kind: identity } }
`
const HTML = ['-H', 'Accept: text/html,*/*;q=0.8']
const PASSWORD = 'lab-<alice>&'
const executable = findChromium()
const OTHER = ownNetwork(1)

let running: PrivateLab
let proxies: string[]
let authorize: string
let site: string
let seen: IncomingHttpHeaders[]

beforeAll(async () => {
  running = await startPrivateLab({ configFile: file('lab.yaml', CONFIGURATION) })
  proxies = running.lab.listeners.map(({ port }) => `http://127.0.0.1:${port}`)
  authorize = `http://127.0.0.1:${running.lab.api.port}/authorize`
  const server = createServer((req, res) => {
    seen.push(req.headers)
    res.setHeader('set-cookie', 'own=1').end('the site')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}/page?x=1`
  return () => void server.close()
})
afterAll(() => running.close())
beforeEach(() => {
  seen = []
  running.lab.store.setClockOffset(0)
})

/** A browser made of curl: a cookie jar, HTML, and the proxy for everything but the page. */
function browser(proxy = proxies[0] ?? '') {
  const jar = join(mkdtempSync(join(tmpdir(), 'jar-')), 'jar')
  const cookies = ['-b', jar, '-c', jar]
  const page = (...args: string[]) => curl(...cookies, ...HTML, ...args)
  const visit = (url: string, ...args: string[]) => page('-x', proxy, ...args, url)
  const fetchPlain = (url: string) => curl(...cookies, '-x', proxy, url)
  /** several at once must not write one jar */
  const peek = (url: string) => curl('-b', jar, ...HTML, '-x', proxy, url)
  const fill = (state: string, email: string, password: string, ...args: string[]) =>
    page(
      '--data-urlencode',
      `state=${state}`,
      '--data-urlencode',
      `email=${email}`,
      '--data-urlencode',
      `password=${password}`,
      ...args,
      authorize,
    )
  const signIn = async (url: string, email = 'alice@example.com', password = PASSWORD) => {
    const state = stateOf(await visit(url))
    const back = linkIn(await fill(state, email, password))
    return { state, back }
  }
  return { page, visit, fetchPlain, peek, fill, signIn }
}

const location = (answer: CurlAnswer) => answer.headers.get('location') ?? ''
const stateOf = (answer: CurlAnswer) => new URL(location(answer)).searchParams.get('state') ?? ''
const linkIn = ({ body }: CurlAnswer) => (/href="([^"]+)"/.exec(body)?.[1] ?? '').replaceAll('&#38;', '&')
const codeOf = (answer: CurlAnswer) => /code="([^"]+)"/.exec(answer.headers.get('proxy-status') ?? '')?.[1]

describe('with a cookie jar', () => {
  test('a navigation is sent to the page; who signs in there is known at the site, which is told nothing of it', async () => {
    const { visit, page, fill } = browser()
    const sent = await visit(site)
    expect([sent.status, location(sent).startsWith(`${authorize}?state=`)]).toEqual([302, true])
    const shown = await page(location(sent))
    expect([shown.status, shown.headers.get('referrer-policy'), shown.headers.get('x-frame-options')]).toEqual([
      200,
      'same-origin',
      'DENY',
    ])
    expect(shown.body).toContain(new URL(site).host)
    const welcome = await fill(stateOf(sent), 'Alice@example.com', PASSWORD)
    expect([welcome.status, welcome.body.includes('Signed in as alice@example.com')]).toEqual([200, true])
    const back = await visit(linkIn(welcome))
    expect([back.status, location(back)]).toEqual([302, site])
    expect(back.headers.get('set-cookie')).toMatch(
      /^egresslab_user=[\w-]+; Path=\/; Max-Age=28800; HttpOnly; SameSite=Lax$/,
    )
    expect(seen).toEqual([])

    const arrived = await visit(site)
    expect([arrived.status, arrived.body]).toEqual([200, 'the site'])
    await visit(site)
    expect(seen.map(({ cookie }) => cookie)).toEqual([undefined, 'own=1'])
    await expect
      .poll(() => running.lab.sessions.recent().at(-1))
      .toMatchObject({ Email: 'alice@example.com', EgressRuleName: 'alice' })
  })

  test('the next site needs no password again', async () => {
    const { signIn, visit, page, fetchPlain } = browser()
    await signIn(site)
    const straight = await page(location(await visit('http://ipv4.icanhazip.com/')))
    expect(straight.status).toBe(302)
    expect(location(straight)).toMatch(/^http:\/\/ipv4\.icanhazip\.com\/\.well-known\/egresslab-sign-in\?ticket=/)
    const back = await visit(location(straight))
    expect(location(back)).toBe('http://ipv4.icanhazip.com/')
    expect((await fetchPlain('http://ipv4.icanhazip.com/')).body.trim()).toBe('203.0.113.20')
  })

  test('all that is no navigation keeps its 407: other methods, other types, CONNECT, and a listener without the page', async () => {
    const { visit, fetchPlain } = browser()
    const answers = [
      await visit(site, '-X', 'POST', '-d', 'a=b'),
      await fetchPlain(site),
      await visit(site, '-H', 'Sec-Fetch-Dest: iframe'),
      await visit(site, '-H', 'Connection: Upgrade', '-H', 'Upgrade: websocket'),
      await browser(proxies[2]).visit(site),
    ]
    expect(answers.map((answer) => [answer.status, codeOf(answer)])).toEqual(
      Array.from(answers, () => [407, 'identity.required']),
    )
    expect((await curl('-p', ...HTML, '-x', proxies[0] ?? '', site)).complaint).toContain('407')
    expect((await visit(site, '-U', 'alice@example.com:wrong')).status).toBe(407)
    expect((await visit(site, '-U', `alice@example.com:${PASSWORD}`)).status).toBe(200)
  })

  test('a cookie is good at its listener, at its site and from its address, for eight hours and while signed in', async () => {
    const { visit, signIn, page } = browser()
    await visit((await signIn(site)).back)
    const status = async (...args: string[]) => (await visit(site, ...args)).status
    expect(await status()).toBe(200)
    expect(await status('-x', proxies[1] ?? '')).toBe(302)
    expect(await status('--interface', '127.0.0.9')).toBe(302)
    running.lab.store.setClockOffset(8 * 3_600_000 + 1000)
    expect(await status()).toBe(302)
    running.lab.store.setClockOffset(0)
    expect(await status()).toBe(200)
    expect((await page(authorize)).body).toContain('Signed in as alice@example.com')
    expect((await page('-d', 'action=sign-out', authorize)).body).toContain('Signed out')
    expect(await status()).toBe(302)
    expect((await page(authorize)).body).toContain('Nobody is signed in')
  })

  test('another site’s cookie is no good', async () => {
    const { visit, signIn } = browser()
    const back = await visit((await signIn('http://ipv4.icanhazip.com/')).back)
    const cookie = (back.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
    const answer = await curl(...HTML, '-x', proxies[0] ?? '', '-H', `Cookie: ${cookie}; own=2`, 'http://ifconfig.me/')
    expect(answer.status).toBe(302)
    const own = await curl(...HTML, '-x', proxies[0] ?? '', '-H', `Cookie: ${cookie}`, 'http://ipv4.icanhazip.com/')
    expect(own.status).toBe(200)
  })

  test('a ticket is good once it is with its own browser, at its site, within a minute', async () => {
    const { signIn, visit } = browser()
    const { back } = await signIn(site)
    const failed = [403, 'identity.sign_in_failed']
    const attempts = [
      await curl(...HTML, '-x', proxies[0] ?? '', back),
      await curl(...HTML, '-x', proxies[0] ?? '', '-H', 'Cookie: egresslab_nonce=AAAAAAAAAAAAAAAAAAAAAA', back),
      await visit(back, '-x', proxies[1] ?? ''),
      await visit(back, '--interface', '127.0.0.9'),
      await visit(back.replace('127.0.0.1', 'ipv4.icanhazip.com').replace(/:\d+/, '')),
      await visit(`${back.slice(0, -4)}AAAA`),
    ]
    expect(attempts.map((answer) => [answer.status, codeOf(answer)])).toEqual(attempts.map(() => failed))
    running.lab.store.setClockOffset(61_000)
    const late = await visit(back)
    expect([late.status, codeOf(late)]).toEqual(failed)
    running.lab.store.setClockOffset(0)
    expect((await visit(back)).status).toBe(302)
    expect(seen).toEqual([])
  })

  test('the page goes nowhere but where the proxy sent the browser from', async () => {
    const { page, fill, visit } = browser()
    for (const state of ['forged', '', 'https://evil.test/']) {
      const answer = await page(
        `${authorize}?state=${encodeURIComponent(state)}&url=http://evil.test/&next=//evil.test`,
      )
      expect([answer.body.includes('evil.test'), location(answer)]).toEqual([false, ''])
      expect((await fill(state, 'alice@example.com', PASSWORD)).status).toBe(400)
    }
    const state = stateOf(await visit(site))
    expect((await page('--interface', '127.0.0.9', `${authorize}?state=${state}`)).status).toBe(400)
    running.lab.store.setClockOffset(11 * 60_000)
    expect((await page(`${authorize}?state=${state}`)).status).toBe(400)
  })

  test('AP-01 the form is taken from the page itself only', async () => {
    const { fill, visit } = browser()
    const state = stateOf(await visit(site))
    const attempt = async (...args: string[]) => (await fill(state, 'alice@example.com', PASSWORD, ...args)).status
    expect(await attempt('-H', 'Origin: http://evil.test')).toBe(403)
    expect(await attempt('-H', 'Origin: null')).toBe(403)
    expect(await attempt('-H', 'Sec-Fetch-Site: cross-site')).toBe(403)
    expect(await attempt('-H', 'Host: evil.test')).toBe(421)
    expect(await attempt('-H', 'Content-Type: text/plain')).toBe(415)
    expect(await attempt('-d', `pad=${'x'.repeat(20_000)}`)).toBe(413)
    expect(await attempt('-X', 'PUT')).toBe(405)
    expect(await attempt('-H', `Origin: ${new URL(authorize).origin}`, '-H', 'Sec-Fetch-Site: same-origin')).toBe(200)
  })

  test('LG-02, AU-01 a wrong password and an unknown user get one answer, in which nothing typed becomes HTML', async () => {
    const { fill, visit } = browser()
    const state = stateOf(await visit(site))
    const wrong = await fill(state, 'alice@example.com', 'wrong')
    const unknown = await fill(state, '"><script>alert(1)</script>@x', 'wrong')
    expect([wrong.status, unknown.status]).toEqual([403, 403])
    expect(wrong.headers.get('set-cookie')).toBeUndefined()
    expect(unknown.body).not.toContain('<script>')
    expect(unknown.body.replace(/value="[^"]*"/g, '')).toBe(wrong.body.replace(/value="[^"]*"/g, ''))
  })

  test('nothing secret is in the records or in what the lab says', async () => {
    const { signIn, visit } = browser()
    const { state, back } = await signIn(site)
    const cookie = /egresslab_user=([\w-]+)/.exec((await visit(back)).headers.get('set-cookie') ?? '')?.[1] ?? ''
    await visit(site)
    const log = JSON.stringify(running.lab.sessions.recent()) + running.said()
    for (const secret of [state, cookie, new URL(back).searchParams.get('ticket') ?? '', PASSWORD]) {
      expect(secret).not.toBe('')
      expect(log).not.toContain(secret.slice(0, 24))
    }
  })
})

test('several worker threads know one sign-in, and its end', async () => {
  const threads = await startPrivateLab({
    configFile: file('lab.yaml', CONFIGURATION),
    workers: 2,
    standInNetwork: OTHER,
  })
  onTestFinished(() => threads.close())
  const { port } = threads.lab.api
  const { visit, page, peek } = browser(`http://127.0.0.1:${threads.lab.listeners[0]?.port}`)
  const sent = await visit(site)
  expect(location(sent)).toContain(`http://127.0.0.1:${port}/authorize?state=`)
  const form = ['state', stateOf(sent), 'email', 'bob@example.com', 'password', 'lab-bob']
  const data = [0, 2, 4].flatMap((at) => ['--data-urlencode', `${form[at]}=${form[at + 1]}`])
  await visit(linkIn(await page(...data, `http://127.0.0.1:${port}/authorize`)))
  const statuses = async () =>
    new Set(await Promise.all(Array.from({ length: 8 }, async () => (await peek(site)).status)))
  expect(await statuses()).toEqual(new Set([200]))
  const proxied = ['-x', `http://127.0.0.1:${threads.lab.listeners[0]?.port}`]
  await page(...proxied, '-d', 'action=sign-out', `http://127.0.0.1:${port}/authorize`)
  expect(await statuses()).toEqual(new Set([302]))
})

test('an HTTP/2 client of the proxy is sent to the page and back as any other', async () => {
  const session = connect(proxies[0]?.replace('http', 'https') ?? '', { rejectUnauthorized: false })
  onTestFinished(() => session.destroy())
  const ask = async (url: string, headers: Readonly<Record<string, string>> = {}) => {
    const { host, pathname, search } = new URL(url)
    const pseudo = { ':method': 'GET', ':scheme': 'http', ':authority': host, ':path': `${pathname}${search}` }
    const {
      stream,
      status,
      headers: head,
    } = await openStream(session, { ...pseudo, accept: 'text/html', ...headers }, true)
    stream.resume()
    return { status, location: String(head.location), cookie: String(head['set-cookie']).split(';')[0] ?? '' }
  }
  const sent = await ask(site)
  expect([sent.status, sent.location.startsWith(authorize)]).toEqual([302, true])
  const state = new URL(sent.location).searchParams.get('state') ?? ''
  const welcome = await browser().fill(state, 'alice@example.com', PASSWORD)
  const back = await ask(linkIn(welcome), { cookie: sent.cookie })
  expect([back.status, back.location]).toEqual([302, site])
  expect((await ask(site, { cookie: `own=1; ${back.cookie}` })).status).toBe(200)
  expect(seen.map(({ cookie }) => cookie)).toEqual(['own=1'])
  expect((await ask(site, { accept: 'image/png' })).status).toBe(407)
  expect((await ask(linkIn(welcome))).status).toBe(403)
  expect((await ask(sent.location)).status).toBe(200)
})

test.skipIf(executable === undefined)('in Chromium: one form for all sites, and out again', async () => {
  const chromium = await openBrowser({ executable: executable ?? '', switches: [`--proxy-server=${proxies[0]}`] })
  onTestFinished(() => chromium.close())
  const { page, complaints } = chromium
  await signInOnPage(page, 'http://ipv4.icanhazip.com/', ['alice@example.com', PASSWORD])
  expect(await page.textContent('body')).toContain('203.0.113.20')
  await page.goto('http://ifconfig.me/')
  expect([page.url(), await page.textContent('body')]).toEqual([
    'http://ifconfig.me/',
    expect.stringMatching(/203\.0\.113\.20|2001:db8:20:/),
  ])
  expect(await page.evaluate('document.cookie')).toBe('')
  await page.goto(authorize)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByText('Sites no longer recognize this browser').waitFor()
  await page.goto('http://ipv4.icanhazip.com/')
  expect(page.url()).toContain('/authorize?state=')
  expect(complaints).toEqual([])
})
