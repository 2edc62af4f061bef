// Which of many lists contain a value, asked once for all of them. Kept as sorted hashes: eight bytes an item whatever the items
// are. May name a list too many (two values with one hash), never one too few: the rule itself is evaluated afterwards.

import type { KnownContents, Value } from '../expression/index.ts'
import { foldAscii } from '../expression/wildcard.ts'
import { prefixesOf } from './address-words.ts'
import { hash32 } from './hash.ts'
import type { Visitor } from './prefix-table.ts'

/** A hash and a list's number share one exact float: 32 and 20 bits. */
const LISTS = 2 ** 20

export interface ListPostings {
  /** Shows the visitor `items[n]` for every list number n that may contain the value. */
  visit<T>(value: Value, items: readonly T[], visitor: Visitor<T>): void
}

/** Postings over at most a million lists, numbered in their given order, for values of one type. */
export function createListPostings(
  lists: readonly (KnownContents | undefined)[],
  type: 'Bytes' | 'Int' | 'Ip',
): ListPostings {
  const lengths = { 4: new Set<number>(), 6: new Set<number>() }
  const entries: number[] = []
  for (const [number, contents] of lists.entries()) {
    if (contents === undefined) continue
    if (type === 'Bytes') for (const text of contents.texts) entries.push(hashOfText(text) * LISTS + number)
    if (type === 'Int') for (const integer of contents.integers) entries.push(hashOfInteger(integer) * LISTS + number)
    if (type !== 'Ip') continue
    for (const { first, last } of contents.ranges()) {
      for (const { words, length } of prefixesOf({ first: first.words, last: last.words })) {
        lengths[first.family].add(length)
        entries.push(hashOfNetwork(words, length) * LISTS + number)
      }
    }
  }
  const sorted = Float64Array.from(entries).sort()
  const v4 = [...lengths[4]]
  const v6 = [...lengths[6]]
  return {
    visit(value, items, visitor) {
      if (typeof value === 'string') visitHash(sorted, hashOfText(value), items, visitor)
      else if (typeof value === 'number' || typeof value === 'bigint')
        visitHash(sorted, hashOfInteger(value), items, visitor)
      else if (typeof value === 'object' && 'words' in value) {
        const inUse = value.family === 4 ? v4 : v6
        for (let at = 0; at < inUse.length; at++) {
          visitHash(sorted, hashOfNetwork(value.words, inUse[at] ?? 0), items, visitor)
        }
      }
    },
  }
}

function visitHash<T>(sorted: Float64Array, hash: number, items: readonly T[], visitor: Visitor<T>): void {
  const least = hash * LISTS
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? 0) < least) low = middle + 1
    else high = middle
  }
  for (; low < sorted.length; low++) {
    const list = (sorted[low] ?? 0) - least
    if (list >= LISTS) return
    const item = items[list]
    if (item !== undefined) visitor.visit(item)
  }
}

/** Without ASCII case, as some lists compare; for the others a list too many is no harm. */
function hashOfText(text: string): number {
  return hash32(foldAscii(text))
}

function hashOfInteger(value: number | bigint): number {
  return typeof value === 'bigint'
    ? mix(Number(BigInt.asUintN(32, value)), 64)
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
  return Math.imul(product ^ (product >>> 12), 0x85ebca6b) >>> 0
}
