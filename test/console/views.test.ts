// The console's views against a running lab, each doing what it is there for.

import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { installed } from '../support/installed.ts'
import { layLine } from './broken-line.ts'
import { type Browser, findChromium, openBrowser } from './browser.ts'
import { openTunnel } from './held-tunnel.ts'
import { type ConsoleLab, configFileOf, startConsoleLab, visit } from './running-lab.ts'

const executable = findChromium()
const zbarimg = installed('zbarimg', 'zbar-tools')

/** The shipped lab, with one address whose new place other sites do not know yet, and a listener that takes TLS only. */
function lateGeolocation(): string {
  const shipped = readFileSync('config/lab.yaml', 'utf8')
  return shipped
    .replace(/- \{ colo: EWR,/, '- { colo: EWR, geolocation_updated_at: 2037-06-01T00:00:00Z,')
    .replace(
      /^destinations:/m,
      '  - { name: encrypted, host: 127.0.0.1, port: 8443, authentication: required, tls: true }\n\n$&',
    )
}

describe.skipIf(executable === undefined)('the views of the console', () => {
  let lab: ConsoleLab
  let browser: Browser
  beforeAll(async () => {
    lab = await startConsoleLab(2, configFileOf(lateGeolocation()))
    browser = await openBrowser({ executable: executable ?? '', width: 1440, height: 1000 })
    await visit(browser.page, lab, '/')
  })
  afterAll(async () => {
    await browser?.close()
    await lab?.close()
  })

  test('sessions: before there are any, the line that makes the first', async () => {
    const { page } = browser
    await visit(page, lab, '/sessions')
    await page.getByText(`curl -x http://${lab.proxy} -U 'alice@example.com:PASSWORD'`).waitFor()
  })

  test('sessions: filtered by what the address says, and by typing', async () => {
    const { page } = browser
    await lab.send('bob', 'http://ipv4.icanhazip.com/')
    await lab.send('carol', 'http://ipv4.icanhazip.com/')
    await visit(page, lab, '/sessions?user=carol%40example.com')
    const rows = page.locator('.rows-body [role=row]')
    await rows.first().waitFor()
    expect(await rows.allTextContents()).toEqual([expect.stringContaining('carol')])
    await page.getByLabel('User').selectOption('')
    await page.getByLabel('Search sessions').fill('bob 203.0.113.10')
    await rows.filter({ hasText: 'bob' }).first().waitFor()
    expect(await rows.allTextContents()).toEqual([expect.stringContaining('203.0.113.10')])
    expect(new URL(page.url()).searchParams.get('q')).toBe('bob 203.0.113.10')
  })

  test('sessions: one that ends while it is searched for is found by how it ended', async () => {
    const { page } = browser
    const tunnel = await openTunnel(Number(lab.proxy.split(':')[1]), 'carol', 'bank.saas.test:443')
    await visit(page, lab, '/sessions?q=carol%20bank')
    const rows = page.locator('.rows-body [role=row]')
    await rows.filter({ hasText: 'open' }).waitFor()
    await page.getByLabel('Search sessions').fill('carol bank client')
    await page.getByText('No session matches this filter').waitFor()
    tunnel.end()
    await rows.filter({ hasText: 'carol' }).first().waitFor()
  })

  test('sessions: a rule with a long name is read in full, on a wide screen and on a phone', async () => {
    const { page } = browser
    const name = 'Everything from Wilhelmshaven to customs brokers'
    const path = `/client/v4/accounts/${lab.lab.snapshot().account.id}/gateway/rules`
    const traffic = 'net.fqdn.host == "ifconfig.me"'
    const rule = { name, action: 'egress', enabled: true, precedence: 1, traffic }
    const { id } = (await lab.ask('POST', path, rule)) as { id: string }
    await lab.send('carol', 'http://ifconfig.me/')
    try {
      for (const width of [1280, 390]) {
        await page.setViewportSize({ width, height: 1000 })
        await visit(page, lab, '/sessions')
        const cell = page.locator('.cell-rule > span', { hasText: name }).first()
        await cell.waitFor()
        expect(await cell.evaluate((element) => element.scrollHeight - element.clientHeight)).toBe(0)
      }
    } finally {
      await page.setViewportSize({ width: 1440, height: 1000 })
      await lab.ask('DELETE', `${path}/${id}`)
    }
  })

  test('sessions: held still while paused, told how many came meanwhile', async () => {
    const { page } = browser
    await lab.send('bob', 'http://ipv4.icanhazip.com/')
    await visit(page, lab, '/sessions')
    const rows = page.locator('.rows-body [role=row]')
    await rows.first().waitFor()
    const before = await rows.count()
    await page.getByRole('button', { name: 'Pause' }).click()
    await lab.send('dave', 'http://ipv4.icanhazip.com/')
    await page.getByRole('button', { name: 'Resume (1 new)' }).waitFor()
    expect(await rows.count()).toBe(before)
    await page.getByRole('button', { name: 'Resume' }).click()
    await page.getByRole('row', { name: /dave/ }).waitFor()
  })

  test('sessions: by keyboard to the reason, the trace, and a policy test to copy', async () => {
    const { page } = browser
    await lab.send('alice', 'http://bank.saas.test/')
    await visit(page, lab, '/sessions?q=bank')
    await page.locator('.rows-body [role=row]').first().waitFor()
    await page.getByRole('grid').focus()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    const drawer = page.getByRole('dialog')
    await drawer.getByText('Rule “Finance to the bank” (precedence 1000) sends this to 203.0.113.20 at LHR.').waitFor()
    await drawer.getByText('any(identity.groups.name[*] in {"Finance"})').waitFor()
    const yaml = (await drawer.locator('pre').first().textContent()) ?? ''
    expect(yaml).toContain('destination: "bank.saas.test:80"')
    expect(yaml).toContain('rule: Finance to the bank')
    await page.keyboard.press('Escape')
    await drawer.waitFor({ state: 'detached' })
  })

  test('rules: a mistake is drawn at its place while typing, and cannot be saved', async () => {
    const { page } = browser
    await visit(page, lab, '/rules')
    await page.getByRole('button', { name: 'Edit vnet-AMER' }).click()
    await page.getByLabel('Traffic').fill('net.dst.prot == 443')
    await page.getByText('did you mean `net.dst.port`?').waitFor()
    expect(await page.locator('.editor-under .mark-problem').allTextContents()).toEqual(['net.dst.prot'])
    expect(await page.getByRole('button', { name: 'Save' }).isDisabled()).toBe(true)
    await page.getByRole('button', { name: 'Cancel' }).click()
  })

  test('rules: the effect on recorded sessions is shown before saving, and is what then happens', async () => {
    const { page } = browser
    expect(await lab.send('bob;vnet=vnet-AMER', 'http://ipv4.icanhazip.com/')).toBe('203.0.113.40\n')
    await visit(page, lab, '/rules')
    await page.getByRole('button', { name: 'Edit vnet-AMER' }).click()
    await page.getByRole('combobox', { name: 'Leaves from' }).selectOption('203.0.113.50')
    expect(await page.getByRole('combobox', { name: 'While that is down' }).inputValue()).toBe('203.0.113.40')
    const effect = page.getByRole('region', { name: 'Effect on recorded sessions' })
    await effect.getByText(/1 of the last \d+ sessions? would change/).waitFor()
    expect(await effect.textContent()).toContain('203.0.113.50')
    await page.getByRole('button', { name: 'Prove which connections it moves' }).click()
    const proven = page.getByRole('region', { name: 'Connections it moves' })
    await proven.getByText('Proven: it moves exactly these connections').waitFor()
    expect(await proven.textContent()).toMatch(/net\.vnet_id == .*203\.0\.113\.40→203\.0\.113\.50/)
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect(await lab.send('bob;vnet=vnet-AMER', 'http://ipv4.icanhazip.com/')).toBe('203.0.113.50\n')
  })

  test('rules: switched off, moved, and counted', async () => {
    const { page } = browser
    await lab.send('bob;vnet=vnet-EMEA', 'http://ipv4.icanhazip.com/')
    await visit(page, lab, '/rules')
    await page
      .getByRole('link', { name: /decided 1 session/ })
      .first()
      .waitFor()
    await page.getByRole('switch', { name: 'Finance to the bank enabled' }).click()
    await page.getByRole('switch', { name: 'Finance to the bank enabled', checked: false }).waitFor()
    expect(await lab.send('alice;vnet=vnet-AMER', 'http://bank.saas.test/')).toMatch(/refuses 203\.0\.113\.[45]0/)
    await page.getByRole('switch', { name: 'Finance to the bank enabled' }).click()
    await page.getByRole('button', { name: 'Finance to the bank', exact: true }).click()
    await page.getByRole('button', { name: 'Move Finance to the bank down' }).click()
    const names = () => page.locator('.rule-open').allTextContents()
    await expect
      .poll(async () => (await names()).slice(0, 3))
      .toEqual(['vnet-AMER leaves from Los Angeles', 'Finance to the bank', 'vnet-EMEA leaves from London'])
    await page.getByLabel('Move Finance to the bank to').selectOption({ label: 'the end' })
    await expect.poll(async () => (await names()).at(-1)).toBe('Finance to the bank')
    const first = page.getByLabel('Move Finance to the bank to').locator('option', { hasText: 'vnet-AMER' })
    await page
      .getByLabel('Move Finance to the bank to')
      .selectOption({ label: (await first.textContent()) ?? 'not there' })
    await expect.poll(async () => (await names())[0]).toBe('Finance to the bank')
  })

  test('rules: what `check` warns of stands beside the rule', async () => {
    const { page } = browser
    await visit(page, lab, '/rules')
    await page.getByRole('button', { name: 'New rule' }).click()
    await page.getByLabel('Name').fill('nowhere to fall')
    await page.getByLabel('Identity').fill('identity.email == "dave@example.com"')
    await page.getByRole('combobox', { name: 'Leaves from' }).selectOption('203.0.113.10')
    await page.getByRole('button', { name: 'Save' }).click()
    const row = page.locator('.rule', { hasText: 'nowhere to fall' })
    await row.getByText('1 warning').waitFor()
    await page.getByRole('button', { name: 'nowhere to fall', exact: true }).click()
    await row.getByText(/has no fallback: while the colo of its IPv4 address is down/).waitFor()
    await page.getByRole('button', { name: 'Edit nowhere to fall' }).click()
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('heading', { name: 'nowhere to fall', exact: true }).waitFor({ state: 'detached' })
  })

  test('explain: a question is an address that can be shared', async () => {
    const { page } = browser
    await visit(page, lab, '/explain')
    await page.getByLabel('Destination').fill('https://bank.saas.test/')
    await page.getByLabel('User').selectOption('alice@example.com')
    await page.getByLabel('Data centers down').fill('LHR')
    await page.getByRole('button', { name: 'Explain', exact: true }).click()
    const words =
      'Rule “Finance to the bank” (precedence 1000) sends this to 203.0.113.20; its colo LHR is down, so the fallback 203.0.113.30 is used.'
    await page.getByText(words).waitFor()
    const shared = page.url()
    expect(shared).toContain('destination=https%3A%2F%2Fbank.saas.test%2F')
    await page.goto('about:blank')
    await page.goto(shared)
    await page.getByText(words).waitFor()
    await page.getByRole('group', { name: 'Map of the outcome' }).waitFor()
  })

  test('explain: on a phone the rare conditions are folded, and a question leads to its answer', async () => {
    const { page } = browser
    await page.setViewportSize({ width: 390, height: 600 })
    try {
      await visit(page, lab, '/explain')
      await page.getByLabel('Destination').fill('https://bank.saas.test/')
      await page.getByLabel('User').selectOption('alice@example.com')
      expect(await page.getByLabel('Source IP').isVisible()).toBe(false)
      await page.getByRole('button', { name: 'Explain' }).click()
      const verdict = page.getByText('lets in', { exact: true })
      await verdict.waitFor()
      await expect.poll(async () => (await verdict.boundingBox())?.y ?? 1e6).toBeLessThan(600)
      await visit(page, lab, '/explain?destination=https://bank.saas.test/&colos_down=LHR')
      await page.getByLabel('Data centers down').waitFor()
    } finally {
      await page.setViewportSize({ width: 1440, height: 1000 })
    }
  })

  test('matrix: real requests through the proxy tell which address sites see', async () => {
    const { page } = browser
    await visit(page, lab, '/matrix')
    await page.getByRole('combobox', { name: 'As' }).selectOption('carol@example.com')
    await page.getByRole('button', { name: 'Verify' }).click()
    await page.getByText('Sites see dedicated IPs of this account for carol@example.com.').waitFor()
    await page.getByText('203.0.113.40').first().waitFor()
  })

  test.skipIf(zbarimg === undefined)(
    'connect: a camera reads the PAC address from the picture, in both themes',
    async () => {
      const { page } = browser
      const folder = mkdtempSync(join(tmpdir(), 'qr-'))
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        await visit(page, lab, '/connect')
        const file = join(folder, `${colorScheme}.png`)
        await page.getByRole('img', { name: 'QR code of the PAC address' }).locator('path').waitFor()
        await page.getByRole('region', { name: 'Phone' }).screenshot({ path: file })
        const read = execFileSync(zbarimg ?? '', ['--quiet', '--raw', file], { encoding: 'utf8' })
        expect(await page.getByRole('region', { name: 'Proxy configuration' }).locator('pre').textContent()).toBe(
          read.trim(),
        )
        expect(await (await fetch(read.trim())).text()).toContain(`PROXY ${lab.proxy}`)
      }
      await page.emulateMedia({ colorScheme: 'light' })
    },
  )

  test('connect: the line for a listener that takes TLS only works, with the certificate the page offers', async () => {
    const { page } = browser
    await visit(page, lab, '/connect')
    await page.getByRole('combobox', { name: 'As' }).selectOption('bob@example.com')
    const listeners = page.getByRole('combobox', { name: 'Listener' })
    const words = await listeners.locator('option').allTextContents()
    await listeners.selectOption(words.find((each) => each.startsWith('encrypted')) ?? '')
    const line = (await page.getByRole('region', { name: 'One request' }).locator('pre').textContent()) ?? ''
    const cwd = mkdtempSync(join(tmpdir(), 'connect-'))
    writeFileSync(join(cwd, 'egresslab-ca.pem'), await (await fetch(`${lab.url}/ca.pem`)).text())
    const [, ...parameters] = line.replace('PASSWORD', 'lab-bob').replaceAll("'", '').split(' ')
    const { stdout } = await promisify(execFile)('curl', ['-sS', ...parameters], { cwd })
    expect(stdout).toMatch(/^203\.0\.113\.\d+\n$/)
  })

  test('clock: set beyond the date, sites see the address where it is', async () => {
    const { page } = browser
    await visit(page, lab, '/clock')
    const row = page.getByRole('row', { name: /203\.0\.113\.50/ })
    await row.getByText('… US').waitFor()
    await row.getByRole('button', { name: 'Go there' }).click()
    await row.getByText('✓ Newark, US').waitFor()
    await page.getByText(/days ahead of the machine/).waitFor()
    await page.getByRole('button', { name: 'Machine time' }).click()
    await row.getByText('… US').waitFor()
  })

  test('me: a person signs in with the proxy password, switches with one click, and the next request shows it', async () => {
    const { page, context } = browser
    const visitor = await context.newPage()
    await visitor.goto(`${lab.url}/me`)
    await visitor.getByLabel('Email').fill('bob@example.com')
    await visitor.getByLabel('Proxy password').fill('wrong')
    await visitor.getByRole('button', { name: 'Show my choices' }).click()
    await visitor.getByText('Wrong email or password.').waitFor()
    await visitor.getByLabel('Proxy password').fill('lab-bob')
    await visitor.getByRole('button', { name: 'Show my choices' }).click()
    await visitor.getByText('Bob Bakker').waitFor()
    await visitor.getByText('203.0.113.10').waitFor()
    await visitor.getByText(/2001:db8:10:/).waitFor()
    await visitor.getByLabel(/vnet-EMEA/).check()
    await visitor.getByText('203.0.113.20').waitFor()
    expect(await lab.send('bob', 'http://ipv4.icanhazip.com/')).toBe('203.0.113.20\n')
    await visitor.close()
    await page.bringToFront()
  })

  test('the page says that the lab is gone, and comes back by itself with what happened meanwhile', async () => {
    const { page } = browser
    const line = await layLine(lab.lab.api?.port ?? 0)
    await visit(page, { ...lab, url: line.url }, '/')
    await line.cut()
    await page.getByText('The lab does not answer.').waitFor()
    await page.getByText('disconnected').waitFor()
    for (const view of ['Rules', 'Account', 'History']) {
      await page.getByRole('link', { name: view }).click()
      await page.getByRole('main').getByText('The lab does not answer; is it still running?').first().waitFor()
    }
    await page.getByRole('link', { name: 'Live' }).click()
    await lab.send('dave', 'http://ifconfig.me/')
    await line.mend()
    await page.getByText('The lab does not answer.').waitFor({ state: 'detached' })
    await page
      .getByRole('link', { name: /dave → ifconfig\.me:80/ })
      .first()
      .waitFor()
    await page.goto('about:blank')
    await line.cut()
  })

  test('no page complained of an error or of its security policy', () => {
    expect(browser.complaints).toEqual([])
  })
})
