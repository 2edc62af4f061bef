// The console behind the proxies people have: TLS by nginx and HAProxy of Debian, below a path and at the root, in a real Chromium. And
// set up wrongly, where every page says what is to be set.

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Browser, findChromium, openBrowser } from '../console/browser.ts'
import { type ConsoleLab, configFileOf, startConsoleLab, TOKEN } from '../console/running-lab.ts'
import { type Front, type FrontFiles, frontFiles, NAME, startHaproxy, startNginx } from '../support/fronts.ts'
import { installed } from '../support/installed.ts'
import { ownPort } from '../support/own-network.ts'

const executable = findChromium()
const nginx = installed('nginx', 'nginx-light')
const haproxy = installed('haproxy', 'haproxy')

const TELLS = `proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header Forwarded "";`

const server = ({ certificate, key }: FrontFiles, port: number, locations: string) => `  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${certificate};
    ssl_certificate_key ${key};
${locations}
  }`

const haproxyFile = ({ both }: FrontFiles, port: number, labPort: number) => `global
  maxconn 100
defaults
  mode http
  timeout connect 5s
  timeout client 1m
  timeout server 1m
frontend front
  bind 127.0.0.1:${port} ssl crt ${both}
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  http-request del-header Forwarded
  default_backend lab
backend lab
  server lab 127.0.0.1:${labPort}
`

const withApi = (api: string) =>
  configFileOf(readFileSync('config/lab.yaml', 'utf8').replace(/^api:\n(?: .*\n)+/m, `api: ${api}\n`))
const labPort = ({ lab }: ConsoleLab) => lab.api.port

async function signIn({ page }: Browser, path: string): Promise<void> {
  await page.goto(`https://${NAME}${path}`)
  await page.getByLabel('API token').fill(TOKEN)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('live', { exact: true }).first().waitFor()
}

describe.skipIf(executable === undefined || nginx === undefined || haproxy === undefined)('behind', () => {
  const labs: ConsoleLab[] = []
  const fronts: Front[] = []
  let files: FrontFiles
  let below: ConsoleLab
  let atRoot: ConsoleLab
  let plain: ConsoleLab
  beforeAll(async () => {
    files = await frontFiles()
    below = await startConsoleLab(
      4,
      withApi(`{ public_url: "https://${NAME}/egresslab/", trusted_proxies: [127.0.0.1] }`),
    )
    atRoot = await startConsoleLab(5, withApi(`{ public_url: "https://${NAME}/", trusted_proxies: [127.0.0.1] }`))
    plain = await startConsoleLab(6)
    labs.push(below, atRoot, plain)
  })
  afterAll(async () => {
    for (const front of fronts) await front.close()
    for (const lab of labs) await lab.close()
  })

  const inFront = async (number: number, open: (port: number) => Promise<Front>) => {
    const front = await open(ownPort(number))
    fronts.push(front)
    return openBrowser({ executable: executable ?? '', switches: files.switches(front.port) })
  }
  const behindNginx = (number: number, locations: (port: number) => string) =>
    inFront(number, (port) => startNginx(nginx ?? '', files, port, server(files, port, locations(port))))

  test.each([
    [
      'nginx below a path, which it leaves',
      '/egresslab',
      () => behindNginx(40, () => `location /egresslab/ { proxy_pass http://127.0.0.1:${labPort(below)}; ${TELLS} }`),
    ],
    [
      'nginx below a path, which it takes away',
      '/egresslab',
      () => behindNginx(42, () => `location /egresslab/ { proxy_pass http://127.0.0.1:${labPort(below)}/; ${TELLS} }`),
    ],
    [
      'nginx at the root',
      '',
      () => behindNginx(44, () => `location / { proxy_pass http://127.0.0.1:${labPort(atRoot)}; ${TELLS} }`),
    ],
    [
      'HAProxy below a path',
      '/egresslab',
      () => inFront(46, (port) => startHaproxy(haproxy ?? '', files, port, haproxyFile(files, port, labPort(below)))),
    ],
    [
      'HAProxy at the root',
      '',
      () => inFront(48, (port) => startHaproxy(haproxy ?? '', files, port, haproxyFile(files, port, labPort(atRoot)))),
    ],
  ] as const)('%s: sign-in, live events, links, reloads, changes and sign-out', async (_, base, open) => {
    const lab = base === '' ? atRoot : below
    const browser = await open()
    const { page, context, complaints } = browser
    const failed: string[] = []
    page.on('response', (response) => {
      if (response.status() >= 400 && response.status() !== 401) failed.push(`${response.status()} ${response.url()}`)
    })
    try {
      await signIn(browser, `${base}/`)
      const cookies = await context.cookies(`https://${NAME}/`)
      const cookie = cookies.find(({ name }) => name.includes('session'))
      expect(cookie).toMatchObject({
        name: `__Host-egresslab_session_443${base.replace('/', '_')}`,
        secure: true,
        httpOnly: true,
        sameSite: 'Strict',
        path: '/',
      })
      // an event that comes while the stream is open, through the front's buffers
      await page.getByRole('link', { name: 'Sessions', exact: true }).click()
      await page.waitForURL(`https://${NAME}${base}/sessions`)
      await lab.send('bob', 'http://bank.saas.test/')
      await page.locator('.rows-body [role=row]').filter({ hasText: 'bank.saas.test' }).first().waitFor()
      // a view by its address, and its own links
      await page.goto(`https://${NAME}${base}/account`)
      await page.getByRole('switch').first().waitFor()
      await page.getByRole('link', { name: 'egresslab' }).click()
      await page.waitForURL(`https://${NAME}${base}/`)
      await page.goto(`https://${NAME}${base}/me`)
      await page.getByLabel('Email').fill('bob@example.com')
      await page.getByLabel('Proxy password').fill('lab-bob')
      await page.getByRole('button', { name: 'Show my choices' }).click()
      await page.getByText('vnet-EMEA').first().click()
      await page.goto(`https://${NAME}${base}/`)
      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.getByLabel('API token').waitFor()
      expect(complaints).toEqual([])
      expect(failed).toEqual([])
      expect(new Set((await context.cookies()).map(({ secure }) => secure)).has(false)).toBe(false)
    } finally {
      await browser.close()
    }
  })

  test('labs below two paths of one front are a step away from each other', async () => {
    const locations = () =>
      `location / { proxy_pass http://127.0.0.1:${labPort(atRoot)}; ${TELLS} }
      location /egresslab/ { proxy_pass http://127.0.0.1:${labPort(below)}; ${TELLS} }`
    const browser = await behindNginx(52, locations)
    const { page } = browser
    try {
      await signIn(browser, '/')
      await signIn(browser, '/egresslab/')
      const choice = page.getByRole('combobox', { name: 'Lab', exact: true })
      await choice.waitFor()
      const words = await choice.locator('option').allTextContents()
      expect(words.map((text) => text.split(' ').at(-1))).toEqual(['/egresslab', '/'])
      await choice.selectOption('/')
      await page.waitForURL(`https://${NAME}/`)
      await choice.selectOption('/egresslab/')
      await page.waitForURL(`https://${NAME}/egresslab/`)
      await page.getByText('live', { exact: true }).first().waitFor()
    } finally {
      await browser.close()
    }
  })

  test('an event stream passes nginx with its default buffering, and goes on after a break where it was', async () => {
    const browser = await behindNginx(
      50,
      () => `location / { proxy_pass http://127.0.0.1:${labPort(atRoot)}; ${TELLS} }`,
    )
    try {
      await signIn(browser, '/')
      const follow = (last: string) =>
        browser.page.evaluate(
          ([lastEventId]) =>
            new Promise<string[]>((resolve) => {
              const seen: string[] = []
              void fetch('/lab/v1/events', { headers: { 'last-event-id': lastEventId ?? '' } }).then(
                async ({ body }) => {
                  const reader = body?.pipeThrough(new TextDecoderStream()).getReader()
                  let text = ''
                  while (!seen.some((line) => line.startsWith('id: ')) && reader !== undefined) {
                    text += (await reader.read()).value ?? ''
                    seen.splice(
                      0,
                      seen.length,
                      ...text.split('\n').filter((line) => /^(id|event):|"resumed"/.test(line)),
                    )
                    if (text.includes('"resumed"')) Object(globalThis).document.title = 'following'
                  }
                  await reader?.cancel()
                  resolve(seen)
                },
              )
            }),
          [last],
        )
      const first = follow('')
      await expect.poll(() => browser.page.title()).toBe('following')
      await atRoot.send('bob', 'http://ipv4.icanhazip.com/')
      const seen = await first
      expect(seen).toContain('event: session')
      const last = seen.find((line) => line.startsWith('id: '))?.slice(4) ?? ''
      await atRoot.send('bob', 'http://ipv4.icanhazip.com/')
      const missed = await follow(last)
      expect(missed[1]).toMatch(/"resumed":true/)
      expect(missed.find((line) => line.startsWith('id: '))).not.toBe(`id: ${last}`)
    } finally {
      await browser.close()
    }
  })

  test.each([
    [
      'the lab’s name is not known to it',
      '/',
      () => `location / { proxy_pass http://127.0.0.1:${labPort(plain)}; proxy_set_header Host $host; }`,
    ],
    ['hiding the name it was asked for', '/', () => `location / { proxy_pass http://127.0.0.1:${labPort(plain)}; }`],
    [
      'below a path that the lab does not know',
      '/egresslab/',
      () => `location /egresslab/ { proxy_pass http://127.0.0.1:${labPort(plain)}/; }`,
    ],
    [
      'by http, behind a name that is https',
      '/',
      () =>
        `location / { proxy_pass http://127.0.0.1:${labPort(atRoot)}; proxy_set_header Host $host; proxy_set_header X-Forwarded-Proto http; }`,
    ],
  ] as const)('nginx set up wrongly, %s: the page says what to set and is not white', async (_, path, locations) => {
    const browser = await behindNginx(60, locations)
    try {
      await browser.page.goto(`https://${NAME}${path}`)
      await expect.poll(() => browser.page.locator('body').innerText()).toContain('api.public_url')
    } finally {
      await browser.close()
      await fronts.pop()?.close()
    }
  })
})
