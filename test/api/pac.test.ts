// PAC files as browsers fetch them from the running lab: public, exact, kept over a restart, and of use in a real browser.

import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { findChromium, openBrowser } from '../console/browser.ts'
import { curl } from '../support/curl.ts'
import { evaluatePac } from '../support/evaluate-pac.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { file } from '../support/tls.ts'

const TOKEN = 'a-token-for-pac-files'
const CONTENTS =
  'function FindProxyForURL(url, host) { return host == "espn.com" ? "PROXY 127.0.0.1:8080" : "DIRECT"; }'
const CONFIGURATION = `
dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }]
users: [{ email: carol@example.com, place: AMS }]
listeners: [{ name: main }, { name: carol, port: 8081, user: carol@example.com }]
`
const executable = findChromium()

async function lab(options: Parameters<typeof startPrivateLab>[0] = {}): Promise<PrivateLab & { api: string }> {
  const running = await startPrivateLab({ apiToken: TOKEN, ...options })
  return { ...running, api: `http://127.0.0.1:${running.lab.api.port}` }
}

async function create(api: string, account: string, body: Readonly<Record<string, unknown>>) {
  const answer = await fetch(`${api}/client/v4/accounts/${account}/gateway/pacfiles`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: answer.status, body: await answer.text() }
}

test('AP-10 a PAC file is served without a token, as what it is, and not to other sites; it survives a restart', async () => {
  const state = mkdtempSync(join(tmpdir(), 'egresslab-pac-'))
  onTestFinished(() => rmSync(state, { recursive: true, force: true }))
  const first = await lab({ ephemeral: false, state })
  const made = await create(first.api, first.lab.config.account.id, {
    name: 'Branch',
    slug: 'branch',
    contents: CONTENTS,
  })
  expect(JSON.parse(made.body).result.url).toBe(`${first.api}/pac/branch`)
  // the slug of the Terraform provider's own example
  const provider = { name: 'DevOps', slug: 'pac_devops', contents: CONTENTS }
  expect((await create(first.api, first.lab.config.account.id, provider)).status).toBe(200)
  expect((await curl(`${first.api}/pac/pac_devops`)).body).toBe(CONTENTS)
  await first.close()

  const second = await lab({ ephemeral: false, state })
  onTestFinished(() => second.close())
  const served = await curl(`${second.api}/pac/branch`)
  expect([served.status, served.headers.get('content-type'), served.body]).toEqual([
    200,
    'application/x-ns-proxy-autoconfig',
    CONTENTS,
  ])
  expect(served.headers.get('cache-control')).toBe('no-store')
  expect([...served.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  expect(await evaluatePac(served.body, 'http://espn.com/', 'http://a.test/')).toEqual([
    'PROXY 127.0.0.1:8080',
    'DIRECT',
  ])
  for (const path of ['/pac/branch/', '/pac/Branch', '/pac/', '/pac', '/pac/branch%2f..', '/PAC/branch']) {
    expect([path, (await curl('--path-as-is', `${second.api}${path}`)).status]).not.toEqual([path, 200])
  }
  expect((await curl('-H', 'Origin: http://evil.test', `${second.api}/pac/branch`)).status).toBe(403)
  expect((await curl('-H', 'Host: evil.test', `${second.api}/pac/branch`)).status).toBeGreaterThanOrEqual(400)
})

test('AP-10 limits: 256 KiB of contents and no more, a slug once and in few letters, and a function to call', async () => {
  const running = await lab()
  onTestFinished(() => running.close())
  const { id } = running.lab.config.account
  const attempt = async (body: Readonly<Record<string, unknown>>) => (await create(running.api, id, body)).status
  const full = CONTENTS.padEnd(256 * 1024, ' ')
  expect(await attempt({ name: 'a', slug: 'full', contents: full })).toBe(200)
  expect((await curl(`${running.api}/pac/full`)).body).toHaveLength(256 * 1024)
  expect(await attempt({ name: 'a', slug: 'longer', contents: `${full} ` })).toBe(400)
  expect(await attempt({ name: 'a', slug: 'bytes', contents: CONTENTS.padEnd(200 * 1024, 'é') })).toBe(400)
  expect(await attempt({ name: 'b', slug: 'full', contents: CONTENTS })).toBe(409)
  expect(await attempt({ name: 'b', contents: 'return "DIRECT"' })).toBe(400)
  for (const slug of ['Upper', '../x', 'a/b', '-a', 'a-', '_a', 'a_', 'a'.repeat(65), 'a b']) {
    expect([slug, await attempt({ name: 'b', slug, contents: CONTENTS })]).toEqual([slug, 400])
  }
})

test('the generated file names the doors that are open, by the name the lab is asked by', async () => {
  const running = await lab({ configFile: file('lab.yaml', CONFIGURATION) })
  onTestFinished(() => running.close())
  const [main, carol] = running.lab.listeners.map(({ port }) => port)
  const ask = async (query: string) => (await curl(`${running.api}/proxy.pac${query}`)).body
  expect(await evaluatePac(await ask(''), 'http://espn.com/', `${running.api}/`)).toEqual([
    `PROXY 127.0.0.1:${main}`,
    'DIRECT',
  ])
  const query = '?listener=carol&scheme=socks5&direct=*.corp.test&direct=wiki.test'
  expect(await evaluatePac(await ask(query), 'http://espn.com/', 'http://a.corp.test/', 'http://wiki.test/')).toEqual([
    `SOCKS5 127.0.0.1:${carol}`,
    'DIRECT',
    'DIRECT',
  ])
  const answer = await curl(`${running.api}/proxy.pac`)
  expect(answer.headers.get('content-type')).toBe('application/x-ns-proxy-autoconfig')
  for (const bad of ['?listener=nope', '?scheme=ftp', '?direct=%22%5D']) {
    expect([bad, (await curl(`${running.api}/proxy.pac${bad}`)).status]).toEqual([bad, 400])
  }
})

test('the generated file sends browsers to a listener with a sign-in page where there is one', async () => {
  const listeners = '[{ name: main }, { name: people, port: 8081, endpoint: { kind: identity, sign_in: page } }]'
  const configuration = CONFIGURATION.replace(/listeners: .*/, `listeners: ${listeners}`)
  const running = await lab({ configFile: file('browsers.yaml', configuration) })
  onTestFinished(() => running.close())
  const [main, people] = running.lab.listeners.map(({ port }) => port)
  const proxyOf = async (query: string) =>
    (await evaluatePac((await curl(`${running.api}/proxy.pac${query}`)).body, 'http://espn.com/'))[0]
  expect(await proxyOf('')).toBe(`PROXY 127.0.0.1:${people}`)
  expect(await proxyOf('?listener=main')).toBe(`PROXY 127.0.0.1:${main}`)
})

test('the authority’s certificate is there without a token, as browsers take it', async () => {
  const running = await lab()
  onTestFinished(() => running.close())
  const answer = await curl(`${running.api}/ca.pem`)
  expect(answer.headers.get('content-type')).toBe('application/x-x509-ca-cert')
  expect(answer.body).toBe(readFileSync(running.lab.authorityFile, 'utf8'))
  expect(new X509Certificate(answer.body).ca).toBe(true)
})

test.skipIf(executable === undefined)('Chromium follows the generated file: through the lab, and past it', async () => {
  const running = await lab({ configFile: file('lab.yaml', CONFIGURATION) })
  onTestFinished(() => running.close())
  const beside = createServer((_req, res) => res.end('reached directly'))
  beside.listen(0, '127.0.0.1')
  await once(beside, 'listening')
  onTestFinished(() => void beside.close())
  const { port } = beside.address() as AddressInfo
  const browser = await openBrowser({
    executable: executable ?? '',
    switches: [
      `--proxy-pac-url=${running.api}/proxy.pac?listener=carol&direct=beside.test`,
      '--host-resolver-rules=MAP beside.test 127.0.0.1',
    ],
  })
  onTestFinished(() => browser.close())
  await browser.page.goto('http://ipv4.icanhazip.com/')
  expect(await browser.page.textContent('body')).toContain('203.0.113.10')
  await browser.page.goto(`http://beside.test:${port}/`)
  expect(await browser.page.textContent('body')).toBe('reached directly')
  expect(running.lab.sessions.recent().every(({ Lab }) => Lab.listener === 'carol')).toBe(true)
})
