// The match cache: which rule decided the flows seen lately, after the design of Open vSwitch's microflow cache.
//
// It earns its place: it answers most flows of real traffic, which repeats, without a search of the index (measured in
// docs/decisions/0007-what-the-rule-index-remembers.md: the figures with and without it).
//
// The key is every value that some active rule reads, plus the user's number and the host name. A hit compares the
// whole key, so it is never a guess. A cache belongs to one ruleset over one version of the lists and is dropped with
// it, so nothing is ever invalidated. Four entries share a set; a new flow replaces one that has not been used again.
// It holds at most 32,768 flows (about 3 MB), and pauses itself while traffic does not repeat.
//
// `test/policy/matcher/flow-cache.test.ts` and `scripts/fuzz-decide.ts` compare it with trying every rule in order.

import type { FieldValues } from '../../expression/value.ts'
import { flatText } from '../../net/ip.ts'
import { GATEWAY_SCHEME } from '../fields.ts'
import { fieldOriginOf } from './key-table.ts'

/** Returned by {@link FlowCache.find} for a flow that is not cached. Any other result is a position as of
 *  RuleMatcher.first, or -1 for no rule. */
export const UNKNOWN = -2

/** Number of lookups, and of those answered from the cache. */
export interface CacheCounts {
  readonly asked: number
  readonly known: number
}

/** Entries per set: where one flow may be stored. */
const WAYS = 4
const FIRST_SIZE = 1024
/** About 3 MB with its texts. Of 50,000 flows drawn by Zipf's law half as many entries knew 86 %, these 94 %. */
const LARGEST_SIZE = 32_768

/** A cache that knows fewer than one flow in this many pauses for a while: traffic that never repeats would only pay
 *  for it. */
const LEAST_HIT_RATIO = 16
const REVIEW_AFTER = LARGEST_SIZE
const PAUSE = 16 * REVIEW_AFTER

/** The words of an entry before its values: the result, which values are missing, and the user. */
const RESULT = 0
const PRESENT = 1
const USER = 2
const VALUES = 3
const WORDS_OF_ADDRESS = 4
/** The references of an entry: the host, then all others. */
const HOST = 0
const OTHERS = 1

/** The slots of the key's values, by how they are stored. */
interface KeySlots {
  readonly integers: readonly number[]
  readonly addresses: readonly number[]
  readonly texts: readonly number[]
  readonly arrays: readonly number[]
}

/** See the head of this file. Not re-entrant: call {@link find}, then {@link keep} if the flow was unknown. */
export class FlowCache {
  readonly #slots: KeySlots
  readonly #width: number
  readonly #referenceCount: number
  /** one hash per entry, 0 for a free one: the four of a set share a cache line */
  #tags = new Int32Array(0)
  /** whether the entry was used again */
  #usedAgain = new Uint8Array(0)
  #words = new Int32Array(0)
  /** host, texts and arrays per entry */
  #stored: unknown[] = []
  /** the flow being looked up, in the form of an entry */
  readonly #probe: Int32Array
  readonly #probeReferences: unknown[]
  #tag = 0
  #turn = 0
  #asked = 0
  #known = 0
  /** lookups still to skip; then the lookups since the last review, and the hits before it */
  #paused = 0
  #watched = 0
  #knownBefore = 0

  /** A cache for rules that read these fields. */
  constructor(fields: ReadonlySet<string>) {
    this.#slots = slotsOf(fields)
    const { integers, addresses, texts, arrays } = this.#slots
    this.#width = VALUES + integers.length + WORDS_OF_ADDRESS * addresses.length
    this.#referenceCount = OTHERS + texts.length + arrays.length
    this.#probe = new Int32Array(this.#width)
    this.#probeReferences = new Array<unknown>(this.#referenceCount).fill(undefined)
  }

  get counts(): CacheCounts {
    return { asked: this.#asked, known: this.#known }
  }

  /** The position stored for a flow, or {@link UNKNOWN}. `values`: those of the connection itself, by slot; `user`:
   *  the user's number, unique within one reader of flows, 0 for none. */
  find(values: FieldValues, user: number, host: string | undefined): number {
    this.#asked++
    this.#tag = 0
    if (this.#paused > 0) {
      this.#paused--
      return UNKNOWN
    }
    if (++this.#watched === REVIEW_AFTER) this.#review()
    this.#tag = this.#fillProbe(values, user, host)
    const tags = this.#tags
    if (tags.length === 0 || this.#tag === 0) return UNKNOWN
    const first = this.#setOf(this.#tag)
    for (let entry = first; entry < first + WAYS; entry++) {
      if (tags[entry] !== this.#tag || !this.#isSame(entry)) continue
      if (this.#usedAgain[entry] === 0) this.#usedAgain[entry] = 1
      this.#known++
      return this.#words[entry * this.#width + RESULT] ?? UNKNOWN
    }
    return UNKNOWN
  }

  /** Stores the position for the flow of the last {@link find}, which must have returned {@link UNKNOWN}. */
  keep(position: number): void {
    if (this.#tag === 0) return
    if (this.#tags.length === 0) this.#grow(FIRST_SIZE)
    else if (this.#tags.length === FIRST_SIZE && this.#isFull(this.#setOf(this.#tag))) this.#grow(LARGEST_SIZE)
    const entry = this.#victimIn(this.#setOf(this.#tag))
    this.#tags[entry] = this.#tag
    this.#usedAgain[entry] = 0
    const host = this.#probeReferences[HOST]
    // a copy, or the entry would keep the whole request the name is a slice of
    if (typeof host === 'string') this.#probeReferences[HOST] = flatText(host)
    this.#probe[RESULT] = position
    this.#words.set(this.#probe, entry * this.#width)
    const from = entry * this.#referenceCount
    for (let at = 0; at < this.#referenceCount; at++) this.#stored[from + at] = this.#probeReferences[at]
  }

  /** Writes the key into the probe and returns its hash; 0 for a flow that cannot be stored. */
  #fillProbe(values: FieldValues, user: number, host: string | undefined): number {
    const { integers, addresses, texts, arrays } = this.#slots
    const probe = this.#probe
    const references = this.#probeReferences
    let word = VALUES
    let present = 0
    let hash = mixWord(0, user)
    probe[USER] = user
    for (let at = 0; at < integers.length; at++) {
      const value = values[integers[at] ?? 0]
      present = (present << 1) | (value === undefined ? 0 : 1)
      const kept = typeof value === 'number' ? value : 0
      // a word holds 32 bits: larger numbers and fractions are not cached
      if (value !== undefined && value !== (kept | 0)) return 0
      probe[word++] = kept
      hash = mixWord(hash, kept)
    }
    for (let at = 0; at < addresses.length; at++) {
      const value = values[addresses[at] ?? 0]
      const isAddress = typeof value === 'object' && 'words' in value
      present = (present << 2) | (isAddress ? (value.family === 4 ? 1 : 2) : 0)
      for (let nth = 0; nth < WORDS_OF_ADDRESS; nth++) {
        const kept = isAddress ? (value.words[nth] ?? 0) | 0 : 0
        probe[word++] = kept
        if (kept !== 0) hash = mixWord(hash, kept)
      }
    }
    let reference = OTHERS
    for (let at = 0; at < texts.length; at++) {
      const value = values[texts[at] ?? 0]
      references[reference++] = value
      if (typeof value === 'string') hash = hashText(hash, value)
    }
    for (let at = 0; at < arrays.length; at++) references[reference++] = values[arrays[at] ?? 0]
    references[HOST] = host
    if (host !== undefined) hash = hashName(hash, host)
    probe[PRESENT] = present
    return finish(hash)
  }

  #isSame(entry: number): boolean {
    const words = this.#words
    const probe = this.#probe
    const from = entry * this.#width
    for (let at = PRESENT; at < probe.length; at++) if (words[from + at] !== probe[at]) return false
    const kept = this.#stored
    const references = this.#probeReferences
    const start = entry * this.#referenceCount
    for (let at = 0; at < references.length; at++) {
      if (kept[start + at] !== references[at] && !haveSameItems(kept[start + at], references[at])) return false
    }
    return true
  }

  #setOf(tag: number): number {
    return tag & (this.#tags.length - 1) & -WAYS
  }

  /** A free entry, else one that was not used again, else the next in turn. */
  #victimIn(first: number): number {
    const turn = this.#turn++
    for (let nth = 0; nth < WAYS; nth++) if (this.#tags[first + nth] === 0) return first + nth
    for (let nth = 0; nth < WAYS; nth++) {
      const entry = first + ((turn + nth) & (WAYS - 1))
      if (this.#usedAgain[entry] === 0) return entry
    }
    this.#usedAgain.fill(0, first, first + WAYS)
    return first + (turn & (WAYS - 1))
  }

  #isFull(first: number): boolean {
    for (let entry = first; entry < first + WAYS; entry++) if (this.#tags[entry] === 0) return false
    return true
  }

  /** Starts empty with more room: repeating flows are soon cached again. */
  #grow(size: number): void {
    this.#tags = new Int32Array(size)
    this.#usedAgain = new Uint8Array(size)
    this.#words = new Int32Array(size * this.#width)
    this.#stored = new Array<unknown>(size * this.#referenceCount).fill(undefined)
  }

  #review(): void {
    if ((this.#known - this.#knownBefore) * LEAST_HIT_RATIO < REVIEW_AFTER) this.#paused = PAUSE
    this.#knownBefore = this.#known
    this.#watched = 0
  }
}

function slotsOf(fields: ReadonlySet<string>): KeySlots {
  const slots = { integers: [], addresses: [], texts: [], arrays: [] } as Record<
    'integers' | 'addresses' | 'texts' | 'arrays',
    number[]
  >
  for (const { name, slot, type } of GATEWAY_SCHEME.fields.values()) {
    if (!fields.has(name) || fieldOriginOf(name) !== 'flow') continue
    if (type === 'Int') slots.integers.push(slot)
    else if (type === 'Ip') slots.addresses.push(slot)
    else if (type === 'Bytes') slots.texts.push(slot)
    else slots.arrays.push(slot)
  }
  return slots
}

/** Whether both are arrays of the same texts or numbers. */
function haveSameItems(a: unknown, b: unknown): boolean {
  return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, at) => item === b[at])
}

/** Characters of a name that are hashed, spread over it: names alike in all of them only share a hash. */
const LOOKED_AT = 32

/** The hash with one more 32-bit number. */
export function mixWord(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x2c1b3c6d)
  return mixed ^ (mixed >>> 15)
}

/** The hash with one more name. */
export function hashName(hash: number, name: string): number {
  const { length } = name
  const step = 1 + Math.floor(length / LOOKED_AT)
  let mixed = hash ^ length
  for (let at = 0; at < length; at += step) mixed = Math.imul(mixed ^ name.charCodeAt(at), 0x01000193)
  return mixed ^ (mixed >>> 15)
}

/** The hash with one more text of few distinct values, such as countries and virtual network ids. */
export function hashText(hash: number, text: string): number {
  const { length } = text
  const few = (text.charCodeAt(length - 1) << 8) ^ (text.charCodeAt(length - 2) << 16) ^ text.charCodeAt(length >> 1)
  return mixWord(hash, few ^ length)
}

/** The hash with every bit depending on all of it; never 0. */
export function finish(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return mixed ^ (mixed >>> 13) || 1
}
