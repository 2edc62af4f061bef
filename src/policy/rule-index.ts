// Finds the first matching rule without looking at every rule: rules are filed under something a flow must have for them to
// match, and only those filed under what the flow has are evaluated. What cannot be filed is always looked at.

import type { FieldValues, Lists } from '../expression/value.ts'
import { GuardTable, ROW } from './guard-table.ts'
import { type Candidates, createLookup, type IndexLookup, Search } from './index-lookup.ts'
import { buildShelf, type Filed } from './index-shelf.ts'
import type { KnownLists } from './named-lists.ts'

/** The part of a rule that is evaluated. */
export interface Matcher {
  matches(values: FieldValues, lists: Lists): boolean
}

/** What is made of the rules alone, whatever the lists contain. */
interface Prepared {
  readonly rules: readonly Matcher[]
  readonly lookup: IndexLookup
  readonly guards: GuardTable
}

const NONE = 0x7fffffff

/** First match over a fixed set of rules, by an index built once. */
export class RuleIndex implements Candidates {
  readonly #prepared: Prepared
  readonly #lists: KnownLists
  readonly #search: Search
  #values: FieldValues = []
  /** the least position known to match; later ones need no look */
  #best = NONE
  #evaluated = 0

  private constructor(prepared: Prepared, lists: KnownLists) {
    this.#prepared = prepared
    this.#lists = lists
    this.#search = new Search(prepared.lookup, prepared.guards, lists, this)
  }

  /** Indexes rules given in order of precedence; `requirements` are read and not kept. */
  static build(
    rules: readonly Matcher[],
    requirements: readonly Filed[],
    lists: KnownLists,
    shelf = buildShelf(requirements),
  ): RuleIndex {
    const lookup = createLookup(shelf)
    return new RuleIndex({ rules, lookup, guards: new GuardTable(requirements) }, lists)
  }

  /** The same rules with other lists. The index itself is shared; nothing is compiled. */
  withLists(lists: KnownLists): RuleIndex {
    return new RuleIndex(this.#prepared, lists)
  }

  /** Position of the first rule that matches, or -1. Allocates nothing; not re-entrant. */
  first(values: FieldValues): number {
    this.#values = values
    this.#best = NONE
    this.#evaluated = 0
    this.#prepared.guards.aim(values)
    this.#search.run(values)
    return this.#best === NONE ? -1 : this.#best
  }

  /** How many rules the last search evaluated in full. */
  get evaluated(): number {
    return this.#evaluated
  }

  one(position: number): void {
    if (position < this.#best && this.#matches(position)) this.#best = position
  }

  many(positions: Int32Array): void {
    for (let at = 0; at < positions.length; at++) {
      const position = positions[at] ?? NONE
      if (position >= this.#best) return
      if (this.#matches(position)) {
        this.#best = position
        return
      }
    }
  }

  rows(rows: Int32Array): void {
    const { guards } = this.#prepared
    for (let at = 0; at < rows.length; at += ROW) {
      const position = rows[at] ?? NONE
      if (position >= this.#best) return
      if (guards.admitsRow(rows, at) && this.#evaluate(position)) {
        this.#best = position
        return
      }
    }
  }

  #matches(position: number): boolean {
    return this.#prepared.guards.admits(position) && this.#evaluate(position)
  }

  #evaluate(position: number): boolean {
    this.#evaluated++
    return this.#prepared.rules[position]?.matches(this.#values, this.#lists) === true
  }
}
