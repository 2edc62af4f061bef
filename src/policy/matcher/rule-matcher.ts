// Finds the first matching rule without looking at every rule: rules are filed under something a flow must have for them to
// match, and only those filed under what the flow has are evaluated. What cannot be filed is always looked at.

import type { FieldValues, Lists } from '../../expression/value.ts'
import type { KnownLists } from '../named-lists.ts'
import { BitmaskPrefilter, ROW } from './bitmask-prefilter.ts'
import { buildIndexBucket } from './index-build.ts'
import type { IndexedRule } from './index-keys.ts'
import { type Candidates, createLookup, type IndexLookup, Search } from './index-search.ts'
import type { RememberedUsers } from './remembered-users.ts'
import { isProof, positionOf, type RuleRef } from './rule-ref.ts'

/** The part of a rule that is evaluated. */
export interface Matcher {
  matches(values: FieldValues, lists: Lists): boolean
}

/** What is made of the rules alone, whatever the lists contain. */
interface Prepared {
  readonly rules: readonly Matcher[]
  readonly lookup: IndexLookup
  readonly guards: BitmaskPrefilter
}

const NONE = 0x7fffffff

/** First match over a fixed set of rules, by an index built once. */
export class RuleMatcher implements Candidates {
  readonly #prepared: Prepared
  readonly #lists: KnownLists
  readonly #search: Search
  #values: FieldValues = []
  #familiars: RememberedUsers | undefined
  /** the least position known to match; later ones need no look */
  #best = NONE
  #evaluated = 0

  private constructor(prepared: Prepared, lists: KnownLists) {
    this.#prepared = prepared
    this.#lists = lists
    this.#search = new Search(prepared.lookup, prepared.guards, lists, this)
  }

  /** Indexes rules given in order of precedence; `filed` is read and not kept. `crowd` as in {@link buildIndexBucket}. */
  static build(
    rules: readonly Matcher[],
    filed: readonly IndexedRule[],
    lists: KnownLists,
    crowd?: number,
  ): RuleMatcher {
    const guards = new BitmaskPrefilter(filed)
    return new RuleMatcher(
      { rules, lookup: createLookup(buildIndexBucket(filed, guards, crowd), guards), guards },
      lists,
    )
  }

  /** The same rules with other lists. The index itself is shared; nothing is compiled. */
  withLists(lists: KnownLists): RuleMatcher {
    return new RuleMatcher(this.#prepared, lists)
  }

  /** Position of the first rule that matches, or -1. Where `familiars` are given, only the values of the connection itself need be
   *  there: the others are asked for when they are needed. Allocates nothing; not re-entrant. */
  first(values: FieldValues, familiars?: RememberedUsers): number {
    this.#values = values
    this.#familiars = familiars
    this.#best = NONE
    this.#evaluated = 0
    this.#prepared.guards.aim(values)
    this.#search.run(values, familiars)
    return this.#best === NONE ? -1 : this.#best
  }

  /** How many rules the last search evaluated in full. */
  get evaluated(): number {
    return this.#evaluated
  }

  one(ticket: RuleRef): void {
    const position = positionOf(ticket)
    if (position >= this.#best || !this.#prepared.guards.admits(position)) return
    if (isProof(ticket) || this.#evaluate(position)) this.#best = position
  }

  rows(rows: Int32Array, start: number, end: number): void {
    const { guards } = this.#prepared
    for (let at = start; at < end; at += ROW) {
      const ticket = rows[at] ?? 0
      if (positionOf(ticket) >= this.#best) return
      if (guards.admitsRow(rows, at) && (isProof(ticket) || this.#evaluate(positionOf(ticket)))) {
        this.#best = positionOf(ticket)
        return
      }
    }
  }

  #evaluate(position: number): boolean {
    this.#evaluated++
    this.#familiars?.complete()
    return this.#prepared.rules[position]?.matches(this.#values, this.#lists) === true
  }
}
