import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readPolicyFile } from '../../src/rules-sync/read-policy.ts'
import { sampleRecord } from '../log/sample-record.ts'
import { run } from './run.ts'

let folder: string
const path = (name: string) => join(folder, name)
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-fmt-'))
  writeFileSync(path('tidy.yaml'), 'rules:\n  - name: Tidy\n    traffic: net.dst.port in {80 443}\n')
  writeFileSync(
    path('untidy.yaml'),
    [
      '- name: Untidy',
      '  traffic: net.dst.port   in {80  443}',
      '  identity: >-',
      '    not (identity.email == "a@b.test")',
      '- name: Tidy',
      '  traffic: net.protocol == "tcp"',
      '',
    ].join('\n'),
  )
  writeFileSync(
    path('broken.yaml'),
    'rules:\n  - name: Broken\n    traffic: net.dst.prt == 80\n  - name: Also\n    identity: "net.dst.port == 80"\n',
  )
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('prints every expression of the rules of a file in normal form, and leaves the file alone', async () => {
  const before = readFileSync(path('untidy.yaml'), 'utf8')
  expect(await run(['fmt', path('untidy.yaml')])).toEqual({
    code: 0,
    stderr: '',
    stdout: [
      '# Untidy',
      'traffic: net.dst.port in {80 443}',
      'identity: not(identity.email == "a@b.test")',
      '',
      '# Tidy',
      'traffic: net.protocol == "tcp"',
      '',
    ].join('\n'),
  })
  expect(readFileSync(path('untidy.yaml'), 'utf8')).toBe(before)
})

test('keeps the names that a rule of a configuration has for ids', async () => {
  writeFileSync(
    path('names.yaml'),
    [
      'virtual_networks: [{ name: vnet-EMEA }]',
      'lists: [{ name: Partner networks, type: IP }]',
      'rules:',
      '  - name: By name',
      '    traffic: net.vnet_id=="vnet-EMEA" and net.dst.ip in   $"Partner networks"',
      '  - name: Of nothing',
      '    traffic: net.vnet_id == "vnet-X" and  net.dst.ip in $"Nobody"',
      '',
    ].join('\n'),
  )
  expect(await run(['fmt', path('names.yaml')])).toEqual({
    code: 0,
    stderr: '',
    stdout: [
      '# By name',
      'traffic: net.vnet_id == "vnet-EMEA" and net.dst.ip in $"Partner networks"',
      '',
      '# Of nothing',
      'traffic: net.vnet_id == "vnet-X" and net.dst.ip in $"Nobody"',
      '',
    ].join('\n'),
  })
})

const OTHERS = [
  'rules:',
  '  - { name: names, action: block, filters: [dns], traffic: \'any(dns.domains[*] == "bad.test")   or  nothing\' }',
  "  - { name: net, action: block, filters: [l4], traffic: 'any(net.sni.domains[*] == \"x\")', identity: 'identity.email  ==' }",
  '  - { name: web, action: allow, filters: [http], device_posture: \'http.request.host == "x"\' }',
  '  - { name: resolver, action: resolve, filters: [dns_resolver], traffic: \'dns.fqdn == "x"\' }',
  '  - { name: ours, action: egress, filters: [egress], traffic: net.dst.port   == 443 }',
  '  - { name: ours too, traffic: net.dst.port == 80 }',
  '',
].join('\n')

test('[R9] rules of other types are left as written, and said so once; the rest of the file is printed', async () => {
  writeFileSync(path('others.yaml'), OTHERS)
  expect(await run(['fmt', path('others.yaml')])).toEqual({
    code: 0,
    stderr: `${path('others.yaml')}: 4 rules that are not egress rules left unchanged\n`,
    stdout: '# ours\ntraffic: net.dst.port == 443\n\n# ours too\ntraffic: net.dst.port == 80\n',
  })
  const { code, stdout } = await run(['fmt', '--json', path('others.yaml')])
  expect(code).toBe(0)
  expect(JSON.parse(stdout).map(({ rule }: { rule: string }) => rule)).toEqual(['ours', 'ours too'])
})

test('[R9] check, test, explain, replay and a push take a file with rules of other types, and never evaluate them', async () => {
  const config = path('whole.yaml')
  writeFileSync(
    config,
    `dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }]\nusers: [{ email: alice@example.com, place: AMS }]\nlisteners: [{ name: main, port: 0 }]\n${OTHERS}`,
  )
  writeFileSync(
    path('cases.yaml'),
    'config: whole.yaml\ncases: [{ name: a, flow: { destination: "192.0.2.1:443", user: alice@example.com }, expect: { rule: ours } }]\n',
  )
  writeFileSync(path('list.yaml'), OTHERS.replace('rules:\n', ''))
  writeFileSync(path('sessions.ndjson'), `${JSON.stringify(sampleRecord())}\n`)
  for (const verb of [
    ['check', '-c', config],
    ['test', path('cases.yaml')],
    ['explain', '192.0.2.1:443', '--user', 'alice@example.com', '-c', config],
    ['replay', path('sessions.ndjson'), '-c', config, '--rules', path('list.yaml')],
  ]) {
    const { code, stderr } = await run(verb)
    expect([verb[0], code, stderr]).toEqual([verb[0], 0, ''])
  }
  const policy = await readPolicyFile(path('others.yaml'))
  expect(policy.rules.map(({ fields }) => fields.filters)).toEqual([
    ['dns'],
    ['l4'],
    ['http'],
    ['dns_resolver'],
    ['egress'],
    ['egress'],
  ])
  expect(policy.rules[0]?.fields.traffic).toBe('any(dns.domains[*] == "bad.test")   or  nothing')
})

test('--check says what would change and where, and exits 1', async () => {
  expect(await run(['fmt', '--check', path('untidy.yaml')])).toEqual({
    code: 1,
    stderr: '',
    stdout: [
      `${path('untidy.yaml')}:2:12`,
      '- net.dst.port   in {80  443}',
      '+ net.dst.port in {80 443}',
      `${path('untidy.yaml')}:4:5`,
      '- not (identity.email == "a@b.test")',
      '+ not(identity.email == "a@b.test")',
      '',
    ].join('\n'),
  })
})

test('--check is silent and good where nothing would change', async () => {
  expect(await run(['fmt', '--check', path('tidy.yaml')])).toEqual({ code: 0, stderr: '', stdout: '' })
})

test('the shipped rules are in normal form', async () => {
  expect(await run(['fmt', '--check'])).toEqual({ code: 0, stderr: '', stdout: '' })
})

test('reads expressions from standard input, plain or as JSON, one per line', async () => {
  const stdin = 'net.dst.port   == 80\n{"id": 1, "expr": "not  (net.protocol == \\"udp\\")"}\n'
  expect(await run(['fmt', '-'], { stdin })).toEqual({
    code: 0,
    stderr: '',
    stdout: 'net.dst.port == 80\nnot(net.protocol == "udp")\n',
  })
})

test('every broken expression is listed with its place and drawn with a caret; the exit code is 2', async () => {
  const { code, stdout, stderr } = await run(['fmt', path('broken.yaml'), '-'], { stdin: 'net.dst.port ==\n' })
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(`${path('broken.yaml')}:3:14: error: `)
  expect(stderr).toContain(`${path('broken.yaml')}:5:16: error: `)
  expect(stderr).toContain('standard input:1:')
  expect(stderr).toMatch(/\n +net\.dst\.prt == 80\n +\^{11} /)
  expect(stderr).toMatch(/^3 errors$/m)
})

test('a file that is not there is an input error', async () => {
  const { code, stderr } = await run(['fmt', path('none.yaml')])
  expect(code).toBe(2)
  expect(stderr).toContain('there is no such file')
})

test('--json gives every expression as data', async () => {
  const { stdout } = await run(['fmt', '--json', path('tidy.yaml')])
  expect(JSON.parse(stdout)).toEqual([
    {
      at: `${path('tidy.yaml')}:3:14`,
      rule: 'Tidy',
      expression: 'traffic',
      source: 'net.dst.port in {80 443}',
      normal: 'net.dst.port in {80 443}',
      changed: false,
    },
  ])
})
