// The console at the size policies have: 41 rules, 12 people, 9 services with allowlists.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { complete, SELECTORS } from '../../console/src/rules/vocabulary.ts'
import { SLOT_NAMES, SLOT_SCHEMES } from '../../src/policy/fields.ts'
import { type Browser, findChromium, openBrowser } from './browser.ts'
import { type ConsoleLab, startConsoleLab, visit } from './running-lab.ts'

const executable = findChromium()

test('the editor knows every field of the language, each in its expression', () => {
  const known = Object.entries(SELECTORS).map(([name, { slot, isMany = false }]) => `${slot} ${name} ${isMany}`)
  const real = (['traffic', 'identity', 'devicePosture'] as const).flatMap((slot) =>
    [...SLOT_SCHEMES[slot].fields].map(([name, { type }]) => `${SLOT_NAMES[slot]} ${name} ${typeof type !== 'string'}`),
  )
  expect(known.sort()).toEqual(real.sort())
})

test('completes fields of the expression at hand, lists by their names and values of the field before', () => {
  const known = {
    groups: ['Finance', 'HR'],
    people: ['alice@example.com'],
    lists: [{ id: 'c7678c5e-258a-5e3c-984a-055c8ccf9268', name: 'Auditors' }],
    networks: [{ id: 'bc394015-009b-5a2f-b831-d4eadded39ea', name: 'vnet-AMER' }],
    hosts: ['bank.saas.test'],
    checks: [],
  }
  const texts = (...asked: Parameters<typeof complete>) => complete(...asked).options.map(({ text }) => text)
  expect(texts('traffic', 'net.dst.po', known)).toEqual(['net.dst.port'])
  expect(texts('identity', 'net.dst.po', known)).toEqual([])
  expect(texts('identity', 'any(identity.groups.name[*] == "fi', known)).toEqual(['"Finance"'])
  expect(texts('identity', 'identity.email in $aud', known)).toEqual(['$c7678c5e-258a-5e3c-984a-055c8ccf9268'])
  expect(texts('traffic', 'net.vnet_id == "', known)).toEqual(['"bc394015-009b-5a2f-b831-d4eadded39ea"'])
  expect(texts('traffic', 'net.fqdn.host == "bank.saas.test" and ', known)).toEqual([])
})

describe.skipIf(executable === undefined)('the console with the company', () => {
  let lab: ConsoleLab
  let browser: Browser
  beforeAll(async () => {
    lab = await startConsoleLab(4, 'config/examples/company/lab.yaml')
    browser = await openBrowser({ executable: executable ?? '' })
    await visit(browser.page, lab, '/')
  })
  afterAll(async () => {
    await browser?.close()
    await lab?.close()
  })

  test('rules: found by what they say, by what is wrong with them, by group and by address', async () => {
    const { page } = browser
    await visit(page, lab, '/rules')
    const names = () => page.locator('.rule-open').allTextContents()
    await expect.poll(async () => (await names()).length).toBe(41)
    await page.getByLabel('Search rules').fill('auditors')
    await expect.poll(names).toEqual(['Auditors to the bank'])
    await page.getByRole('button', { name: 'Clear' }).click()
    await page.getByLabel('Show').selectOption('never reached')
    await expect.poll(names).toContain('Customs for Hamburg')
    await page.getByLabel('Show').selectOption('can never match')
    await expect.poll(names).toEqual(['CRM and its reports'])
    await page.getByLabel('Show').selectOption('Show: all')
    await page.getByLabel('Group').selectOption('HR')
    await expect.poll(names).toEqual(['Payroll for HR', 'People portal for HR'])
    await page.getByLabel('Egress').selectOption('203.0.113.60 FRA')
    await expect.poll(names).toEqual(['People portal for HR'])
    expect(new URL(page.url()).search).toBe('?group=HR&egress=203.0.113.60')
  })

  test('rules: several switched at once', async () => {
    const { page } = browser
    await visit(page, lab, '/rules?q=crm')
    await page.getByRole('checkbox', { name: 'Select CRM for Sales', exact: true }).check()
    await page.getByRole('checkbox', { name: 'Select CRM for Support' }).check()
    await page.getByRole('button', { name: 'Switch off' }).click()
    await page.getByRole('group', { name: 'Selected rules' }).waitFor({ state: 'detached' })
    await page.getByLabel('Show').selectOption('switched off')
    await expect.poll(() => page.locator('.rule-open').allTextContents()).toEqual(['CRM for Sales', 'CRM for Support'])
    for (const name of ['CRM for Sales', 'CRM for Support']) {
      await page.getByRole('switch', { name: `${name} enabled`, exact: true }).click()
    }
    await page.getByText('No rule fits this filter').waitFor()
  })

  test('rules: written by the form, and completed by name while typing', async () => {
    const { page } = browser
    await visit(page, lab, '/rules')
    await page.getByRole('button', { name: 'New rule' }).click()
    await page.getByText('Write the expressions for me').click()
    await page.getByLabel('Who').selectOption('group Finance')
    await page.getByLabel('Where to').selectOption('a domain and its subdomains')
    await page.getByLabel('Which').fill('Tax.example')
    await page.getByRole('button', { name: 'Write', exact: true }).click()
    expect(await page.getByLabel('Traffic').inputValue()).toBe('any(net.fqdn.domains[*] == "tax.example")')
    expect(await page.getByLabel('Identity').inputValue()).toBe('any(identity.groups.name[*] == "Finance")')
    await page.getByLabel('Identity').fill('')
    await page.getByLabel('Identity').pressSequentially('identity.email in $Aud')
    await page.getByRole('option', { name: 'Auditors list' }).waitFor()
    await page.keyboard.press('Enter')
    expect(await page.getByLabel('Identity').inputValue()).toMatch(/^identity\.email in \$[0-9a-f-]{36}$/)
    await page.getByText('the user’s email address, in lower case').waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
  })

  test('matrix: what changes without a data center, the reason of a cell, and all of it by keyboard', async () => {
    const { page } = browser
    await visit(page, lab, '/matrix')
    const cell = (who: string, at: number) =>
      page
        .getByRole('row', { name: new RegExp(`^${who}`) })
        .getByRole('cell')
        .nth(at)
    await expect.poll(() => cell('alice', 0).textContent()).toBe('LHR✓let in')
    expect(await cell('bob', 0).textContent()).toBe('AMS✕refused')
    await page.getByRole('button', { name: 'LHR down' }).click()
    await expect.poll(() => cell('alice', 0).textContent()).toBe('IAD✓let inwas LHR')
    await page.getByText(/\d+ connections would change without LHR\./).waitFor()
    expect(new URL(page.url()).search).toBe('?down=LHR')
    await cell('alice', 0).getByRole('button').focus()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowRight')
    await page.keyboard.press('ArrowLeft')
    await page.keyboard.press('Enter')
    const drawer = page.getByRole('dialog')
    await drawer.getByText('bob → bank.saas.test:443').waitFor()
    await drawer.getByText('Refuses').waitFor()
    await drawer.getByText('Everything else from shared egress').first().waitFor()
    await page.keyboard.press('Escape')
    await page.getByLabel('Virtual networks').selectOption('all')
    await page.getByRole('row', { name: /^alice vnet-EMEA/ }).waitFor()
    await page.getByLabel('Group').selectOption('Finance')
    await expect.poll(() => page.getByRole('row').count()).toBe(7)
  })

  test('no page complained of an error or of its security policy', () => {
    expect(browser.complaints).toEqual([])
  })
})
