// Searches the tables of an index for one flow after another, and remembers per user what the user's values lead to.

import type { FieldValues, Value } from '../../expression/value.ts'
import type { KnownLists } from '../named-lists.ts'
import { type BitmaskPrefilter, ROW } from './bitmask-prefilter.ts'
import type { BucketLookup, EntryVisitor, IndexLookup, LookupEntry } from './index-tables.ts'
import { ListPostings } from './list-postings.ts'
import { FlatTable, type LazyFlow, type RememberedUser } from './remembered-users.ts'
import type { RuleRef } from './rule-ref.ts'

const NO_BUCKETS: readonly BucketLookup[] = []

/** Receives every rule that a flow's keys lead to; several at a time are in ascending order. */
export interface Candidates {
  visitRule(ref: RuleRef): void
  /** rules as rows of {@link BitmaskPrefilter.rowsOf}, from word `start` up to `end` exclusive */
  visitRows(rows: Int32Array, start: number, end: number): void
}

/** Searches the tables for one flow after another.
 *
 *  A user's fields are the same for every connection, so all they lead to is remembered as one sequence of
 *  candidates, instead of half a dozen lookups by email, groups and lists. */
export class Search implements EntryVisitor {
  readonly #lookup: BucketLookup
  readonly #prefilter: BitmaskPrefilter
  readonly #lists: readonly ListPostings[]
  readonly #store = new FlatTable()
  readonly #candidates: Candidates
  #values: FieldValues = []
  #flow: LazyFlow | undefined

  constructor(
    { lookup, listGroups }: IndexLookup,
    prefilter: BitmaskPrefilter,
    lists: KnownLists,
    candidates: Candidates,
  ) {
    this.#lookup = lookup
    this.#prefilter = prefilter
    this.#candidates = candidates
    this.#lists = listGroups.map(({ path, names }) => {
      const contents = names.map((name) => lists.get(name))
      return new ListPostings(contents, path.type)
    })
  }

  /** Passes every rule that may match to the candidates. */
  run(values: FieldValues, flow: LazyFlow | undefined): void {
    this.#values = values
    this.#flow = flow
    const lookup = this.#lookup
    if (flow === undefined) {
      lookup.searchAll(this)
      return
    }
    const { user, host } = flow
    if (user !== undefined) this.#visitRemembered(user)
    if (host !== undefined) lookup.searchName(host, this)
    lookup.search('flow', this)
    lookup.searchAlways(this)
  }

  get values(): FieldValues {
    return this.#values
  }

  visit(entry: LookupEntry): void {
    if (typeof entry === 'number') this.#candidates.visitRule(entry)
    else if (entry instanceof Int32Array) this.#candidates.visitRows(entry, 0, entry.length)
    else this.#visitBucket(entry)
  }

  visitLists(listGroup: number, value: Value, entries: readonly LookupEntry[]): void {
    this.#lists[listGroup]?.visit(value, entries, this)
  }

  visitListsOfHash(listGroup: number, hash: number, entries: readonly LookupEntry[]): void {
    this.#lists[listGroup]?.visitHash(hash, entries, this)
  }

  #visitRemembered(user: RememberedUser): void {
    if (user.epoch !== this.#store.epoch) this.#remember(user)
    const { start, end, buckets } = user
    if (start < end) this.#candidates.visitRows(this.#store.rows, start, end)
    for (let at = 0; at < buckets.length; at++) {
      const bucket = buckets[at]
      if (bucket !== undefined) this.#visitBucket(bucket)
    }
  }

  #visitBucket(bucket: BucketLookup): void {
    this.#flow?.complete()
    bucket.searchAll(this)
  }

  #remember(user: RememberedUser): void {
    this.#flow?.complete()
    const collector = new CandidateCollector(this.#values, this.#lists)
    this.#lookup.search('user', collector)
    const rows = this.#prefilter.rowsOf(collector.refs)
    user.start = this.#store.add(rows)
    user.end = user.start + rows.length
    user.epoch = this.#store.epoch
    user.buckets = collector.buckets.size === 0 ? NO_BUCKETS : [...collector.buckets]
  }
}

/** Records what it receives. */
class CandidateCollector implements EntryVisitor {
  readonly values: FieldValues
  readonly refs = new Set<RuleRef>()
  readonly buckets = new Set<BucketLookup>()
  readonly #lists: readonly ListPostings[]

  constructor(values: FieldValues, lists: readonly ListPostings[]) {
    this.values = values
    this.#lists = lists
  }

  visit(entry: LookupEntry): void {
    if (typeof entry === 'number') this.refs.add(entry)
    else if (entry instanceof Int32Array) {
      for (let at = 0; at < entry.length; at += ROW) this.refs.add(entry[at] ?? 0)
    } else this.buckets.add(entry)
  }

  visitLists(listGroup: number, value: Value, entries: readonly LookupEntry[]): void {
    this.#lists[listGroup]?.visit(value, entries, this)
  }

  visitListsOfHash(listGroup: number, hash: number, entries: readonly LookupEntry[]): void {
    this.#lists[listGroup]?.visitHash(hash, entries, this)
  }
}
