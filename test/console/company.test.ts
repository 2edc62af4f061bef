// The console at the size policies have: 41 rules, 12 people, 9 services with allowlists.

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { complete, SELECTORS } from '../../console/src/rules/vocabulary.ts'
import { SLOT_NAMES, SLOT_SCHEMES } from '../../src/policy/fields.ts'
import { type Browser, findChromium, openBrowser } from './browser.ts'
import { type ConsoleLab, startConsoleLab, TOKEN, visit } from './running-lab.ts'

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
    checks: [{ id: '4a1603ba-fbaf-5131-af69-aa8f0bd1e3e4', name: 'disk-encryption' }],
  }
  const texts = (...asked: Parameters<typeof complete>) => complete(...asked).options.map(({ text }) => text)
  expect(texts('traffic', 'net.dst.po', known)).toEqual(['net.dst.port'])
  expect(texts('identity', 'net.dst.po', known)).toEqual([])
  expect(texts('identity', 'any(identity.groups.name[*] == "fi', known)).toEqual(['"Finance"'])
  expect(texts('identity', 'identity.email in $aud', known)).toEqual(['$c7678c5e-258a-5e3c-984a-055c8ccf9268'])
  expect(texts('device_posture', 'any(device_posture.checks.passed[*] == "disk', known)).toEqual([
    '"4a1603ba-fbaf-5131-af69-aa8f0bd1e3e4"',
  ])
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

  test('rules: dragged before another one, and moved back by name', async () => {
    const { page } = browser
    await visit(page, lab, '/rules?q=customs')
    const names = () => page.locator('.rule-open').allTextContents()
    const order = ['Customs from the EU', 'Customs for Hamburg', 'Customs for Logistics']
    await expect.poll(names).toEqual(order)
    const row = (name: string) =>
      page.getByRole('listitem').filter({ has: page.getByRole('button', { name, exact: true }) })
    await row('Customs for Hamburg').locator('.rule-grip').dragTo(row('Customs from the EU'))
    await expect.poll(names).toEqual(['Customs for Hamburg', 'Customs from the EU', 'Customs for Logistics'])
    await page.getByRole('button', { name: 'Customs for Hamburg', exact: true }).click()
    await page.getByLabel('Move Customs for Hamburg to').selectOption({ label: 'before 2400 Customs for Logistics' })
    await expect.poll(names).toEqual(order)
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

  test('matrix: reached by keyboard whatever was asked before, and no cell is behind the heads', async () => {
    const { page } = browser
    await page.setViewportSize({ width: 390, height: 500 })
    await visit(page, lab, '/matrix')
    const grid = page.getByRole('table', { name: 'Who leaves from where' })
    await grid.getByRole('button').first().focus()
    await page.keyboard.press('Control+End')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    for (const key of ['ArrowUp', 'ArrowUp', 'ArrowLeft', 'ArrowUp', 'ArrowUp', 'ArrowLeft', 'ArrowUp', 'ArrowUp']) {
      await page.keyboard.press(key)
      const covering = `(() => {
        const { left, top, width, height } = document.activeElement.getBoundingClientRect()
        return [[4, 4], [width - 4, height - 4]]
          .map(([x, y]) => document.elementFromPoint(left + x, top + y))
          .filter((found) => !document.activeElement.contains(found))
          .map((found) => found?.className ?? 'outside')
      })()`
      expect(await page.evaluate(covering), key).toEqual([])
    }
    await page.keyboard.press('Control+End')
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.getByLabel('Group').selectOption('Finance')
    await expect.poll(() => page.getByRole('row').count()).toBe(3)
    await expect.poll(() => grid.locator('button[tabindex="0"]').count()).toBe(1)
    await page.setViewportSize({ width: 1280, height: 800 })
  })

  test('explain: whether the service lets in comes first, and ids have names', async () => {
    const { page } = browser
    await visit(page, lab, '/explain?destination=bank.saas.test&user=carol%40example.com')
    await page
      .getByText(/^bank\.saas\.test refuses .*; its allowlist has 203\.0\.113\.20, 203\.0\.113\.30\.$/)
      .waitFor()
    await page.getByText('identity.email in $Auditors').first().waitFor()
  })

  test('sessions: let in or refused is said and filtered by, and a failed one says why', async () => {
    const { page } = browser
    await lab.send('alice', 'http://bank.saas.test/')
    await lab.send('carol', 'http://bank.saas.test/')
    await lab.send('bob', 'http://nowhere.invalid/')
    await visit(page, lab, '/sessions?let_in=refused')
    const rows = page.locator('.rows-body [role=row]')
    await expect.poll(() => rows.allTextContents()).toEqual([expect.stringMatching(/carol.*refused/)])
    await page.getByLabel('Let in').selectOption('let in')
    await expect.poll(() => rows.allTextContents()).toEqual([expect.stringMatching(/alice.*✓ in/)])
    await visit(page, lab, '/sessions?user=bob%40example.com')
    await rows
      .first()
      .getByText(/There is no host “nowhere.invalid”/)
      .waitFor()
  })

  test('sessions: of rules that nearly matched, those for other destinations and dead ones are left out', async () => {
    const { page } = browser
    await lab.send('mike', 'http://bank.saas.test/')
    await visit(page, lab, '/sessions?user=mike%40example.com')
    await page.locator('.rows-body [role=row]').first().click()
    const near = page.getByRole('dialog').locator('.notice', { hasText: 'Nearly' }).getByRole('listitem')
    await near.first().waitFor()
    expect(await near.allTextContents()).toEqual([
      expect.stringMatching(/^Rule “Finance to the bank” would have matched but for /),
      expect.stringMatching(/^Rule “Auditors to the bank” would have matched but for identity\.email in \$Auditors /),
    ])
  })

  test('connect: a line for one person that works once the password stands in it', async () => {
    const { page } = browser
    await visit(page, lab, '/connect')
    await page.getByRole('combobox', { name: 'As' }).selectOption('frank@example.com')
    const line = (await page.getByRole('region', { name: 'One request' }).locator('pre').textContent()) ?? ''
    expect(line).toBe(`curl -x http://${lab.proxy} -U 'frank@example.com:PASSWORD' http://ipv4.icanhazip.com/`)
    const pac = (await page.getByRole('region', { name: 'Proxy configuration' }).locator('pre').textContent()) ?? ''
    expect(await (await fetch(pac)).text()).toContain(`PROXY ${lab.proxy}`)
    const code = page.getByRole('img', { name: 'QR code of the PAC address' }).locator('path')
    await expect.poll(async () => ((await code.getAttribute('d')) ?? '').split('M').length).toBeGreaterThan(200)
    const download = page.waitForEvent('download')
    await page.getByRole('link', { name: 'Download the certificate' }).click()
    const file = await (await download).path()
    expect(readFileSync(file, 'utf8')).toMatch(/^-----BEGIN CERTIFICATE-----\n/)
  })

  test('live: what was refused and what failed is counted, sessions are replayed, and the matrix is one step away', async () => {
    const { page } = browser
    await lab.send('alice', 'http://bank.saas.test/')
    await lab.send('carol', 'http://bank.saas.test/')
    await lab.send('bob', 'http://nowhere.invalid/')
    await visit(page, lab, '/')
    await page.getByRole('link', { name: /^\d+ refused$/ }).waitFor()
    await page.getByRole('link', { name: /^\d+ failed$/ }).click()
    await page
      .getByText(/There is no host “nowhere.invalid”/)
      .first()
      .waitFor()
    await visit(page, lab, '/')
    await page.getByRole('button', { name: 'Replay sessions' }).click()
    const at = page.getByRole('slider', { name: 'Session' })
    await at.fill('0')
    const latest = page.getByRole('region', { name: 'Latest sessions then' }).getByRole('listitem')
    await expect.poll(() => latest.count()).toBe(1)
    await at.focus()
    await page.keyboard.press('ArrowRight')
    await expect.poll(() => latest.count()).toBe(2)
    await page.getByRole('button', { name: 'Back to live' }).click()
    await page.getByRole('region', { name: 'Latest sessions' }).waitFor()
    await page.getByRole('link', { name: 'matrix without LHR' }).click()
    await page.getByText(/connections would change without LHR\./).waitFor()
  })

  test('live: on a phone no name covers another, and beside the map each data center has one line for its switch', async () => {
    const { page } = browser
    for (const who of ['alice', 'judy', 'bob', 'ivan', 'erin', 'heidi', 'carol', 'frank', 'mike', 'priya', 'kenji']) {
      await lab.send(who, 'http://ipv4.icanhazip.com/')
    }
    await visit(page, lab, '/')
    const lines = page.locator('.colo-list > li > .row')
    await lines.first().waitFor()
    const heights = await lines.evaluateAll((rows) => rows.map((row) => row.clientHeight))
    expect(new Set(heights).size).toBe(1)
    await page.setViewportSize({ width: 390, height: 844 })
    const boxes = () =>
      page.locator('.map-person:visible, .map-colo:visible').evaluateAll((names) =>
        names.map((name) => {
          const { left, right, top, bottom } = name.getBoundingClientRect()
          return { name: name.textContent, left, right, top, bottom }
        }),
      )
    const covered = async () => {
      const all = await boxes()
      return all.flatMap((a, at) =>
        all
          .slice(at + 1)
          .filter((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
          .map((b) => `${a.name} ${b.name}`),
      )
    }
    await expect.poll(async () => (await boxes()).length).toBeGreaterThan(10)
    await expect.poll(covered).toEqual([])
    await page.setViewportSize({ width: 1280, height: 800 })
  })

  test('labs on one host are a step away from each other', async () => {
    const { page } = browser
    const other = await startConsoleLab(5)
    try {
      await visit(page, lab, '/')
      expect(await page.getByRole('combobox', { name: 'Lab', exact: true }).count()).toBe(0)
      await visit(page, other, '/')
      const ports = [other, lab].map(({ url }) => new URL(url).port)
      const choice = page.getByRole('combobox', { name: 'Lab', exact: true })
      await choice.waitFor()
      const words = await choice.locator('option').allTextContents()
      expect(words.map((text) => text.split(' :').at(-1))).toEqual(ports)
      await choice.selectOption(`:${ports[1]}/`)
      await page.waitForURL(`${lab.url}/`)
      await page.getByText('live', { exact: true }).waitFor()
    } finally {
      await other.close()
    }
  })

  test('account: a list, a person’s network and a data center are changed where they are read', async () => {
    const { page } = browser
    await visit(page, lab, '/account?of=lists')
    await page.getByText('Auditors').click()
    await page.getByLabel('Add to Auditors').fill('mike@example.com')
    await page.getByRole('button', { name: 'Add', exact: true }).click()
    await page.getByRole('button', { name: 'Remove mike@example.com from Auditors' }).click()
    await page.getByText('mike@example.com').waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'People' }).click()
    await page.getByLabel('Virtual network of alice@example.com').selectOption('vnet-EMEA')
    await expect
      .poll(async () => JSON.stringify(await lab.ask('GET', '/lab/v1/users/alice@example.com/virtual-network')))
      .toContain('vnet-EMEA')
    await page.getByLabel('Virtual network of alice@example.com').selectOption('default')
    await page.getByRole('link', { name: 'Virtual networks' }).click()
    await page.getByLabel('New virtual network').fill('vnet-APAC')
    await page.getByRole('button', { name: 'Add' }).click()
    await page.getByRole('button', { name: 'Delete vnet-APAC' }).click()
    await page.getByRole('button', { name: 'Delete vnet-APAC' }).waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'Data centers' }).click()
    await page.getByRole('switch', { name: 'FRA Frankfurt' }).click()
    await page.getByRole('switch', { name: 'FRA Frankfurt', checked: false }).click()
    await page.getByRole('switch', { name: 'FRA Frankfurt', checked: true }).waitFor()
  })

  test('an address that does not exist is a page for people and an error for programs', async () => {
    const { page } = browser
    const answer = await page.goto(`${lab.url}/no-such-page`)
    expect(answer?.status()).toBe(404)
    await page.getByText('Page not found').waitFor()
    await page.getByRole('main').getByRole('link', { name: 'Rules' }).click()
    await page.getByRole('heading', { name: 'Rules', exact: true }).waitFor()
    const told = await fetch(`${lab.url}/no-such-page`, { headers: { authorization: `Bearer ${TOKEN}` } })
    expect(told.status).toBe(404)
    expect(told.headers.get('content-type')).toBe('application/json')
  })

  test('a request that fails is a page in a browser, with the rule and a link to the session; text for programs', async () => {
    await lab.ask('PUT', '/lab/v1/colos/LHR', { up: false })
    await lab.ask('PUT', '/lab/v1/colos/IAD', { up: false })
    const server = `http://${lab.proxy}`
    const visitor = await openBrowser({
      executable: executable ?? '',
      proxy: { server, username: 'alice@example.com', password: 'lab-alice' },
    })
    try {
      await visitor.page.goto('http://bank.saas.test/')
      await visitor.page.getByRole('heading', { name: 'egresslab could not fetch this page' }).waitFor()
      await visitor.page.getByText('Finance to the bank', { exact: true }).waitFor()
      const link = await visitor.page.getByRole('link', { name: 'This session in the console' }).getAttribute('href')
      await visit(browser.page, lab, (link ?? '').slice(lab.url.length))
      await browser.page.locator('.rows-body [role=row]', { hasText: 'unroutable' }).first().waitFor()
      expect(await lab.send('alice', 'http://bank.saas.test/')).toMatch(/^egresslab: .*\n\ncode: /)
      expect(visitor.complaints).toEqual([])
    } finally {
      await visitor.close()
      await lab.ask('PUT', '/lab/v1/colos/LHR', { up: true })
      await lab.ask('PUT', '/lab/v1/colos/IAD', { up: true })
    }
  })

  test('no page complained of an error or of its security policy', () => {
    expect(browser.complaints).toEqual([])
  })
})
