// What people are told when the lab starts (where the API is, and its token the one time it is made), and what the API knows of a
// configuration that was reloaded since.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startupBanner } from '../../src/cli/render/startup-banner.ts'
import { stylesFor } from '../../src/cli/terminal.ts'
import { InputError, type Issue } from '../../src/errors/issue.ts'
import type { Envelope } from '../api/running-api.ts'
import { loopback } from '../support/own-network.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { udpSocket } from '../support/udp.ts'

let folder: string
let open: PrivateLab[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-first-'))
  open = []
})
afterEach(async () => {
  for (const lab of open) await lab.close()
  rmSync(folder, { recursive: true, force: true })
})

async function start(options: Parameters<typeof startPrivateLab>[0]): Promise<PrivateLab> {
  const lab = await startPrivateLab(options)
  open.push(lab)
  return lab
}

async function greeting({ lab }: PrivateLab): Promise<string> {
  const output = { write: () => {}, drained: async () => {}, isTerminal: false, columns: 80 }
  const io = { stdin: (async function* () {})(), stdout: output, stderr: output, env: {} }
  return startupBanner(lab, stylesFor(io, output))
}

test('the first start shows the token this once and where it is kept; the next one only where', async () => {
  const state = join(folder, 'state')
  const first = await start({ state, ephemeral: false })
  const token = readFileSync(join(state, 'api-token'), 'utf8').trim()
  const said = await greeting(first)
  expect(said).toContain(`  API      http://127.0.0.1:${first.lab.api.port}  token in ${state}/api-token\n`)
  expect(said).toContain(`  token    ${token}  shown only once\n`)
  await first.close()
  open.pop()
  const second = await start({ state, ephemeral: false })
  const again = await greeting(second)
  expect(again).toContain(`token in ${state}/api-token\n`)
  expect(again).not.toContain(token)
})

test('every address it shows can be used, also where it listens everywhere, and every line can be given to a shell', async () => {
  const configFile = join(folder, 'every where', 'lab.yaml')
  mkdirSync(join(folder, 'every where'))
  const text = readFileSync('config/lab.yaml', 'utf8')
    .replace('host: 127.0.0.1\n    port: 8080', 'host: 0.0.0.0\n    port: 8080\n    tls: true')
    .replace('lab-bob', `it's $HOME and "more"`)
  expect(text).toContain('host: 0.0.0.0')
  writeFileSync(configFile, `${text}\n`)
  const { lab } = await start({ configFile, ephemeral: true })
  const said = await greeting({ lab } as PrivateLab)
  expect(said).not.toContain('0.0.0.0')
  const port = lab.listeners[0]?.port
  expect(said).toContain(`  proxy    127.0.0.1:${port} and on all other addresses of this machine  `)
  const lines = [...said.matchAll(/^ {2}(curl .+?) +# (.+)$/gm)]
  expect(lines.length).toBeGreaterThan(3)
  const bob = lines.filter(([, line = '']) => line.includes('bob@example.com'))
  expect(bob.length).toBeGreaterThan(0)
  for (const [, line = '', expected = ''] of bob) {
    const { stdout } = await promisify(execFile)('sh', ['-c', `${line} -s`], { timeout: PATIENCE_MS })
    expect(stdout.trim()).toContain(expected.replace(/^\d+, sees /, ''))
  }
})

test.each([
  [1, '1 warning; `npx egresslab check` shows it'],
  [2, '2 warnings; `npx egresslab check` shows them'],
])('%d warning(s) are counted in good English', async (count, words) => {
  const own = await start({ ephemeral: true })
  const warning: Issue = { severity: 'warning', code: 'x', message: 'x' }
  const lab = { ...own.lab, issues: Array.from({ length: count }, () => warning) }
  expect(await greeting({ ...own, lab })).toContain(words)
})

test('a token in memory is shown, as nobody could read it elsewhere; one that was given is not', async () => {
  const ephemeral = await start({ ephemeral: true })
  expect(await greeting(ephemeral)).toMatch(/ {2}token in memory only\n {2}token {4}[\w-]{43} {2}shown only once\n/)
  await ephemeral.close()
  open.pop()
  const given = await start({ ephemeral: true, apiToken: 'a-token-given-from-outside' })
  const said = await greeting(given)
  expect(said).toContain('token from EGRESSLAB_API_TOKEN\n')
  expect(said).not.toContain('a-token-given')
})

test('a file that contradicts what was changed at run time keeps the lab from starting, and both are named', async () => {
  const [state, configFile] = [join(folder, 'state'), join(folder, 'lab.yaml')]
  const text = (precedence: number) =>
    `dedicated_ips: []\nrules:\n  - { name: a, precedence: 1 }\n  - { name: b, precedence: ${precedence} }\n`
  writeFileSync(configFile, text(2))
  const first = await start({ configFile, state, ephemeral: false })
  const rule = [...first.lab.snapshot().state.rule.values()].find(({ value }) => value.name === 'a')?.value
  first.lab.store.change((draft) => draft.put('rule', { ...(rule ?? expect.unreachable()), precedence: 7 }))
  await first.close()
  open.pop()
  writeFileSync(configFile, text(7))
  const again = () => startPrivateLab({ configFile, state, ephemeral: false })
  const refused = await again().catch((thrown: unknown) => thrown)
  expect(refused).toBeInstanceOf(InputError)
  expect(refused).toMatchObject({
    issues: [
      { code: 'state.contradiction', message: expect.stringMatching(/precedence 7 of rule `.` is taken by rule `.`/) },
    ],
  })
  writeFileSync(configFile, text(3))
  const { lab } = await start({ configFile, state, ephemeral: false })
  expect(lab.snapshot().ruleset.rules.map(({ precedence }) => precedence)).toEqual([3, 7])
})

test('a reload shows at the API: new people are listed and explained, listeners stay as they were', async () => {
  const configFile = join(folder, 'lab.yaml')
  const text = (users: string) =>
    `dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }]\nusers:\n${users}`
  writeFileSync(configFile, text('  - { email: bob@example.com, password: lab-bob, place: AMS }\n'))
  const { lab } = await start({ configFile, ephemeral: true, apiToken: 'a-token-given-from-outside' })
  const ask = async (path: string, body?: unknown) => {
    const response = await fetch(`http://127.0.0.1:${lab.api.port}/lab/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: 'Bearer a-token-given-from-outside', 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return (await response.json()) as Envelope
  }
  const emails = async () => (await ask('/users')).result.map(({ email }: { email: string }) => email)
  expect(await emails()).toEqual(['bob@example.com'])
  writeFileSync(configFile, text('  - { email: eve@example.com, password: lab-eve, place: AMS }\n'))
  await expect.poll(emails).toEqual(['eve@example.com'])
  const explained = await ask('/explain', { destination: '198.51.100.7:443', user: 'eve@example.com' })
  expect(explained.result.decision.egress.ipv4).toBe('203.0.113.10')
})

test('destinations that come and go leave the people as they are, so that nobody has to log in anew', async () => {
  const { lab } = await start({ ephemeral: true })
  const { users, devices, sources } = lab.decider.config
  const added = ['one.test', 'two.test'].map((name, at) => ({
    name,
    addresses: [`192.0.2.${at + 1}`],
    origin: { kind: 'echo' as const, allow: [] },
    proxied_by_cloudflare: false,
  }))
  for (const count of [1, 2, 0, 1]) {
    await lab.changeDestinations(added.slice(0, count))
    const { config } = lab.decider
    expect(config.destinations.filter(({ name }) => added.some((one) => one.name === name))).toHaveLength(count)
    expect(
      [config.users, config.devices, config.sources].map((now, at) => now === [users, devices, sources][at]),
    ).toEqual([true, true, true])
  }
})

test('Gateway DNS is shown with its real port, and, while host selectors are off, with the rules that wait for it', async () => {
  const on = await start({ ephemeral: true })
  const where = `  DNS      127.0.0.1:${on.lab.dns[0]?.port} over UDP and TCP, http://127.0.0.1:${on.lab.api.port}/dns-query`
  expect(await greeting(on)).toContain(`${where}\n`)
  await on.close()
  open.pop()
  const text = readFileSync('config/lab.yaml', 'utf8').replace('host_selector: true', 'host_selector: false')
  const configFile = join(folder, 'off.yaml')
  writeFileSync(configFile, text)
  const off = await start({ ephemeral: true, configFile })
  expect(await greeting(off)).toContain(
    'dns-query; host selectors are off: no placeholders are given out, and 2 rules wait for them\n',
  )
})

test('a port of Gateway DNS that somebody else has keeps the lab from starting, whichever transport has it', async () => {
  const configFile = join(folder, 'taken.yaml')
  const host = loopback(53)
  const text = readFileSync('config/lab.yaml', 'utf8').replace(/port: 80[89]0/g, 'port: 0')
  const attempt = (port: number) => {
    writeFileSync(configFile, text.replace('127.0.0.1:8053', `${host}:${port}`))
    return startPrivateLab({ configFile, portsFromZero: false })
  }
  const overTcp = createServer().listen(0, host)
  await once(overTcp, 'listening')
  const { port } = overTcp.address() as AddressInfo
  await expect(attempt(port)).rejects.toThrow(`\`${host}:${port}\` is taken by another process`)
  const overUdp = await udpSocket(host)
  await expect(attempt(overUdp.port)).rejects.toThrow(/Gateway DNS cannot listen: .*EADDRINUSE/)
  overTcp.close()
})
