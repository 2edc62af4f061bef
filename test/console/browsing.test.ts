// Chromium itself as a client of the proxy, by proxy settings with a password and by a PAC file without one, while the console
// watches.

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findChromium, openBrowser } from './browser.ts'
import { type ConsoleLab, configFileOf, startConsoleLab } from './running-lab.ts'

const executable = findChromium()

/** The shipped lab with a door that needs no login: whoever comes through it is carol in vnet-EMEA. */
function withOpenDoor(): string {
  const door = '  - { name: carol, host: 127.0.0.1, port: 8091, user: carol@example.com, virtual_network: vnet-EMEA }\n'
  return readFileSync('config/lab.yaml', 'utf8').replace(/^listeners:\n/m, `listeners:\n${door}`)
}

describe.skipIf(executable === undefined)('a browser that goes through the lab', () => {
  let lab: ConsoleLab
  beforeAll(async () => {
    lab = await startConsoleLab(4, configFileOf(withOpenDoor()))
  })
  afterAll(() => lab?.close())

  const latest = async (target: string) => {
    const { finished, open } = (await lab.ask('GET', '/lab/v1/traffic/now')) as {
      finished: { target: string; user: string; vnet: string; egress: string }[]
      open: { target: string; user: string; vnet: string; egress: string }[]
    }
    return [...finished, ...open].findLast((row) => row.target.startsWith(target))
  }

  test('by proxy settings and a password leaves as that user, and the lab has seen it', async () => {
    const main = lab.lab.listeners.find(({ name }) => name === 'main')
    const browser = await openBrowser({
      executable: executable ?? '',
      proxy: { server: `http://127.0.0.1:${main?.port}`, username: 'bob@example.com', password: 'lab-bob' },
    })
    try {
      await browser.page.goto('http://ipv4.icanhazip.com/')
      expect(await browser.page.textContent('body')).toContain('203.0.113.10')
      expect(await latest('ipv4.icanhazip.com')).toMatchObject({ user: 'bob@example.com', egress: '203.0.113.10' })
    } finally {
      await browser.close()
    }
  })

  test('by a PAC file of the lab leaves as whoever that door is for', async () => {
    const carol = lab.lab.listeners.find(({ name }) => name === 'carol')
    const [account] = (await lab.ask('GET', '/client/v4/accounts')) as { id: string }[]
    await lab.ask('POST', `/client/v4/accounts/${account?.id}/gateway/pacfiles`, {
      name: 'tests',
      slug: 'tests',
      contents: `function FindProxyForURL(url, host) { return "PROXY 127.0.0.1:${carol?.port}" }`,
    })
    const browser = await openBrowser({
      executable: executable ?? '',
      switches: [`--proxy-pac-url=${lab.url}/pac/tests`],
    })
    try {
      await browser.page.goto('http://ipv4.icanhazip.com/')
      expect(await browser.page.textContent('body')).toContain('203.0.113.20')
      expect(await latest('ipv4.icanhazip.com')).toMatchObject({ user: 'carol@example.com', vnet: 'vnet-EMEA' })
      await browser.page.goto('http://bank.saas.test/')
      expect(await browser.page.textContent('h1')).toContain('lets 203.0.113.20 in')
    } finally {
      await browser.close()
    }
  })
})
