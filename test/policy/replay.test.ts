// What counts as a change between two answers, and how counts of parts add up.

import { describe, expect, test } from 'vitest'
import {
  addSummary,
  changesBetween,
  count,
  countChange,
  type EgressAnswer,
  emptySummary,
  entryOf,
  MOST_NAMES,
  newTally,
  OTHERS,
} from '../../src/analysis/replay-summary.ts'

const BASE: EgressAnswer = {
  egressIp: '203.0.113.20',
  egressName: '203.0.113.20',
  shared: false,
  ruleId: 'r1',
  ruleName: 'Finance',
  colo: 'LHR',
  outcome: 'dedicated',
  reason: '',
}

describe('changes', () => {
  const cases: readonly (readonly [string, Partial<EgressAnswer>, Partial<EgressAnswer>, readonly string[]])[] = [
    ['none between equal answers', {}, {}, []],
    ['reasons are words, not answers', { reason: 'a' }, { reason: 'b' }, []],
    ['the address', {}, { egressIp: '203.0.113.30', egressName: '203.0.113.30' }, ['egress_ip']],
    [
      'everything, in a fixed order',
      {},
      { egressIp: '', egressName: '', ruleId: '', ruleName: '', colo: '', outcome: 'unroutable' },
      ['egress_ip', 'rule', 'colo', 'outcome'],
    ],
    ['not a rule with a new name', {}, { ruleName: 'Treasury' }, []],
    ['not a rule with a new id', {}, { ruleId: 'r9' }, []],
    ['a rule where none was', { ruleId: '', ruleName: '' }, {}, ['rule']],
    ['not two connections without a rule', { ruleId: '', ruleName: '' }, { ruleId: '', ruleName: '' }, []],
    [
      'another shared address in the lab',
      { shared: true, egressIp: '198.18.0.1', egressName: '198.18.0.1' },
      { shared: true, egressIp: '198.18.0.2', egressName: '198.18.0.2' },
      ['egress_ip'],
    ],
    [
      'not shared addresses of another system, which has its own',
      { outcome: undefined, shared: true, egressIp: '104.28.0.1', egressName: '104.28.0.1' },
      { shared: true, egressIp: '198.18.0.2', egressName: '198.18.0.2' },
      [],
    ],
    [
      'a dedicated address for a shared one of another system',
      { outcome: undefined, shared: true, egressIp: '104.28.0.1', egressName: '104.28.0.1' },
      {},
      ['egress_ip'],
    ],
    [
      'not two addresses inside the range a rule names',
      { egressIp: '2001:db8:20:0:1::1', egressName: '2001:db8:20::/64' },
      { egressIp: '2001:db8:20:0:2::2', egressName: '2001:db8:20::/64' },
      [],
    ],
    ['not what a recording does not say', { egressName: undefined, ruleId: undefined, colo: undefined }, {}, []],
    ['not a rule or a data center in other letters', { ruleId: 'R1', ruleName: '', colo: 'lhr' }, {}, []],
    ['not an outcome nobody recorded', { outcome: undefined }, { outcome: 'dedicated-fallback' }, []],
  ]
  test.each(cases)('%s', (_name, before, after, changes) => {
    expect(changesBetween({ ...BASE, ...before }, { ...BASE, ...after })).toEqual(changes)
  })
})

test('moves are counted by what they are from and to, nothing being (none)', () => {
  const summary = emptySummary()
  const after: EgressAnswer = { ...BASE, egressIp: '', egressName: '', ruleId: '', ruleName: '', colo: 'IAD' }
  countChange(summary, BASE, after, ['egress_ip', 'rule', 'colo'])
  countChange(summary, BASE, after, ['egress_ip'])
  expect(summary).toMatchObject({ changed: 2, changes: { egress_ip: 2, rule: 1, colo: 1, outcome: 0 } })
  expect([...summary.ruleMoves, ...summary.coloMoves, ...summary.egressMoves]).toEqual([
    ['Finance → (none)', 1],
    ['LHR → IAD', 1],
    ['203.0.113.20 → (none)', 2],
  ])
})

test('however many names there are, only so many are kept apart, and nothing is lost', () => {
  const summary = emptySummary()
  for (let at = 0; at < MOST_NAMES + 5; at++) {
    entryOf(summary.users, `user-${at}`, newTally).sessions++
    count(summary.ruleUses, `rule-${at}`)
  }
  expect(summary.users.get(OTHERS)).toEqual({ sessions: 5, changed: 0 })
  expect(summary.ruleUses.get(OTHERS)).toBe(5)
  expect(summary.users.size).toBe(MOST_NAMES + 1)
})

test('the summaries of parts add up to that of the whole', () => {
  const part = (names: readonly string[]) => {
    const summary = emptySummary()
    for (const name of names) {
      summary.records++
      summary.decided++
      entryOf(summary.users, name, newTally).sessions++
      countChange(summary, BASE, { ...BASE, colo: name }, ['colo'])
      const list = entryOf(summary.allowlists, 'bank', () => ({
        sessions: 0,
        refused: 0,
        admitted: 0,
        refusedUsers: new Map(),
      }))
      list.refused++
      count(list.refusedUsers, name)
    }
    return summary
  }
  const whole = emptySummary()
  addSummary(whole, part(['a', 'b']))
  addSummary(whole, structuredClone(part(['b', 'c'])))
  expect(whole).toEqual(part(['a', 'b', 'b', 'c']))
})
