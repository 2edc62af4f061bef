// Asks a shelf what stands under the keys a flow has. The tables are made once; only those over the contents of lists are made
// anew when lists change.

import type { FieldValues, Value } from '../expression/value.ts'
import type { GuardTable } from './guard-table.ts'
import type { Compartment, Shelf, Place as Shelved } from './index-shelf.ts'
import { ListPostings } from './list-postings.ts'
import type { KnownLists } from './named-lists.ts'
import { PrefixTable, type Visitor } from './prefix-table.ts'
import type { Key, Path } from './requirement.ts'
import { SuffixTable } from './suffix-table.ts'

/** What stands under a key, ready to be looked up in. */
type Place = number | Int32Array | ShelfLookup

/** A compartment's lists, to be bound. */
interface Drawer {
  readonly path: Path
  readonly names: readonly string[]
}

const LARGEST_WORD = 0xffffffff

/** Is asked about every rule that stands under a key of the flow; many at a time are in ascending order. */
export interface Candidates {
  one(position: number): void
  many(positions: Int32Array): void
  /** rules as rows of {@link GuardTable.rowsOf} */
  rows(rows: Int32Array): void
}

/** Is shown what stands under the keys of a value. */
interface Finder extends Visitor<Place> {
  visitLists(drawer: number, value: Value, places: readonly Place[]): void
}

/** What the elements of one array lead to. */
interface Recollection {
  readonly rows: Int32Array
  readonly shelves: readonly ShelfLookup[]
}

/** Goes through the shelves for one flow after another. */
export class Search implements Finder {
  readonly #lookup: ShelfLookup
  readonly #guards: GuardTable
  readonly #lists: readonly ListPostings[]
  /** A person's groups and a host's parent domains come as the same array with every connection, so what they lead to is
   *  kept: 4 to 8 look-ups less a decision, a third of its time. */
  readonly #memories: readonly WeakMap<readonly Value[], Recollection>[]
  #candidates: Candidates
  #values: FieldValues = []

  constructor({ lookup, plan }: IndexLookup, guards: GuardTable, lists: KnownLists, candidates: Candidates) {
    this.#lookup = lookup
    this.#guards = guards
    this.#candidates = candidates
    this.#memories = Array.from({ length: plan.compartments }, () => new WeakMap())
    this.#lists = plan.drawers.map(({ path, names }) => {
      const contents = names.map((name) => lists.get(name))
      return new ListPostings(contents, path.type)
    })
  }

  /** Shows the candidates every rule that may match. */
  run(values: FieldValues): void {
    this.#values = values
    this.#lookup.search(this)
  }

  get values(): FieldValues {
    return this.#values
  }

  visit(place: Place): void {
    if (typeof place === 'number') this.#candidates.one(place)
    else if (place instanceof Int32Array) this.#candidates.many(place)
    else place.search(this)
  }

  visitLists(drawer: number, value: Value, places: readonly Place[]): void {
    this.#lists[drawer]?.visit(value, places, this)
  }

  /** Shows what stands under the elements of an array, from memory where it was seen before. */
  visitElements(compartment: CompartmentLookup, elements: readonly Value[]): void {
    const found = this.#memories[compartment.number]?.get(elements) ?? this.#remember(compartment, elements)
    if (found.rows.length > 0) this.#candidates.rows(found.rows)
    for (let at = 0; at < found.shelves.length; at++) found.shelves[at]?.search(this)
  }

  #remember(compartment: CompartmentLookup, elements: readonly Value[]): Recollection {
    const gatherer = new Gatherer(this.#lists)
    for (const element of elements) compartment.look(element, gatherer)
    const found = { rows: this.#guards.rowsOf(gatherer.positions), shelves: [...gatherer.shelves] }
    this.#memories[compartment.number]?.set(elements, found)
    return found
  }
}

/** Writes down what it is shown. */
class Gatherer implements Finder {
  readonly positions = new Set<number>()
  readonly shelves = new Set<ShelfLookup>()
  readonly #lists: readonly ListPostings[]

  constructor(lists: readonly ListPostings[]) {
    this.#lists = lists
  }

  visit(place: Place): void {
    if (typeof place === 'number') this.positions.add(place)
    else if (place instanceof Int32Array) for (const position of place) this.positions.add(position)
    else this.shelves.add(place)
  }

  visitLists(drawer: number, value: Value, places: readonly Place[]): void {
    this.#lists[drawer]?.visit(value, places, this)
  }
}

/** A shelf's tables, without the contents of lists. */
export interface IndexLookup {
  readonly lookup: ShelfLookup
  readonly plan: Readonly<Plan>
}

/** What a {@link Search} has to hold for the shelves it goes through. */
interface Plan {
  readonly drawers: Drawer[]
  compartments: number
}

/** Makes the tables of a shelf. */
export function createLookup(shelf: Shelf): IndexLookup {
  const plan = { drawers: [], compartments: 0 }
  return { lookup: new ShelfLookup(shelf, plan), plan }
}

class ShelfLookup {
  readonly #always: Int32Array
  readonly #compartments: readonly CompartmentLookup[]

  constructor(shelf: Shelf, plan: Plan) {
    this.#always = shelf.always
    this.#compartments = shelf.compartments.map((compartment) => new CompartmentLookup(compartment, plan))
  }

  search(search: Search): void {
    const compartments = this.#compartments
    for (let at = 0; at < compartments.length; at++) compartments[at]?.search(search)
    // last, when an earlier match may have made most of them pointless
    if (this.#always.length > 0) search.visit(this.#always)
  }
}

interface FiledPlace {
  readonly key: Key
  readonly place: Place
}

class CompartmentLookup {
  readonly number: number
  readonly #slot: number
  readonly #mapKey: string | undefined
  readonly #equal = new Map<string | number | bigint, Place>()
  readonly #integers: PrefixTable<Place> | undefined
  readonly #ipv4: PrefixTable<Place> | undefined
  readonly #ipv6: PrefixTable<Place> | undefined
  readonly #suffixes: SuffixTable<Place> | undefined
  readonly #outside: Place | undefined
  readonly #listPlaces: readonly Place[]
  readonly #drawer: number

  constructor({ path, entries }: Compartment, plan: Plan) {
    this.number = plan.compartments++
    this.#slot = path.slot
    this.#mapKey = path.mapKey
    const filed = entries.map(({ key, place }) => ({ key, place: lookupPlace(place, plan) }))
    for (const { key, place } of filed) if (key.kind === 'value') this.#equal.set(key.value, place)
    this.#integers = prefixTable(filed, 'Int')
    this.#ipv4 = prefixTable(filed, 'IPv4')
    this.#ipv6 = prefixTable(filed, 'IPv6')
    this.#suffixes = suffixTable(filed)
    this.#outside = filed.find(({ key }) => key.kind === 'outside')?.place
    const inLists = filed.flatMap(({ key, place }) => (key.kind === 'list' ? [{ name: key.name, place }] : []))
    this.#listPlaces = inLists.map(({ place }) => place)
    this.#drawer = inLists.length === 0 ? -1 : plan.drawers.push({ path, names: inLists.map(({ name }) => name) }) - 1
  }

  search(search: Search): void {
    let value = search.values[this.#slot]
    if (value === undefined) return
    if (this.#mapKey !== undefined) value = isMap(value) ? value.get(this.#mapKey) : undefined
    if (value === undefined) return
    if (isArray(value)) search.visitElements(this, value)
    else this.look(value, search)
  }

  /** Shows the finder what stands under one value. */
  look(value: Value, search: Finder): void {
    if (typeof value === 'string') {
      const place = this.#equal.get(value)
      if (place !== undefined) search.visit(place)
      this.#suffixes?.visit(value, search)
    } else if (typeof value === 'number' || typeof value === 'bigint') this.#lookNumber(value, search)
    else if (isIp(value)) {
      if (value.family === 4) this.#ipv4?.visitNumber(value.words[0] ?? 0, search)
      else this.#ipv6?.visitWords(value.words, search)
    }
    if (this.#drawer >= 0) search.visitLists(this.#drawer, value, this.#listPlaces)
  }

  #lookNumber(value: number | bigint, search: Finder): void {
    const place = this.#equal.get(value)
    if (place !== undefined) search.visit(place)
    if (typeof value === 'number' && value >= 0 && value <= LARGEST_WORD) this.#integers?.visitNumber(value, search)
    else if (this.#outside !== undefined) search.visit(this.#outside)
  }
}

function lookupPlace(place: Shelved, plan: Plan): Place {
  return typeof place === 'number' || place instanceof Int32Array ? place : new ShelfLookup(place, plan)
}

function prefixTable(filed: readonly FiledPlace[], of: 'Int' | 'IPv4' | 'IPv6'): PrefixTable<Place> | undefined {
  const entries = filed.flatMap(({ key, place }) =>
    key.kind === 'prefix' && key.of === of ? [{ prefix: key.prefix, item: place }] : [],
  )
  return entries.length === 0 ? undefined : new PrefixTable(of === 'IPv6' ? 4 : 1, entries)
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
