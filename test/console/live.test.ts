import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Browser, findChromium, openBrowser } from './browser.ts'
import { openTunnel } from './held-tunnel.ts'
import { type ConsoleLab, startConsoleLab, TOKEN, visit } from './running-lab.ts'

const executable = findChromium()

describe.skipIf(executable === undefined)('the live view', () => {
  let lab: ConsoleLab
  let browser: Browser
  beforeAll(async () => {
    lab = await startConsoleLab(1)
    browser = await openBrowser({ executable: executable ?? '' })
  })
  afterAll(async () => {
    await browser?.close()
    await lab?.close()
  })

  test('asks for the token, refuses a wrong one, and keeps it out of scripts and addresses (AP-01, AP-07)', async () => {
    const { page, context } = browser
    await page.goto(`${lab.url}/`)
    await expect.poll(() => page.getByLabel('API token').evaluate((field) => field.matches(':focus'))).toBe(true)
    await page.keyboard.type('wrong')
    await page.keyboard.press('Enter')
    await page.getByText('This is not the token of this lab.').waitFor()
    await page.getByLabel('API token').fill(TOKEN)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'Live' }).waitFor()
    expect(page.url()).toBe(`${lab.url}/`)
    const session = (await context.cookies()).find(({ name }) => name.includes('session'))
    expect(session).toMatchObject({ httpOnly: true, sameSite: 'Strict' })
    expect(await page.evaluate('document.cookie')).not.toMatch(/session/)
  })

  test('shows a connection through the proxy as it happens, with the reason for its address', async () => {
    const { page } = browser
    await visit(page, lab, '/')
    expect(await lab.send('bob', 'http://ipv4.icanhazip.com/')).toBe('203.0.113.10\n')
    const row = page.getByRole('link', { name: /bob → ipv4\.icanhazip\.com:80/ })
    await row.waitFor()
    expect(await row.textContent()).toContain('203.0.113.10 at AMS is nearest the user')
  })

  test('takes a data center down with a click on the map, and the next connection leaves elsewhere', async () => {
    const { page } = browser
    await visit(page, lab, '/')
    await page.getByRole('button', { name: /AMS Amsterdam is up/ }).click()
    await page.getByRole('button', { name: /AMS Amsterdam is down/ }).waitFor()
    expect(await lab.send('bob', 'http://ipv4.icanhazip.com/')).toBe('203.0.113.20\n')
    await page.getByRole('link', { name: /203\.0\.113\.20 at LHR/ }).waitFor()
    await page.getByRole('switch', { name: 'AMS Amsterdam' }).click()
    await page.getByRole('button', { name: /AMS Amsterdam is up/ }).waitFor()
    expect(await lab.send('bob', 'http://ipv4.icanhazip.com/')).toBe('203.0.113.10\n')
  })

  test('says why nobody is signed in any more when a token is revoked, and goes on where it was', async () => {
    const { page, context } = browser
    type Made = { readonly id: string; readonly token: string }
    const { id, token } = (await lab.ask('POST', '/lab/v1/tokens', { name: 'gone soon', role: 'viewer' })) as Made
    await context.clearCookies()
    await page.goto(`${lab.url}/clock`)
    await page.getByLabel('API token').fill(token)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('gone soon (viewer)').waitFor()
    expect(await page.getByText('You are signed out').count()).toBe(0)
    await lab.ask('DELETE', `/lab/v1/tokens/${id}`)
    await page.getByText('You are signed out: the token has expired or was revoked').waitFor()
    await page.getByLabel('API token').fill(TOKEN)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'Clock' }).waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('API token').waitFor()
    expect(await page.getByText('You are signed out').count()).toBe(0)
  })

  test('no page complained of an error or of its security policy', () => {
    expect(browser.complaints).toEqual([])
  })
})

test('a lab stops though clients left sites before a TLS handshake', async () => {
  const lab = await startConsoleLab(9)
  const socket = await openTunnel(Number(lab.proxy.split(':')[1]), 'alice', 'bank.saas.test:443')
  socket.destroy()
  await lab.close()
  await expect(fetch(lab.url)).rejects.toThrow('fetch failed')
})
