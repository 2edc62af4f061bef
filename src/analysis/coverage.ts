// Which rules the cases of policy tests were decided by, and which by none: what the tests do not speak of.

import type { Rule } from '../policy/rule.ts'
import type { Ruleset } from '../policy/ruleset.ts'
import { type Unreachable, whyUnreachable } from './unreachable.ts'

export interface RuleCoverage {
  readonly id: string
  readonly rule: string
  readonly precedence: number
  /** names of the cases it decided, in the order they ran */
  readonly decided: readonly string[]
  /** why it can decide nothing (disabled, not an egress rule, never reached …); null for the rules that count */
  readonly skipped: string | null
}

/** Every rule by precedence. `cases`: each with the rule that decided it, null where none did; `unreachable`: rules that are proven to
 *  decide nothing, whatever comes. */
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

/** Per cent of the rules that can decide at all which decided a case; 100 where there is no such rule. */
export function coveredPercent(rules: readonly RuleCoverage[]): number {
  const counting = rules.filter(({ skipped }) => skipped === null)
  const covered = counting.filter(({ decided }) => decided.length > 0)
  return counting.length === 0 ? 100 : (100 * covered.length) / counting.length
}
