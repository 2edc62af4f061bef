// A real Chromium for tests, with a profile of its own. Machines without one skip these tests and say so; continuous
// integration (CI=true) installs one and must run them.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { PATIENCE_MS } from '../support/patience.ts'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']

/** The browser's executable; undefined where there is none. Throws in continuous integration. */
export function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const places = folders.flatMap((folder) => NAMES.map((name) => join(folder, name)))
  const found = process.env.EGRESSLAB_CHROMIUM ?? places.find((place) => existsSync(place))
  if (found !== undefined) return found
  if (process.env.CI === 'true') throw new Error('no Chromium: `.ci/run` installs it with apt-get install chromium')
  process.stderr.write(
    'SKIPPED: no Chromium on this machine (apt-get install chromium), so no test of the console runs\n',
  )
  return undefined
}

export interface Browser {
  readonly context: BrowserContext
  readonly page: Page
  /** what pages complained of: exceptions, and violations of their security policy */
  readonly complaints: string[]
  close(): Promise<void>
}

export interface BrowserOptions {
  readonly executable: string
  readonly width?: number
  readonly height?: number
  readonly colorScheme?: 'light' | 'dark'
  readonly reducedMotion?: 'reduce' | 'no-preference'
  /** further command line switches, such as `--proxy-server=…` */
  readonly switches?: readonly string[]
  readonly proxy?: { readonly server: string; readonly username: string; readonly password: string }
}

const SWITCHES = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Visits a site that asks who is there, signs in on the page it is sent to, and waits to be back at the site. */
export async function signInOnPage(
  page: Page,
  site: string,
  [email, password]: readonly [email: string, password: string],
): Promise<void> {
  await page.goto(site)
  await page.waitForURL(/\/authorize\?state=/)
  await page.getByLabel('Email address').fill(email)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(site)
}

export async function openBrowser(options: BrowserOptions): Promise<Browser> {
  const { executable, width = 1280, height = 800, colorScheme = 'light', reducedMotion = 'no-preference' } = options
  const profile = mkdtempSync(join(tmpdir(), 'chromium-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: executable,
    headless: true,
    timeout: PATIENCE_MS,
    args: [...SWITCHES, ...(options.switches ?? [])],
    viewport: { width, height },
    colorScheme,
    reducedMotion,
    ...(options.proxy === undefined ? {} : { proxy: options.proxy }),
  })
  const complaints: string[] = []
  const watch = (page: Page) => {
    page.setDefaultTimeout(PATIENCE_MS)
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      if (/Content Security Policy|Refused to|TrustedType/i.test(message.text())) complaints.push(message.text())
    })
  }
  context.on('page', watch)
  const page = context.pages()[0] ?? (await context.newPage())
  watch(page)
  return {
    context,
    page,
    complaints,
    close: async () => {
      await context.close()
      rmSync(profile, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}

interface Violation {
  readonly id: string
  readonly impact: string
  readonly nodes: readonly { readonly target: unknown; readonly failureSummary: string }[]
}

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

/** What axe finds that is serious or critical. Run in a world of its own, where the page's policy does not reach. */
export async function seriousViolations(page: Page): Promise<string[]> {
  const session = await page.context().newCDPSession(page)
  await session.send('Runtime.evaluate', { expression: readFileSync(axe, 'utf8') })
  const { result } = await session.send('Runtime.evaluate', {
    expression: 'axe.run({ resultTypes: ["violations"] }).then(({ violations }) => JSON.stringify(violations))',
    awaitPromise: true,
    returnByValue: true,
  })
  await session.detach()
  const violations: Violation[] = JSON.parse(String(result.value))
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id} ${JSON.stringify(target)} ${failureSummary}`),
    )
}

/** By how many pixels the page is wider than the window. */
export function overflowOf(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
}
