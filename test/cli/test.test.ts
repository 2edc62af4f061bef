// `egresslab test` as people and machines see it: whole outputs, exit codes, reports, and the watch mode in a process of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PATIENCE_MS } from '../support/patience.ts'
import { run } from './run.ts'

let folder: string
const path = (name: string) => join(folder, name)
const write = (name: string, text: string) => writeFileSync(path(name), text)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-test-'))
  write('lab.yaml', LAB)
  write('good.test.yaml', GOOD)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const LAB = `dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }
rules:
  - name: Finance to the bank
    id: 00b5f608-7d87-572d-88c2-3ef1bfa116d2
    traffic: net.fqdn.host == "bank.saas.test"
    identity: any(identity.groups.name[*] == "Finance")
    egress: { ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.10 }
  - name: SSH from Amsterdam
    traffic: net.dst.port == 22
    egress: { ipv4: 203.0.113.10, ipv4_fallback: 203.0.113.20 }
users:
  - { email: alice@example.com, password: lab, groups: [Finance], place: AMS }
  - { email: bob@example.com, password: lab, place: AMS }
destinations:
  - { name: bank.saas.test, addresses: [198.51.100.20], origin: { kind: saas, allow: [203.0.113.20] } }
`
const GOOD = `config: lab.yaml
defaults: { destination: "https://bank.saas.test/" }
cases:
  - name: Finance gets in
    flow: { user: alice@example.com }
    expect: { rule: Finance to the bank, egress_ip: 203.0.113.20, let_in: true }
  - flow: { user: bob@example.com }
    expect: { outcome: balanced, rule: null, let_in: false }
`

test('says of each case that it holds, and exits 0', async () => {
  expect(await run(['test', path('good.test.yaml')])).toEqual({
    code: 0,
    stderr: '',
    stdout: [
      `${path('good.test.yaml')}  on ${path('lab.yaml')}`,
      '  ✓ Finance gets in',
      '  ✓ bob@example.com → https://bank.saas.test/',
      '',
      '2 passed, 0 failed',
      '',
    ].join('\n'),
  })
})

test('a failed case shows what differs and the trace that explain draws; the exit code is 1', async () => {
  write(
    'bad.test.yaml',
    'config: lab.yaml\ncases:\n  - name: bob gets in\n    flow: { user: bob@example.com, destination: "bank.saas.test:443" }\n    expect: { let_in: true, egress_ip: 203.0.113.20 }\n',
  )
  const file = path('bad.test.yaml')
  const explained = await run(['explain', 'bank.saas.test:443', '--user', 'bob@example.com', '-c', path('lab.yaml')])
  const trace = explained.stdout.replace(/^(?=.)/gm, '      ')
  expect(trace).toContain('service  bank.saas.test refuses')
  expect(await run(['test', file])).toEqual({
    code: 1,
    stderr: '',
    stdout: [
      `${file}  on ${path('lab.yaml')}`,
      `  ✗ bob gets in  ${file}:3`,
      '      egress_ip  expected  203.0.113.20',
      '                 found     203.0.113.10',
      '      let_in     expected  true',
      '                 found     false',
      '',
      `${trace}`,
      '0 passed, 1 failed',
      '',
    ].join('\n'),
  })
})

test('a misspelt key is told as such, with its place and the key that was meant', async () => {
  const file = join(folder, 'misspelt.test.yaml')
  writeFileSync(file, 'config: lab.yaml\ncasez: []\n')
  const { code, stderr } = await run(['test', file])
  expect(code).toBe(2)
  expect(stderr).toContain(`${file}:2:1: error: unknown key \`casez\` [config.unknown_key]`)
  expect(stderr).toContain('did you mean `cases`?')
  expect(stderr).not.toContain('rules.unknown_file')
})

test('a case may be about a connection that fails before any decision', async () => {
  write(
    'fails.test.yaml',
    'config: lab.yaml\ndefaults: { user: bob@example.com }\ncases:\n  - { flow: { destination: "http://x.invalid/" }, expect: { error: name.not_found } }\n  - { flow: { vnet: mars, destination: "espn.com:80" }, expect: { error: request.malformed } }\n',
  )
  const { code, stdout } = await run(['test', path('fails.test.yaml')])
  expect({ code, last: stdout.split('\n').at(-2) }).toEqual({ code: 0, last: '2 passed, 0 failed' })
})

test('--coverage lists every rule with its cases, and those that never decided one', async () => {
  const { code, stdout } = await run(['test', path('good.test.yaml'), '--coverage'])
  expect(code).toBe(0)
  expect(stdout.split('\n').slice(-6)).toEqual([
    `coverage of ${path('lab.yaml')}: 50 % of the rules that can match decided a case`,
    '    1000  Finance to the bank  Finance gets in',
    '    2000  SSH from Amsterdam   never',
    '',
    '2 passed, 0 failed',
    '',
  ])
})

test('--coverage-threshold asks for more than was covered, and exits 1', async () => {
  expect((await run(['test', folder, '--coverage-threshold', '50'])).code).toBe(0)
  const { code, stderr } = await run(['test', folder, '--coverage-threshold', '51'])
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `the tests of ${path('lab.yaml')} cover 50 % of its rules, less than the required 51 %\n`,
  })
  expect((await run(['test', folder, '--coverage-threshold', '101'])).code).toBe(2)
})

test('--filter runs the cases whose name fits, and refuses to run none', async () => {
  const { code, stdout } = await run(['test', folder, '--filter', 'FINANCE'])
  expect({ code, last: stdout.split('\n').at(-2) }).toEqual({ code: 0, last: '1 passed, 0 failed' })
  expect(await run(['test', folder, '--filter', 'zebra'])).toEqual({
    code: 2,
    stdout: '',
    stderr: 'error: no case name contains `zebra` [test.no_tests]\n\n1 error\n',
  })
})

test('-c asks another configuration than the one the file names', async () => {
  write(
    'other.yaml',
    LAB.replace('ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.10', 'ipv4: 203.0.113.10, ipv4_fallback: 203.0.113.20'),
  )
  const { code, stdout } = await run(['test', path('good.test.yaml'), '-c', path('other.yaml')])
  expect(code).toBe(1)
  expect(stdout).toContain(`${path('good.test.yaml')}  on ${path('other.yaml')}\n  ✗ Finance gets in`)
})

test('--json is one document with decisions, differences, coverage, and the explanation of what failed', async () => {
  write(
    'bad.test.yaml',
    'config: lab.yaml\ncases:\n  - { name: ssh, flow: { destination: "198.51.100.9:22" }, expect: { physical_colo: lhr } }\n',
  )
  const { code, stdout, stderr } = await run(['test', folder, '--json'])
  const document = JSON.parse(stdout)
  expect({ code, stderr, passed: document.passed, failed: document.failed }).toEqual({
    code: 1,
    stderr: '',
    passed: 2,
    failed: 1,
  })
  const [bad, good] = document.files
  expect(bad).toMatchObject({
    file: path('bad.test.yaml'),
    config: path('lab.yaml'),
    cases: [
      {
        name: 'ssh',
        line: 3,
        passed: false,
        differences: [{ what: 'physical_colo', expected: 'LHR', found: 'AMS' }],
        decision: { outcome: 'dedicated', rule: { name: 'SSH from Amsterdam' }, egress: { ipv4: '203.0.113.10' } },
        let_in: null,
        explanation: { flow: { 'net.dst.port': 22 }, trace: [{ matched: false }, { matched: true }] },
      },
    ],
  })
  expect(good.cases.map(({ passed, explanation }: Record<string, unknown>) => [passed, explanation])).toEqual([
    [true, undefined],
    [true, undefined],
  ])
  expect(document.coverage).toMatchObject([
    { config: path('lab.yaml'), percent: 100, rules: [{ decided: ['Finance gets in'] }, { decided: ['ssh'] }] },
  ])
})

test('--junit writes the report beside the usual output', async () => {
  const report = path('report.xml')
  expect((await run(['test', folder, '--junit', report])).code).toBe(0)
  const shown = readFileSync(report, 'utf8')
    .replaceAll(/time="[\d.]+"/g, 'time="…"')
    .replaceAll(folder, 'F')
  expect(shown).toBe(
    [
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<testsuites name="egresslab test" tests="2" failures="0" errors="0" skipped="0" time="…">',
      '  <testsuite name="F/good.test.yaml" tests="2" failures="0" errors="0" skipped="0" time="…">',
      '    <testcase name="Finance gets in" classname="F/good.test.yaml" file="F/good.test.yaml" line="4" time="…"/>',
      '    <testcase name="bob@example.com → https://bank.saas.test/" classname="F/good.test.yaml" file="F/good.test.yaml" line="7" time="…"/>',
      '  </testsuite>',
      '</testsuites>',
      '',
    ].join('\n'),
  )
  const unwritable = await run(['test', folder, '--junit', join(folder, 'no', 'report.xml')])
  expect(unwritable.code).toBe(2)
  expect(unwritable.stderr).toContain('error: cannot write `')
})

describe('everything that cannot be asked is said at once, in place, with exit code 2:', () => {
  const place = (stderr: string) =>
    stderr
      .replaceAll(`${folder}/`, '')
      .split('\n')
      .filter((line) => line.includes(': error: '))

  test('shapes, in every file', async () => {
    write('a.test.yaml', 'config: lab.yaml\ncases:\n  - { flow: { destinaton: x, source-ip: 1.2.3.4 }, expect: {} }\n')
    write(
      'b.test.yaml',
      'cases:\n  - { flow: { destination: "a:1", family: 5 }, expect: { egress_ip: 1.2.3, outcome: dedicate } }\n',
    )
    write('c.test.yaml', 'config: lab.yaml\ncases: [\n')
    const { code, stdout, stderr } = await run(['test', folder])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(place(stderr)).toEqual([
      'a.test.yaml:3:15: error: unknown key `destinaton` [config.unknown_key]',
      'a.test.yaml:3:30: error: unknown key `source-ip` [config.unknown_key]',
      'a.test.yaml:3:60: error: the block has no key [config.not_allowed]',
      'b.test.yaml:1:1: error: the key `config` is missing [config.missing_key]',
      'b.test.yaml:2:43: error: `5` is not one of `4`, `6` [config.not_allowed]',
      'b.test.yaml:2:69: error: `1.2.3` is not an IP address or a network such as `203.0.113.0/24` [config.malformed]',
      'b.test.yaml:2:85: error: `dedicate` is not one of `dedicated`, `dedicated-fallback`, `balanced`, `default`, `exempt`, `unroutable` [config.not_allowed]',
      'c.test.yaml:3:1: error: the indentation matches no line above it [config.syntax]',
    ])
  })

  test('names that the configuration does not have', async () => {
    write(
      'names.test.yaml',
      [
        'config: lab.yaml',
        'defaults: { user: alise@example.com }',
        'cases:',
        '  - { flow: { destination: "bank.saas.test:443" }, expect: { outcome: balanced } }',
        '  - { flow: { user: bob@example.com, destination: "a b" }, expect: { outcome: balanced } }',
        '  - { flow: { user: bob@example.com, destination: "a.test:1", endpoint: side }, expect: { outcome: balanced } }',
        '  - { flow: { user: bob@example.com, destination: "a.test:1", vnet: mars }, expect: { outcome: balanced } }',
        '  - { flow: { user: bob@example.com, destination: "a.test:1", colos_down: [LRH] }, expect: { error: name.found } }',
        '  - { flow: { destination: "bank.saas.test:443" }, expect: { rule: Finance to bank } }',
        '',
      ].join('\n'),
    )
    const { code, stderr } = await run(['test', path('names.test.yaml')])
    expect(code).toBe(2)
    expect(place(stderr)).toEqual([
      'names.test.yaml:2:19: error: unknown user `alise@example.com` [explain.unknown_user]',
      'names.test.yaml:5:51: error: invalid destination `a b` [explain.bad_destination]',
      'names.test.yaml:6:73: error: unknown proxy endpoint or listener `side` [explain.unknown_endpoint]',
      'names.test.yaml:7:13: error: there is no virtual network `mars`; there are: `default` [request.malformed]',
      'names.test.yaml:8:75: error: unknown data center `LRH` [explain.unknown_colo]',
      'names.test.yaml:8:101: error: unknown error code `name.found` [test.unknown_error]',
      'names.test.yaml:9:68: error: the configuration has no rule `Finance to bank` [test.unknown_rule]',
    ])
    expect(stderr).toContain('hint: did you mean `Finance to the bank`?')
  })

  test('paths without tests, configurations that are missing or broken', async () => {
    expect((await run(['test', path('nowhere'), path('lab')])).stderr).toBe(
      `${path('nowhere')}: error: \`${path('nowhere')}\` does not exist [test.no_tests]\n\n${path('lab')}: error: \`${path('lab')}\` does not exist [test.no_tests]\n\n2 errors\n`,
    )
    write('gone.test.yaml', GOOD.replace('lab.yaml', 'gone.yaml'))
    expect(place((await run(['test', path('gone.test.yaml')])).stderr)).toEqual([
      'gone.test.yaml:1:9: error: cannot read `gone.yaml`: there is no such file [config.unreadable]',
    ])
    write('lab.yaml', LAB.replace('net.dst.port', 'net.dst.prt'))
    expect(place((await run(['test', folder])).stderr)).toContain(
      'lab.yaml:11:14: error: rule `SSH from Amsterdam`: unknown identifier `net.dst.prt` in its `traffic` expression [expression.unknown_field]',
    )
  })
})

test('--watch runs again when a test or its configuration changes, and ends on Ctrl-C', async () => {
  const child = spawn(process.execPath, ['src/main.ts', 'test', '--watch', path('good.test.yaml')])
  try {
    let seen = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      seen += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      seen += text
    })
    const until = async (text: string) => {
      const deadline = AbortSignal.timeout(PATIENCE_MS)
      while (!seen.includes(text) || !seen.includes('waiting for changes')) {
        await Promise.race([
          once(child.stdout, 'data', { signal: deadline }),
          once(child.stderr, 'data', { signal: deadline }),
        ])
      }
      seen = ''
    }
    await until('2 passed, 0 failed')
    write('good.test.yaml', GOOD.replace('let_in: true', 'let_in: false'))
    await until('1 passed, 1 failed')
    write('good.test.yaml', 'nonsense: [')
    await until('config.syntax')
    write('good.test.yaml', GOOD)
    await until('2 passed, 0 failed')
    write('lab.yaml', LAB.replace('allow: [203.0.113.20]', 'allow: []'))
    await until('1 passed, 1 failed')
    child.kill('SIGINT')
    const [code] = await once(child, 'exit')
    expect(code).toBe(130)
  } finally {
    child.kill('SIGKILL')
  }
})
