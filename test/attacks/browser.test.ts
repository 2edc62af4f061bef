// A person is logged in to the lab, and opens a page of somebody else's in the same browser (AP-01, AP-02): on another site, on
// another port of the same host, in a sandbox without an origin, and under a name that now resolves to this machine. The page
// tries everything a page can against every route; nothing changes, and nothing can be read.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROUTES } from '../../src/api/routes.ts'
import { type Browser, findChromium, openBrowser } from '../console/browser.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'

const executable = findChromium()
const SCRIPT = readFileSync(join(import.meta.dirname, 'browser/attack.js'), 'utf8')
const PAGE = '<!doctype html><title>win a prize</title><body><script src="/attack.js"></script>'
const SANDBOX = '<!doctype html><iframe id="inner" sandbox="allow-scripts allow-forms" src="/page"></iframe>'

let lab: PrivateLab
let base: string
let evil: Server
let evilPort: number
let browser: Browser

beforeAll(async () => {
  if (executable === undefined) return
  lab = await startPrivateLab({ ephemeral: false })
  base = `http://127.0.0.1:${lab.lab.api.port}`
  evil = createServer((request, response) => {
    const isScript = request.url === '/attack.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
    response.end(isScript ? SCRIPT : request.url === '/sandbox' ? SANDBOX : PAGE)
  }).listen(0, '127.0.0.1')
  await once(evil, 'listening')
  evilPort = (evil.address() as AddressInfo).port
  const resolve = '--host-resolver-rules=MAP evil.example 127.0.0.1, MAP rebound.example 127.0.0.1'
  // the lab has to hold on its own: newer browsers keep some of these pages away from loopback themselves
  const features = [
    'LocalNetworkAccessChecks',
    'PrivateNetworkAccessSendPreflights',
    'BlockInsecurePrivateNetworkRequests',
  ]
  browser = await openBrowser({ executable, switches: [resolve, `--disable-features=${features.join(',')}`] })
  const { page } = browser
  await page.goto(`${base}/me`)
  const token = readFileSync(join(lab.folder, 'api-token'), 'utf8').trim()
  const login = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token }) }
  expect(await page.evaluate(`fetch('/lab/v1/login', ${JSON.stringify(login)}).then(({ status }) => status)`)).toBe(200)
})
afterAll(async () => {
  await browser?.close()
  evil?.close()
  await lab?.close()
})

/** Every route with something real in place of each parameter. */
function targets(): { method: string; path: string }[] {
  const { account, state } = lab.lab.snapshot()
  const [rule] = state.rule.keys()
  const [list] = state.list.keys()
  const [network] = state.virtualNetwork.keys()
  const ids: Readonly<Record<string, string | undefined>> = { rules: rule, lists: list, virtual_networks: network }
  return ROUTES.map(({ method, path }) => {
    const kind = /\/(\w+)\/\{id\}/.exec(path)?.[1] ?? ''
    const concrete = path
      .replace('{account_id}', account.id)
      .replace('{id}', ids[kind] ?? rule ?? '')
      .replace('{email}', 'bob@example.com')
      .replace('{code}', 'LHR')
      .replace('{kind}', 'rule')
      .replace('{ip}', '10.0.0.1')
      .replace('{address_family}', 'v4')
      .replace('{slug}', 'x')
    return { method, path: concrete }
  })
}

function stateOfTheLab() {
  const { revision, state } = lab.lab.snapshot()
  return { revision, clock: state.clock.size, token: readFileSync(join(lab.folder, 'api-token'), 'utf8') }
}

interface Result {
  readonly loot: readonly string[]
  readonly attempts: number
}

/** Attacks from the page that is open (or a frame of it); answers what was read and every status the API gave. */
async function attack(inner = false): Promise<Result & { readonly statuses: ReadonlySet<number> }> {
  const statuses = new Set<number>()
  const { page } = browser
  const onResponse = (response: { url(): string; status(): number }) => {
    const { port, pathname } = new URL(response.url())
    if (port === String(lab.lab.api.port) && pathname !== '/start' && pathname !== '/attack.js')
      statuses.add(response.status())
  }
  page.on('response', onResponse)
  const target = inner ? (page.frames()[1] ?? page) : page
  const own = await page.evaluate('location.origin')
  const against = own === `http://rebound.example:${lab.lab.api.port}` ? own : base
  const script = `attack(${JSON.stringify(against)}, ${JSON.stringify(targets())})`
  const result = (await target.evaluate(script)) as Result
  page.off('response', onResponse)
  return { ...result, statuses }
}

describe.skipIf(executable === undefined)('a person logged in to the lab opens a page', () => {
  test('of the lab itself: it reads and changes, so the login is good and the attacks below are no shots in the dark', async () => {
    const { page } = browser
    await page.goto(`${base}/me`)
    const read = "fetch('/lab/v1/colos/AMS').then((response) => response.json())"
    expect(await page.evaluate(read)).toMatchObject({ success: true, result: { code: 'AMS', up: true } })
    const { revision } = lab.lab.snapshot()
    for (const up of [false, true]) {
      const init = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ up }) }
      await page.evaluate(`fetch('/lab/v1/colos/AMS', ${JSON.stringify(init)}).then((response) => response.text())`)
    }
    expect(lab.lab.snapshot().revision).toBe(revision + 2)
  })

  test.each([
    ['on another site', () => `http://evil.example:${evilPort}/page`, false],
    ['on another port of the same host, where the cookie goes along', () => `http://127.0.0.1:${evilPort}/page`, false],
    ['on localhost', () => `http://localhost:${evilPort}/page`, false],
    ['in a sandbox, without an origin', () => `http://127.0.0.1:${evilPort}/sandbox`, true],
  ] as const)('%s: nothing is read, nothing changes', async (_name, url, inner) => {
    const before = stateOfTheLab()
    await browser.page.goto(url())
    const { loot, attempts, statuses } = await attack(inner)
    expect(loot).toEqual([])
    expect(attempts).toBeGreaterThan(ROUTES.length * 3)
    expect([...statuses].filter((status) => status < 400)).toEqual([])
    expect(statuses).toContain(403)
    expect(stateOfTheLab()).toEqual(before)
  })

  test('under a name that has come to mean this machine: every request is 421', async () => {
    const before = stateOfTheLab()
    const { page } = browser
    const home = `http://rebound.example:${lab.lab.api.port}`
    // the page came from the attacker's server while the name still meant that one
    await page.route(`${home}/start`, (route) => route.fulfill({ contentType: 'text/html', body: PAGE }))
    await page.route(`${home}/attack.js`, (route) => route.fulfill({ contentType: 'text/javascript', body: SCRIPT }))
    await page.goto(`${home}/start`)
    const { loot, statuses } = await attack()
    expect(loot).toEqual([])
    expect([...statuses]).toEqual([421])
    const said = await page.evaluate("fetch('/lab/v1/colos').then((response) => response.text())")
    expect(said).toContain('`rebound.example` is not a name of this lab')
    expect(stateOfTheLab()).toEqual(before)
  })

  test('that frames the console: the browser refuses to show it', async () => {
    const { page } = browser
    await page.goto(`http://127.0.0.1:${evilPort}/page`)
    const framed = `new Promise((resolve) => {
      const frame = document.createElement('iframe')
      frame.onload = () => { try { resolve(frame.contentDocument?.title ?? 'closed') } catch { resolve('closed') } }
      frame.src = ${JSON.stringify(`${base}/`)}
      document.body.append(frame)
    })`
    expect(await page.evaluate(framed)).toBe('closed')
    expect(page.frames()[1]?.url()).toMatch(/^chrome-error:/)
  })
})
