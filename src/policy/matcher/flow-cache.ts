// Remembers which rule decided the connections seen lately, by all the facts that any rule reads: the idea of Open vSwitch's microflow
// cache. A hit is compared fact by fact, so it is never a guess. Belongs to one rule set over one version of the lists, and dies with it.

import type { FieldValues } from '../../expression/value.ts'
import { flatText } from '../../net/flat-text.ts'
import { GATEWAY_SCHEME } from '../fields.ts'
import { fieldOriginOf } from './field-origin.ts'

/** Position as of RuleIndex.first, -1 for no rule; or that the connection is not known. */
export const UNKNOWN = -2

/** How often the cache was asked and knew the answer. */
export interface CacheCounts {
  readonly asked: number
  readonly known: number
}

/** Entries of a set: where a connection may be kept. */
const WAYS = 4
const FIRST_SIZE = 1024
/** About 3 MB with its texts. Of 50,000 connections drawn by Zipf's law half as many entries knew 86 %, these 94 %. */
const LARGEST_SIZE = 32_768

/** A cache that knows less than one in so many is not asked for a while: traffic that never repeats would only pay for it. */
const LEAST_KNOWN = 16
const WATCHED = LARGEST_SIZE
const REST = 16 * WATCHED

/** Words of an entry that are no facts: its answer, and which facts are missing. */
const ANSWER = 0
const SHAPE = 1
const PERSON = 2
const FACTS = 3
const WORDS_OF_ADDRESS = 4
/** References of an entry: the host, and all others. */
const HOST = 0
const OTHERS = 1

/** Where the facts of a key stand among the values, by what is kept of them. */
interface KeySlots {
  readonly integers: readonly number[]
  readonly addresses: readonly number[]
  readonly texts: readonly number[]
  readonly arrays: readonly number[]
}

/** Known connections: sets of four entries, of which one not asked for again makes room. Not re-entrant: {@link find}, then {@link keep}. */
export class FlowCache {
  readonly #slots: KeySlots
  readonly #width: number
  readonly #references: number
  /** a hash per entry, 0 where there is none: those of a set lie in one cache line */
  #tags = new Int32Array(0)
  /** was the entry asked for again? */
  #used = new Uint8Array(0)
  #words = new Int32Array(0)
  /** host, texts and arrays per entry */
  #kept: unknown[] = []
  /** what is asked for, in the form of an entry */
  readonly #probe: Int32Array
  readonly #given: unknown[]
  #tag = 0
  #turn = 0
  #asked = 0
  #known = 0
  /** lookups still to be left out, and of those watched at present */
  #resting = 0
  #watched = 0
  #knownBefore = 0

  /** A cache for rules that read these fields. */
  constructor(fields: ReadonlySet<string>) {
    this.#slots = slotsOf(fields)
    const { integers, addresses, texts, arrays } = this.#slots
    this.#width = FACTS + integers.length + WORDS_OF_ADDRESS * addresses.length
    this.#references = OTHERS + texts.length + arrays.length
    this.#probe = new Int32Array(this.#width)
    this.#given = new Array<unknown>(this.#references).fill(undefined)
  }

  get counts(): CacheCounts {
    return { asked: this.#asked, known: this.#known }
  }

  /** The answer kept for a connection with these facts, or UNKNOWN. `values`: those of the connection itself; `person`: a number that
   *  nobody else has. */
  find(values: FieldValues, person: number, host: string | undefined): number {
    this.#asked++
    this.#tag = 0
    if (this.#resting > 0) {
      this.#resting--
      return UNKNOWN
    }
    if (++this.#watched === WATCHED) this.#review()
    this.#tag = this.#aim(values, person, host)
    const tags = this.#tags
    if (tags.length === 0 || this.#tag === 0) return UNKNOWN
    const first = this.#setOf(this.#tag)
    for (let entry = first; entry < first + WAYS; entry++) {
      if (tags[entry] !== this.#tag || !this.#isSame(entry)) continue
      if (this.#used[entry] === 0) this.#used[entry] = 1
      this.#known++
      return this.#words[entry * this.#width + ANSWER] ?? UNKNOWN
    }
    return UNKNOWN
  }

  /** Keeps the answer for the connection that was asked for last and not known. */
  keep(answer: number): void {
    if (this.#tag === 0) return
    if (this.#tags.length === 0) this.#grow(FIRST_SIZE)
    else if (this.#tags.length === FIRST_SIZE && this.#isFull(this.#setOf(this.#tag))) this.#grow(LARGEST_SIZE)
    const entry = this.#victimIn(this.#setOf(this.#tag))
    this.#tags[entry] = this.#tag
    this.#used[entry] = 0
    const host = this.#given[HOST]
    // not the request it was cut out of
    if (typeof host === 'string') this.#given[HOST] = flatText(host)
    this.#probe[ANSWER] = answer
    this.#words.set(this.#probe, entry * this.#width)
    const from = entry * this.#references
    for (let at = 0; at < this.#references; at++) this.#kept[from + at] = this.#given[at]
  }

  /** Writes the facts down as an entry and answers their hash; 0 for what cannot be kept. */
  #aim(values: FieldValues, person: number, host: string | undefined): number {
    const { integers, addresses, texts, arrays } = this.#slots
    const probe = this.#probe
    const given = this.#given
    let word = FACTS
    let shape = 0
    let hash = mixWord(0, person)
    probe[PERSON] = person
    for (let at = 0; at < integers.length; at++) {
      const value = values[integers[at] ?? 0]
      shape = (shape << 1) | (value === undefined ? 0 : 1)
      const kept = typeof value === 'number' ? value : 0
      // an entry holds 32 bits: whatever is more is not kept
      if (value !== undefined && value !== (kept | 0)) return 0
      probe[word++] = kept
      hash = mixWord(hash, kept)
    }
    for (let at = 0; at < addresses.length; at++) {
      const value = values[addresses[at] ?? 0]
      const isAddress = typeof value === 'object' && 'words' in value
      shape = (shape << 2) | (isAddress ? (value.family === 4 ? 1 : 2) : 0)
      for (let nth = 0; nth < WORDS_OF_ADDRESS; nth++) {
        const kept = isAddress ? (value.words[nth] ?? 0) | 0 : 0
        probe[word++] = kept
        if (kept !== 0) hash = mixWord(hash, kept)
      }
    }
    let reference = OTHERS
    for (let at = 0; at < texts.length; at++) {
      const value = values[texts[at] ?? 0]
      given[reference++] = value
      if (typeof value === 'string') hash = hashText(hash, value)
    }
    for (let at = 0; at < arrays.length; at++) given[reference++] = values[arrays[at] ?? 0]
    given[HOST] = host
    if (host !== undefined) hash = hashName(hash, host)
    probe[SHAPE] = shape
    return settled(hash)
  }

  #isSame(entry: number): boolean {
    const words = this.#words
    const probe = this.#probe
    const from = entry * this.#width
    for (let at = SHAPE; at < probe.length; at++) if (words[from + at] !== probe[at]) return false
    const kept = this.#kept
    const given = this.#given
    const start = entry * this.#references
    for (let at = 0; at < given.length; at++) {
      if (kept[start + at] !== given[at] && !haveSameItems(kept[start + at], given[at])) return false
    }
    return true
  }

  #setOf(tag: number): number {
    return tag & (this.#tags.length - 1) & -WAYS
  }

  /** A free entry, else one that was not asked for again, else whichever has its turn. */
  #victimIn(first: number): number {
    const turn = this.#turn++
    for (let nth = 0; nth < WAYS; nth++) if (this.#tags[first + nth] === 0) return first + nth
    for (let nth = 0; nth < WAYS; nth++) {
      const entry = first + ((turn + nth) & (WAYS - 1))
      if (this.#used[entry] === 0) return entry
    }
    this.#used.fill(0, first, first + WAYS)
    return first + (turn & (WAYS - 1))
  }

  #isFull(first: number): boolean {
    for (let entry = first; entry < first + WAYS; entry++) if (this.#tags[entry] === 0) return false
    return true
  }

  /** Begins anew with more room: what was known is soon known again. */
  #grow(size: number): void {
    this.#tags = new Int32Array(size)
    this.#used = new Uint8Array(size)
    this.#words = new Int32Array(size * this.#width)
    this.#kept = new Array<unknown>(size * this.#references).fill(undefined)
  }

  #review(): void {
    if ((this.#known - this.#knownBefore) * LEAST_KNOWN < WATCHED) this.#resting = REST
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

/** Are these arrays of the same texts or numbers? */
function haveSameItems(a: unknown, b: unknown): boolean {
  return Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, at) => item === b[at])
}

/** Characters of a text that are looked at, spread over it: two texts alike in all of them only share a place. */
const LOOKED_AT = 32

/** A hash with one more 32-bit number. */
export function mixWord(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x2c1b3c6d)
  return mixed ^ (mixed >>> 15)
}

/** A hash with one more name. */
export function hashName(hash: number, name: string): number {
  const { length } = name
  const step = 1 + Math.floor(length / LOOKED_AT)
  let mixed = hash ^ length
  for (let at = 0; at < length; at += step) mixed = Math.imul(mixed ^ name.charCodeAt(at), 0x01000193)
  return mixed ^ (mixed >>> 15)
}

/** A hash with one more text of which there are few: countries, ids of virtual networks. */
export function hashText(hash: number, text: string): number {
  const { length } = text
  const few = (text.charCodeAt(length - 1) << 8) ^ (text.charCodeAt(length - 2) << 16) ^ text.charCodeAt(length >> 1)
  return mixWord(hash, few ^ length)
}

/** The hash with every bit depending on all of it; never 0. */
export function settled(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return mixed ^ (mixed >>> 13) || 1
}
