// Asks a shelf what stands under the keys a flow has. The tables are made once; only those over the contents of lists are made
// anew when lists change.

import type { FieldValues, Value } from '../expression/value.ts'
import type { CandidateMerge } from './candidate-merge.ts'
import type { Compartment, Shelf, Place as Shelved } from './index-shelf.ts'
import { createListPostings } from './list-postings.ts'
import type { KnownLists } from './named-lists.ts'
import { PrefixTable, type Visitor } from './prefix-table.ts'
import type { Key, Path } from './requirement.ts'
import { SuffixTable } from './suffix-table.ts'

/** What stands under a key, ready to be looked up in. */
type Place = number | Int32Array | ShelfLookup

/** How a compartment finds the lists a value is in: bound to one version of the lists. */
type ListVisitor = (value: Value, places: readonly Place[], visitor: Visitor<Place>) => void

/** A compartment's lists, to be bound. */
interface Drawer {
  readonly path: Path
  readonly names: readonly string[]
}

/** Few lists are asked one by one; more are asked together. */
const FEW_LISTS = 4

const LARGEST_WORD = 0xffffffff

/** Gathers the candidates of one flow after another. */
export class Collector implements Visitor<Place> {
  readonly #lookup: ShelfLookup
  readonly #lists: readonly ListVisitor[]
  readonly #merge: CandidateMerge
  #values: FieldValues = []

  constructor({ lookup, drawers }: IndexLookup, lists: KnownLists, merge: CandidateMerge) {
    this.#lookup = lookup
    this.#lists = drawers.map((drawer) => bindDrawer(drawer, lists))
    this.#merge = merge
  }

  /** Adds every rule that may match to the merge. */
  collect(values: FieldValues): void {
    this.#values = values
    this.#merge.clear()
    this.#lookup.collect(this)
  }

  get values(): FieldValues {
    return this.#values
  }

  visit(place: Place): void {
    if (typeof place === 'number') this.#merge.addOne(place)
    else if (place instanceof Int32Array) this.#merge.addMany(place)
    else place.collect(this)
  }

  visitLists(drawer: number, value: Value, places: readonly Place[]): void {
    this.#lists[drawer]?.(value, places, this)
  }
}

/** A shelf's tables, without the contents of lists. */
export interface IndexLookup {
  readonly lookup: ShelfLookup
  readonly drawers: readonly Drawer[]
}

/** Makes the tables of a shelf. */
export function createLookup(shelf: Shelf): IndexLookup {
  const drawers: Drawer[] = []
  return { lookup: new ShelfLookup(shelf, drawers), drawers }
}

function bindDrawer({ path, names }: Drawer, lists: KnownLists): ListVisitor {
  const contents = names.map((name) => lists.get(name))
  if (names.length > FEW_LISTS) {
    const postings = createListPostings(contents, path.type)
    return (value, places, visitor) => postings.visit(value, places, visitor)
  }
  return (value, places, visitor) => {
    for (let at = 0; at < contents.length; at++) {
      const place = places[at]
      if (place !== undefined && contents[at]?.has(value) === true) visitor.visit(place)
    }
  }
}

class ShelfLookup {
  readonly #always: Int32Array
  readonly #compartments: readonly CompartmentLookup[]

  constructor(shelf: Shelf, drawers: Drawer[]) {
    this.#always = shelf.always
    this.#compartments = shelf.compartments.map((compartment) => new CompartmentLookup(compartment, drawers))
  }

  collect(collector: Collector): void {
    if (this.#always.length > 0) collector.visit(this.#always)
    const compartments = this.#compartments
    for (let at = 0; at < compartments.length; at++) compartments[at]?.collect(collector)
  }
}

interface FiledPlace {
  readonly key: Key
  readonly place: Place
}

class CompartmentLookup {
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

  constructor({ path, entries }: Compartment, drawers: Drawer[]) {
    this.#slot = path.slot
    this.#mapKey = path.mapKey
    const filed = entries.map(({ key, place }) => ({ key, place: lookupPlace(place, drawers) }))
    for (const { key, place } of filed) if (key.kind === 'value') this.#equal.set(key.value, place)
    this.#integers = prefixTable(filed, 'Int')
    this.#ipv4 = prefixTable(filed, 'IPv4')
    this.#ipv6 = prefixTable(filed, 'IPv6')
    this.#suffixes = suffixTable(filed)
    this.#outside = filed.find(({ key }) => key.kind === 'outside')?.place
    const inLists = filed.flatMap(({ key, place }) => (key.kind === 'list' ? [{ name: key.name, place }] : []))
    this.#listPlaces = inLists.map(({ place }) => place)
    this.#drawer = inLists.length === 0 ? -1 : drawers.push({ path, names: inLists.map(({ name }) => name) }) - 1
  }

  collect(collector: Collector): void {
    let value = collector.values[this.#slot]
    if (value === undefined) return
    if (this.#mapKey !== undefined) value = isMap(value) ? value.get(this.#mapKey) : undefined
    if (value === undefined) return
    if (isArray(value)) for (let at = 0; at < value.length; at++) this.#look(value[at], collector)
    else this.#look(value, collector)
  }

  #look(value: Value | undefined, collector: Collector): void {
    if (value === undefined) return
    if (typeof value === 'string') {
      const place = this.#equal.get(value)
      if (place !== undefined) collector.visit(place)
      this.#suffixes?.visit(value, collector)
    } else if (typeof value === 'number' || typeof value === 'bigint') this.#lookNumber(value, collector)
    else if (isIp(value)) {
      if (value.family === 4) this.#ipv4?.visitNumber(value.words[0] ?? 0, collector)
      else this.#ipv6?.visitWords(value.words, collector)
    }
    if (this.#drawer >= 0) collector.visitLists(this.#drawer, value, this.#listPlaces)
  }

  #lookNumber(value: number | bigint, collector: Collector): void {
    const place = this.#equal.get(value)
    if (place !== undefined) collector.visit(place)
    if (typeof value === 'number' && value >= 0 && value <= LARGEST_WORD) this.#integers?.visitNumber(value, collector)
    else if (this.#outside !== undefined) collector.visit(this.#outside)
  }
}

function lookupPlace(place: Shelved, drawers: Drawer[]): Place {
  return typeof place === 'number' || place instanceof Int32Array ? place : new ShelfLookup(place, drawers)
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
