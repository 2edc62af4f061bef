// The fleet in the console of one member: its members, the sessions of all of them, and what it says while NATS is away.

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { buildConsole } from '../../scripts/build-console.mjs'
import { curl } from '../support/curl.ts'
import { FLEET_ORIGIN, FLEET_TOKEN, FLEET_USER, TestFleet, type TestMember } from '../support/fleet.ts'
import { PATIENT, TEST_LIMIT_MS } from '../support/patience.ts'
import { type Browser, findChromium, openBrowser, overflowOf, seriousViolations } from './browser.ts'
import { visit } from './running-lab.ts'

const executable = findChromium()

const LOOKS = [
  { colorScheme: 'light', width: 1280 },
  { colorScheme: 'dark', width: 1280 },
  { colorScheme: 'light', width: 390 },
  { colorScheme: 'dark', width: 390 },
] as const

describe.skipIf(executable === undefined)('the fleet in the console', () => {
  const fleet = new TestFleet()
  let ams: TestMember
  let lhr: TestMember
  let browser: Browser
  const open = (path: string, at = browser, member = ams) => visit(at.page, { url: member.api() }, path, FLEET_TOKEN)
  const send = (member: TestMember) => curl('-x', member.proxy(), '-U', FLEET_USER, FLEET_ORIGIN)
  const row = (name: string) => browser.page.getByRole('row', { name: new RegExp(name) })

  beforeAll(async () => {
    expect(buildConsole(process.execPath)).toBeUndefined()
    await fleet.begin()
    ams = fleet.member(0, 'AMS')
    lhr = fleet.member(1, 'LHR')
    await Promise.all([ams.start(), lhr.start()])
    for (const member of [ams, lhr]) await member.sees({ 'ams-1': 'up', 'lhr-1': 'up' })
    browser = await openBrowser({ executable: executable ?? '', width: 1440, height: 1000 })
  }, TEST_LIMIT_MS)
  afterAll(async () => {
    await browser?.close()
    await fleet.end()
  }, TEST_LIMIT_MS)

  test('every member with its data center, state, link and revision; drained and brought back with a click', async () => {
    const { page } = browser
    await open('/')
    await page.getByRole('link', { name: 'Fleet' }).click()
    await row('ams-1.*this one.*AMS.*live').waitFor()
    await row('lhr-1.*LHR.*live.*up').waitFor()
    await page.getByRole('button', { name: 'Drain lhr-1' }).click()
    await row('lhr-1.*drained').waitFor()
    expect((await lhr.status()).members).toContainEqual(expect.objectContaining({ name: 'lhr-1', state: 'drained' }))
    await page.getByRole('button', { name: 'Bring back lhr-1' }).click()
    await row('lhr-1.*live').waitFor()
  })

  test('sessions of another member: those before the page was open, those while it is, and each told whole', async () => {
    const { page } = browser
    await send(lhr)
    await vi.waitFor(async () => expect((await lhr.status()).sessions_sent).toBeGreaterThanOrEqual(1), PATIENT)
    await open('/sessions?member=lhr-1')
    const rows = page.locator('.rows-body [role=row]')
    await rows.first().waitFor()
    const before = await rows.count()
    await send(lhr)
    await expect.poll(() => rows.count()).toBe(before + 1)
    await rows.first().click()
    const drawer = page.getByRole('dialog')
    await drawer.getByText('of member lhr-1').waitFor()
    await page.keyboard.press('Escape')
    await send(ams)
    await page.getByLabel('Member').selectOption('ams-1')
    await expect.poll(() => rows.count()).toBe(1)
  })

  test('a member that dies is lost, and live again when it is back', async () => {
    await open('/fleet')
    await row('lhr-1.*live').waitFor()
    await lhr.kill()
    await row('lhr-1.*lost').waitFor()
    await lhr.start()
    await row('lhr-1.*live').waitFor()
  })

  test('without NATS every page says so and since when, and what other members carried meanwhile comes afterwards', async () => {
    const { page } = browser
    await open('/sessions?member=lhr-1')
    const rows = page.locator('.rows-body [role=row]')
    await rows.first().waitFor()
    const before = await rows.count()
    await fleet.servers[0]?.kill()
    await page
      .getByRole('alert')
      .getByText(/Cut off from fleet acme since \d/)
      .waitFor()
    await page.getByText('NATS is away: of the other members there are the sessions until').waitFor()
    const { result } = await ams.ask('GET', '/lab/v1/health')
    expect(result.troubles[0]).toMatch(/^cut off from the fleet since \d{4}-.*Z: /)
    await send(lhr)
    await page.getByRole('link', { name: 'Fleet' }).click()
    await row('ams-1.*cut off').waitFor()
    await page.getByRole('button', { name: 'Drain lhr-1' }).click()
    await page.getByText(/This member cannot change the fleet/).waitFor()
    await fleet.servers[0]?.start()
    await page.getByRole('alert').filter({ hasText: 'Cut off from' }).waitFor({ state: 'detached' })
    await page.goBack()
    await expect.poll(() => rows.count()).toBe(before + 1)
  })

  describe.each(LOOKS)('$colorScheme, $width px', (look) => {
    test('its page is for everybody: also while cut off, and by keyboard', async () => {
      const one = await openBrowser({ executable: executable ?? '', ...look, reducedMotion: 'reduce' })
      try {
        const { page } = one
        const fits = async () => {
          expect(await seriousViolations(page)).toEqual([])
          expect(await overflowOf(page), 'the page scrolls sideways').toBeLessThanOrEqual(0)
        }
        await open('/fleet', one)
        await page.getByRole('button', { name: 'Drain lhr-1' }).waitFor()
        await fits()
        await page.getByRole('button', { name: 'Drain lhr-1' }).focus()
        await page.keyboard.press('Enter')
        await page.getByRole('button', { name: 'Bring back lhr-1' }).waitFor()
        await fits()
        await page.keyboard.press('Enter')
        await page.getByRole('button', { name: 'Drain lhr-1' }).waitFor()
        await fleet.servers[0]?.kill()
        await page
          .getByRole('alert')
          .getByText(/Cut off from/)
          .waitFor()
        await fits()
        await open('/sessions', one)
        await page.getByText('NATS is away').waitFor()
        await fits()
        await fleet.servers[0]?.start()
        await page.getByText('NATS is away').waitFor({ state: 'detached' })
        await lhr.sees({ 'ams-1': 'up', 'lhr-1': 'up' })
        expect(one.complaints).toEqual([])
      } finally {
        await one.close()
      }
    })
  })
})
