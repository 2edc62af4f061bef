// Finds the first matching rule without trying every rule: a rule is indexed under something a flow must have to match
// it, and only rules indexed under what the flow has are evaluated. Rules that cannot be indexed are always tried.

import type { FieldValues, Lists } from '../../expression/value.ts'
import type { KnownLists } from '../named-lists.ts'
import { BitmaskPrefilter, ROW } from './bitmask-prefilter.ts'
import { buildIndexBucket } from './index-build.ts'
import type { IndexedRule } from './index-keys.ts'
import { type Candidates, Search } from './index-search.ts'
import { createLookup, type IndexLookup } from './index-tables.ts'
import type { LazyFlow } from './remembered-users.ts'
import { isProof, positionOf, type RuleRef } from './rule-ref.ts'

/** The part of a rule that is evaluated. */
export interface Matcher {
  matches(values: FieldValues, lists: Lists): boolean
}

/** Prepared from the rules alone, independent of the lists' contents. */
interface Prepared {
  readonly rules: readonly Matcher[]
  readonly lookup: IndexLookup
  readonly prefilter: BitmaskPrefilter
}

const NONE = 0x7fffffff

/** First match over a fixed set of rules, by an index built once. */
export class RuleMatcher implements Candidates {
  readonly #prepared: Prepared
  readonly #lists: KnownLists
  readonly #search: Search
  #values: FieldValues = []
  #flow: LazyFlow | undefined
  /** the lowest position known to match; later rules are skipped */
  #best = NONE
  #evaluated = 0

  private constructor(prepared: Prepared, lists: KnownLists) {
    this.#prepared = prepared
    this.#lists = lists
    this.#search = new Search(prepared.lookup, prepared.prefilter, lists, this)
  }

  /** Indexes rules given in order of precedence; `indexed[n]` describes `rules[n]` and is not kept. `maxPerKey` as
   *  in {@link buildIndexBucket}. */
  static build(
    rules: readonly Matcher[],
    indexed: readonly IndexedRule[],
    lists: KnownLists,
    maxPerKey?: number,
  ): RuleMatcher {
    const prefilter = new BitmaskPrefilter(indexed)
    return new RuleMatcher(
      { rules, lookup: createLookup(buildIndexBucket(indexed, prefilter, maxPerKey), prefilter), prefilter },
      lists,
    )
  }

  /** The same rules with other lists. Shares the index; compiles nothing. */
  withLists(lists: KnownLists): RuleMatcher {
    return new RuleMatcher(this.#prepared, lists)
  }

  /** Position of the first rule that matches, or -1. With `flow` given, only the values of the connection itself
   *  need be in `values`: the others are requested when needed. Allocates nothing; not re-entrant. */
  first(values: FieldValues, flow?: LazyFlow): number {
    this.#values = values
    this.#flow = flow
    this.#best = NONE
    this.#evaluated = 0
    this.#prepared.prefilter.load(values)
    this.#search.run(values, flow)
    return this.#best === NONE ? -1 : this.#best
  }

  /** How many rules the last search evaluated in full. */
  get evaluated(): number {
    return this.#evaluated
  }

  visitRule(ref: RuleRef): void {
    const position = positionOf(ref)
    if (position >= this.#best || !this.#prepared.prefilter.admits(position)) return
    if (isProof(ref) || this.#evaluate(position)) this.#best = position
  }

  visitRows(rows: Int32Array, start: number, end: number): void {
    const { prefilter } = this.#prepared
    for (let at = start; at < end; at += ROW) {
      const ref = rows[at] ?? 0
      if (positionOf(ref) >= this.#best) return
      if (prefilter.admitsRow(rows, at) && (isProof(ref) || this.#evaluate(positionOf(ref)))) {
        this.#best = positionOf(ref)
        return
      }
    }
  }

  #evaluate(position: number): boolean {
    this.#evaluated++
    this.#flow?.complete()
    return this.#prepared.rules[position]?.matches(this.#values, this.#lists) === true
  }
}
