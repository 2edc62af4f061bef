// Rules on `net.src.geo.*`, and people whose place is configured: `check` and `explain` say why such a rule never matches them.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from './run.ts'

const CONFIGURATION = `
dedicated_ips: [{ colo: LHR, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }]
users:
  - { email: placed@example.com, place: LHR }
  - { email: known@example.com, place: LHR, device: laptop }
  - { email: nowhere@example.com }
devices: [{ name: laptop, source_ip: 81.2.69.142 }]
listeners: [{ name: main, port: 0 }]
rules:
  - { name: British, traffic: net.src.geo.country == "GB" }
  - { name: the rest, traffic: 'net.protocol in {"tcp" "udp"}' }
`

let folder: string
let config: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-places-'))
  config = join(folder, 'lab.yaml')
  writeFileSync(config, CONFIGURATION)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface CheckedIssue {
  readonly code: string
  readonly message: string
  readonly line: number
}

async function warnings(file: string): Promise<CheckedIssue[]> {
  const { code, stdout } = await run(['check', '-c', file, '--json'])
  expect(code).toBe(0)
  const { issues } = JSON.parse(stdout) as { issues: CheckedIssue[] }
  return issues.filter((issue) => issue.code === 'rule.source_unknown')
}

test('`check` names the rule, the field and the users who never have a value for it', async () => {
  const [only, ...others] = await warnings(config)
  expect(others).toEqual([])
  expect(only?.line).toBe(10)
  expect(only?.message).toContain(
    'rule `British` tests `net.src.geo.country`, which has no value for `placed@example.com`;',
  )
})

test('`check` is silent where no rule asks for it', async () => {
  const other = join(folder, 'other.yaml')
  writeFileSync(other, CONFIGURATION.replace('net.src.geo.country == "GB"', 'net.dst.geo.country == "GB"'))
  expect(await warnings(other)).toEqual([])
})

interface Explained {
  readonly decision: { readonly rule: { readonly name: string } }
  readonly trace: readonly {
    readonly expressions: { readonly traffic: { readonly parts: readonly { note?: string }[] } }
  }[]
}

async function explained(user: string): Promise<Explained> {
  const { code, stdout } = await run(['explain', '198.51.100.9:443', '--user', user, '-c', config, '--json'])
  expect(code).toBe(0)
  return JSON.parse(stdout) as Explained
}

test('`explain` says why the field has no value', async () => {
  const { decision, trace } = await explained('placed@example.com')
  expect(decision.rule.name).toBe('the rest')
  expect(trace[0]?.expressions.traffic.parts[0]?.note).toBe(
    "the geo database does not know 127.0.0.1, and the user's `place` decides ingress and balancing only",
  )
  const { stdout } = await run(['explain', '198.51.100.9:443', '--user', 'placed@example.com', '--full', '-c', config])
  expect(stdout).toContain('net.src.geo.country has no value: the geo database does not know 127.0.0.1, and')
  const nowhere = await explained('nowhere@example.com')
  expect(nowhere.trace[0]?.expressions.traffic.parts[0]?.note).toBe('the geo database does not know 127.0.0.1')
})

test('a user whose device has an address the database knows matches, and nothing is noted', async () => {
  const { decision, trace } = await explained('known@example.com')
  expect(decision.rule.name).toBe('British')
  expect(trace[0]?.expressions.traffic.parts[0]).not.toHaveProperty('note')
})

test('`test --coverage` leaves out rules that `check` has proven dead, and says why', async () => {
  const file = join(folder, 'dead.yaml')
  writeFileSync(
    file,
    `${CONFIGURATION}  - { name: covered, traffic: net.dst.port == 443 }\n  - { name: absurd, precedence: 1, traffic: net.dst.port == 1 and net.dst.port == 2 }\n`,
  )
  const cases = join(folder, 'dead.test.yaml')
  writeFileSync(
    cases,
    `config: dead.yaml
cases:
  - { name: a, flow: { destination: "198.51.100.9:443", user: known@example.com }, expect: { rule: British } }
  - { name: b, flow: { destination: "198.51.100.9:443", user: placed@example.com }, expect: { rule: the rest } }
`,
  )
  const { issues } = JSON.parse((await run(['check', '-c', file, '--json'])).stdout)
  const dead = issues.filter(({ code }: CheckedIssue) => code === 'practice.P6')
  const { code, stdout } = await run(['test', cases, '--json', '--coverage-threshold', '100'])
  const [{ percent, rules }] = JSON.parse(stdout).coverage
  expect([code, percent, dead.length]).toEqual([0, 100, 2])
  expect(rules.map(({ rule, skipped }: { rule: string; skipped: string | null }) => [rule, skipped])).toEqual([
    ['absurd', 'can never match: its conditions exclude each other'],
    ['British', null],
    ['the rest', null],
    ['covered', 'is never reached: rule `the rest` (precedence 2000) matches whenever it would'],
  ])
})
