// Finds the first matching rule without looking at every rule: rules are filed under something a flow must have for them to
// match, and only those filed under what the flow has are evaluated, in order. What cannot be filed is always looked at.

import type { FieldValues, Lists } from '../expression/value.ts'
import { CandidateMerge } from './candidate-merge.ts'
import { Collector, createLookup, type IndexLookup } from './index-lookup.ts'
import { buildShelf, type Filed } from './index-shelf.ts'
import type { KnownLists } from './named-lists.ts'

/** The part of a rule that is evaluated. */
export interface Matcher {
  matches(values: FieldValues, lists: Lists): boolean
}

/** First match over a fixed set of rules, by an index built once. */
export class RuleIndex {
  readonly #rules: readonly Matcher[]
  readonly #lookup: IndexLookup
  readonly #lists: KnownLists
  readonly #merge: CandidateMerge
  readonly #collector: Collector

  private constructor(rules: readonly Matcher[], lookup: IndexLookup, lists: KnownLists) {
    this.#rules = rules
    this.#lookup = lookup
    this.#lists = lists
    this.#merge = new CandidateMerge(rules.length)
    this.#collector = new Collector(lookup, lists, this.#merge)
  }

  /** Indexes rules given in order of precedence; `requirements` are read and not kept. */
  static build(rules: readonly Matcher[], requirements: readonly Filed[], lists: KnownLists): RuleIndex {
    return new RuleIndex(rules, createLookup(buildShelf(requirements)), lists)
  }

  /** The same rules with other lists. The index itself is shared; nothing is compiled. */
  withLists(lists: KnownLists): RuleIndex {
    return new RuleIndex(this.#rules, this.#lookup, lists)
  }

  /** Position of the first rule that matches, or -1. Allocates nothing; not re-entrant. */
  first(values: FieldValues): number {
    this.#collector.collect(values)
    const rules = this.#rules
    for (let at = this.#merge.next(); at >= 0; at = this.#merge.next()) {
      if (rules[at]?.matches(values, this.#lists) === true) return at
    }
    return -1
  }

  /** How many rules would be evaluated if none matched: what the index leaves to do. */
  countCandidates(values: FieldValues): number {
    this.#collector.collect(values)
    let count = 0
    while (this.#merge.next() >= 0) count++
    return count
  }
}
