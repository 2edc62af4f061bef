// Names nobody bears and values that no fact has; what is right is never told. docs/mistakes.md has each with its message.

import { describe, expect, test } from 'vitest'
import { checkValues, type OpenVocabulary, type RuleVocabulary } from '../../src/analysis/value-findings.ts'
import type { Rule } from '../../src/policy/rule.ts'
import { compileRuleset } from '../../src/policy/ruleset.ts'
import { account, rule, VNETS } from './build.ts'

const CHECK = '6f0f3c1a-2c68-4a55-9a0e-0d6f5c1b7e01'
const OTHER = '6f0f3c1a-2c68-4a55-9a0e-0d6f5c1b7e99'
const LISTS = [
  { id: 'banks', name: 'Banks', type: 'DOMAIN', items: ['bank.test', 'Payroll.test.'] },
  { id: 'offices', name: 'Offices', type: 'IP', items: ['198.51.100.0/24'] },
  { id: 'staff', name: 'Staff', type: 'EMAIL', items: ['bob@example.com'] },
  { id: 'nothing', name: 'Nothing', type: 'EMAIL', items: [] },
]

function vocabulary(...open: OpenVocabulary[]): RuleVocabulary {
  return {
    people: ['alice@example.com'],
    groups: [{ id: 'g1', name: 'Finance', email: 'finance@example.com' }],
    postureChecks: [{ id: CHECK, name: 'disk' }],
    endpoints: ['3ele0ss56t.proxy.cloudflare-gateway.com'],
    applications: [1005],
    categories: [146],
    open: new Set(open),
  }
}

function findings(changes: Partial<Rule>, known: RuleVocabulary | undefined = vocabulary(), lists = LISTS) {
  const given = account({ lists })
  const { ruleset } = compileRuleset([rule({ name: 'r', ...changes })], given.lists, given.settings)
  return checkValues(ruleset, given, known).map(({ severity, code, hint }) => [severity, code, hint])
}

test.each<[Partial<Rule>, unknown[]]>([
  [
    { identity: 'any(identity.groups.name[*] == "Finanace")' },
    ['warning', 'value.unknown_group', 'did you mean `Finance`?'],
  ],
  [
    { identity: 'identity.email == "alise@example.com"' },
    ['warning', 'value.unknown_person', 'did you mean `alice@example.com`?'],
  ],
  [
    { devicePosture: `any(device_posture.checks.passed[*] == "${OTHER}")` },
    ['warning', 'value.unknown_posture_check', 'there are: `disk`'],
  ],
  [
    { traffic: `net.vnet_id == "${OTHER}"` },
    ['warning', 'value.unknown_network', 'there are: `default`, `amer`, `emea`'],
  ],
  [
    { traffic: 'proxy.endpoint == "3ele0ss56x.proxy.cloudflare-gateway.com"' },
    ['warning', 'value.unknown_endpoint', 'did you mean `3ele0ss56t.proxy.cloudflare-gateway.com`?'],
  ],
  [{ traffic: 'any(app.ids[*] == 1004)' }, ['advice', 'value.unknown_application', 'did you mean `1005`?']],
  [{ traffic: 'net.fqdn.host in $nowhere' }, ['warning', 'rule.unknown_list', 'create the list, or correct the id']],
  [{ traffic: 'net.fqdn.host in $bank' }, ['warning', 'rule.unknown_list', 'did you mean `$banks`?']],
  [{ traffic: 'net.fqdn.host in $offices' }, ['warning', 'list.wrong_type', 'use a list of type DOMAIN']],
  [{ identity: 'identity.email in $nothing' }, ['advice', 'list.empty', 'add its items, or delete the rule']],
])('%j', (changes, found) => expect(findings(changes)).toEqual([found]))

test.each<Partial<Rule>>([
  { identity: 'any(identity.groups.name[*] == "Finance")' },
  { identity: 'identity.email == "alice@example.com" or identity.email matches "^x"' },
  { devicePosture: `any(device_posture.checks.passed[*] == "${CHECK}")` },
  { traffic: `net.vnet_id == "${VNETS.amer}"` },
  { traffic: 'any(app.ids[*] == 1005) and any(net.fqdn.content_category[*] == 146)' },
  { traffic: 'net.src.geo.country in {"GB" "DE"} and net.dst.geo.continent == "EU"' },
  { traffic: 'net.fqdn.host == "xn--bcher-kva.test" or any(net.fqdn.domains[*] in $banks)' },
  { traffic: 'net.dst.ip in $offices', identity: 'identity.email in $staff' },
])('%j says nothing wrong', (changes) => expect(findings(changes)).toEqual([]))

describe('where names come from elsewhere too', () => {
  const group = (name: string) => ({ identity: `any(identity.groups.name[*] == "${name}")` })

  test('an unknown one is taken for right, and a likely misspelling is advice', () => {
    expect(findings(group('Board'), vocabulary('groups'))).toEqual([])
    expect(findings(group('Finanace'), vocabulary('groups'))).toEqual([
      ['advice', 'value.unknown_group', 'did you mean `Finance`?'],
    ])
  })

  test('the others are as closed as before', () => {
    expect(findings(group('Board'), vocabulary('people', 'posture_checks', 'applications', 'categories'))).toEqual([
      ['warning', 'value.unknown_group', 'there are: `Finance`'],
    ])
  })

  test('without a vocabulary names are not checked, their form is', () => {
    const given = account({ lists: LISTS })
    const { ruleset } = compileRuleset(
      [rule(group('Board')), rule({ traffic: 'net.fqdn.host == "A.test"' })],
      LISTS,
      given.settings,
    )
    expect(checkValues(ruleset, given, undefined).map(({ code }) => code)).toEqual(['practice.letter_case'])
  })
})

test('items that no host name or address equals are told once, with the list, where a rule uses it', () => {
  const lists = [
    { id: 'banks', name: 'Banks', type: 'DOMAIN', items: ['*.saas.test', 'https://bank.test/', 'ok.test'] },
  ]
  const traffic = 'net.fqdn.host in $banks or any(net.fqdn.domains[*] in $banks)'
  expect(findings({ traffic }, vocabulary(), lists)).toEqual([
    ['warning', 'list.item_never_equal', 'write `saas.test`'],
    ['warning', 'list.item_never_equal', 'write `bank.test`'],
  ])
  expect(findings({ traffic: 'net.dst.port == 1' }, vocabulary(), lists)).toEqual([])
})
