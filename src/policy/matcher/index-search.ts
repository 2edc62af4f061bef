// Asks a shelf what stands under the keys a flow has. The tables are made once; only those over the contents of lists are made
// anew when lists change.

import type { FieldValues, Value } from '../../expression/value.ts'
import type { KnownLists } from '../named-lists.ts'
import { type BitmaskPrefilter, ROW } from './bitmask-prefilter.ts'
import { DomainTable, type HashCallback, SuffixTable } from './domain-table.ts'
import { type FieldOrigin, fieldOriginOf } from './field-origin.ts'
import type { IndexBucket, IndexPartition, IndexSlot as Shelved } from './index-build.ts'
import type { FieldPathKey, IndexKey } from './index-keys.ts'
import { ListPostings } from './list-postings.ts'
import { type PrefixCallback, PrefixTable } from './prefix-table.ts'
import { FlatTable, type RememberedUser, type RememberedUsers } from './remembered-users.ts'
import type { RuleRef } from './rule-ref.ts'

/** What stands under a key, ready to be looked up in: a ticket, several as rows of {@link BitmaskPrefilter.rowsOf}, or a shelf. */
type Place = RuleRef | Int32Array | BucketLookup

/** A compartment's lists, to be bound. */
interface PartitionSearch {
  readonly path: FieldPathKey
  readonly names: readonly string[]
}

const LARGEST_WORD = 0xffffffff
const NO_SHELVES: readonly BucketLookup[] = []

/** Is asked about every rule that stands under a key of the flow; many at a time are in ascending order. */
export interface Candidates {
  one(ticket: RuleRef): void
  /** rules as rows of {@link BitmaskPrefilter.rowsOf} */
  rows(rows: Int32Array, start: number, end: number): void
}

/** Is shown what stands under the keys of a value. */
interface SlotSearch extends PrefixCallback<Place> {
  readonly values: FieldValues
  visitLists(drawer: number, value: Value, places: readonly Place[]): void
  visitListsOfHash(drawer: number, hash: number, places: readonly Place[]): void
}

/** Goes through the shelves for one flow after another.
 *
 *  A person's fields come the same with every connection, so what they lead to is remembered as a whole: one stretch of
 *  candidates, instead of half a dozen look-ups by mail address, groups and lists. */
export class Search implements SlotSearch {
  readonly #lookup: BucketLookup
  readonly #guards: BitmaskPrefilter
  readonly #lists: readonly ListPostings[]
  readonly #store = new FlatTable()
  readonly #candidates: Candidates
  #values: FieldValues = []
  #familiars: RememberedUsers | undefined

  constructor({ lookup, drawers }: IndexLookup, guards: BitmaskPrefilter, lists: KnownLists, candidates: Candidates) {
    this.#lookup = lookup
    this.#guards = guards
    this.#candidates = candidates
    this.#lists = drawers.map(({ path, names }) => {
      const contents = names.map((name) => lists.get(name))
      return new ListPostings(contents, path.type)
    })
  }

  /** Shows the candidates every rule that may match. */
  run(values: FieldValues, familiars: RememberedUsers | undefined): void {
    this.#values = values
    this.#familiars = familiars
    const lookup = this.#lookup
    if (familiars === undefined) {
      lookup.searchAll(this)
      return
    }
    const { person, host } = familiars
    if (person !== undefined) this.#follow(person)
    if (host !== undefined) lookup.searchName(host, this)
    lookup.search('flow', this)
    lookup.searchAlways(this)
  }

  get values(): FieldValues {
    return this.#values
  }

  visit(place: Place): void {
    if (typeof place === 'number') this.#candidates.one(place)
    else if (place instanceof Int32Array) this.#candidates.rows(place, 0, place.length)
    else this.#visitShelf(place)
  }

  visitLists(drawer: number, value: Value, places: readonly Place[]): void {
    this.#lists[drawer]?.visit(value, places, this)
  }

  visitListsOfHash(drawer: number, hash: number, places: readonly Place[]): void {
    this.#lists[drawer]?.visitHash(hash, places, this)
  }

  #follow(familiar: RememberedUser): void {
    if (familiar.epoch !== this.#store.epoch) this.#meet(familiar)
    const { start, end, shelves } = familiar
    if (start < end) this.#candidates.rows(this.#store.rows, start, end)
    for (let at = 0; at < shelves.length; at++) {
      const shelf = shelves[at]
      if (shelf !== undefined) this.#visitShelf(shelf)
    }
  }

  #visitShelf(shelf: BucketLookup): void {
    this.#familiars?.complete()
    shelf.searchAll(this)
  }

  #meet(familiar: RememberedUser): void {
    this.#familiars?.complete()
    const gatherer = new CandidateCollector(this.#values, this.#lists)
    this.#lookup.search('person', gatherer)
    const rows = this.#guards.rowsOf(gatherer.tickets)
    familiar.start = this.#store.add(rows)
    familiar.end = familiar.start + rows.length
    familiar.epoch = this.#store.epoch
    familiar.shelves = gatherer.shelves.size === 0 ? NO_SHELVES : [...gatherer.shelves]
  }
}

/** Writes down what it is shown. */
class CandidateCollector implements SlotSearch {
  readonly values: FieldValues
  readonly tickets = new Set<RuleRef>()
  readonly shelves = new Set<BucketLookup>()
  readonly #lists: readonly ListPostings[]

  constructor(values: FieldValues, lists: readonly ListPostings[]) {
    this.values = values
    this.#lists = lists
  }

  visit(place: Place): void {
    if (typeof place === 'number') this.tickets.add(place)
    else if (place instanceof Int32Array) {
      for (let at = 0; at < place.length; at += ROW) this.tickets.add(place[at] ?? 0)
    } else this.shelves.add(place)
  }

  visitLists(drawer: number, value: Value, places: readonly Place[]): void {
    this.#lists[drawer]?.visit(value, places, this)
  }

  visitListsOfHash(drawer: number, hash: number, places: readonly Place[]): void {
    this.#lists[drawer]?.visitHash(hash, places, this)
  }
}

/** A shelf's tables, without the contents of lists. */
export interface IndexLookup {
  readonly lookup: BucketLookup
  /** the lists a {@link Search} has to bind */
  readonly drawers: readonly PartitionSearch[]
}

/** Makes the tables of a shelf. */
export function createLookup(shelf: IndexBucket, guards: BitmaskPrefilter): IndexLookup {
  const workshop = { drawers: [], guards }
  return { lookup: new BucketLookup(shelf, workshop), drawers: workshop.drawers }
}

/** What is needed to make tables, and the drawers that come of it. */
interface SearchBuilder {
  readonly drawers: PartitionSearch[]
  readonly guards: BitmaskPrefilter
}

export class BucketLookup {
  readonly #always: Int32Array
  readonly #compartments: Readonly<Record<FieldOrigin, readonly PartitionLookup[]>>

  constructor(shelf: IndexBucket, workshop: SearchBuilder) {
    this.#always = workshop.guards.rowsOf(shelf.always)
    const made: Record<FieldOrigin, PartitionLookup[]> = { person: [], host: [], flow: [] }
    for (const compartment of shelf.compartments) {
      made[fieldOriginOf(compartment.path.field)].push(new PartitionLookup(compartment, workshop))
    }
    this.#compartments = made
  }

  search(origin: FieldOrigin, finder: SlotSearch): void {
    const compartments = this.#compartments[origin]
    for (let at = 0; at < compartments.length; at++) compartments[at]?.search(finder)
  }

  /** Like searching the host's compartments, with nothing but the name. */
  searchName(name: string, finder: SlotSearch): void {
    const compartments = this.#compartments.host
    for (let at = 0; at < compartments.length; at++) compartments[at]?.searchName(name, finder)
  }

  searchAlways(finder: SlotSearch): void {
    if (this.#always.length > 0) finder.visit(this.#always)
  }

  searchAll(finder: SlotSearch): void {
    this.search('person', finder)
    this.search('host', finder)
    this.search('flow', finder)
    // last, when an earlier match may have made most of them pointless
    this.searchAlways(finder)
  }
}

interface FiledPlace {
  readonly key: IndexKey
  readonly place: Place
}

/** Asks the lists of a compartment for hashes, without a closure per flow. */
class ListHashes implements HashCallback {
  readonly #drawer: number
  readonly #places: readonly Place[]
  #finder: SlotSearch | undefined

  constructor(drawer: number, places: readonly Place[]) {
    this.#drawer = drawer
    this.#places = places
  }

  aim(finder: SlotSearch): void {
    this.#finder = finder
  }

  visitHash(hash: number): void {
    this.#finder?.visitListsOfHash(this.#drawer, hash, this.#places)
  }
}

class PartitionLookup {
  readonly #slot: number
  readonly #mapKey: string | undefined
  readonly #equal = new Map<string | number | bigint, Place>()
  /** instead of {@link #equal} where the keys are domains */
  readonly #domains: DomainTable<Place> | undefined
  readonly #integers: PrefixTable<Place> | undefined
  readonly #ipv4: PrefixTable<Place> | undefined
  readonly #ipv6: PrefixTable<Place> | undefined
  readonly #suffixes: SuffixTable<Place> | undefined
  readonly #outside: Place | undefined
  readonly #listPlaces: readonly Place[]
  readonly #drawer: number
  readonly #hashes: ListHashes

  constructor({ path, entries }: IndexPartition, workshop: SearchBuilder) {
    this.#slot = path.slot
    this.#mapKey = path.mapKey
    const filed = entries.map(({ key, place }) => ({ key, place: lookupPlace(place, workshop) }))
    this.#domains = path.field === 'net.fqdn.domains' ? domainTable(filed) : undefined
    for (const { key, place } of this.#domains === undefined ? filed : []) {
      if (key.kind === 'value') this.#equal.set(key.value, place)
    }
    this.#integers = prefixTable(filed, 'Int')
    this.#ipv4 = prefixTable(filed, 'IPv4')
    this.#ipv6 = prefixTable(filed, 'IPv6')
    this.#suffixes = suffixTable(filed)
    this.#outside = filed.find(({ key }) => key.kind === 'outside')?.place
    const inLists = filed.flatMap(({ key, place }) => (key.kind === 'list' ? [{ name: key.name, place }] : []))
    this.#listPlaces = inLists.map(({ place }) => place)
    this.#drawer =
      inLists.length === 0 ? -1 : workshop.drawers.push({ path, names: inLists.map(({ name }) => name) }) - 1
    this.#hashes = new ListHashes(this.#drawer, this.#listPlaces)
  }

  search(finder: SlotSearch): void {
    let value = finder.values[this.#slot]
    if (value === undefined) return
    if (this.#mapKey !== undefined) value = isMap(value) ? value.get(this.#mapKey) : undefined
    if (value === undefined) return
    if (isArray(value)) for (let at = 0; at < value.length; at++) this.#look(value[at], finder)
    else this.#look(value, finder)
  }

  /** Shows the finder what stands under one value. */
  #look(value: Value | undefined, search: SlotSearch): void {
    if (value === undefined) return
    if (typeof value === 'string') {
      this.#lookText(value, search)
    } else if (typeof value === 'number' || typeof value === 'bigint') this.#lookNumber(value, search)
    else if (isIp(value)) {
      if (value.family === 4) this.#ipv4?.visitNumber(value.words[0] ?? 0, search)
      else this.#ipv6?.visitWords(value.words, search)
    }
    if (this.#drawer >= 0) search.visitLists(this.#drawer, value, this.#listPlaces)
  }

  #lookText(value: string, search: SlotSearch): void {
    if (this.#domains === undefined) {
      const place = this.#equal.get(value)
      if (place !== undefined) search.visit(place)
    } else this.#domains.visit(value, search)
    this.#suffixes?.visit(value, search)
  }

  /** For fields of the host: the name stands for their values. */
  searchName(name: string, finder: SlotSearch): void {
    if (this.#domains === undefined) {
      this.#look(name, finder)
      return
    }
    this.#hashes.aim(finder)
    this.#domains.visitParents(name, finder, this.#drawer < 0 ? undefined : this.#hashes)
    // what ends a parent ends the name
    this.#suffixes?.visit(name, finder)
  }

  #lookNumber(value: number | bigint, search: SlotSearch): void {
    const place = this.#equal.get(value)
    if (place !== undefined) search.visit(place)
    if (typeof value === 'number' && value >= 0 && value <= LARGEST_WORD) this.#integers?.visitNumber(value, search)
    else if (this.#outside !== undefined) search.visit(this.#outside)
  }
}

/** Masks stand beside their tickets: to look them up in the table of all rules is a wait for memory each. */
function lookupPlace(place: Shelved, workshop: SearchBuilder): Place {
  if (typeof place === 'number') return place
  return place instanceof Int32Array ? workshop.guards.rowsOf(place) : new BucketLookup(place, workshop)
}

function prefixTable(filed: readonly FiledPlace[], of: 'Int' | 'IPv4' | 'IPv6'): PrefixTable<Place> | undefined {
  const entries = filed.flatMap(({ key, place }) =>
    key.kind === 'prefix' && key.of === of ? [{ prefix: key.prefix, item: place }] : [],
  )
  return entries.length === 0 ? undefined : new PrefixTable(of === 'IPv6' ? 4 : 1, entries)
}

function domainTable(filed: readonly FiledPlace[]): DomainTable<Place> {
  return new DomainTable(
    filed.flatMap(({ key, place }) =>
      key.kind === 'value' && typeof key.value === 'string' ? [{ text: key.value, item: place }] : [],
    ),
  )
}

function suffixTable(filed: readonly FiledPlace[]): SuffixTable<Place> | undefined {
  const entries = filed.flatMap(({ key, place }) =>
    key.kind === 'suffix' ? [{ suffix: key.suffix, item: place }] : [],
  )
  return entries.length === 0 ? undefined : new SuffixTable(entries)
}

function isArray(value: Value): value is readonly Value[] {
  return Array.isArray(value)
}

function isMap(value: Value): value is ReadonlyMap<string, Value> {
  return value instanceof Map
}

function isIp(value: Value): value is Extract<Value, { readonly words: readonly number[] }> {
  return typeof value === 'object' && 'words' in value
}
