// docs/team.md, "From a fresh machine in ten minutes", followed word for word: its configuration, its nginx file, a real OpenID provider
// and a real Chromium. Only what a test has for itself is put in the place of the page's: addresses, ports and files.

import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { run } from '../cli/run.ts'
import { findChromium, openBrowser } from '../console/browser.ts'
import { startConsoleLab } from '../console/running-lab.ts'
import { frontFiles, NAME, startNginx } from '../support/fronts.ts'
import { installed } from '../support/installed.ts'
import { startProvider } from '../support/openid-provider.ts'
import { ownPort } from '../support/own-network.ts'

const executable = findChromium()
const nginx = installed('nginx', 'nginx-light')
const page = readFileSync('docs/team.md', 'utf8')
const chapter = /^## From a fresh machine in ten minutes\n([\s\S]*?)^## /m.exec(page)?.[1] ?? ''

/** The blocks of this language, without the indentation of the list. */
function blocks(language: string): string[] {
  const found = chapter.matchAll(new RegExp(`^ {3}\`\`\`${language}\\n([\\s\\S]*?)^ {3}\`\`\`$`, 'gm'))
  return [...found].map(([, text = '']) => text.replace(/^ {3}/gm, ''))
}

describe.skipIf(executable === undefined || nginx === undefined)('a team’s lab, as the page has it', () => {
  test('is set up, checked and started; people sign in, have the role of their groups, and are in the audit', async () => {
    const provider = await startProvider({ redirectUri: /`(https:\S+callback)`/.exec(chapter)?.[1] ?? '' })
    onTestFinished(() => provider.stop())
    provider.groups.set('dana', ['network-leads']).set('vera', ['sales'])

    const folder = mkdtempSync(join(tmpdir(), 'team-'))
    const [made] = blocks('sh')
    expect(made).toBe('mkdir lab && cd lab\nnpx egresslab init\n')
    expect((await run(['init', folder])).code).toBe(0)
    const configFile = join(folder, 'lab.yaml')
    const [api = ''] = blocks('yaml')
    const ownApi = api.replace('https://id.corp.example', provider.issuer)
    expect(ownApi).not.toBe(api)
    writeFileSync(configFile, readFileSync(configFile, 'utf8').replace(/^api: .*\n/m, ownApi))
    const [, started = ''] = blocks('sh')
    expect(started.split('\n')).toEqual(['npx egresslab check', 'npx egresslab start', ''])
    const checked = await run(['check', '-c', configFile])
    expect([checked.code, checked.stdout]).toEqual([0, expect.not.stringContaining('warning')])

    const lab = await startConsoleLab(7, configFile)
    onTestFinished(() => lab.close())
    const files = await frontFiles()
    const port = ownPort(80)
    const [server = ''] = blocks('nginx')
    const ownServer = server
      .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
      .replace(/ssl_certificate \S+;/, `ssl_certificate ${files.certificate};`)
      .replace(/ssl_certificate_key \S+;/, `ssl_certificate_key ${files.key};`)
      .replace('127.0.0.1:8090', `127.0.0.1:${lab.lab.api.port}`)
    const front = await startNginx(nginx ?? '', files, port, ownServer)
    onTestFinished(() => front.close())

    for (const [account, role] of [
      ['vera', 'viewer'],
      ['dana', 'admin'],
    ] as const) {
      const browser = await openBrowser({ executable: executable ?? '', switches: files.switches(port) })
      onTestFinished(() => browser.close())
      await browser.page.goto(`https://${NAME}/egresslab/rules`)
      await browser.page.getByRole('link', { name: `Sign in with ${new URL(provider.issuer).host}` }).click()
      await browser.page.getByPlaceholder('Enter any login').fill(account)
      await browser.page.getByPlaceholder('and password').fill('any')
      await browser.page.getByRole('button', { name: 'Sign-in' }).click()
      await browser.page.waitForURL(`https://${NAME}/egresslab/rules`)
      await browser.page.getByText('live', { exact: true }).first().waitFor()
      await browser.page.getByText(`${account}@corp.example (${role})`).waitFor()
      const change = await browser.page.evaluate(async () => {
        const headers = { 'content-type': 'application/json' }
        const sent = { method: 'PUT', headers, body: '{"up":false}' }
        return (await fetch('/egresslab/lab/v1/colos/LHR', sent)).status
      })
      expect(change).toBe(role === 'viewer' ? 403 : 200)
      expect(browser.complaints).toEqual([])
      await browser.page.getByRole('button', { name: 'Sign out' }).click()
      await browser.page.getByLabel('API token').waitFor()
    }
    const entries = (await lab.ask('GET', '/lab/v1/audit')) as { who: object; from: string; target: string }[]
    const [last] = entries.filter(({ target }) => target === '/lab/v1/colos/LHR')
    expect(last).toMatchObject({ who: { kind: 'person', id: 'dana', name: 'dana@corp.example' }, from: '127.0.0.1' })
  })
})
