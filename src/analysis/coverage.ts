// Which rules decided the cases of policy tests, and which rules no case covers.

import type { Rule } from '../policy/rule.ts'
import type { Ruleset } from '../policy/ruleset.ts'
import { type Unreachable, whyUnreachable } from './unreachable.ts'

export interface RuleCoverage {
  readonly id: string
  readonly rule: string
  readonly precedence: number
  /** names of the cases it decided, in the order they ran */
  readonly decided: readonly string[]
  /** why it cannot decide anything (disabled, not an egress rule, never reached …); null for rules that count */
  readonly skipped: string | null
}

/** The coverage of every rule, by precedence. `cases`: each with the rule that decided it, null if none did;
 *  `unreachable`: rules proven to decide nothing. */
export function coverageOf(
  ruleset: Pick<Ruleset, 'rules' | 'skipped'>,
  cases: readonly { readonly name: string; readonly ruleId: string | null }[],
  unreachable: readonly Unreachable[] = [],
): RuleCoverage[] {
  const reasons = new Map<Rule, string>([
    ...unreachable.map((proof) => [proof.rule, whyUnreachable(proof)] as const),
    ...ruleset.skipped.map(({ rule, reason }) => [rule, reason] as const),
  ])
  const decided = Map.groupBy(cases, ({ ruleId }) => ruleId)
  return ruleset.rules.map((rule) => ({
    id: rule.id,
    rule: rule.name,
    precedence: rule.precedence,
    decided: (decided.get(rule.id) ?? []).map(({ name }) => name),
    skipped: reasons.get(rule) ?? null,
  }))
}

/** The share of rules able to decide a case that did, in per cent, 0 … 100; 100 if there are no such rules. */
export function coveredPercent(rules: readonly RuleCoverage[]): number {
  const counting = rules.filter(({ skipped }) => skipped === null)
  const covered = counting.filter(({ decided }) => decided.length > 0)
  return counting.length === 0 ? 100 : (100 * covered.length) / counting.length
}
