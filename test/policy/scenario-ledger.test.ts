import { describe, expect, test } from 'vitest'
import {
  entriesOf,
  type Observation,
  observationDifferences,
  passed,
  refusalsOf,
  ScenarioTimeline,
} from '../../src/analysis/scenario-timeline.ts'
import type { ExplainedDecision } from '../../src/policy/explain.ts'

const decided = (ipv4: string | null, reason = 'because'): ExplainedDecision => ({
  outcome: ipv4 === null ? 'unroutable' : 'balanced',
  rule: null,
  reason,
  egress: ipv4 === null ? null : { ipv4, fallback: false, bind: '127.0.10.1' },
  ingress_colo: 'AMS',
  physical_colo: ipv4 === null ? null : 'AMS',
  logical: null,
})

const seen = (ipv4: string | null, more: Partial<Observation> = {}): Observation => ({
  login: 'bob',
  destination: 'bank:443',
  decision: decided(ipv4),
  status: 200,
  letIn: null,
  seenIn: null,
  ...more,
})

const at = (atMs: number) => ({ atMs, time: 1_000_000 + atMs })

describe('the time line', () => {
  test('has a traveller once, and again when they leave from elsewhere, with what was changed in between', () => {
    const ledger = new ScenarioTimeline()
    ledger.sighted(at(0), seen('203.0.113.1'))
    ledger.change(at(1), 'before anybody looked again')
    ledger.sighted(at(2), seen('203.0.113.1'))
    ledger.change(at(3), 'LAX goes down')
    ledger.note(at(3), 'a note is no cause')
    ledger.sighted(at(4), seen('203.0.113.2', { decision: decided('203.0.113.2', 'nearest now') }))
    ledger.sighted(at(5), seen(null))
    expect(entriesOf(ledger, 'move').map(({ atMs, from, to, why, after }) => [atMs, from, to, why, after])).toEqual([
      [0, undefined, '203.0.113.1', 'because', []],
      [4, '203.0.113.1', '203.0.113.2', 'nearest now', ['LAX goes down']],
      [5, '203.0.113.2', null, 'because', []],
    ])
    expect(ledger.visits).toBe(4)
  })

  test('keeps travellers apart by login and by destination', () => {
    const ledger = new ScenarioTimeline()
    ledger.sighted(at(0), seen('203.0.113.1'))
    ledger.sighted(at(0), seen('203.0.113.2', { login: 'bob;vnet=x' }))
    ledger.sighted(at(0), seen('203.0.113.3', { destination: 'other:80' }))
    expect(entriesOf(ledger, 'move').every(({ from }) => from === undefined)).toBe(true)
  })

  test('says from when until when an allowlist refused somebody', () => {
    const ledger = new ScenarioTimeline()
    for (const [time, letIn] of [true, false, false, true, false].entries()) {
      ledger.sighted(at(time), seen('203.0.113.1', { letIn }))
    }
    expect(refusalsOf(ledger)).toEqual([
      { login: 'bob', destination: 'bank:443', source: '203.0.113.1', fromMs: 1, untilMs: 3 },
      { login: 'bob', destination: 'bank:443', source: '203.0.113.1', fromMs: 4 },
    ])
  })

  test('has a failure once while it lasts, and says nothing of an unroutable one twice', () => {
    const ledger = new ScenarioTimeline()
    const error = { code: 'egress.exit_failed', message: 'no' }
    for (let time = 0; time < 3; time++) ledger.sighted(at(time), seen('203.0.113.1', { error, status: 503 }))
    ledger.sighted(at(3), seen(null, { error: { code: 'egress.unroutable', message: 'no' }, status: 503 }))
    expect(entriesOf(ledger, 'failed').map(({ atMs }) => atMs)).toEqual([0])
  })

  test('says when a site takes the same address to be elsewhere', () => {
    const ledger = new ScenarioTimeline()
    ledger.sighted(at(0), seen('203.0.113.1', { seenIn: 'US' }))
    ledger.sighted(at(9), seen('203.0.113.1', { seenIn: 'IN' }))
    expect(entriesOf(ledger, 'seen')).toMatchObject([{ atMs: 9, from: 'US', to: 'IN', source: '203.0.113.1' }])
  })

  test('counts connections: kept ones stay open, reset and lost ones do not', () => {
    const ledger = new ScenarioTimeline()
    const who = seen('203.0.113.1')
    for (const fate of ['opened', 'opened', 'kept', 'reset', 'lost'] as const) {
      ledger.connection(at(0), who, '203.0.113.1', fate, '')
    }
    expect(ledger.connections).toEqual({ open: 0, reset: 2 })
  })

  test('fails as a whole with one expectation that fails', () => {
    const ledger = new ScenarioTimeline()
    ledger.check(at(0), 'good', 1, [])
    expect(passed(ledger)).toBe(true)
    ledger.check(at(0), 'bad', 2, [{ what: 'status', expected: '200', found: '403' }])
    expect(passed(ledger)).toBe(false)
  })
})

describe('an expectation', () => {
  const what = (...args: Parameters<typeof observationDifferences>) =>
    observationDifferences(...args).map((one) => one.what)

  test('looks at any part of the decision, at the status and at where the site sees the visitor', () => {
    const visit = seen('203.0.113.1', { seenIn: 'NL' })
    expect(what({ egress_ip: '203.0.113.0/24', outcome: 'balanced', status: 200, seen_in: 'NL' }, visit)).toEqual([])
    expect(what({ egress_ip: '203.0.113.2', outcome: 'default', status: 403, seen_in: 'GB' }, visit)).toEqual([
      'outcome',
      'egress_ip',
      'status',
      'seen_in',
    ])
  })

  test('does not hold where the site saw another address than was decided', () => {
    expect(what({ outcome: 'balanced' }, seen('203.0.113.1', { sawFrom: '203.0.113.9' }))).toEqual([
      'address seen by the site',
    ])
  })

  test('does not hold where the connection failed and nobody said it would', () => {
    const failing = seen('203.0.113.1', { error: { code: 'egress.exit_failed', message: 'no' }, status: 503 })
    expect(what({ egress_ip: '203.0.113.1' }, failing)).toEqual(['error'])
    expect(what({ egress_ip: '203.0.113.1', error: 'egress.exit_failed' }, failing)).toEqual([])
    expect(what({ egress_ip: '203.0.113.1', status: 503 }, failing)).toEqual([])
    expect(what({ error: 'egress.exit_failed' }, seen('203.0.113.1'))).toEqual(['error'])
  })

  test('of an unroutable outcome holds without naming the error', () => {
    const nowhere = seen(null, { error: { code: 'egress.unroutable', message: 'no' }, status: 503 })
    expect(what({ outcome: 'unroutable' }, nowhere)).toEqual([])
  })

  test('of a decision does not hold where there was none', () => {
    const { decision: _, ...refused } = seen(null, { error: { code: 'name.not_found', message: 'no such name' } })
    expect(observationDifferences({ outcome: 'balanced' }, refused)[0]).toEqual({
      what: 'outcome',
      expected: 'a decision',
      found: 'no such name',
    })
  })
})
