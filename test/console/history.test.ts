// The history in the console: what rules were, the way back, and who changed what; for a viewer without what they may not.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Browser, findChromium, openBrowser } from './browser.ts'
import { type ConsoleLab, startConsoleLab, visit } from './running-lab.ts'

const executable = findChromium()

describe.skipIf(executable === undefined)('the history', () => {
  let lab: ConsoleLab
  let browser: Browser
  const names = async () => {
    const { id } = lab.lab.snapshot().account
    const rules = (await lab.ask('GET', `/client/v4/accounts/${id}/gateway/rules`)) as { id: string; name: string }[]
    return { rules, path: `/client/v4/accounts/${id}/gateway/rules` }
  }
  beforeAll(async () => {
    lab = await startConsoleLab(3)
    browser = await openBrowser({ executable: executable ?? '' })
    const { rules, path } = await names()
    await lab.ask('DELETE', `${path}/${rules.find(({ name }) => name === 'Finance to the bank')?.id}`)
  })
  afterAll(async () => {
    await browser?.close()
    await lab?.close()
  })

  test('an admin sees what each revision changed and who did it, and goes back with one click', async () => {
    const { page, complaints } = browser
    await visit(page, lab, '/history')
    await page.getByText('removed Finance to the bank').waitFor()
    await page.getByText('api-token (admin)').first().waitFor()
    await page.getByRole('button', { name: /^Restore revision/ }).click()
    await page.getByText(/Rules and lists are those of revision \d+ again\./).waitFor()
    await page.getByText('added Finance to the bank').first().waitFor()
    expect((await names()).rules.map(({ name }) => name)).toContain('Finance to the bank')
    const entry = page.locator('summary', { hasText: 'created rule Finance to the bank' })
    await entry.click()
    await page.locator('ins', { hasText: 'any(net.fqdn.domains[*] == "bank.saas.test")' }).waitFor()
    expect(await page.locator('details[open] dt').allTextContents()).toContain('egress ipv4 fallback')
    expect(complaints).toEqual([])
  })

  test('on a phone all of it is in view, nothing beside the screen', async () => {
    const { page } = browser
    await page.setViewportSize({ width: 390, height: 844 })
    try {
      for (const part of ['Revisions of the rules', 'Who changed what']) {
        const card = page.getByRole('region', { name: part })
        await card.waitFor()
        expect(await card.evaluate((element) => element.scrollWidth - element.clientWidth)).toBe(0)
      }
    } finally {
      await page.setViewportSize({ width: 1280, height: 800 })
    }
  })

  test('a viewer sees the revisions, a button that says what it takes, and no audit', async () => {
    const { token } = (await lab.ask('POST', '/lab/v1/tokens', { name: 'vera', role: 'viewer' })) as { token: string }
    const { page, context } = browser
    await context.clearCookies()
    await page.goto(`${lab.url}/history`)
    await page.getByLabel('API token').fill(token)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('vera (viewer)').waitFor()
    const restore = page.getByRole('button', { name: /^Restore revision/ }).first()
    await restore.waitFor()
    expect([
      await restore.isDisabled(),
      await restore.locator('xpath=ancestor::fieldset[1]').getAttribute('title'),
    ]).toEqual([true, 'This needs an admin.'])
    await page.getByText('Who changed what is for admins to see; you are viewer.').waitFor()
    expect(await page.getByText('api-token (admin)').count()).toBe(0)
  })

  test.each([
    ['vera', 'viewer', { '/clock': 'This needs an operator.', '/rules': 'This needs an admin.' }],
    ['otto', 'operator', { '/clock': null, '/rules': 'This needs an admin.' }],
  ] as const)('%s, %s, finds what they may not use disabled, with the reason', async (name, role, pages) => {
    const { page, context } = browser
    await context.clearCookies()
    const { token } = (await lab.ask('POST', '/lab/v1/tokens', { name: `${name} again`, role })) as { token: string }
    await page.goto(`${lab.url}/clock`)
    await page.getByLabel('API token').fill(token)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText(`${name} again (${role})`).waitFor()
    const one = { '/clock': page.getByRole('button', { name: 'Set', exact: true }), '/rules': page.getByRole('switch') }
    for (const path of ['/clock', '/rules'] as const) {
      await page.goto(lab.url + path)
      await page.getByText(`${name} again (${role})`).waitFor()
      const control = one[path].first()
      await expect.poll(() => control.isDisabled()).toBe(pages[path] !== null)
      expect(await control.locator('xpath=ancestor::fieldset[1]').getAttribute('title')).toBe(pages[path])
    }
    await page.goto(`${lab.url}/rules`)
    // reading and trying stay what they were
    await page.getByRole('button', { name: 'New rule' }).click()
    expect(await page.getByRole('button', { name: 'Save' }).isDisabled()).toBe(true)
    expect(await page.getByRole('button', { name: 'Cancel' }).isEnabled()).toBe(true)
  })
})
