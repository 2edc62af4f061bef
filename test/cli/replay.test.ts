// `egresslab replay` on recordings of a real lab and of Cloudflare: what is said, what is written, what the exit code is.

import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as readText } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startLab } from '../../src/lab/start-lab.ts'
import { ownNetwork } from '../support/own-network.ts'
import { run } from './run.ts'

const LAB = `dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }
virtual_networks:
  - { name: vnet-LHR, id: 6f0f3c1a-2c68-4a55-9a0e-0d6f5c1b7a01 }
rules:
  - name: Finance to the bank
    traffic: net.fqdn.host == "bank.saas.test"
    identity: any(identity.groups.name[*] == "Finance")
    egress: { ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.10 }
  - name: vnet-LHR
    traffic: net.vnet_id == "6f0f3c1a-2c68-4a55-9a0e-0d6f5c1b7a01"
    egress: { ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.10 }
  - name: SSH
    traffic: net.dst.port == 22
    egress: { ipv4: 203.0.113.10, ipv4_fallback: 203.0.113.20 }
users:
  - { email: alice@example.com, password: lab, groups: [Finance], place: AMS }
  - { email: bob@example.com, password: lab, place: AMS }
destinations:
  - { name: bank.saas.test, addresses: [198.51.100.20], origin: { kind: saas, allow: [203.0.113.20] } }
  - { name: both.test, addresses: [198.51.100.21, "2001:db8:f00::21"], origin: echo }
`
/** Finance leaves from Amsterdam, which the bank refuses; bob's people get in instead. */
const RULES = `- name: Everybody else to the bank
  precedence: 10
  traffic: net.fqdn.host == "bank.saas.test"
  identity: not(any(identity.groups.name[*] == "Finance"))
  egress: { ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.10 }
- name: vnet-LHR
  precedence: 20
  traffic: net.vnet_id == "6f0f3c1a-2c68-4a55-9a0e-0d6f5c1b7a01"
  egress: { ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.10 }
`

let folder: string
const path = (name: string) => join(folder, name)
const own = (text: string) =>
  text.replaceAll(`${folder}/`, '').replaceAll(/in [\d.]+ s, [\d,]+ a second/g, 'in … s, … a second')
const records = (name: string) =>
  readFileSync(path(name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

/** The log of a lab that people really used. */
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-replay-'))
  writeFileSync(path('lab.yaml'), LAB)
  writeFileSync(path('rules.yaml'), RULES)
  const lab = await startLab({
    configFile: path('lab.yaml'),
    state: path('state'),
    ephemeral: false,
    portsFromZero: true,
    standInNetwork: ownNetwork(2),
  })
  const visits = [
    ['alice@example.com', 'http://bank.saas.test/'],
    ['bob@example.com', 'http://bank.saas.test/'],
    ['bob@example.com;vnet=vnet-LHR', 'http://both.test/'],
    ['bob@example.com;family=4', 'http://both.test/'],
    ['bob@example.com;src=24.253.10.10', 'http://both.test/'],
    ['bob@example.com', 'http://nobody.invalid/'],
  ] as const
  try {
    for (const [user, url] of visits) {
      const proxy = `http://127.0.0.1:${lab.listeners[0]?.port}`
      await promisify(execFile)('curl', ['-s', '-o', '/dev/null', '-x', proxy, '-U', `${user}:lab`, url], {
        env: { PATH: process.env.PATH ?? '' },
      }).catch(() => undefined)
    }
  } finally {
    await lab.close()
  }
  writeFileSync(path('sessions.ndjson'), readFileSync(path('state/sessions.ndjson')))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('what a lab recorded is decided the same by the same configuration', async () => {
  const { code, stdout, stderr } = await run([
    'replay',
    path('sessions.ndjson'),
    '-c',
    path('lab.yaml'),
    '--fail-on-change',
  ])
  expect({ code, stderr, stdout: own(stdout) }).toEqual({
    code: 0,
    stderr: '',
    stdout: [
      'lab.yaml against the recording',
      '6 sessions in … s, … a second',
      '5 decided again; not decided: 1 failed before a decision',
      'nothing changes',
      '',
      'allowlists',
      '  bank.saas.test  2 sessions  no new refusals',
      '',
      'rules that decide none of these sessions',
      '    3000  SSH',
      '',
    ].join('\n'),
  })
})

const CHANGED = [
  '6 sessions in … s, … a second',
  '5 decided again; not decided: 1 failed before a decision',
  '2 change (40.0 %): egress IP 2, rule 2, data center 2, outcome 2',
  '',
  'by destination',
  '  bank.saas.test:80  2 of 2  100.0 %',
  '',
  'by user',
  '  alice@example.com  1 of 1  100.0 %',
  '  bob@example.com    1 of 4  25.0 %',
  '',
  'by rule',
  '  Finance to the bank → (none)           1',
  '  (none) → Everybody else to the bank    1',
  '',
  'by egress IP',
  '  203.0.113.20 → 203.0.113.10  1',
  '  203.0.113.10 → 203.0.113.20  1',
  '',
  'by data center',
  '  LHR → AMS  1',
  '  AMS → LHR  1',
  '',
  'allowlists',
  '  bank.saas.test  2 sessions  newly refuses 1: alice@example.com  newly admits 1',
  '',
].join('\n')

test('other rules: counts by destination, user, rule, address and data center, and whom an allowlist now refuses', async () => {
  const args = [
    'replay',
    path('sessions.ndjson'),
    '-c',
    path('lab.yaml'),
    '--rules',
    path('rules.yaml'),
    '--threads',
    '1',
  ]
  const { code, stdout, stderr } = await run(args)
  expect({ code, stderr, stdout: own(stdout).replaceAll(/ +(?=1$)/gm, ' ') }).toEqual({
    code: 0,
    stderr: '',
    stdout: `rules.yaml against the recording\n${CHANGED.replaceAll(/ +(?=1$)/gm, ' ')}`,
  })
  expect((await run([...args, '--fail-on-change'])).code).toBe(1)
})

test('two sets of rules are compared with each other, whatever was recorded', async () => {
  const args = [
    'replay',
    path('sessions.ndjson'),
    '--rules',
    path('lab.yaml'),
    '-c',
    path('lab.yaml'),
    '--against',
    path('rules.yaml'),
    '--threads',
    '1',
  ]
  const { stdout } = await run(args)
  expect(own(stdout).replaceAll(/ +(?=1$)/gm, ' ')).toBe(
    `rules.yaml against lab.yaml\n${CHANGED.replaceAll(/ +(?=1$)/gm, ' ')}`,
  )
})

test('--out has the changed records as they were, in order, and what changed beside them', async () => {
  await run([
    'replay',
    path('sessions.ndjson'),
    '-c',
    path('lab.yaml'),
    '--rules',
    path('rules.yaml'),
    '--out',
    path('out.ndjson'),
  ])
  const [first, second] = records('sessions.ndjson')
  expect(records('out.ndjson')).toEqual([
    {
      ...first,
      Replay: {
        changed: ['egress_ip', 'rule', 'colo', 'outcome'],
        before: {
          egress_ip: '203.0.113.20',
          rule: { id: first.EgressRuleID, name: 'Finance to the bank' },
          colo: 'LHR',
          outcome: 'dedicated',
          reason: first.Lab.reason,
        },
        after: {
          egress_ip: '203.0.113.10',
          rule: null,
          colo: 'AMS',
          outcome: 'balanced',
          reason: expect.stringContaining('no rule matched'),
        },
      },
    },
    { ...second, Replay: expect.objectContaining({ after: expect.objectContaining({ egress_ip: '203.0.113.20' }) }) },
  ])
})

test('--json is one document with everything counted', async () => {
  const { code, stdout } = await run([
    'replay',
    path('sessions.ndjson'),
    '-c',
    path('lab.yaml'),
    '--rules',
    path('rules.yaml'),
    '--json',
  ])
  const document = JSON.parse(stdout)
  expect(code).toBe(0)
  expect(document).toMatchObject({
    sessions: 6,
    decided: 5,
    undecided: { no_destination: 1, other_protocol: 0, bad_address: 0 },
    unreadable: { count: 0, first: [] },
    changed: 2,
    changes: { egress_ip: 2, rule: 2, colo: 2, outcome: 2 },
    destinations: [
      { destination: 'bank.saas.test:80', sessions: 2, changed: 2 },
      { destination: 'both.test:80', sessions: 3, changed: 0 },
    ],
    rules: [
      { name: 'Everybody else to the bank', sessions: 1 },
      { name: 'vnet-LHR', sessions: 1 },
    ],
    allowlists: [
      { name: 'bank.saas.test', sessions: 2, refused: 1, admitted: 1, refused_users: { 'alice@example.com': 1 } },
    ],
  })
})

describe('recordings', () => {
  test('of Cloudflare, without the lab’s key, are decided by what they have', async () => {
    const session = (changes: object) =>
      JSON.stringify({
        SessionID: 'a',
        Protocol: 'TCP',
        Email: 'alice@example.com',
        SourceIP: '192.0.2.7',
        SourcePort: 50_000,
        OriginIP: '192.0.2.80',
        OriginPort: 443,
        IngressColoName: 'MAN',
        EgressColoName: 'LHR',
        EgressIP: '203.0.113.20',
        EgressRuleID: '',
        EgressRuleName: '',
        ResolvedFQDN: '',
        VirtualNetworkID: '',
        ...changes,
      })
    const lines = [
      session({}),
      session({ Email: 'erin@example.com', VirtualNetworkID: '11111111-2222-4333-8444-555555555555' }),
      session({ OriginPort: 22, EgressIP: '104.28.0.1', EgressColoName: 'MAN', Protocol: 'tcp' }),
      session({ Protocol: 'ICMP', OriginPort: 0 }),
    ]
    writeFileSync(path('cloudflare.ndjson'), lines.join('\n'))
    const { stdout } = await run(['replay', path('cloudflare.ndjson'), '-c', path('lab.yaml'), '--json'])
    expect(JSON.parse(stdout)).toMatchObject({
      sessions: 4,
      decided: 4,
      exempt: 1,
      undecided: { other_protocol: 0 },
      changed: 1,
      changes: { egress_ip: 1, rule: 1, colo: 1, outcome: 0 },
      moves: {
        egress_ip: [{ change: '104.28.0.1 → 203.0.113.10', sessions: 1 }],
        rule: [{ change: '(none) → SSH', sessions: 1 }],
      },
      unknown: { users: { 'erin@example.com': 1 }, virtual_networks: { '11111111-2222-4333-8444-555555555555': 1 } },
    })
  })

  test('of any length keep their order and their line numbers over threads; lines that are no record are counted and shown', async () => {
    const lines = readFileSync(path('sessions.ndjson'), 'utf8').trimEnd().split('\n').slice(0, 5)
    const many = Array.from({ length: 2_500 }, (_, at) =>
      lines.map((line) => line.replace(/"SessionID":"[^"]*"/, `"SessionID":"${at}"`)),
    ).flat()
    many[7_000] = '{"SessionID":"cut off'
    many[9_000] = '[1, 2]'
    many.splice(3_000, 0, '', '   \r')
    writeFileSync(path('long.ndjson.gz'), gzipSync(many.join('\r\n')))
    const { code, stdout, stderr } = await run([
      'replay',
      path('long.ndjson.gz'),
      path('sessions.ndjson'),
      '-c',
      path('lab.yaml'),
      '--rules',
      path('rules.yaml'),
      '--threads',
      '3',
      '--out',
      path('long-out.ndjson'),
    ])
    expect(code).toBe(0)
    expect(own(stderr)).toBe(
      'long.ndjson.gz:7003: not complete JSON\nlong.ndjson.gz:9003: JSON, but not a session record\n',
    )
    expect(own(stdout)).toContain(
      '12,506 sessions in … s, … a second\n12,503 decided again; not decided: 1 failed before a decision\n2 lines are not session records\n5,000 change',
    )
    const order = records('long-out.ndjson').map(({ SessionID }) => SessionID)
    expect(order).toHaveLength(5_000)
    expect(order.slice(0, -2).map(Number)).toEqual(
      order
        .slice(0, -2)
        .map(Number)
        .toSorted((a, b) => a - b),
    )
  })
})

test('standard input is read like a file, packed or not', async () => {
  const text = readFileSync(path('sessions.ndjson'))
  for (const input of [text, gzipSync(text)]) {
    const child = spawn(process.execPath, ['src/main.ts', 'replay', '-', '-c', path('lab.yaml'), '--json'])
    child.stdin.end(input)
    const [stdout, stderr] = await Promise.all([readText(child.stdout), readText(child.stderr)])
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toMatchObject({ sessions: 6, decided: 5, changed: 0 })
  }
})

describe('is refused with exit code 2 and every problem:', () => {
  const refused = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(['replay', ...args])
    return { code, stdout, stderr: own(stderr) }
  }

  test('recordings that are not there, or are none', async () => {
    expect(await refused(path('gone'), '-c', path('lab.yaml'))).toEqual({
      code: 2,
      stdout: '',
      stderr: `error: cannot read \`gone\`: there is no such file [replay.unreadable]\n\n1 error\n`,
    })
    writeFileSync(path('empty'), '')
    expect((await refused(path('empty'), '-c', path('lab.yaml'))).stderr).toContain('error: no sessions in')
    const none = await refused(path('lab.yaml'), '-c', path('lab.yaml'))
    expect({ code: none.code, first: none.stderr.split('\n')[0] }).toEqual({
      code: 2,
      first: 'lab.yaml:1:1: error: no line is a session record: not complete JSON [replay.no_sessions]',
    })
  })

  test('rules that are not good, with their own file and line', async () => {
    writeFileSync(
      path('bad-rules.yaml'),
      RULES.replace('net.vnet_id', 'net.vnet_idd').replace('203.0.113.20', '203.0.113.99'),
    )
    const { code, stderr } = await refused(
      path('sessions.ndjson'),
      '-c',
      path('lab.yaml'),
      '--rules',
      path('bad-rules.yaml'),
    )
    expect(code).toBe(2)
    expect(stderr).toContain('bad-rules.yaml:5:19: error: the account owns no dedicated IPv4 `203.0.113.99`')
    expect((await refused(path('sessions.ndjson'), '--rules', path('gone.yaml'))).stderr).toContain(
      'cannot read `gone.yaml`',
    )
  })

  test('outputs that cannot be written, thread counts that are none', async () => {
    expect((await refused(path('sessions.ndjson'), '-c', path('lab.yaml'), '--out', path('no/out'))).stderr).toContain(
      'cannot write `no/out` (ENOENT)',
    )
    expect((await refused(path('sessions.ndjson'), '--threads', '0')).code).toBe(2)
  })
})
