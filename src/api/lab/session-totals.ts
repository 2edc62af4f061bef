// What finished sessions add up to since the start: per rule, outcome, egress address or range, and error. Names and addresses
// of people and destinations stay out (LG-03), and so does a person's own address in an IPv6 range; what is counted is bounded by
// the configuration.

import type { SessionRecord } from '../../proxy/session-record.ts'

/** Upper bounds of the decision-time histogram, in seconds. */
export const DECISION_BUCKETS = [1e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 1e-2] as const

export interface SessionCount {
  readonly outcome: string
  readonly rule: string
  /** the range where people have an address each; '' where nothing left the lab */
  readonly egress: string
  readonly sessions: number
}

export interface SessionTotals {
  add(record: SessionRecord): void
  /** names of rules that decided, as they were then, by id */
  ruleNames(): ReadonlyMap<string, string>
  sessions(): readonly SessionCount[]
  errors(): ReadonlyMap<string, number>
  readonly bytes: { readonly received: number; readonly sent: number }
  /** sessions per bucket (the last is everything slower), their number and seconds in all */
  readonly decisions: { readonly buckets: readonly number[]; readonly count: number; readonly seconds: number }
}

/** `egressOf`: what an egress address is counted as. */
export function createSessionTotals(egressOf: (address: string) => string): SessionTotals {
  const ruleNames = new Map<string, string>()
  const sessions = new Map<string, SessionCount>()
  const errors = new Map<string, number>()
  const buckets = new Array<number>(DECISION_BUCKETS.length + 1).fill(0)
  const bytes = { received: 0, sent: 0 }
  let [count, seconds] = [0, 0]

  const addDecision = (milliseconds: number) => {
    const took = milliseconds / 1000
    const at = DECISION_BUCKETS.findIndex((bound) => took <= bound)
    const slot = at < 0 ? DECISION_BUCKETS.length : at
    buckets[slot] = (buckets[slot] ?? 0) + 1
    count++
    seconds += took
  }

  return {
    add(record) {
      const { EgressRuleID: rule, EgressRuleName: name, EgressIP, Lab } = record
      const egress = egressOf(EgressIP)
      const outcome = Lab.outcome ?? 'none'
      const key = `${outcome} ${rule} ${egress}`
      sessions.set(key, { outcome, rule, egress, sessions: (sessions.get(key)?.sessions ?? 0) + 1 })
      if (rule !== '') ruleNames.set(rule, name)
      if (Lab.error !== undefined) errors.set(Lab.error.code, (errors.get(Lab.error.code) ?? 0) + 1)
      if (Lab.outcome !== undefined) addDecision(record.RuleEvaluationDurationMs)
      bytes.received += record.BytesReceived
      bytes.sent += record.BytesSent
    },
    ruleNames: () => ruleNames,
    sessions: () => [...sessions.values()],
    errors: () => errors,
    bytes,
    get decisions() {
      return { buckets, count, seconds }
    },
  }
}
