// From documents to the compiled ruleset of a snapshot. Pure.

import type { LabState } from '../config/lab-state.ts'
import { ChangeError } from '../errors/change-error.ts'
import type { Account } from '../policy/account.ts'
import type { Rule } from '../policy/rule.ts'
import { compileRuleset, type Ruleset } from '../policy/ruleset.ts'

/** The live rules in the order they are looked at ([R2]). */
export function liveRules(state: LabState): readonly Rule[] {
  const live = [...state.rule.values()].filter(({ deletedAt }) => deletedAt === null).map(({ value }) => value)
  return live.sort((a, b) => a.precedence - b.precedence)
}

/** The ruleset of a state; `before` is taken over as far as it goes. Throws ChangeError `change.expression`, with the
 *  language's own drawing, for a rule that does not compile. */
export function compileRules(state: LabState, account: Account, before?: CompiledFrom): Ruleset {
  if (before !== undefined && before.state.rule === state.rule && before.state.setting === state.setting) {
    return before.state.list === state.list ? before.ruleset : before.ruleset.withLists(account.lists)
  }
  const { ruleset, problems } = compileRuleset(liveRules(state), account.lists, account.settings)
  const errors = problems.filter(({ severity }) => severity === 'error')
  const [first] = errors
  if (first === undefined) return ruleset
  const details = errors.map(({ rule, slot, span, code, message }) => ({ rule: rule.id, slot, span, code, message }))
  throw new ChangeError('change.expression', first.drawing ?? first.message, { details: { problems: details } })
}

interface CompiledFrom {
  readonly state: LabState
  readonly ruleset: Ruleset
}
