// Finds what is stored under a host name and its parent domains. Walks the name once from its end, so no parent is cut out of it and
// nothing is kept per host: with many hosts remembering what each led to was slower, since here a miss touches one cache line.

import { hashOfText, START, stepBack } from './list-postings.ts'
import type { PrefixCallback } from './prefix-table.ts'

const DOT = 0x2e

/** Is told hashes as of hashOfText. */
export interface HashCallback {
  visitHash(hash: number): void
}

/** Exact texts and what is stored under them: open addressing, at most half full. */
export class DomainTable<T extends number | object> {
  readonly #mask: number
  readonly #hashes: Int32Array
  /** text and item of each place side by side */
  readonly #entries: (string | T | undefined)[]

  /** Every text at most once. */
  constructor(entries: readonly { readonly text: string; readonly item: T }[]) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(4, entries.length * 2)))
    this.#mask = size - 1
    this.#hashes = new Int32Array(size)
    this.#entries = new Array<string | T | undefined>(2 * size).fill(undefined)
    for (const { text, item } of entries) this.#add(text, item)
  }

  #add(text: string, item: T): void {
    const stored = markOf(hashOfText(text))
    let place = stored & this.#mask
    while (this.#hashes[place] !== 0) place = (place + 1) & this.#mask
    this.#hashes[place] = stored
    this.#entries[2 * place] = text
    this.#entries[2 * place + 1] = item
  }

  /** Shows the visitor what is stored under a text. */
  visit(text: string, visitor: PrefixCallback<T>): void {
    this.#visitAt(text, 0, hashOfText(text), visitor)
  }

  /** Shows the visitor what is stored under a name and each of its parents, the shortest first; `onHash` is told the hash of each. */
  visitParents(name: string, visitor: PrefixCallback<T>, onHash?: HashCallback): void {
    let hash = START
    for (let at = name.length - 1; at >= 0; at--) {
      const unit = name.charCodeAt(at)
      if (unit === DOT) {
        this.#visitAt(name, at + 1, hash, visitor)
        onHash?.visitHash(hash)
      }
      hash = stepBack(hash, unit)
    }
    this.#visitAt(name, 0, hash, visitor)
    onHash?.visitHash(hash)
  }

  #visitAt(name: string, start: number, hash: number, visitor: PrefixCallback<T>): void {
    const stored = markOf(hash)
    for (let place = stored & this.#mask; this.#hashes[place] !== 0; place = (place + 1) & this.#mask) {
      if (this.#hashes[place] !== stored) continue
      const text = this.#entries[2 * place]
      if (typeof text !== 'string' || text.length !== name.length - start || !name.endsWith(text)) continue
      const item = this.#entries[2 * place + 1]
      if (item !== undefined && typeof item !== 'string') visitor.visit(item)
      return
    }
  }
}

/** Zero marks a free place. Low bits of the plain hash depend on few characters, so high ones are folded in. */
function markOf(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return mixed ^ (mixed >>> 13) || 1
}

const AT = 0x40

/** What is stored under endings that start with `.` or `@`, without ASCII case. */
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

  /** Shows the visitor what is stored under every ending of the text, the shortest first. */
  visit(text: string, visitor: PrefixCallback<T>): void {
    let hash = START
    for (let at = text.length - 1; at >= 0; at--) {
      const unit = text.charCodeAt(at)
      hash = stepBack(hash, unit)
      if (unit !== DOT && unit !== AT) continue
      const items = this.#byHash.get(hash)
      if (items === undefined) continue
      for (let i = 0; i < items.length; i++) {
        const item = items[i]
        if (item !== undefined) visitor.visit(item)
      }
    }
  }
}
