// Finds the first matching rule without trying every rule: a rule is indexed under something a flow must have to match
// it, and only rules indexed under what the flow has are evaluated. Rules that cannot be indexed are always tried.

import type { FieldValues, Lists, Value } from '../../expression/value.ts'
import type { KnownLists } from '../account.ts'
import { type BitmaskPrefilter, isProof, positionOf, ROW } from './bitmask-prefilter.ts'
import { ListPostings } from './hash-tables.ts'
import { buildIndex, type IndexEntry } from './index-build.ts'
import type { IndexedRules } from './index-keys.ts'
import { type BucketLookup, createLookup, type EntryVisitor, type IndexLookup } from './index-tables.ts'

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
  /** by position: 1 for a rule that is passed over */
  #gone: Uint8Array | undefined
  /** the lowest position known to match; later rules are skipped */
  #best = NONE
  #evaluated = 0

  private constructor(prepared: Prepared, lists: KnownLists) {
    this.#prepared = prepared
    this.#lists = lists
    this.#search = new Search(prepared.lookup, lists, this)
  }

  /** Indexes rules given in order of precedence; rule n of `indexed` describes `rules[n]` and is not kept. `maxPerKey`
   *  as in {@link buildIndex}. */
  static build(rules: readonly Matcher[], indexed: IndexedRules, lists: KnownLists, maxPerKey?: number): RuleMatcher {
    const built = buildIndex(indexed, maxPerKey)
    const lookup = createLookup(built, indexed.table.keys)
    return new RuleMatcher({ rules, lookup, prefilter: built.masks.prefilter }, lists)
  }

  /** The same rules with other lists. Shares the index; compiles nothing. */
  withLists(lists: KnownLists): RuleMatcher {
    return new RuleMatcher(this.#prepared, lists)
  }

  /** Position of the first rule that matches, or -1. With `flow` given, only the values of the connection itself
   *  need be in `values`: the others are requested when needed. `gone`: by position, 1 for a rule to pass over.
   *  Allocates nothing; not re-entrant. */
  first(values: FieldValues, flow?: LazyFlow, gone?: Uint8Array): number {
    this.#values = values
    this.#flow = flow
    this.#gone = gone
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

  visitRows(rows: Int32Array, start: number, end: number): void {
    const { prefilter } = this.#prepared
    for (let at = start; at < end; at += ROW) {
      const ref = rows[at] ?? 0
      const position = positionOf(ref)
      if (position >= this.#best) return
      if (!prefilter.admitsRow(rows, at) || this.#gone?.[position] === 1) continue
      if (isProof(ref) || this.#evaluate(position)) {
        this.#best = position
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

const NO_BUCKETS: readonly BucketLookup[] = []

/** Receives every rule that a flow's keys lead to; several at a time are in ascending order. */
interface Candidates {
  /** rows of MaskBuilder.writeRow, from word `start` up to `end` exclusive */
  visitRows(rows: Int32Array, start: number, end: number): void
}

/** Searches the tables for one flow after another.
 *
 *  A user's fields are the same for every connection, so all they lead to is remembered as one sequence of
 *  candidates, instead of half a dozen lookups by email, groups and lists. */
class Search implements EntryVisitor {
  readonly #root: BucketLookup
  readonly #buckets: readonly BucketLookup[]
  readonly #rows: Int32Array
  readonly #lists: readonly ListPostings[]
  readonly #store = new FlatTable()
  readonly #candidates: Candidates
  #values: FieldValues = []
  #flow: LazyFlow | undefined

  constructor({ root, buckets, rows, listGroups }: IndexLookup, lists: KnownLists, candidates: Candidates) {
    this.#root = root
    this.#buckets = buckets
    this.#rows = rows
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
    const lookup = this.#root
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

  visit(entry: IndexEntry): void {
    if (entry < 0) this.#visitBucket(this.#buckets[~entry])
    else this.#candidates.visitRows(this.#rows, entry + 1, entry + 1 + (this.#rows[entry] ?? 0))
  }

  visitLists(listGroup: number, value: Value, entries: Int32Array): void {
    this.#lists[listGroup]?.visit(value, entries, this)
  }

  visitListsOfHash(listGroup: number, hash: number, entries: Int32Array): void {
    this.#lists[listGroup]?.visitHash(hash, entries, this)
  }

  #visitRemembered(user: RememberedUser): void {
    if (user.epoch !== this.#store.epoch) this.#remember(user)
    const { start, end, buckets } = user
    if (start < end) this.#candidates.visitRows(this.#store.rows, start, end)
    for (let at = 0; at < buckets.length; at++) this.#visitBucket(buckets[at])
  }

  #visitBucket(bucket: BucketLookup | undefined): void {
    this.#flow?.complete()
    bucket?.searchAll(this)
  }

  #remember(user: RememberedUser): void {
    this.#flow?.complete()
    const collector = new CandidateCollector(this.#values, this.#lists)
    this.#root.search('user', collector)
    const rows = collector.rowsFrom(this.#rows)
    user.start = this.#store.add(rows)
    user.end = user.start + rows.length
    user.epoch = this.#store.epoch
    user.buckets = collector.bucketsFrom(this.#buckets)
  }
}

/** Records what it receives. */
class CandidateCollector implements EntryVisitor {
  readonly values: FieldValues
  readonly #entries = new Set<IndexEntry>()
  readonly #lists: readonly ListPostings[]

  constructor(values: FieldValues, lists: readonly ListPostings[]) {
    this.values = values
    this.#lists = lists
  }

  visit(entry: IndexEntry): void {
    this.#entries.add(entry)
  }

  visitLists(listGroup: number, value: Value, entries: Int32Array): void {
    this.#lists[listGroup]?.visit(value, entries, this)
  }

  visitListsOfHash(listGroup: number, hash: number, entries: Int32Array): void {
    this.#lists[listGroup]?.visitHash(hash, entries, this)
  }

  /** The rows of all entries received, each once, in ascending order. */
  rowsFrom(rows: Int32Array): Int32Array {
    const found = new Map<number, Int32Array>()
    for (const entry of this.#entries) {
      if (entry < 0) continue
      const end = entry + 1 + (rows[entry] ?? 0)
      for (let at = entry + 1; at < end; at += ROW) found.set(rows[at] ?? 0, rows.subarray(at, at + ROW))
    }
    const joined = new Int32Array(found.size * ROW)
    for (const [at, ref] of [...found.keys()].sort((a, b) => a - b).entries())
      joined.set(found.get(ref) ?? [], at * ROW)
    return joined
  }

  bucketsFrom(buckets: readonly BucketLookup[]): readonly BucketLookup[] {
    const found = [...this.#entries].flatMap((entry) => buckets[~entry] ?? [])
    return found.length === 0 ? NO_BUCKETS : found
  }
}

// What the index remembers of users between flows, and the form in which it reads a flow. A {@link RememberedUser} is
// valid for one index over one version of the lists, and is dropped with the reader of flows that holds it.

/** What the values of one user lead to in the tables. Created by the reader of flows, filled in by the index. */
export interface RememberedUser {
  /** epoch of the row table that holds the rows; 0 before the first flow */
  epoch: number
  /** the candidates' rows in the row table, see MaskBuilder.writeRow: from here, up to `end` exclusive */
  start: number
  end: number
  buckets: readonly BucketLookup[]
}

/** A user the index has not seen. */
export function unknownUser(): RememberedUser {
  return { epoch: 0, start: 0, end: 0, buckets: [] }
}

/** A flow whose values of user and host are computed on demand. */
export interface LazyFlow {
  readonly user: RememberedUser | undefined
  /** the requested name; undefined where there is none or rules may not see it */
  readonly host: string | undefined
  /** Fills in the values of user and host. Most flows are decided without them. */
  complete(): void
}

const FIRST_SIZE = 4096
/** in words: 16 MB, some 200,000 users with four candidates each */
const LARGEST_SIZE = 4_194_304

/** Rows of all remembered users in one array; emptied as a whole when full. */
class FlatTable {
  #rows = new Int32Array(FIRST_SIZE)
  #length = 0
  #epoch = 1

  get rows(): Int32Array {
    return this.#rows
  }

  /** Never 0. Rows stored in an earlier epoch are gone. */
  get epoch(): number {
    return this.#epoch
  }

  /** Copies rows in and returns where they start. Begins a new epoch when the table is full. */
  add(rows: Int32Array): number {
    if (this.#length + rows.length > LARGEST_SIZE) {
      this.#length = 0
      this.#epoch++
    }
    this.#makeRoom(this.#length + rows.length)
    const start = this.#length
    this.#rows.set(rows, start)
    this.#length += rows.length
    return start
  }

  #makeRoom(needed: number): void {
    if (needed <= this.#rows.length) return
    const larger = new Int32Array(2 ** Math.ceil(Math.log2(needed)))
    larger.set(this.#rows)
    this.#rows = larger
  }
}
