// Rules in a file may name what the language knows by id, and the language itself stays the product's.

import { describe, expect, test } from 'vitest'
import { asWritten, expandNames, restoreNames, writtenSpan } from '../../src/config/expression-names.ts'
import type { LabConfig } from '../../src/config/lab-config.ts'
import { checkConfigText } from '../../src/config/load.ts'
import { gatherNames } from '../../src/config/names.ts'
import { placeRuleIssue } from '../../src/config/read-rules.ts'
import { RuleParser } from '../../src/policy/rule-expressions.ts'

const EMEA = '7b1c0000-0000-4000-8000-000000000001'
const PARTNERS = '7b1c0000-0000-4000-8000-000000000002'
const DISK = '7b1c0000-0000-4000-8000-000000000003'
const NAMES = gatherNames({
  virtual_networks: [{ name: 'vnet-EMEA', id: EMEA }],
  lists: [{ name: 'Partner networks', id: PARTNERS }],
  posture_checks: [{ name: 'disk "full"', id: DISK }],
  groups: [{ name: 'Finance', id: 'finance-0' }],
  listeners: [{ name: 'branch', endpoint: { kind: 'ip', subdomain: '3ele0ss56t' } }, { name: 'main' }],
})
const expand = (text: string) => expandNames(text, NAMES)

describe('a name stands for an id', () => {
  test.each([
    ['net.vnet_id == "vnet-EMEA"', `net.vnet_id == "${EMEA}"`],
    ['net.vnet_id eq r#"VNET-emea"#', `net.vnet_id eq "${EMEA}"`],
    ['not net.vnet_id in {"vnet-EMEA" "default"}', 'not net.vnet_id in {"'],
    ['net.dst.ip in $"Partner networks"', `net.dst.ip in $${PARTNERS}`],
    [
      'any(device_posture.checks.passed[*] in {"disk \\"full\\""})',
      `any(device_posture.checks.passed[*] in {"${DISK}"})`,
    ],
    ['any(identity.groups.id[*] == "Finance")', 'any(identity.groups.id[*] == "finance-0")'],
    ['any(identity.groups[*].id == "finance")', 'any(identity.groups[*].id == "finance-0")'],
    ['proxy.endpoint == "branch"', 'proxy.endpoint == "3ele0ss56t.proxy.cloudflare-gateway.com"'],
  ])('in %s', (written, expanded) => {
    const { text, names, unknown } = expand(written)
    expect(text).toContain(expanded)
    expect(unknown).toEqual([])
    expect(asWritten(text, names)).toBe(written)
  })

  test.each([
    'net.fqdn.host == "vnet-EMEA"',
    'any(identity.groups.name[*] in {"Finance"})',
    'net.vnet_id matches "vnet-EMEA"',
    'net.vnet_id contains "vnet-EMEA"',
    `net.vnet_id == "${EMEA}" and net.dst.port == 443`,
    'identity.email == "net.vnet_id == \\"vnet-EMEA\\""',
    'any(identity.groups.id[*] == "somebody else\'s")',
    `net.dst.ip in $${PARTNERS}`,
    'net.vnet_id == "" or net.dst.port in {80 443}',
    'net.vnet_id == "vnet-EMEA',
    'constructor == "vnet-EMEA" or toString == "x"',
    'net.dst.ip in $6f0f3c1a-2c68-4a55-9a0e-0d6f5c1b7c01 or net.dst.ip in $6f0f3c1a2c684a559a0e0d6f5c1b7c01',
  ])('and not in %s', (written) => {
    expect(expand(written)).toEqual({ text: written, names: [], unknown: [] })
  })
})

describe('a name of nothing', () => {
  test.each([
    ['net.dst.port == 443 and net.vnet_id == "vnet-EMAE"', [39, 50], 'there is no virtual network `vnet-EMAE`'],
    ['net.dst.ip in $"Partner network"', [14, 32], 'there is no list `Partner network`'],
    ['net.dst.ip in $partner-networks', [14, 31], 'there is no list `partner-networks`'],
    ['any(device_posture.checks.failed[*] == "disk")', [39, 45], 'there is no posture check `disk`'],
    ['proxy.endpoint == "main"', [18, 24], 'there is no proxy endpoint `main`'],
  ])('in %s is reported at its place', (written, span, message) => {
    expect(expand(written).unknown).toMatchObject([{ span, message }])
  })

  test('is an error of the configuration, with a caret and what was meant', () => {
    const text = `dedicated_ips: []
virtual_networks: [{ name: vnet-EMEA }]
rules:
  - name: one
    traffic: |
      net.dst.port == 443
      and net.vnet_id == "vnet-EMAE"
`
    expect(checkConfigText('lab.yaml', text)).toEqual({
      issues: [
        {
          severity: 'error',
          code: 'config.unknown_name',
          message: 'there is no virtual network `vnet-EMAE`',
          hint: 'did you mean `vnet-EMEA`?',
          file: 'lab.yaml',
          line: 7,
          column: 26,
          path: ['rules', 0, 'traffic'],
          drawing: '      and net.vnet_id == "vnet-EMAE"\n                         ^^^^^^^^^^^',
        },
      ],
    })
  })
})

test('spans of the expanded expression are spans of what was written, and never cut a name', () => {
  const written = 'net.vnet_id == "vnet-EMEA" and é == 1'
  const { text, names } = expand(written)
  const of = (part: string, from = Array.from(text).join('').indexOf(part)) =>
    writtenSpan([from, from + part.length], names)
  expect(of('net.vnet_id')).toEqual([0, 11])
  expect(of(`"${EMEA}"`)).toEqual([15, 26])
  expect(of(EMEA.slice(3, 9))).toEqual([15, 26])
  expect(of('é == 1')).toEqual([31, 37])
})

test('a text with the ids has the names put back', () => {
  const expanded = expand('net.vnet_id=="vnet-EMEA" or net.dst.ip   in $"Partner networks"')
  const normal = `net.vnet_id == "${EMEA}" or net.dst.ip in $${PARTNERS}`
  expect(restoreNames(normal, expanded)).toBe('net.vnet_id == "vnet-EMEA" or net.dst.ip in $"Partner networks"')
})

const LAB = `dedicated_ips: []
virtual_networks: [{ name: vnet-EMEA }]
lists: [{ name: Partner networks, type: IP }]
rules:
  - { name: one, traffic: 'net.vnet_id == "vnet-EMEA" and net.dst.ip in $"Partner networks" or net.dst.prt == 1' }
`

test('a mistake in an expression with names is shown in what was written', () => {
  const [rule] = load(LAB).rules
  if (rule === undefined) throw new Error('no rule')
  const [issue] = new RuleParser('default').parse(rule).issues
  if (issue === undefined) throw new Error('no issue')
  const line = LAB.split('\n')[4] ?? ''
  expect(placeRuleIssue(issue, rule, 'lab.yaml')).toMatchObject({
    code: 'expression.unknown_field',
    line: 5,
    column: line.indexOf('net.dst.prt') + 1,
    drawing: expect.stringMatching(
      /^.*\nnet\.vnet_id == "vnet-EMEA" and net\.dst\.ip in \$"Partner networks" or net\.dst\.prt == 1\n {68}\^+ /,
    ),
  })
})

test('ids are derived from names, the same at every start, and rules compare them', () => {
  const text = LAB.replace(' or net.dst.prt == 1', '')
  const [one, two] = [load(text), load(text)]
  expect(one.virtualNetworks).toEqual(two.virtualNetworks)
  const id = one.virtualNetworks.find(({ name }) => name === 'vnet-EMEA')?.id
  expect(one.rules[0]?.traffic).toBe(`net.vnet_id == "${id}" and net.dst.ip in $${one.lists[0]?.id}`)
})

test('[R9] rules of other kinds keep their text', () => {
  const traffic = 'any(dns.domains[*] in $"Partner networks") and net.vnet_id == "nothing"'
  const { rules } = load(
    `dedicated_ips: []\nrules: [{ name: dns, action: block, filters: [dns], traffic: '${traffic}' }]\n`,
  )
  expect(rules[0]?.traffic).toBe(traffic)
})

function load(text: string): LabConfig {
  const { config, issues } = checkConfigText('lab.yaml', text)
  expect(issues).toEqual([])
  if (config === undefined) throw new Error('no configuration')
  return config
}
