// Whether some rule depends on the name a destination is requested by: the reason for Gateway DNS to hand out a
// placeholder ([D1]). Errs on the side of yes: a needless placeholder changes no decision, a
// missing one may.

import { compilePartial, type FieldValues, type PartialPredicate, type Value } from '../expression/index.ts'
import type { AccountSettings } from '../policy/account.ts'
import { GATEWAY_SCHEME, HOST_SELECTORS } from '../policy/fields.ts'
import { withParents } from '../policy/flow-values.ts'
import type { Rule } from '../policy/rule.ts'
import { RuleParser } from '../policy/rule-expressions.ts'
import type { Snapshot } from '../policy/ruleset.ts'

/** The host-selector values of one destination; without `host` it is known by its address only. */
export interface HostFacts {
  readonly host?: string
  readonly contentCategories: readonly number[]
  readonly applications: readonly number[]
}

/** The first rule that could match a connection by its name, or could match one to the bare address but would not
 *  match by the name (`net.fqdn.host != "…"`); undefined if no rule depends on the name. Every field but the host
 *  selectors counts as unknown. Undefined while host selectors are off ([F2]). */
export function ruleThatDependsOn(
  { account, ruleset }: Snapshot,
  seen: { readonly named: HostFacts; readonly unnamed: HostFacts },
): Rule | undefined {
  const { hostSelector, expressions } = account.settings
  if (!hostSelector || HOST_SELECTORS.isDisjointFrom(ruleset.fields)) return undefined
  const [named, unnamed] = [valuesOf(seen.named), valuesOf(seen.unnamed)]
  return ruleset.active.find(({ rule }) => {
    const screens = screensOf(rule, expressions)
    const couldMatch = (known: FieldValues) => screens.every((screen) => screen(known, ruleset.lists) !== false)
    return screens.length > 0 && (couldMatch(named) || couldMatch(unnamed))
  })?.rule
}

/** By rule: rules kept by the next version of the policy are not parsed again. */
const known = new WeakMap<Rule, { readonly mode: AccountSettings['expressions']; screens: PartialPredicate[] }>()

/** The expressions of a rule with host selectors; empty for a rule without. */
function screensOf(rule: Rule, mode: AccountSettings['expressions']): readonly PartialPredicate[] {
  const before = known.get(rule)
  if (before?.mode === mode) return before.screens
  const screens = mentionsSelector(rule) ? compileScreens(rule, mode) : []
  known.set(rule, { mode, screens })
  return screens
}

/** Field names appear verbatim in expressions, so searching the text excludes most rules. */
function mentionsSelector({ traffic }: Rule): boolean {
  for (const field of HOST_SELECTORS) if (traffic.includes(field)) return true
  return false
}

/** Host selectors occur in `traffic` only ([R12]); the other two expressions are unknown as a whole. */
function compileScreens(rule: Rule, mode: AccountSettings['expressions']): PartialPredicate[] {
  const { expressions } = new RuleParser(mode).parse(rule)
  return expressions
    .filter(({ slot }) => slot === 'traffic')
    .map(({ expression }) => compilePartial(expression, (field) => HOST_SELECTORS.has(field)))
}

function valuesOf({ host, contentCategories, applications }: HostFacts): FieldValues {
  const values = new Array<Value | undefined>(GATEWAY_SCHEME.fields.size).fill(undefined)
  const put = (name: string, value: Value) => {
    const field = GATEWAY_SCHEME.fields.get(name)
    if (field !== undefined) values[field.slot] = value
  }
  if (host !== undefined) {
    put('net.fqdn.host', host)
    put('net.fqdn.domains', withParents(host))
  }
  if (contentCategories.length > 0) put('net.fqdn.content_category', contentCategories)
  if (applications.length > 0) put('app.ids', applications)
  return values
}
