// All rules of an account, compiled: finds the first match of a flow in near-constant time, and says why each other
// rule cannot match. Frozen; a change makes a new value ([R1], [R2], [R9], [F2]).

import { compileExpression, type Predicate } from '../expression/index.ts'
import type { FieldValues, Lists } from '../expression/value.ts'
import { type Account, type AccountSettings, createLists, type KnownLists, type NamedList } from './account.ts'
import { type AccountTables, createAccountTables } from './account-tables.ts'
import type { Flow } from './flow.ts'
import { createFlowReader, type FlowReader } from './flow-values.ts'
import { type CacheCounts, FlowCache, UNKNOWN } from './matcher/flow-cache.ts'
import { IndexedRules } from './matcher/index-keys.ts'
import { type Matcher, RuleMatcher } from './matcher/rule-matcher.ts'
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
}

export type RulesetSettings = Pick<AccountSettings, 'hostSelector' | 'expressions'>

/** Compiles all rules, given in any order. A rule with errors is left out and every problem of it reported; the rest
 *  works. */
export function compileRuleset(
  rules: readonly Rule[],
  lists: readonly NamedList[],
  settings: RulesetSettings,
): { readonly ruleset: Ruleset; readonly problems: readonly RuleIssue[] } {
  const ordered = Object.freeze([...rules].sort((a, b) => a.precedence - b.precedence))
  const known = createLists(lists)
  const compiler = new Compiler(settings)
  for (const rule of ordered) compiler.add(rule)
  const problems = [...compiler.problems, ...otherKinds(ordered)]
  const { active, skipped, fields } = compiler
  const index = RuleMatcher.build(active, compiler.indexed, known)
  const createReader = () => createFlowReader(fields, settings.hostSelector)
  return { ruleset: createRuleset({ rules: ordered, active, skipped, fields, createReader }, index, known), problems }
}

interface Parts {
  readonly rules: readonly Rule[]
  readonly active: readonly CompiledRule[]
  readonly skipped: readonly SkippedRule[]
  readonly fields: ReadonlySet<string>
  /** Creates a reader for one index: it caches what the index finds per user, which is wrong for other lists. */
  readonly createReader: () => FlowReader
}

function createRuleset(parts: Parts, index: RuleMatcher, lists: KnownLists): Ruleset {
  const { rules, active, skipped, fields } = parts
  const reader = parts.createReader()
  const cache = new FlowCache(parts.fields)
  const ruleAt = (position: number) => (position < 0 ? undefined : active[position])
  return Object.freeze({
    rules,
    active,
    skipped,
    fields,
    lists,
    read: (flow: Flow) => reader.read(flow),
    first: (values: FieldValues) => ruleAt(index.first(values)),
    firstByScan: (values: FieldValues) => active.find((rule) => rule.matches(values, lists)),
    firstMatch: (flow: Flow) => {
      const reading = reader.readAgain(flow)
      const known = cache.find(reading.values, reading.number, reading.host)
      if (known !== UNKNOWN) return ruleAt(known)
      const found = index.first(reading.values, reading)
      cache.keep(found)
      return ruleAt(found)
    },
    firstMatchAnew: (flow: Flow) => {
      const reading = reader.readAgain(flow)
      return ruleAt(index.first(reading.values, reading))
    },
    get cacheCounts() {
      return cache.counts
    },
    countEvaluated: (values: FieldValues) => {
      index.first(values)
      return index.evaluated
    },
    withLists: (changed: readonly NamedList[]) => {
      const known = createLists(changed)
      return createRuleset(parts, index.withLists(known), known)
    },
  })
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
function otherKinds(rules: readonly Rule[]): RuleIssue[] {
  const others = rules.filter((rule) => !isEgressRule(rule))
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
