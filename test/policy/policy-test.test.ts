// Expectations of policy tests against decisions: what holds, what differs and in which words; and coverage of rules.

import { describe, expect, test } from 'vitest'
import {
  coverageOf,
  coveredPercent,
  differencesOf,
  type Expectation,
  type Verdict,
} from '../../src/analysis/policy-test.ts'
import type { ExplainedDecision } from '../../src/policy/explain.ts'
import type { Rule } from '../../src/policy/rule.ts'
import { compileRuleset } from '../../src/policy/ruleset.ts'

const RULE_ID = '00b5f608-7d87-572d-88c2-3ef1bfa116d2'

function decided(changes: Partial<ExplainedDecision> = {}, letIn: boolean | null = null): Verdict {
  const decision: ExplainedDecision = {
    outcome: 'dedicated',
    rule: { id: RULE_ID, name: 'Finance', precedence: 1000 },
    reason: 'rule `Finance` (precedence 1000) sends this to 203.0.113.20 at LHR',
    egress: { ipv4: '203.0.113.20', fallback: false, bind: '127.0.10.20' },
    ingress_colo: 'MAN',
    physical_colo: 'LHR',
    logical: { colo: 'LHR', city: 'London', country: 'GB' },
    ...changes,
  }
  return { kind: 'decided', decision, letIn }
}
const UNROUTABLE = decided({ outcome: 'unroutable', egress: null, physical_colo: null, logical: null })
const NO_RULE = decided({ outcome: 'balanced', rule: null })
const FAILED: Verdict = { kind: 'failed', code: 'name.not_found', message: 'there is no host `x.invalid`' }

describe('holds', () => {
  const cases: readonly (readonly [Expectation, Verdict])[] = [
    [{ outcome: 'dedicated' }, decided()],
    [{ rule: 'Finance' }, decided()],
    [{ rule: RULE_ID.toUpperCase() }, decided()],
    [{ rule: null }, NO_RULE],
    [{ egress_ip: '203.0.113.20' }, decided()],
    [{ egress_ip: '203.0.113.0/24' }, decided()],
    [{ egress_ip: '2001:DB8:10::0/64' }, decided({ egress: { ipv6: '2001:db8:10::7', fallback: false, bind: '::1' } })],
    [{ egress_ip: null, physical_colo: null, logical_colo: null }, UNROUTABLE],
    [{ reason: '203.0.113.20 at LHR' }, decided()],
    [{ ingress_colo: 'MAN', physical_colo: 'LHR', logical_colo: 'LHR' }, decided()],
    [{ geolocation: { city: 'London', country: 'GB' } }, decided()],
    [{ fallback: false, bind: '127.0.10.20' }, decided()],
    [{ exempt: 'proxying-off' }, decided({ exempt: { kind: 'proxying-off', transport: 'udp' } })],
    [{ let_in: false }, decided({}, false)],
    [{ error: 'name.not_found' }, FAILED],
  ]
  test.each(cases)('%j', (expected, verdict) => {
    expect(differencesOf(expected, verdict)).toEqual([])
  })
})

describe('differs', () => {
  const cases: readonly (readonly [Expectation, Verdict, readonly string[]])[] = [
    [{ outcome: 'balanced' }, decided(), ['outcome: balanced / dedicated']],
    [{ rule: 'finance' }, decided(), ['rule: finance / Finance']],
    [{ rule: null }, decided(), ['rule: nothing / Finance']],
    [{ rule: 'Finance' }, NO_RULE, ['rule: Finance / nothing']],
    [{ egress_ip: '203.0.113.2' }, decided(), ['egress_ip: 203.0.113.2 / 203.0.113.20']],
    [{ egress_ip: '198.51.100.0/24' }, decided(), ['egress_ip: 198.51.100.0/24 / 203.0.113.20']],
    [{ egress_ip: null }, decided(), ['egress_ip: nothing / 203.0.113.20']],
    [{ egress_ip: '203.0.113.20' }, UNROUTABLE, ['egress_ip: 203.0.113.20 / nothing']],
    [{ fallback: false }, UNROUTABLE, ['fallback: false / nothing']],
    [{ geolocation: { city: 'Paris', country: 'GB' } }, decided(), ['geolocation.city: Paris / London']],
    [{ exempt: 'private-route' }, decided(), ['exempt: private-route / nothing']],
    [{ let_in: true }, decided({}, false), ['let_in: true / false']],
    [{ let_in: false }, decided(), ['let_in: false / nothing, because the destination has no allowlist']],
    [{ error: 'name.not_found' }, decided(), ['error: name.not_found / a decision, dedicated']],
    [{ outcome: 'dedicated' }, FAILED, ['error: a decision / name.not_found: there is no host `x.invalid`']],
    [
      { error: 'dial.refused', rule: null },
      FAILED,
      [
        'error: dial.refused / name.not_found: there is no host `x.invalid`',
        'rule: a decision / nothing, for it failed with name.not_found',
      ],
    ],
    [
      { physical_colo: 'AMS', outcome: 'balanced', ingress_colo: 'AMS' },
      decided(),
      ['outcome: balanced / dedicated', 'ingress_colo: AMS / MAN', 'physical_colo: AMS / LHR'],
    ],
  ]
  test.each(cases)('%j', (expected, verdict, lines) => {
    expect(differencesOf(expected, verdict).map((one) => `${one.what}: ${one.expected} / ${one.found}`)).toEqual(lines)
  })
})

describe('coverage', () => {
  const rule = (name: string, precedence: number, enabled = true): Rule => ({
    id: name,
    name,
    description: '',
    enabled,
    precedence,
    action: 'egress',
    filters: ['egress'],
    traffic: '',
    identity: '',
    devicePosture: '',
    egress: null,
  })
  const ruleset = (rules: readonly Rule[]) =>
    compileRuleset(rules, [], { hostSelector: true, expressions: 'default' }).ruleset

  test('names the cases each rule decided, and why the others cannot decide any', () => {
    const rules = ruleset([rule('b', 20), rule('a', 10), rule('off', 30, false)])
    const covered = coverageOf(rules, [
      { name: 'one', ruleId: 'a' },
      { name: 'two', ruleId: null },
      { name: 'three', ruleId: 'a' },
    ])
    expect(covered.map(({ rule: name, decided: cases, skipped }) => [name, cases, skipped])).toEqual([
      ['a', ['one', 'three'], null],
      ['b', [], null],
      ['off', [], 'disabled'],
    ])
    expect(coveredPercent(covered)).toBe(50)
  })

  test('is whole where no rule can decide', () => {
    expect(coveredPercent(coverageOf(ruleset([rule('off', 1, false)]), []))).toBe(100)
    expect(coveredPercent([])).toBe(100)
  })
})
