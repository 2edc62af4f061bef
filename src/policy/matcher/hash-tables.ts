// Hash tables of the index. Lists: which of those that rules name contain a value, found for all lists in one lookup.
// Hashes in typed arrays, about twenty bytes per item of any type; it may return a list too many (two values with one
// hash), never one too few: the rule itself is evaluated afterwards. Domains: what is stored under a host name and its
// parents, found by walking the name once from its end. Nothing is cached per host: with many hosts a cache was slower,
// since a miss here touches one cache line.

import type { KnownContents, Value } from '../../expression/index.ts'
import { type PrefixCallback, prefixesOf } from './prefix-table.ts'

/** A hash (32 bits) and a list's number (20 bits) share one exact float. */
const LISTS = 2 ** 20

/** An index from values of one type to the lists that may contain them; lists are identified by their position in
 *  the given order. At most a million lists. */
export class ListPostings {
  readonly #table: HashTable
  /** the prefix lengths that occur, by family */
  readonly #lengths: Readonly<Record<4 | 6, readonly number[]>>
  /** one bit per IPv4 /16 that some list covers in part: most addresses are in none, and skip a lookup per prefix
   *  length */
  readonly #sixteens = new Uint32Array(2048)

  constructor(lists: readonly (KnownContents | undefined)[], type: 'Bytes' | 'Int' | 'Ip') {
    const lengths = { 4: new Set<number>(), 6: new Set<number>() }
    const entries: number[] = []
    for (const [number, contents] of lists.entries()) {
      if (contents === undefined) continue
      if (type === 'Bytes')
        for (const text of contents.texts) entries.push(finishTextHash(hashOfText(text)) * LISTS + number)
      if (type === 'Int') for (const integer of contents.integers) entries.push(hashOfInteger(integer) * LISTS + number)
      if (type !== 'Ip') continue
      for (const { first, last } of contents.ranges()) {
        for (const { words, length } of prefixesOf({ first: first.words, last: last.words })) {
          lengths[first.family].add(length)
          if (first.family === 4) this.#markSixteens(words[0] ?? 0, length)
          entries.push(hashOfNetwork(words, length) * LISTS + number)
        }
      }
    }
    this.#table = new HashTable(Float64Array.from(entries).sort())
    this.#lengths = { 4: [...lengths[4]], 6: [...lengths[6]] }
  }

  #markSixteens(word: number, length: number): void {
    const first = word >>> 16
    const last = length >= 16 ? first : first + 2 ** (16 - length) - 1
    for (let at = first; at <= last; at++) this.#sixteens[at >>> 5] = (this.#sixteens[at >>> 5] ?? 0) | (1 << (at & 31))
  }

  #isMarked(word: number): boolean {
    return (((this.#sixteens[word >>> 21] ?? 0) >>> ((word >>> 16) & 31)) & 1) === 1
  }

  /** Like {@link visit}, for a text given by its hash as of {@link hashOfText}. */
  visitHash(hash: number, items: Int32Array, callback: PrefixCallback): void {
    this.#table.visit(finishTextHash(hash), items, callback)
  }

  /** Passes `items[n]`, an entry, to the callback for every list n that may contain the value. */
  visit(value: Value, items: Int32Array, callback: PrefixCallback): void {
    if (typeof value === 'string') this.visitHash(hashOfText(value), items, callback)
    else if (typeof value === 'number' || typeof value === 'bigint')
      this.#table.visit(hashOfInteger(value), items, callback)
    else if (typeof value === 'object' && 'words' in value) {
      if (value.family === 4 && !this.#isMarked(value.words[0] ?? 0)) return
      const lengths = this.#lengths[value.family]
      for (let at = 0; at < lengths.length; at++) {
        this.#table.visit(hashOfNetwork(value.words, lengths[at] ?? 0), items, callback)
      }
    }
  }
}

const EMPTY = -1

/** From a hash to the lists stored under it: open addressing, at most three quarters full. */
class HashTable {
  /** a filter of eight bits per entry, one of them set: rejects most absent hashes without reading the table, which
   *  is eight times larger */
  readonly #filter: Uint32Array
  readonly #filterShift: number
  readonly #mask: number
  readonly #hashes: Uint32Array
  /** where the lists of a hash begin in `#lists`; EMPTY for a free slot */
  readonly #starts: Int32Array
  /** list numbers, those of one hash in sequence; the last of a sequence is stored as its complement */
  readonly #lists: Int32Array

  constructor(sorted: Float64Array) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(1, sorted.length) / 0.75))
    const filterBits = Math.max(5, Math.log2(size) + 3)
    this.#filter = new Uint32Array(2 ** (filterBits - 5))
    this.#filterShift = 32 - filterBits
    this.#mask = size - 1
    this.#hashes = new Uint32Array(size)
    this.#starts = new Int32Array(size).fill(EMPTY)
    this.#lists = new Int32Array(sorted.length)
    for (let at = 0; at < sorted.length; at++) {
      const hash = Math.floor((sorted[at] ?? 0) / LISTS)
      const isFirst = at === 0 || Math.floor((sorted[at - 1] ?? 0) / LISTS) !== hash
      const isLast = at === sorted.length - 1 || Math.floor((sorted[at + 1] ?? 0) / LISTS) !== hash
      const list = (sorted[at] ?? 0) - hash * LISTS
      this.#lists[at] = isLast ? ~list : list
      if (isFirst) this.#claim(hash, at)
    }
  }

  #claim(hash: number, start: number): void {
    const bit = hash >>> this.#filterShift
    this.#filter[bit >>> 5] = (this.#filter[bit >>> 5] ?? 0) | (1 << (bit & 31))
    let slot = hash & this.#mask
    while (this.#starts[slot] !== EMPTY) slot = (slot + 1) & this.#mask
    this.#hashes[slot] = hash
    this.#starts[slot] = start
  }

  visit(hash: number, items: Int32Array, callback: PrefixCallback): void {
    const bit = hash >>> this.#filterShift
    if ((((this.#filter[bit >>> 5] ?? 0) >>> (bit & 31)) & 1) === 0) return
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const start = this.#starts[slot] ?? EMPTY
      if (start === EMPTY) return
      if (this.#hashes[slot] === hash) {
        this.#visitRow(start, items, callback)
        return
      }
    }
  }

  #visitRow(start: number, items: Int32Array, callback: PrefixCallback): void {
    for (let at = start; at < this.#lists.length; at++) {
      const stored = this.#lists[at] ?? EMPTY
      const item = items[stored < 0 ? ~stored : stored]
      if (item !== undefined) callback.visit(item)
      if (stored < 0) return
    }
  }
}

/** Hashes texts without ASCII case, as some lists compare them; for the others a list too many does no harm. */
function finishTextHash(hash: number): number {
  return mix(hash, 0)
}

function hashOfInteger(value: number | bigint): number {
  return typeof value === 'bigint'
    ? mix(Number(BigInt.asIntN(32, value)), 64)
    : mix(value | 0, Math.floor(value / 2 ** 32))
}

/** Hash of the leading `length` bits. */
function hashOfNetwork(words: readonly number[], length: number): number {
  let hash = length
  for (let at = 0; at * 32 < length; at++) {
    const bits = Math.min(32, length - 32 * at)
    const word = words[at] ?? 0
    hash = mix(hash, bits === 32 ? word : word >>> (32 - bits))
  }
  return hash >>> 0
}

function mix(hash: number, word: number): number {
  const product = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) ^ Math.imul(word ^ (word >>> 13), 0x297a2d39)
  const mixed = Math.imul(product ^ (product >>> 12), 0x85ebca6b)
  return (mixed ^ (mixed >>> 13)) >>> 0
}

/** Hash of the empty text. */
const START = 0

/** Hash of a text with one more UTF-16 code unit in front, without ASCII case. */
function hashPrepending(hash: number, unit: number): number {
  const folded = unit >= 0x41 && unit <= 0x5a ? unit | 0x20 : unit
  return (Math.imul(hash ^ folded, 0x01000193) + 0x3c6ef372) | 0
}

/** Hash of a whole text, 32 bits, without ASCII case. */
function hashOfText(text: string): number {
  let hash = START
  for (let at = text.length - 1; at >= 0; at--) hash = hashPrepending(hash, text.charCodeAt(at))
  return hash
}

const DOT = 0x2e

/** Receives hashes as made by {@link hashOfText}. */
export interface HashCallback {
  visitHash(hash: number): void
}

/** A hash table from exact texts to entries of an index: open addressing, at most half full. */
export class DomainTable {
  readonly #mask: number
  /** hash and entry of each slot, side by side; a hash of 0 marks a free one */
  readonly #slots: Int32Array
  readonly #texts: (string | undefined)[]

  /** The texts must be distinct; keys that are not texts are left out. */
  constructor(entries: readonly { readonly key: string | number | bigint; readonly entry: number }[]) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(4, entries.length * 2)))
    this.#mask = size - 1
    this.#slots = new Int32Array(2 * size)
    this.#texts = new Array<string | undefined>(size).fill(undefined)
    for (const { key, entry } of entries) if (typeof key === 'string') this.#add(key, entry)
  }

  #add(text: string, entry: number): void {
    const stored = markOf(hashOfText(text))
    let slot = stored & this.#mask
    while (this.#slots[2 * slot] !== 0) slot = (slot + 1) & this.#mask
    this.#slots[2 * slot] = stored
    this.#slots[2 * slot + 1] = entry
    this.#texts[slot] = text
  }

  /** Passes the entry stored under a text to the callback. */
  visit(text: string, callback: PrefixCallback): void {
    this.#visitAt(text, 0, hashOfText(text), callback)
  }

  /** Passes the entries stored under a name and each of its parents to the callback, the shortest name first. `onHash`
   *  receives the hash of each, whether or not an entry is stored. */
  visitParents(name: string, callback: PrefixCallback, onHash?: HashCallback): void {
    let hash = START
    for (let at = name.length - 1; at >= 0; at--) {
      const unit = name.charCodeAt(at)
      if (unit === DOT) {
        this.#visitAt(name, at + 1, hash, callback)
        onHash?.visitHash(hash)
      }
      hash = hashPrepending(hash, unit)
    }
    this.#visitAt(name, 0, hash, callback)
    onHash?.visitHash(hash)
  }

  #visitAt(name: string, start: number, hash: number, callback: PrefixCallback): void {
    const stored = markOf(hash)
    const slots = this.#slots
    for (let slot = stored & this.#mask; slots[2 * slot] !== 0; slot = (slot + 1) & this.#mask) {
      if (slots[2 * slot] !== stored) continue
      const text = this.#texts[slot]
      if (text === undefined || text.length !== name.length - start || !name.endsWith(text)) continue
      callback.visit(slots[2 * slot + 1] ?? 0)
      return
    }
  }
}

/** A stored hash is never 0, which marks a free slot. The low bits of the plain hash depend on few characters, so
 *  the high ones are folded in. */
function markOf(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return mixed ^ (mixed >>> 13) || 1
}

const AT = 0x40

/** Entries stored under endings that start with `.` or `@`, compared without ASCII case. Compares hashes only: it may
 *  pass an entry too many. */
export class SuffixTable {
  readonly #byHash = new Map<number, number[]>()

  constructor(entries: readonly { readonly suffix: string; readonly entry: number }[]) {
    for (const { suffix, entry } of entries) {
      const hash = hashOfText(suffix)
      const same = this.#byHash.get(hash)
      if (same === undefined) this.#byHash.set(hash, [entry])
      else same.push(entry)
    }
  }

  /** Passes the entries stored under every ending of the text to the callback, the shortest ending first. */
  visit(text: string, callback: PrefixCallback): void {
    let hash = START
    for (let at = text.length - 1; at >= 0; at--) {
      const unit = text.charCodeAt(at)
      hash = hashPrepending(hash, unit)
      if (unit !== DOT && unit !== AT) continue
      const entries = this.#byHash.get(hash)
      if (entries === undefined) continue
      for (let i = 0; i < entries.length; i++) callback.visit(entries[i] ?? 0)
    }
  }
}
