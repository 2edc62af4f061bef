// Finds rules that compare a field that is always in lower case with a text that is not: email addresses and host names
// are canonicalised before rules are evaluated, and `==` and `in {…}` are case-sensitive.

import type { Rule } from '../policy/rule.ts'
import { RuleParser } from '../policy/rule-expressions.ts'
import type { Ruleset } from '../policy/ruleset.ts'
import { conditionOf, type RuleCondition } from './condition.ts'

export interface CapitalText {
  readonly rule: Rule
  readonly field: string
  readonly text: string
}

const LOWER_CASE: ReadonlySet<string> = new Set([
  'identity.email',
  'identity.groups.email',
  'net.fqdn.host',
  'net.fqdn.domains',
])

/** Each text in an active rule that its field can never equal because of its capital letters. */
export function findCapitalTexts(ruleset: Ruleset, mode: ConstructorParameters<typeof RuleParser>[0]): CapitalText[] {
  const parser = new RuleParser(mode)
  return ruleset.active.flatMap(({ rule }) =>
    parser
      .parse(rule)
      .expressions.flatMap(({ expression }) => capitalsIn(conditionOf(expression)))
      .map((found) => ({ rule, ...found })),
  )
}

function capitalsIn(condition: RuleCondition): Omit<CapitalText, 'rule'>[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.items.flatMap(capitalsIn)
    case 'any':
    case 'all':
      return capitalsIn(condition.item)
    case 'opaque':
      return []
    case 'test': {
      const { field, domain } = condition
      if (domain?.kind !== 'texts' || !LOWER_CASE.has(field)) return []
      return [...domain.texts].filter((text) => /[A-Z]/.test(text)).map((text) => ({ field, text }))
    }
  }
}
