// A real Chromium that trusts the lab as its HTTPS proxy: pages over http and https go as HTTP/2 streams of one connection.

import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { findChromium, openBrowser } from '../console/browser.ts'
import { startPrivateLab } from '../support/private-lab.ts'
import { file } from '../support/tls.ts'

const executable = findChromium()

const CONFIGURATION = `
dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }]
users: [{ email: alice@example.com, place: AMS }]
listeners: [{ name: browser, user: alice@example.com, tls: true }]
`

test.skipIf(executable === undefined)('TL-03 Chromium speaks HTTP/2 to the proxy, for http and for https', async () => {
  const { lab, close } = await startPrivateLab({ configFile: file('lab.yaml', CONFIGURATION) })
  onTestFinished(close)
  const key = new X509Certificate(readFileSync('certs/origins.pem')).publicKey.export({ type: 'spki', format: 'der' })
  const browser = await openBrowser({
    executable: executable ?? '',
    switches: [
      `--proxy-server=https://127.0.0.1:${lab.listeners[0]?.port}`,
      `--ignore-certificate-errors-spki-list=${createHash('sha256').update(key).digest('base64')}`,
    ],
  })
  onTestFinished(() => browser.close())

  await browser.page.goto('http://ipv4.icanhazip.com/')
  expect(await browser.page.textContent('body')).toContain('203.0.113.10')
  await browser.page.goto('https://ipv4.icanhazip.com/')
  expect(await browser.page.textContent('body')).toContain('203.0.113.10')
  await browser.context.close()

  const inbounds = () => new Set(lab.sessions.recent().map(({ Lab }) => Lab.inbound))
  await expect.poll(inbounds).toEqual(new Set(['h2-forward', 'h2-connect']))
})
