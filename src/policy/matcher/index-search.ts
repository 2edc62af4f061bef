// Asks a shelf what stands under the keys a flow has. The tables are made once; only those over the contents of lists are made
// anew when lists change.

import type { FieldValues, Value } from '../../expression/value.ts'
import type { KnownLists } from '../named-lists.ts'
import { DomainTable, type HashVisitor, SuffixTable } from './domain-table.ts'
import { type GuardTable, ROW } from './bitmask-prefilter.ts'
import type { Compartment, Shelf, Place as Shelved } from './index-build.ts'
import { type Familiar, type Familiars, RowStore } from './remembered-users.ts'
import { ListPostings } from './list-postings.ts'
import { type Origin, originOf } from './field-origin.ts'
import { PrefixTable, type Visitor } from './prefix-table.ts'
import type { Key, Path } from './index-keys.ts'
import type { Ticket } from './rule-ref.ts'

/** What stands under a key, ready to be looked up in: a ticket, several as rows of {@link GuardTable.rowsOf}, or a shelf. */
type Place = Ticket | Int32Array | ShelfLookup

/** A compartment's lists, to be bound. */
interface Drawer {
  readonly path: Path
  readonly names: readonly string[]
}

const LARGEST_WORD = 0xffffffff
const NO_SHELVES: readonly ShelfLookup[] = []

/** Is asked about every rule that stands under a key of the flow; many at a time are in ascending order. */
export interface Candidates {
  one(ticket: Ticket): void
  /** rules as rows of {@link GuardTable.rowsOf} */
  rows(rows: Int32Array, start: number, end: number): void
}

/** Is shown what stands under the keys of a value. */
interface Finder extends Visitor<Place> {
  readonly values: FieldValues
  visitLists(drawer: number, value: Value, places: readonly Place[]): void
  visitListsOfHash(drawer: number, hash: number, places: readonly Place[]): void
}

/** Goes through the shelves for one flow after another.
 *
 *  A person's fields come the same with every connection, so what they lead to is remembered as a whole: one stretch of
 *  candidates, instead of half a dozen look-ups by mail address, groups and lists. */
export class Search implements Finder {
  readonly #lookup: ShelfLookup
  readonly #guards: GuardTable
  readonly #lists: readonly ListPostings[]
  readonly #store = new RowStore()
  readonly #candidates: Candidates
  #values: FieldValues = []
  #familiars: Familiars | undefined

  constructor({ lookup, drawers }: IndexLookup, guards: GuardTable, lists: KnownLists, candidates: Candidates) {
    this.#lookup = lookup
    this.#guards = guards
    this.#candidates = candidates
    this.#lists = drawers.map(({ path, names }) => {
      const contents = names.map((name) => lists.get(name))
      return new ListPostings(contents, path.type)
    })
  }

  /** Shows the candidates every rule that may match. */
  run(values: FieldValues, familiars: Familiars | undefined): void {
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

  #follow(familiar: Familiar): void {
    if (familiar.epoch !== this.#store.epoch) this.#meet(familiar)
    const { start, end, shelves } = familiar
    if (start < end) this.#candidates.rows(this.#store.rows, start, end)
    for (let at = 0; at < shelves.length; at++) {
      const shelf = shelves[at]
      if (shelf !== undefined) this.#visitShelf(shelf)
    }
  }

  #visitShelf(shelf: ShelfLookup): void {
    this.#familiars?.complete()
    shelf.searchAll(this)
  }

  #meet(familiar: Familiar): void {
    this.#familiars?.complete()
    const gatherer = new Gatherer(this.#values, this.#lists)
    this.#lookup.search('person', gatherer)
    const rows = this.#guards.rowsOf(gatherer.tickets)
    familiar.start = this.#store.add(rows)
    familiar.end = familiar.start + rows.length
    familiar.epoch = this.#store.epoch
    familiar.shelves = gatherer.shelves.size === 0 ? NO_SHELVES : [...gatherer.shelves]
  }
}

/** Writes down what it is shown. */
class Gatherer implements Finder {
  readonly values: FieldValues
  readonly tickets = new Set<Ticket>()
  readonly shelves = new Set<ShelfLookup>()
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
  readonly lookup: ShelfLookup
  /** the lists a {@link Search} has to bind */
  readonly drawers: readonly Drawer[]
}

/** Makes the tables of a shelf. */
export function createLookup(shelf: Shelf, guards: GuardTable): IndexLookup {
  const workshop = { drawers: [], guards }
  return { lookup: new ShelfLookup(shelf, workshop), drawers: workshop.drawers }
}

/** What is needed to make tables, and the drawers that come of it. */
interface Workshop {
  readonly drawers: Drawer[]
  readonly guards: GuardTable
}

export class ShelfLookup {
  readonly #always: Int32Array
  readonly #compartments: Readonly<Record<Origin, readonly CompartmentLookup[]>>

  constructor(shelf: Shelf, workshop: Workshop) {
    this.#always = workshop.guards.rowsOf(shelf.always)
    const made: Record<Origin, CompartmentLookup[]> = { person: [], host: [], flow: [] }
    for (const compartment of shelf.compartments) {
      made[originOf(compartment.path.field)].push(new CompartmentLookup(compartment, workshop))
    }
    this.#compartments = made
  }

  search(origin: Origin, finder: Finder): void {
    const compartments = this.#compartments[origin]
    for (let at = 0; at < compartments.length; at++) compartments[at]?.search(finder)
  }

  /** Like searching the host's compartments, with nothing but the name. */
  searchName(name: string, finder: Finder): void {
    const compartments = this.#compartments.host
    for (let at = 0; at < compartments.length; at++) compartments[at]?.searchName(name, finder)
  }

  searchAlways(finder: Finder): void {
    if (this.#always.length > 0) finder.visit(this.#always)
  }

  searchAll(finder: Finder): void {
    this.search('person', finder)
    this.search('host', finder)
    this.search('flow', finder)
    // last, when an earlier match may have made most of them pointless
    this.searchAlways(finder)
  }
}

interface FiledPlace {
  readonly key: Key
  readonly place: Place
}

/** Asks the lists of a compartment for hashes, without a closure per flow. */
class ListHashes implements HashVisitor {
  readonly #drawer: number
  readonly #places: readonly Place[]
  #finder: Finder | undefined

  constructor(drawer: number, places: readonly Place[]) {
    this.#drawer = drawer
    this.#places = places
  }

  aim(finder: Finder): void {
    this.#finder = finder
  }

  visitHash(hash: number): void {
    this.#finder?.visitListsOfHash(this.#drawer, hash, this.#places)
  }
}

class CompartmentLookup {
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

  constructor({ path, entries }: Compartment, workshop: Workshop) {
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

  search(finder: Finder): void {
    let value = finder.values[this.#slot]
    if (value === undefined) return
    if (this.#mapKey !== undefined) value = isMap(value) ? value.get(this.#mapKey) : undefined
    if (value === undefined) return
    if (isArray(value)) for (let at = 0; at < value.length; at++) this.#look(value[at], finder)
    else this.#look(value, finder)
  }

  /** Shows the finder what stands under one value. */
  #look(value: Value | undefined, search: Finder): void {
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

  #lookText(value: string, search: Finder): void {
    if (this.#domains === undefined) {
      const place = this.#equal.get(value)
      if (place !== undefined) search.visit(place)
    } else this.#domains.visit(value, search)
    this.#suffixes?.visit(value, search)
  }

  /** For fields of the host: the name stands for their values. */
  searchName(name: string, finder: Finder): void {
    if (this.#domains === undefined) {
      this.#look(name, finder)
      return
    }
    this.#hashes.aim(finder)
    this.#domains.visitParents(name, finder, this.#drawer < 0 ? undefined : this.#hashes)
    // what ends a parent ends the name
    this.#suffixes?.visit(name, finder)
  }

  #lookNumber(value: number | bigint, search: Finder): void {
    const place = this.#equal.get(value)
    if (place !== undefined) search.visit(place)
    if (typeof value === 'number' && value >= 0 && value <= LARGEST_WORD) this.#integers?.visitNumber(value, search)
    else if (this.#outside !== undefined) search.visit(this.#outside)
  }
}

/** Masks stand beside their tickets: to look them up in the table of all rules is a wait for memory each. */
function lookupPlace(place: Shelved, workshop: Workshop): Place {
  if (typeof place === 'number') return place
  return place instanceof Int32Array ? workshop.guards.rowsOf(place) : new ShelfLookup(place, workshop)
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
