// Every view, wide and narrow, light and dark: axe finds nothing serious, nothing overflows, and the policy of the page holds.

import { gzipSync } from 'node:zlib'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Browser, findChromium, openBrowser, overflowOf, seriousViolations } from './browser.ts'
import { type ConsoleLab, startConsoleLab, visit } from './running-lab.ts'

const executable = findChromium()

const VIEWS = [
  ['live', '/', async () => undefined],
  [
    'the replay',
    '/',
    async (page: Page) => {
      await page.getByRole('button', { name: 'Replay sessions' }).click()
      await page.getByRole('slider', { name: 'Session' }).waitFor()
    },
  ],
  ['sessions', '/sessions', async () => undefined],
  [
    'a session',
    '/sessions?q=bank',
    async (page: Page) => {
      await page.locator('.rows-body [role=row]').first().click()
      await page.getByText('As a policy test').waitFor()
    },
  ],
  ['rules', '/rules', async (page: Page) => page.locator('.rule').first().waitFor()],
  [
    'the rule editor',
    '/rules',
    async (page: Page) => {
      await page.getByRole('button', { name: 'Edit Finance to the bank' }).click()
      await page.getByLabel('Traffic').fill('net.dst.prot == 443')
      await page.getByText('did you mean').waitFor()
    },
  ],
  [
    'explain',
    '/explain?destination=https://bank.saas.test/&user=alice@example.com',
    async (page: Page) => page.getByText('Rules, in order').waitFor(),
  ],
  ['matrix', '/matrix?down=LHR', async (page: Page) => page.getByRole('cell').first().waitFor()],
  ['history', '/history', async (page: Page) => page.getByText('Revisions of the rules').waitFor()],
  ['connect', '/connect', async (page: Page) => page.getByText('One request').waitFor()],
  ['data centers', '/account', async (page: Page) => page.getByRole('switch').first().waitFor()],
  ['people', '/account?of=people', async (page: Page) => page.getByText('Alice Archer').waitFor()],
  ['virtual networks', '/account?of=networks', async (page: Page) => page.getByText('vnet-EMEA').waitFor()],
  [
    'lists',
    '/account?of=lists',
    async (page: Page) => {
      await page.locator('summary').first().click()
      await page
        .getByRole('button', { name: /^Remove/ })
        .first()
        .waitFor()
    },
  ],
  ['no page', '/no-such-page', async (page: Page) => page.getByText('Page not found').waitFor()],
  ['clock', '/clock', async (page: Page) => page.getByText('203.0.113.10').waitFor()],
  [
    'me',
    '/me',
    async (page: Page) => {
      await page.getByLabel('Email').fill('mike@example.com')
      await page.getByLabel('Proxy password').fill('lab-mike')
      await page.getByRole('button', { name: 'Show my choices' }).click()
      await page.getByText('203.0.113.50').waitFor()
    },
  ],
] as const

const LOOKS = [
  { colorScheme: 'light', width: 1280 },
  { colorScheme: 'dark', width: 1280 },
  { colorScheme: 'light', width: 390 },
  { colorScheme: 'dark', width: 390 },
] as const

describe.skipIf(executable === undefined)('the console is for everybody', () => {
  let lab: ConsoleLab
  beforeAll(async () => {
    lab = await startConsoleLab(3, 'config/examples/company/lab.yaml')
    await lab.send('alice', 'http://bank.saas.test/')
    await lab.send('bob;vnet=vnet-AMER', 'http://ipv4.icanhazip.com/')
    await lab.send('bob', 'http://nowhere.invalid/')
  })
  afterAll(() => lab?.close())

  describe.each(LOOKS)('$colorScheme, $width px', (look) => {
    let browser: Browser
    beforeAll(async () => {
      browser = await openBrowser({ executable: executable ?? '', ...look, reducedMotion: 'reduce' })
      await visit(browser.page, lab, '/')
    })
    afterAll(() => browser?.close())

    test.each(VIEWS)('%s', async (_name, path, prepare) => {
      const { page } = browser
      if (path === '/me') await page.goto(`${lab.url}/me`)
      else await visit(page, lab, path)
      await prepare(page)
      expect(await seriousViolations(page)).toEqual([])
      expect(await overflowOf(page), 'the page scrolls sideways').toBeLessThanOrEqual(0)
      expect(browser.complaints).toEqual([])
    })
  })

  test('the sign-in is accessible too', async () => {
    const browser = await openBrowser({ executable: executable ?? '' })
    try {
      await browser.page.goto(lab.url)
      await browser.page.getByLabel('API token').waitFor()
      expect(await seriousViolations(browser.page)).toEqual([])
    } finally {
      await browser.close()
    }
  })

  test('the first load is at most 120 KB compressed, and nothing comes from anywhere else', async () => {
    const browser = await openBrowser({ executable: executable ?? '' })
    try {
      const sizes: Promise<number>[] = []
      const hosts = new Set<string>()
      browser.page.on('response', (response) => {
        hosts.add(new URL(response.url()).host)
        if (!response.url().includes('/lab/')) sizes.push(response.body().then((body) => gzipSync(body).length))
      })
      await visit(browser.page, lab, '/')
      await browser.page.getByRole('button', { name: /Amsterdam/ }).waitFor()
      const size = (await Promise.all(sizes)).reduce((sum, each) => sum + each, 0)
      expect(size).toBeGreaterThan(40_000)
      expect(size).toBeLessThan(120 * 1024)
      expect([...hosts]).toEqual([new URL(lab.url).host])
    } finally {
      await browser.close()
    }
  })
})
