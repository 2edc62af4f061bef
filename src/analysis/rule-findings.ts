// Rules that are equal except for the value of one comparison ([P8]), which one rule with a list or a set could replace.

import { type Access, type Comparison, partsOf } from '../expression/index.ts'
import { EXPRESSION_SLOTS, type Rule } from '../policy/rule.ts'
import { RuleParser } from '../policy/rule-expressions.ts'
import type { Ruleset } from '../policy/ruleset.ts'

export interface SimilarRules {
  readonly rules: readonly Rule[]
  /** field and indexes of the comparison they differ in */
  readonly access: Access
}

/** Fewer rules than this do not justify a list. */
const LEAST_RULES = 5

/** Groups of rules with equal egress that differ in one `==` or `in {…}` only; a rule is in one group at most, the
 *  largest. */
export function similarRules(
  ruleset: Ruleset,
  mode: ConstructorParameters<typeof RuleParser>[0],
): readonly SimilarRules[] {
  const parser = new RuleParser(mode)
  const groups = new Map<string, { readonly access: Access; readonly rules: Rule[] }>()
  for (const { rule } of ruleset.active) {
    for (const { frame, access } of framesOf(parser, rule)) {
      const group = groups.get(frame) ?? { access, rules: [] }
      groups.set(frame, group)
      group.rules.push(rule)
    }
  }
  const taken = new Set<Rule>()
  const largestFirst = [...groups.values()].sort((a, b) => b.rules.length - a.rules.length)
  return largestFirst.flatMap(({ access, rules }) => {
    const free = rules.filter((rule) => !taken.has(rule))
    if (free.length < LEAST_RULES) return []
    for (const rule of free) taken.add(rule)
    return [{ rules: free, access }]
  })
}

/** The rule's text with a gap in place of each comparison in turn. */
function framesOf(parser: RuleParser, rule: Rule): { frame: string; access: Access }[] {
  const whole = EXPRESSION_SLOTS.map((slot) => rule[slot])
  return parser.parse(rule).expressions.flatMap(({ slot, expression }) => {
    const comparisons = partsOf(expression).comparisons.filter(isListable)
    return comparisons.map(({ access, span }) => {
      const gapped = `${expression.source.slice(0, span[0])}\0${access.text}\0${expression.source.slice(span[1])}`
      const texts = whole.map((text, at) => (EXPRESSION_SLOTS[at] === slot ? gapped : text))
      return { frame: JSON.stringify([rule.egress, texts]), access }
    })
  })
}

function isListable({ test }: Comparison): boolean {
  return test.kind === 'in-set' || (test.kind === 'order' && test.op === '==')
}
