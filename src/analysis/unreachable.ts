// Rules that can never decide anything because an earlier rule matches whenever they would ([P6]), each with its proof:
// the rule that covers it. Only proven cases are reported.

import type { Rule } from '../policy/rule.ts'
import { RuleParser } from '../policy/rule-expressions.ts'
import type { Ruleset } from '../policy/ruleset.ts'
import { ALWAYS, conditionOf, type RuleCondition } from './condition.ts'
import { implies, isImpossible } from './implication.ts'

export interface Unreachable {
  readonly rule: Rule
  /** the earlier rule that covers this one; undefined if the rule contradicts itself */
  readonly coveredBy: Rule | undefined
}

/** Why a rule decides nothing, as a predicate to follow its name: `is never reached: …`. */
export function whyUnreachable({ coveredBy }: Unreachable): string {
  if (coveredBy === undefined) return 'can never match: its conditions exclude each other'
  const { name, precedence } = coveredBy
  return `is never reached: rule \`${name}\` (precedence ${precedence}) matches whenever it would`
}

export interface Reach {
  readonly unreachable: readonly Unreachable[]
  /** active rules that match every connection */
  readonly catchAlls: readonly Rule[]
}

/** Most pairs of rules compared; enough for all pairs of some 1,400 rules. */
const MOST_PAIRS = 1_000_000

interface Stated {
  readonly rule: Rule
  /** all that must hold, over the three expressions */
  readonly condition: RuleCondition
  readonly fields: ReadonlySet<string>
  readonly needsNothing: boolean
}

/** Finds active rules that are never reached, and active rules that match every connection. */
export function proveReach(ruleset: Ruleset, mode: ConstructorParameters<typeof RuleParser>[0]): Reach {
  const parser = new RuleParser(mode)
  const stated = ruleset.active.map(({ rule }): Stated => {
    const { expressions, fields } = parser.parse(rule)
    const condition: RuleCondition = {
      kind: 'and',
      items: expressions.map(({ expression }) => conditionOf(expression)),
    }
    return { rule, condition, fields, needsNothing: implies(ALWAYS, condition) }
  })
  let pairs = 0
  const unreachable = stated.flatMap((later, at): Unreachable[] => {
    if (isImpossible(later.condition)) return [{ rule: later.rule, coveredBy: undefined }]
    for (let before = 0; before < at && pairs < MOST_PAIRS; before++) {
      const earlier = stated[before]
      pairs++
      if (earlier !== undefined && covers(earlier, later)) return [{ rule: later.rule, coveredBy: earlier.rule }]
    }
    return []
  })
  return { unreachable, catchAlls: stated.filter(({ needsNothing }) => needsNothing).map(({ rule }) => rule) }
}

function covers(earlier: Stated, later: Stated): boolean {
  if (earlier.needsNothing) return true
  if (!mayFollow(earlier.fields, later.fields)) return false
  return implies(later.condition, earlier.condition)
}

/** A condition on a field that the other rule does not test rarely follows from it: only if every connection meets
 *  it. */
function mayFollow(earlier: ReadonlySet<string>, later: ReadonlySet<string>): boolean {
  for (const field of earlier) if (!later.has(field) && !COMMON.has(field)) return false
  return true
}

const COMMON: ReadonlySet<string> = new Set([
  'net.protocol',
  'net.dst.ip',
  'net.src.ip',
  'net.dst.port',
  'net.src.port',
  'net.vnet_id',
])
