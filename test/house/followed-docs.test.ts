// Documents that tell people what to type are followed word for word on a private lab: `console` blocks command by command with what
// they print, `sh` blocks as they stand. A second lab stands in for the account at Cloudflare.

import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROOT } from '../../scripts/source-files.ts'
import { ownNetwork } from '../support/own-network.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { type PrivateLab, STAND_INS, startPrivateLab } from '../support/private-lab.ts'

const TOKEN = 'a-token-of-the-account-at-cloudflare'
const ACCOUNT = `
account: { name: ours }
dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }
  - { colo: LAX, ipv4: 203.0.113.40, ipv6: "2001:db8:40::/64" }
  - { colo: IAD, ipv4: 203.0.113.30, ipv6: "2001:db8:30::/64" }
  - { colo: EWR, ipv4: 203.0.113.50, ipv6: "2001:db8:50::/64" }
lists: [{ name: Contractor sites, id: 0c1f4b0a-57d1-4d6b-9f0e-6a1d0b7f3c11, type: IP, items: [198.51.100.64/26] }]
rules:
  - name: Contractors from Ashburn
    precedence: 1500
    traffic: net.dst.ip in $0c1f4b0a-57d1-4d6b-9f0e-6a1d0b7f3c11
    egress: { ipv4: 203.0.113.30, ipv4_fallback: 203.0.113.50 }
`
let folder: string
let lab: PrivateLab
let account: PrivateLab

/** A lab of its own per document, as the reader has one; commands run in a folder with nothing but the configuration. */
async function begin(): Promise<void> {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-followed-'))
  symlinkSync(join(ROOT, 'config'), join(folder, 'config'))
  writeFileSync(join(folder, 'account.yaml'), ACCOUNT)
  mkdirSync(join(folder, '.egresslab'))
  lab = await startPrivateLab({ ephemeral: false, state: join(folder, '.egresslab') })
  account = await startPrivateLab({
    configFile: join(folder, 'account.yaml'),
    apiToken: TOKEN,
    standInNetwork: ownNetwork(1),
  })
}

async function end(): Promise<void> {
  await Promise.all([lab.close(), account.close()])
  rmSync(folder, { recursive: true, force: true })
}

/** The document speaks of the lab that `npm start` runs and of Cloudflare; here private ones stand in for both. */
function here(command: string): string {
  const { api, listeners } = lab.lab
  const cloudflare = `http://127.0.0.1:${account.lab.api.port}/client/v4`
  return command
    .replaceAll('127.0.0.1:8090', `127.0.0.1:${api.port}`)
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${listeners[0]?.port}`)
    .replace(/(npx egresslab (?:rules|colo|vnet|clock|sessions) \w+)/g, `$1 --api 127.0.0.1:${api.port}`)
    .replaceAll('npx egresslab', `'${process.execPath}' '${join(ROOT, 'src/main.ts')}'`)
    .replace(/--(from|to) cloudflare\b/g, `--$1 ${cloudflare}`)
    .replaceAll('curl -N ', 'curl -N -m 1 ')
}

/** What was printed, in the words of the document. */
function asWritten(text: string): string {
  const [first = 0, second = 0] = STAND_INS.split('.').map(Number)
  return text
    .replaceAll(`http://127.0.0.1:${account.lab.api.port}/client/v4`, 'Cloudflare')
    .replaceAll(`127.0.0.1:${lab.lab.api.port}`, '127.0.0.1:8090')
    .replaceAll(`${first}.${second}.10.`, '127.0.10.')
}

/** Without the milliseconds at the ends of lines. */
function withoutTimes(text: string): string {
  return text.replace(/(?<= {2})\d+ ms$/gm, 'some ms')
}

function shell(script: string): Promise<{ code: number; output: string }> {
  const env = { PATH: process.env.PATH ?? '', HOME: '/nonexistent', CLOUDFLARE_API_TOKEN: TOKEN }
  return new Promise((resolve) => {
    execFile('sh', ['-c', script], { cwd: folder, env, timeout: PATIENCE_MS }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr })
    })
  })
}

const blocks = (file: string, language: string) =>
  [...readFileSync(join(ROOT, file), 'utf8').matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(([, name, text = '']) =>
    name === language ? [text] : [],
  )

const FOLLOWED = ['docs/bring-your-rules.md', 'docs/company-tour.md', 'docs/mistakes.md', 'docs/proofs.md']

describe.each(FOLLOWED)('%s', (file) => {
  beforeAll(begin)
  afterAll(end)
  const commands = blocks(file, 'console').flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((entry) => [entry.slice(0, entry.indexOf('\n')), entry.slice(entry.indexOf('\n') + 1)] as const),
  )

  test('has commands', () => expect(commands.length).toBeGreaterThan(9))

  test.each(commands)('%s', async (command, output) => {
    const printed = asWritten((await shell(here(command))).output)
    expect(withoutTimes(printed)).toBe(withoutTimes(output))
  })
})

test('docs/mistakes.md shows rules as its examples have them', () => {
  const folder = join(ROOT, 'config/examples/mistakes')
  const files = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
  const shown = blocks('docs/mistakes.md', 'yaml')
  expect(shown).not.toEqual([])
  for (const block of shown)
    expect(
      files.some((text) => text.includes(block)),
      block,
    ).toBe(true)
})

describe.each(['docs/operating.md', 'docs/api.md'])('%s', (file) => {
  beforeAll(begin)
  afterAll(end)

  test('every `sh` block does what it says, one after the other', async () => {
    const scripts = blocks(file, 'sh')
    expect(scripts.length).toBeGreaterThan(1)
    let before = ''
    for (const script of scripts) {
      const { code, output } = await shell(here(`${before}${script}`))
      // 28: an event stream that was followed for a moment
      expect([0, 28], script).toContain(code)
      expect(output, script).toMatch(/"success":true|^event: hello/m)
      expect(output, script).not.toContain('"success":false')
      before += script
        .split('\n')
        .filter((line) => /^[A-Z]+=/.test(line))
        .join('\n')
      if (before !== '' && !before.endsWith('\n')) before += '\n'
    }
  })
})

describe('docs/api.md', () => {
  beforeAll(begin)
  afterAll(end)

  test('the program with the SDK lists the rules', async () => {
    const [program = ''] = blocks('docs/api.md', 'ts')
    const token = readFileSync(join(folder, '.egresslab/api-token'), 'utf8').trim()
    const around = `import Cloudflare from 'cloudflare'\nconst token = '${token}', account_id = '${lab.lab.config.account.id}'\nconst show = (name) => process.stdout.write(name + '\\n')\n`
    const file = join(folder, 'program.mjs')
    writeFileSync(file, around + here(program))
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    const { output } = await shell(`'${process.execPath}' program.mjs`)
    expect(output.split('\n')[0]).toBe('Finance to the bank')
  })
})

test('docs/operating.md: the health, overrides and metrics it names are there', async () => {
  await begin()
  const text = readFileSync(join(ROOT, 'docs/operating.md'), 'utf8')
  const paths = [...text.matchAll(/`GET (\/[\w/]+)`/g)].map(([, path = '']) => path)
  expect(paths.length).toBeGreaterThan(3)
  const token = readFileSync(join(folder, '.egresslab/api-token'), 'utf8').trim()
  for (const path of new Set(paths)) {
    const response = await fetch(`http://127.0.0.1:${lab.lab.api.port}${path}`, {
      headers: { authorization: `Bearer ${token}` },
    })
    expect([path, response.status]).toEqual([path, 200])
  }
  await end()
})
