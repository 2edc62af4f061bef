// Rules that can never decide anything because an earlier rule matches whenever they would ([P6]), each with its proof:
// the rule that covers it. Only proven cases are reported.

import { type Test, valueTestOf } from '../expression/index.ts'
import { ip } from '../net/ip.ts'
import type { Rule } from '../policy/rule.ts'
import { RuleParser } from '../policy/rule-expressions.ts'
import type { Ruleset } from '../policy/ruleset.ts'
import {
  ALWAYS,
  complement,
  conditionOf,
  type Domain,
  intersect,
  isEmpty,
  isWithin,
  pointOf,
  type RuleCondition,
  rangesOf,
  type TestCondition,
  union,
} from './condition.ts'

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

// Proofs that one condition can only be true where another is. Sound and incomplete: "no" means "not proven".
// Properties of every connection (a transport, a destination …) are assumed.

/** Most steps of one proof. */
const MOST_STEPS = 5_000

/** Text of tests that have none; two such tests are never considered equal. */
const MERGED = ''
const MAPPED = /\[(\*|pairs)\]/

const NOWHERE = pointOf(ip('0.0.0.0'))
const PORTS = rangesOf([[0n, 65_535n]])

/** Fields that every flow has, with all their possible values. No connection has the address 0.0.0.0 (RFC 1122
 *  section 3.2.1.3), which makes the older catch-all of [R10] one. */
const ALWAYS_PRESENT: Readonly<Record<string, Domain>> = {
  'net.protocol': { kind: 'texts', texts: new Set(['tcp', 'udp']), excluded: false },
  'net.vnet_id': { kind: 'texts', texts: new Set(), excluded: true },
  'net.dst.ip': complement(rangesOf([[NOWHERE, NOWHERE]]), 'Ip'),
  'net.src.ip': complement(rangesOf([]), 'Ip'),
  'net.dst.port': PORTS,
  'net.src.port': PORTS,
}

/** Whether `then` is true wherever `given` is. False also if that is not proven. */
export function implies(given: RuleCondition, then: RuleCondition): boolean {
  return new Prover().implies(given, then)
}

/** Whether the condition is proven to be true for no connection. */
export function isImpossible(condition: RuleCondition): boolean {
  if (condition.kind === 'or') return condition.items.every(isImpossible)
  if (condition.kind === 'and')
    return condition.items.some(isImpossible) || narrowed(condition.items).some(isImpossible)
  if (condition.kind === 'any') return isImpossible(condition.item)
  if (condition.kind !== 'test' || condition.domain === undefined || condition.missing) return false
  return isEmpty(intersect(condition.domain, knownOf(condition) ?? condition.domain))
}

class Prover {
  #steps = 0

  implies(given: RuleCondition, then: RuleCondition): boolean {
    if (++this.#steps > MOST_STEPS) return false
    if (then.kind === 'and') return then.items.every((item) => this.implies(given, item))
    if (given.kind === 'or') return given.items.every((item) => this.implies(item, then))
    if (then.kind === 'test' && isCertain(then)) return true
    if (given.kind === 'and') {
      const known = [...given.items, ...narrowed(given.items)]
      if (known.some((item) => this.implies(item, then))) return true
    }
    if (then.kind === 'or') return [...then.items, ...widened(then.items)].some((item) => this.implies(given, item))
    return this.#impliesOne(given, then)
  }

  #impliesOne(given: RuleCondition, then: RuleCondition): boolean {
    if (given.kind === 'test' && then.kind === 'test') return testImplies(given, then)
    if (given.kind === 'opaque' && then.kind === 'opaque')
      return given.text === then.text && given.negated === then.negated
    if (given.kind === 'any' && then.kind === 'any') {
      // positions exist as far as the shortest array goes, so `then` must not bring in another array
      return then.accesses.isSubsetOf(given.accesses) && this.implies(given.item, then.item)
    }
    if (given.kind === 'all' && then.kind === 'all') {
      return given.accesses.isSubsetOf(then.accesses) && this.implies(given.item, then.item)
    }
    return false
  }
}

/** Combines tests of one scalar access that must all hold: `port >= 80` and `port <= 90` accept 80 to 90. */
function narrowed(items: readonly RuleCondition[]): TestCondition[] {
  return merged(items, intersect, (tests) => tests.every(({ missing }) => missing))
}

/** Combines tests of one scalar access of which one must hold. */
function widened(items: readonly RuleCondition[]): TestCondition[] {
  return merged(items, union, (tests) => tests.some(({ missing }) => missing))
}

function merged(
  items: readonly RuleCondition[],
  merge: (a: Domain, b: Domain, type: TestCondition['type']) => Domain,
  missing: (tests: readonly TestCondition[]) => boolean,
): TestCondition[] {
  const tests = items.filter((item) => item.kind === 'test' && item.domain !== undefined && !MAPPED.test(item.access))
  const byAccess = Map.groupBy(tests as TestCondition[], ({ access }) => access)
  return [...byAccess.values()].flatMap((same) => {
    const [first, ...others] = same
    if (first?.domain === undefined || others.length === 0) return []
    const domain = others.reduce(
      (one, { domain: next }) => (next === undefined ? one : merge(one, next, first.type)),
      first.domain,
    )
    return [{ ...first, domain, missing: missing(same), text: MERGED, negated: false }]
  })
}

function testImplies(given: TestCondition, then: TestCondition): boolean {
  if (given.access !== then.access) return false
  const known = knownOf(given)
  if (given.missing && !then.missing && known === undefined) return false
  if (given.text !== MERGED && given.text === then.text && given.negated === then.negated) return true
  const values = given.domain && (known === undefined ? given.domain : intersect(given.domain, known))
  if (values === undefined) return false
  if (then.domain !== undefined) return isWithin(values, then.domain)
  return passesAll(values, then)
}

/** True for every value the field can have, and the field is never missing or the test true without it. */
function isCertain(then: TestCondition): boolean {
  const known = knownOf(then)
  return known !== undefined && then.domain !== undefined && isWithin(known, then.domain)
}

function knownOf({ field, access }: TestCondition): Domain | undefined {
  return field === access ? ALWAYS_PRESENT[field] : undefined
}

/** Whether these texts, if they are few and known, all pass a pattern. Lists change, so nothing is proven from them. */
function passesAll(values: Domain, { test, negated }: TestCondition): boolean {
  if (values.kind !== 'texts' || values.excluded || !isPattern(test)) return false
  const passes = valueTestOf(test)
  const none = new Map()
  return [...values.texts].every((text) => passes(text, none) !== negated)
}

function isPattern({ kind }: Test): boolean {
  return kind === 'matches' || kind === 'wildcard' || kind === 'contains' || kind === 'order'
}
