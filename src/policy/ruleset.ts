// All rules of an account, compiled: finds the first match of a flow in near-constant time, and says why each other
// rule cannot match. Frozen; a change makes a new value ([R1], [R2], [R9], [F2]).

import { compileExpression, type Predicate } from '../expression/index.ts'
import type { FieldValues, Lists } from '../expression/value.ts'
import { type Account, type AccountSettings, createLists, type KnownLists, type NamedList } from './account.ts'
import { type AccountTables, createAccountTables } from './account-tables.ts'
import type { Flow } from './flow.ts'
import { createFlowReader } from './flow-values.ts'
import { type CacheCounts, FlowCache, UNKNOWN } from './matcher/flow-cache.ts'
import { IndexedRules } from './matcher/index-keys.ts'
import { type LazyFlow, type Matcher, RuleMatcher } from './matcher/rule-matcher.ts'
import type { Rule } from './rule.ts'
import { hostSelectorsOf, type ParsedRule, type RuleIssue, RuleParser } from './rule-expressions.ts'

/** A rule that can match. */
export interface CompiledRule extends Matcher {
  readonly rule: Rule
}

/** A rule that cannot match, with the reason in words. */
export interface SkippedRule {
  readonly rule: Rule
  readonly why: 'disabled' | 'not-egress' | 'invalid' | 'host-selectors-off'
  readonly reason: string
}

export interface Ruleset {
  /** every rule given, by precedence */
  readonly rules: readonly Rule[]
  /** those that can match, by precedence */
  readonly active: readonly CompiledRule[]
  /** those that cannot, by precedence */
  readonly skipped: readonly SkippedRule[]
  /** names of the fields the active rules use */
  readonly fields: ReadonlySet<string>
  readonly lists: Lists
  /** The values the active rules read, by slot. */
  read(flow: Flow): FieldValues
  /** The first rule that matches, found by the index. */
  first(values: FieldValues): CompiledRule | undefined
  /** The same by trying every rule in order: for tests, and as the baseline of the index's benchmark. */
  firstByScan(values: FieldValues): CompiledRule | undefined
  /** The first rule that matches a flow; from the cache for flows seen lately. */
  firstMatch(flow: Flow): CompiledRule | undefined
  /** The same without the cache, to measure its worth. */
  firstMatchAnew(flow: Flow): CompiledRule | undefined
  readonly cacheCounts: CacheCounts
  /** How many rules are evaluated in full to find the first: the work the index leaves. */
  countEvaluated(values: FieldValues): number
  /** The same rules with other lists; compiles nothing. */
  withLists(lists: readonly NamedList[]): Ruleset
  /** Other rules with the same lists and settings. Rules that are the same objects are not compiled again as long as
   *  few differ from those of the last full compilation; then it takes a hundredth of one. */
  withRules(rules: readonly Rule[]): CompiledRules
}

/** A ruleset and every problem of its rules. */
export interface CompiledRules {
  readonly ruleset: Ruleset
  readonly problems: readonly RuleIssue[]
}

export type RulesetSettings = Pick<AccountSettings, 'hostSelector' | 'expressions'>

/** Compiles all rules, given in any order. A rule with errors is left out and every problem of it reported; the rest
 *  works. */
export function compileRuleset(
  rules: readonly Rule[],
  lists: readonly NamedList[],
  settings: RulesetSettings,
): CompiledRules {
  return compileAll(inOrder(rules), createLists(lists), settings)
}

function inOrder(rules: readonly Rule[]): readonly Rule[] {
  return Object.freeze([...rules].sort(byPrecedence))
}

function byPrecedence(a: Rule, b: Rule): number {
  return a.precedence - b.precedence
}

function compileAll(ordered: readonly Rule[], known: KnownLists, settings: RulesetSettings): CompiledRules {
  const compiler = new Compiler(settings)
  for (const rule of ordered) compiler.add(rule)
  const { active, skipped, fields, indexed } = compiler
  const { problems } = compiler
  const index = RuleMatcher.build(active, indexed, known)
  const base: Base = { rules: ordered, active, skipped, fields, problems, settings }
  const parts = { rules: ordered, active, skipped, fields, base, lists: known, index, change: undefined }
  return { ruleset: createRuleset(parts), problems: [...problems, ...otherKinds(skipped)] }
}

/** Everything a full compilation made but the index. */
interface Base extends Pick<Ruleset, 'rules' | 'active' | 'skipped' | 'fields'> {
  readonly problems: readonly RuleIssue[]
  readonly settings: RulesetSettings
}

/** How rules differ from those of the last full compilation. */
interface RuleChange {
  /** the rules that came since, by precedence: few, and tried one after the other */
  readonly added: readonly CompiledRule[]
  /** by position among the active rules of the base: 1 for one that is gone */
  readonly gone: Uint8Array
}

interface Parts extends Pick<Ruleset, 'rules' | 'active' | 'skipped' | 'fields'> {
  readonly base: Base
  readonly lists: KnownLists
  /** of the base's rules */
  readonly index: RuleMatcher
  readonly change: RuleChange | undefined
}

function createRuleset(parts: Parts): Ruleset {
  const { rules, active, skipped, fields, base, lists, index, change } = parts
  // a reader caches what the index finds per user, which is wrong for other lists
  const reader = createFlowReader(fields, base.settings.hostSelector)
  const cache = new FlowCache(fields)
  const find =
    change === undefined
      ? (values: FieldValues, flow?: LazyFlow) => index.first(values, flow)
      : (values: FieldValues, flow?: LazyFlow) => firstOfBoth(parts, change, values, flow)
  const ruleAt = (position: number) =>
    position < base.active.length ? base.active[position] : change?.added[position - base.active.length]
  return Object.freeze({
    rules,
    active,
    skipped,
    fields,
    lists,
    read: (flow: Flow) => reader.read(flow),
    first: (values: FieldValues) => ruleAt(find(values)),
    firstByScan: (values: FieldValues) => active.find((rule) => rule.matches(values, lists)),
    firstMatch: (flow: Flow) => {
      const reading = reader.readAgain(flow)
      const known = cache.find(reading.values, reading.number, reading.host)
      if (known !== UNKNOWN) return ruleAt(known)
      const found = find(reading.values, reading)
      cache.keep(found)
      return ruleAt(found)
    },
    firstMatchAnew: (flow: Flow) => {
      const reading = reader.readAgain(flow)
      return ruleAt(find(reading.values, reading))
    },
    get cacheCounts() {
      return cache.counts
    },
    countEvaluated: (values: FieldValues) => {
      find(values)
      return index.evaluated
    },
    withLists: (changed: readonly NamedList[]) => {
      const known = createLists(changed)
      return createRuleset({ ...parts, lists: known, index: index.withLists(known) })
    },
    withRules: (changed: readonly Rule[]) => changeRules(parts, inOrder(changed)),
  })
}

/** The position of the first match among the rules of the base that are left, or, counted on from them, among the
 *  added ones; -1 for none. */
function firstOfBoth({ base, index, lists }: Parts, change: RuleChange, values: FieldValues, flow?: LazyFlow): number {
  const found = index.first(values, flow, change.gone)
  const { added } = change
  const last = base.active[found]?.rule.precedence ?? Number.POSITIVE_INFINITY
  for (let at = 0; at < added.length; at++) {
    const one = added[at]
    if (one === undefined || one.rule.precedence > last) break
    flow?.complete()
    if (one.matches(values, lists)) return base.active.length + at
  }
  return found
}

/** With more added rules than this a full compilation is due: each costs every decision that is not cached some 20
 *  nanoseconds. Removed ones cost no more than the memory of the index. */
const MOST_ADDED = 64

function changeRules({ base, lists, index }: Parts, ordered: readonly Rule[]): CompiledRules {
  const { added, removed } = differenceOf(base.rules, ordered)
  if (added.length > MOST_ADDED || removed.size > base.rules.length / 2)
    return compileAll(ordered, lists, base.settings)
  const compiler = new Compiler(base.settings)
  for (const rule of added) compiler.add(rule)
  const isLeft = ({ rule }: { readonly rule: Rule }) => !removed.has(rule)
  const gone = new Uint8Array(base.active.length)
  const left: CompiledRule[] = []
  for (let at = 0; at < base.active.length; at++) {
    const one = base.active[at]
    if (one === undefined || !isLeft(one)) gone[at] = 1
    else left.push(one)
  }
  const skipped = mergeByPrecedence(base.skipped.filter(isLeft), compiler.skipped)
  const problems = [...base.problems.filter(isLeft), ...compiler.problems]
  const ruleset = createRuleset({
    rules: ordered,
    active: mergeByPrecedence(left, compiler.active),
    skipped,
    fields: new Set([...base.fields, ...compiler.fields]),
    base,
    lists,
    index,
    change: { added: compiler.active, gone },
  })
  return { ruleset, problems: [...problems, ...otherKinds(skipped)] }
}

function mergeByPrecedence<T extends { readonly rule: Rule }>(some: readonly T[], others: readonly T[]): readonly T[] {
  return others.length === 0 ? some : [...some, ...others].sort((a, b) => byPrecedence(a.rule, b.rule))
}

/** Which rules came and which went, as objects; both given in order of precedence. */
function differenceOf(
  before: readonly Rule[],
  after: readonly Rule[],
): { readonly added: readonly Rule[]; readonly removed: ReadonlySet<Rule> } {
  const added: Rule[] = []
  const removed = new Set<Rule>()
  let old = 0
  for (const rule of after) {
    for (let next = before[old]; next !== undefined && next !== rule; next = before[old]) {
      if (next.precedence > rule.precedence) break
      removed.add(next)
      old++
    }
    if (before[old] === rule) old++
    else added.push(rule)
  }
  for (const rule of before.slice(old)) removed.add(rule)
  return { added, removed }
}

/** A rule whose expressions are compiled when it is first evaluated: the index decides most flows without. */
class LazyRule implements CompiledRule {
  readonly rule: Rule
  readonly #mode: RulesetSettings['expressions']
  #predicate: Predicate | undefined

  constructor(rule: Rule, mode: RulesetSettings['expressions']) {
    this.rule = rule
    this.#mode = mode
  }

  matches(values: FieldValues, lists: Lists): boolean {
    this.#predicate ??= predicateOf(this.rule, this.#mode)
    return this.#predicate(values, lists)
  }
}

function predicateOf(rule: Rule, mode: RulesetSettings['expressions']): Predicate {
  return allOf(new RuleParser(mode).parse(rule).expressions.map(({ expression }) => compileExpression(expression)))
}

/** Collects the rules that can match, what the index needs of them, the skipped ones and their problems. Of what is
 *  parsed nothing is kept: trees of a hundred thousand rules are hundreds of megabytes. */
class Compiler {
  readonly active: CompiledRule[] = []
  readonly indexed = new IndexedRules()
  readonly skipped: SkippedRule[] = []
  readonly problems: RuleIssue[] = []
  readonly fields = new Set<string>()
  readonly #settings: RulesetSettings
  readonly #parser: RuleParser

  constructor(settings: RulesetSettings) {
    this.#settings = settings
    this.#parser = new RuleParser(settings.expressions)
  }

  add(rule: Rule): void {
    if (!isEgressRule(rule)) {
      this.#skip(rule, 'not-egress', 'not an egress rule: kept, never evaluated here')
      return
    }
    const parsed = this.#parser.parse(rule)
    for (const issue of parsed.issues) this.problems.push(issue)
    const obstacle = this.#obstacleOf(parsed)
    if (obstacle === undefined) this.#activate(parsed)
    else this.#skip(rule, ...obstacle)
  }

  #obstacleOf(parsed: ParsedRule): [SkippedRule['why'], string] | undefined {
    if (!parsed.rule.enabled) return ['disabled', 'disabled']
    const errors = parsed.issues.filter(({ severity }) => severity === 'error').length
    if (errors > 0)
      return ['invalid', `invalid: ${errors === 1 ? 'a problem' : `${errors} problems`} in its expressions`]
    const selectors = this.#settings.hostSelector ? [] : hostSelectorsOf(parsed)
    return selectors.length > 0 ? ['host-selectors-off', hostSelectorsOff(selectors)] : undefined
  }

  #activate({ rule, expressions, fields }: ParsedRule): void {
    this.active.push(new LazyRule(rule, this.#settings.expressions))
    this.indexed.add(expressions.map(({ expression }) => expression))
    for (const field of fields) this.fields.add(field)
  }

  #skip(rule: Rule, why: SkippedRule['why'], reason: string): void {
    this.skipped.push(Object.freeze({ rule, why, reason }))
  }
}

/** Whether this project evaluates the rule; all others are kept and never evaluated ([R9]). */
export function isEgressRule(rule: Rule): boolean {
  return rule.action === 'egress' && rule.filters.includes('egress')
}

function hostSelectorsOff(selectors: readonly string[]): string {
  const names = selectors.map((name) => `\`${name}\``).join(', ')
  return `uses ${names} while the host-selector setting is off`
}

function allOf(predicates: readonly Predicate[]): Predicate {
  const [a, b, c] = predicates
  if (a === undefined) return () => true
  if (b === undefined) return a
  if (c === undefined) return (values, lists) => a(values, lists) && b(values, lists)
  return (values, lists) => a(values, lists) && b(values, lists) && c(values, lists)
}

/** [R9]: one advice for all of them. */
function otherKinds(skipped: readonly SkippedRule[]): RuleIssue[] {
  const others = skipped.filter(({ why }) => why === 'not-egress').map(({ rule }) => rule)
  const [first] = others
  if (first === undefined) return []
  const names = others.map(({ name }) => `\`${name}\``)
  const shown = names.length > 5 ? `${names.slice(0, 5).join(', ')} …` : names.join(', ')
  const subject =
    names.length === 1 ? '1 rule is not an egress rule and is' : `${names.length} rules are not egress rules and are`
  const message = `${subject} never evaluated here: ${shown}`
  return [{ severity: 'advice', code: 'rule.not_egress', message, path: ['rules', first.name], rule: first }]
}

/** One version of everything that decisions rest on. Never changes; a change makes the next one. */
export interface Snapshot {
  /** grows by one with every change of anything */
  readonly revision: number
  readonly account: Account
  /** compiled from `account`: change both together, by {@link createSnapshot} */
  readonly tables: AccountTables
  readonly ruleset: Ruleset
}

/** The snapshot of an account and its compiled rules. Throws a RangeError for an account without a data center. */
export function createSnapshot(revision: number, account: Account, ruleset: Ruleset): Snapshot {
  return Object.freeze({ revision, account, tables: createAccountTables(account), ruleset })
}
