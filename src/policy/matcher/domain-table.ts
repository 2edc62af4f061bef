// Finds what is stored under a host name and its parent domains. Walks the name once from its end, so it allocates no
// parent names, and caches nothing per host: with many hosts a cache was slower, since a miss here touches one cache
// line.

import { hashOfText, hashPrepending, START } from './list-postings.ts'
import type { PrefixCallback } from './prefix-table.ts'

const DOT = 0x2e

/** Receives hashes as made by {@link hashOfText}. */
export interface HashCallback {
  visitHash(hash: number): void
}

/** A hash table from exact texts to items: open addressing, at most half full. */
export class DomainTable<T extends number | object> {
  readonly #mask: number
  readonly #hashes: Int32Array
  /** text and item of each slot, side by side */
  readonly #entries: (string | T | undefined)[]

  /** The texts must be distinct. */
  constructor(entries: readonly { readonly text: string; readonly item: T }[]) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(4, entries.length * 2)))
    this.#mask = size - 1
    this.#hashes = new Int32Array(size)
    this.#entries = new Array<string | T | undefined>(2 * size).fill(undefined)
    for (const { text, item } of entries) this.#add(text, item)
  }

  #add(text: string, item: T): void {
    const stored = markOf(hashOfText(text))
    let slot = stored & this.#mask
    while (this.#hashes[slot] !== 0) slot = (slot + 1) & this.#mask
    this.#hashes[slot] = stored
    this.#entries[2 * slot] = text
    this.#entries[2 * slot + 1] = item
  }

  /** Passes the item stored under a text to the callback. */
  visit(text: string, callback: PrefixCallback<T>): void {
    this.#visitAt(text, 0, hashOfText(text), callback)
  }

  /** Passes the items stored under a name and each of its parents to the callback, the shortest name first. `onHash`
   *  receives the hash of each, whether or not an item is stored. */
  visitParents(name: string, callback: PrefixCallback<T>, onHash?: HashCallback): void {
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

  #visitAt(name: string, start: number, hash: number, callback: PrefixCallback<T>): void {
    const stored = markOf(hash)
    for (let slot = stored & this.#mask; this.#hashes[slot] !== 0; slot = (slot + 1) & this.#mask) {
      if (this.#hashes[slot] !== stored) continue
      const text = this.#entries[2 * slot]
      if (typeof text !== 'string' || text.length !== name.length - start || !name.endsWith(text)) continue
      const item = this.#entries[2 * slot + 1]
      if (item !== undefined && typeof item !== 'string') callback.visit(item)
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

/** Items stored under endings that start with `.` or `@`, compared without ASCII case. Compares hashes only: it may
 *  pass an item too many. */
export class SuffixTable<T> {
  readonly #byHash = new Map<number, T[]>()

  constructor(entries: readonly { readonly suffix: string; readonly item: T }[]) {
    for (const { suffix, item } of entries) {
      const hash = hashOfText(suffix)
      const same = this.#byHash.get(hash)
      if (same === undefined) this.#byHash.set(hash, [item])
      else same.push(item)
    }
  }

  /** Passes the items stored under every ending of the text to the callback, the shortest ending first. */
  visit(text: string, callback: PrefixCallback<T>): void {
    let hash = START
    for (let at = text.length - 1; at >= 0; at--) {
      const unit = text.charCodeAt(at)
      hash = hashPrepending(hash, unit)
      if (unit !== DOT && unit !== AT) continue
      const items = this.#byHash.get(hash)
      if (items === undefined) continue
      for (let i = 0; i < items.length; i++) {
        const item = items[i]
        if (item !== undefined) callback.visit(item)
      }
    }
  }
}
