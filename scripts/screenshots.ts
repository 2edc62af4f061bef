// Pictures of every view of the console, of a lab of its own with traffic on the move. Without an argument those that the
// documentation shows, into docs/images; with a folder all of them there: three widths, both themes, before and with data.
// `node scripts/run.mjs scripts/screenshots.ts [folder]`

import { mkdirSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { findChromium, openBrowser } from '../test/console/browser.ts'
import { openTunnel } from '../test/console/held-tunnel.ts'
import { type ConsoleLab, configFileOf, startConsoleLab, visit } from '../test/console/running-lab.ts'

interface View {
  readonly name: string
  readonly path: string
  readonly prepare?: (page: Page) => Promise<unknown>
}

interface Look {
  readonly width: number
  readonly height: number
  readonly theme: 'light' | 'dark'
}

const VIEWS: readonly View[] = [
  { name: 'live', path: '/' },
  { name: 'sessions', path: '/sessions' },
  {
    name: 'session',
    path: '/sessions?q=bank',
    prepare: async (page) => {
      await page.locator('.rows-body [role=row]').first().click()
      await page.getByText('As a policy test').waitFor()
    },
  },
  {
    name: 'rules',
    path: '/rules?q=customs',
    prepare: (page) => page.getByRole('button', { name: 'Customs for Hamburg', exact: true }).click(),
  },
  {
    name: 'rule-effect',
    path: '/rules',
    prepare: async (page) => {
      await page.getByRole('button', { name: 'Edit Finance to the bank' }).click()
      await page.getByRole('combobox', { name: 'Leaves from' }).selectOption('203.0.113.50')
      await page.getByText('would change').waitFor()
    },
  },
  {
    name: 'rule-mistake',
    path: '/rules',
    prepare: async (page) => {
      await page.getByRole('button', { name: 'Edit Finance to the bank' }).click()
      await page.getByLabel('Traffic').fill('any(net.fqdn.domains[*] == "bank.saas.test") and net.dst.prot == 443')
      await page.getByText('did you mean').waitFor()
      await page.getByLabel('Identity').fill('')
      await page.getByLabel('Identity').pressSequentially('identity.email in $')
      await page.locator('.completions').waitFor()
    },
  },
  {
    name: 'explain',
    path: '/explain?destination=https://bank.saas.test/&user=alice@example.com&colos_down=LHR',
    prepare: (page) => page.getByText('Rules, in order').waitFor(),
  },
  {
    name: 'matrix',
    path: '/matrix?down=LHR',
    prepare: (page) => page.locator('td.changed').first().waitFor(),
  },
  { name: 'connect', path: '/connect', prepare: (page) => page.getByText('One request').waitFor() },
  {
    name: 'people',
    path: '/account?of=people',
    prepare: (page) => page.getByText('Alice Archer').waitFor(),
  },
  { name: 'clock', path: '/clock', prepare: (page) => page.getByText('Go there').waitFor() },
  {
    name: 'me',
    path: '/me',
    prepare: async (page) => {
      await page.getByLabel('Email').fill('mike@example.com')
      await page.getByLabel('Proxy password').fill('lab-mike')
      await page.getByRole('button', { name: 'Show my choices' }).click()
      await page.getByText('203.0.113.50').waitFor()
    },
  },
]

const WIDTHS = [
  { width: 390, height: 844 },
  { width: 1280, height: 800 },
  { width: 2560, height: 1440 },
] as const
const ALL: readonly Look[] = WIDTHS.flatMap((size) => (['light', 'dark'] as const).map((theme) => ({ ...size, theme })))
const SHOWN: readonly Look[] = [
  { width: 1280, height: 800, theme: 'light' },
  { width: 1280, height: 800, theme: 'dark' },
  { width: 390, height: 844, theme: 'dark' },
]

/** What stays open while pictures are taken. */
const HELD: readonly (readonly [who: string, target: string])[] = [
  ['alice', 'bank.saas.test:443'],
  ['frank', 'payments.saas.test:443'],
  ['ivan', 'erp.saas.test:443'],
  ['kenji', 'warehouse.saas.test:443'],
  ['carol', 'crm.saas.test:443'],
  ['priya', 'tickets.saas.test:443'],
  ['bob', 'code.test:443'],
  ['carol;vnet=vnet-AMER', 'ipv4.icanhazip.com:443'],
  ['heidi;vnet=vnet-EMEA', 'ipv6.icanhazip.com:443'],
  ['mike', 'bank.saas.test:443'],
]
const REQUESTS: readonly (readonly [who: string, url: string])[] = [
  ['alice', 'http://bank.saas.test/'],
  ['frank', 'http://payroll.saas.test/'],
  ['carol', 'http://bank.saas.test/'],
  ['judy', 'http://payroll.saas.test/'],
  ['dave', 'http://nowhere.invalid/'],
  ['kenji', 'http://warehouse.saas.test/'],
  ['priya', 'http://ipv6.icanhazip.com/'],
  ['mike', 'http://people.saas.test/'],
]

const executable = findChromium()
if (executable === undefined) process.exit(2)
const [given] = process.argv.slice(2)
const folder = given ?? 'docs/images'
mkdirSync(folder, { recursive: true })
const lab = await startConsoleLab(8, configFileOf(lateGeolocation()))
if (given !== undefined) await shoot(lab, ALL.slice(0, 4), 'empty-')
const held = await makeTraffic(lab)
await shoot(lab, given === undefined ? SHOWN : ALL, '')
for (const socket of held) socket.destroy()
await lab.close()

/** The company, with one address whose new place other sites do not know yet. */
function lateGeolocation(): string {
  const shipped = readFileSync('config/examples/company/lab.yaml', 'utf8')
  return shipped.replace(/- \{ colo: EWR,/, '- { colo: EWR, geolocation_updated_at: 2037-06-01T00:00:00Z,')
}

async function makeTraffic({ proxy, send }: ConsoleLab): Promise<Socket[]> {
  for (const [who, url] of [...REQUESTS, ...REQUESTS]) await send(who, url)
  const port = Number(proxy.split(':')[1])
  return Promise.all(HELD.map(([who, target]) => openTunnel(port, who, target)))
}

async function shoot(of: ConsoleLab, looks: readonly Look[], prefix: string): Promise<void> {
  for (const { width, height, theme } of looks) {
    const browser = await openBrowser({
      executable: executable ?? '',
      width,
      height,
      colorScheme: theme,
      reducedMotion: 'reduce',
    })
    await visit(browser.page, of, '/')
    browser.page.setDefaultTimeout(60_000)
    for (const { name, path, prepare } of viewsFor(width, prefix)) {
      if (path === '/me') await browser.page.goto(`${of.url}/me`)
      else await visit(browser.page, of, path)
      await prepare?.(browser.page)
      await settled(browser.page)
      await browser.page.screenshot({ path: join(folder, `${prefix}${name}-${width}-${theme}.png`) })
    }
    await browser.close()
  }
}

/** Empty views are those two that traffic fills; the documentation shows few narrow ones. */
function viewsFor(width: number, prefix: string): readonly View[] {
  if (prefix !== '') return VIEWS.slice(0, 2)
  const isForDocs = given === undefined && width === SHOWN.at(-1)?.width
  return isForDocs ? VIEWS.filter(({ name }) => ['live', 'sessions', 'rules', 'matrix', 'me'].includes(name)) : VIEWS
}

/** Waits until nothing has been asked of the lab for a while, so that every part of the view is there. */
async function settled(page: Page): Promise<void> {
  await page.evaluate(`new Promise((resolve) => {
    const look = () => {
      const last = Math.max(0, ...performance.getEntriesByType('resource').map(({ responseEnd }) => responseEnd))
      const isQuiet = performance.now() - last > 400 && document.querySelector('.skeleton') === null
      if (isQuiet) resolve()
      else requestAnimationFrame(look)
    }
    look()
  })`)
}
