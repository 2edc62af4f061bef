// Rules that can never decide anything because earlier rules match whenever they would ([P6]), each with its proof: the rules
// that cover it, and what that assumes. Only proven cases are reported.

import { type Test, valueTestOf } from '../expression/index.ts'
import { ip } from '../net/ip.ts'
import { createLists } from '../policy/account.ts'
import { withParents } from '../policy/flow-values.ts'
import { countryFacts } from '../policy/place.ts'
import type { Rule } from '../policy/rule.ts'
import { RuleParser } from '../policy/rule-expressions.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import {
  ALWAYS,
  complement,
  conditionOf,
  type Domain,
  intersect,
  isEmpty,
  isWithin,
  type ListDomains,
  negate,
  pointOf,
  type RuleCondition,
  rangesOf,
  type TestCondition,
  union,
} from './condition.ts'

export interface Unreachable {
  readonly rule: Rule
  /** the earlier rule that covers this one, or the two that do together; none if the rule contradicts itself */
  readonly coveredBy: readonly Rule[]
  /** what the proof rests on that may change; absent: nothing */
  readonly assuming?: Assumption
}

/** `lists`: as they are now. `continents`: geolocation has every country on its continent. */
export type Assumption = 'lists' | 'continents' | 'lists and continents'

/** Why a rule decides nothing, as a predicate to follow its name: `is never reached: …`. */
export function whyUnreachable({ coveredBy: [one, other], assuming }: Unreachable): string {
  const now = assuming === undefined ? '' : ` ${IN_WORDS[assuming]}`
  if (one === undefined) return `can never match${now}: its conditions exclude each other`
  const named = ({ name, precedence }: Rule) => `rule \`${name}\` (precedence ${precedence})`
  if (other === undefined) return `is never reached${now}: ${named(one)} matches whenever it would`
  return `is never reached${now}: ${named(one)} or ${named(other)} matches whenever it would`
}

const IN_WORDS: Readonly<Record<Assumption, string>> = {
  lists: 'while the lists are as they are now',
  continents: 'where geolocation has countries on their continents',
  'lists and continents': 'while the lists are as they are now and geolocation has countries on their continents',
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
  /** all that must hold, over the three expressions; `now`: with the lists as they are */
  readonly always: RuleCondition
  readonly now: RuleCondition
  readonly fields: ReadonlySet<string>
  readonly needsNothing: boolean
}

/** What a proof may take for granted. */
interface Grounds {
  readonly condition: 'always' | 'now'
  readonly continents: boolean
}

const FIRM: Grounds = { condition: 'always', continents: false }
/** With the least assumed first; the last of them assumes everything and is tried before the others. */
const ASSUMING: readonly (readonly [Assumption, Grounds])[] = [
  ['lists', { condition: 'now', continents: false }],
  ['continents', { condition: 'always', continents: true }],
  ['lists and continents', { condition: 'now', continents: true }],
]
const LOOSE: Grounds = { condition: 'now', continents: true }

/** Finds active rules that are never reached, and active rules that match every connection. */
export function proveReach({ ruleset, account }: Pick<Snapshot, 'ruleset' | 'account'>): Reach {
  const parser = new RuleParser(account.settings.expressions)
  const known = createLists(account.lists)
  const stated = ruleset.active.map(({ rule }): Stated => {
    const { expressions, fields, lists } = parser.parse(rule)
    const stating = (contents?: ListDomains): RuleCondition => {
      return { kind: 'and', items: expressions.map(({ expression }) => conditionOf(expression, contents)) }
    }
    const always = stating()
    return {
      rule,
      always,
      now: lists.size === 0 ? always : stating(known),
      fields,
      needsNothing: implies(ALWAYS, always),
    }
  })
  const budget = { pairs: MOST_PAIRS }
  const unreachable = stated.flatMap((later, at): Unreachable[] => {
    const earlier = stated.slice(0, at)
    const firm = proofOf(earlier, later, FIRM, budget)
    if (firm !== undefined) return [{ rule: later.rule, coveredBy: firm }]
    if (proofOf(earlier, later, LOOSE, budget) === undefined) return []
    for (const [assuming, grounds] of ASSUMING) {
      const coveredBy = proofOf(earlier, later, grounds, budget)
      if (coveredBy !== undefined) return [{ rule: later.rule, coveredBy, assuming }]
    }
    return []
  })
  return { unreachable, catchAlls: stated.filter(({ needsNothing }) => needsNothing).map(({ rule }) => rule) }
}

/** The earlier rules that cover a later one: none if it contradicts itself; undefined: nothing is proven. */
function proofOf(
  earlier: readonly Stated[],
  later: Stated,
  grounds: Grounds,
  budget: { pairs: number },
): Rule[] | undefined {
  if (isImpossible(later[grounds.condition])) return []
  for (const one of earlier) {
    if (budget.pairs-- <= 0) return undefined
    if (covers(one, later, grounds)) return [one.rule]
  }
  return proofByTwo(earlier, later, grounds, budget)
}

function covers(earlier: Stated, later: Stated, { condition, continents }: Grounds): boolean {
  if (earlier.needsNothing) return true
  if (!mayFollow(earlier.fields, later.fields)) return false
  return implies(later[condition], earlier[condition], continents)
}

/** Most rules of which pairs are tried; each lacks one condition to cover the later one alone. */
const MOST_HALVES = 60

/** Two rules, each with one condition that does not follow, of which one must hold: where one fails, the other is met. */
function proofByTwo(
  earlier: readonly Stated[],
  later: Stated,
  { condition, continents }: Grounds,
  budget: { pairs: number },
): Rule[] | undefined {
  const given = conjunctsOf(later[condition])
  const halves: { readonly rule: Rule; readonly lacks: RuleCondition }[] = []
  for (const one of earlier) {
    if (halves.length >= MOST_HALVES || budget.pairs-- <= 0) break
    if (one.fields.difference(later.fields).size > 2) continue
    const open = conjunctsOf(one[condition]).filter((part) => !implies(later[condition], part, continents))
    const [lacks] = open
    if (lacks !== undefined && open.length === 1) halves.push({ rule: one.rule, lacks })
  }
  for (const [at, first] of halves.entries()) {
    const where: RuleCondition = { kind: 'and', items: [...given, ...conjunctsOf(negate(first.lacks))] }
    const second = halves.slice(at + 1).find(({ lacks }) => implies(where, lacks, continents))
    if (second !== undefined) return [first.rule, second.rule]
  }
  return undefined
}

/** All that must hold, flat. */
function conjunctsOf(condition: RuleCondition): RuleCondition[] {
  return condition.kind === 'and' ? condition.items.flatMap(conjunctsOf) : [condition]
}

/** A condition on a field that the other rule does not test rarely follows from it: only if every connection meets
 *  it. */
function mayFollow(earlier: ReadonlySet<string>, later: ReadonlySet<string>): boolean {
  for (const field of earlier) {
    const source = FOLLOWS_FROM[field]
    if (!later.has(field) && !COMMON.has(field) && (source === undefined || !later.has(source))) return false
  }
  return true
}

/** What is known of a field where another one is known. */
const FOLLOWS_FROM: Readonly<Record<string, string>> = {
  'net.fqdn.domains': 'net.fqdn.host',
  'net.src.geo.continent': 'net.src.geo.country',
  'net.dst.geo.continent': 'net.dst.geo.country',
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

/** Whether `then` is true wherever `given` is. False also if that is not proven. `continents`: every country is taken to be
 *  on its continent. */
export function implies(given: RuleCondition, then: RuleCondition, continents = false): boolean {
  return new Prover(continents).implies(given, then)
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
  readonly #continents: boolean
  #steps = 0

  constructor(continents: boolean) {
    this.#continents = continents
  }

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
    if (isUnder(given, then)) return true
    if (given.kind === 'test' && then.kind === 'test') {
      return testImplies(given, then) || (this.#continents && isOnContinent(given, then))
    }
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

/** Every name that `given` wants is at or under one that `then` wants: `net.fqdn.domains` has the host and all its parents. */
function isUnder(given: RuleCondition, then: RuleCondition): boolean {
  const wanted = then.kind === 'any' ? textsOf(then.item, ['net.fqdn.domains[*]']) : undefined
  if (wanted === undefined) return false
  const names = given.kind === 'any' ? textsOf(given.item, ['net.fqdn.domains[*]']) : textsOf(given, ['net.fqdn.host'])
  if (names === undefined) return false
  return [...names].every((name) => withParents(name).some((parent) => wanted.has(parent)))
}

function textsOf(condition: RuleCondition, accesses: readonly string[]): ReadonlySet<string> | undefined {
  if (condition.kind !== 'test' || condition.missing || !accesses.includes(condition.access)) return undefined
  const { domain } = condition
  return domain?.kind === 'texts' && !domain.excluded ? domain.texts : undefined
}

/** Countries that geo databases have on one continent or another. */
const ON_TWO_CONTINENTS: ReadonlySet<string> = new Set(
  'AM AQ AZ BV CY EG GE GL GS HM ID IO KZ PA RE RU SH SJ TF TL TR UM YT'.split(' '),
)

function isOnContinent(given: TestCondition, then: TestCondition): boolean {
  const [of, from] = [then.access, given.access]
  if (!of.endsWith('.geo.continent') || from !== of.replace(/continent$/, 'country') || given.missing) return false
  const { domain } = given
  if (domain?.kind !== 'texts' || domain.excluded || then.domain?.kind !== 'texts') return false
  const continents = [...domain.texts].map((country) =>
    ON_TWO_CONTINENTS.has(country) ? undefined : countryFacts(country)?.continent,
  )
  const reached = continents.filter((continent) => continent !== undefined)
  return (
    reached.length === continents.length &&
    isWithin({ kind: 'texts', texts: new Set(reached), excluded: false }, then.domain)
  )
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
