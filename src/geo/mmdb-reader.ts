// Looks addresses up in a file of the MaxMind DB format 2.0 (https://maxmind.github.io/MaxMind-DB/), through whatever hands out
// its bytes. A file may come from anywhere: one record has a bounded number of values, and every wrong byte is a RangeError.

import type { Ip } from '../net/ip.ts'
import type { MmdbBytes } from './mmdb-bytes.ts'

/** What a file says of itself. */
export interface MmdbFacts {
  /** such as `GeoLite2-City` */
  readonly type: string
  /** epoch ms */
  readonly builtAt: number
  readonly ipVersion: 4 | 6
}

const MARKER = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1')
/** the metadata is in the last 128 KiB */
const METADATA_BYTES = 128 * 1024
/** zero bytes between the tree and the data */
const SEPARATOR = 16
/** a City record with names in eight languages has about 120 */
const MOST_VALUES = 10_000
const MOST_DEPTH = 64
/** what the four sizes of a pointer begin at */
const POINTER_FROM = [0, 2048, 526_336, 0]

/** One open database: `record` finds what it says of an address. Throws RangeError for a file that is damaged. */
export class MmdbReader {
  readonly facts: MmdbFacts
  readonly #bytes: MmdbBytes
  readonly #nodes: number
  readonly #nodeBytes: number
  readonly #treeBytes: number
  /** the node below which IPv4 addresses are */
  readonly #ipv4Root: number
  /** values that may still be decoded for the record at hand */
  #left = 0
  /** where the value decoded last ends */
  #end = 0

  /** Throws a RangeError for bytes that are no such file. */
  constructor(bytes: MmdbBytes) {
    this.#bytes = bytes
    const start = Math.max(0, bytes.length - METADATA_BYTES)
    const found = bytes.slice(start, bytes.length).lastIndexOf(MARKER)
    if (found < 0) throw new RangeError('there is no metadata')
    const metadata = this.#valueAt(start + found + MARKER.length, start + found + MARKER.length)
    const facts = Object(metadata)
    const [nodes, recordBits, ipVersion] = [facts.node_count, facts.record_size, facts.ip_version]
    if (!Number.isSafeInteger(nodes) || ![24, 28, 32].includes(recordBits) || ![4, 6].includes(ipVersion)) {
      throw new RangeError('the metadata is incomplete')
    }
    this.facts = { type: String(facts.database_type), builtAt: Number(facts.build_epoch) * 1000, ipVersion }
    this.#nodes = nodes
    this.#nodeBytes = recordBits / 4
    this.#treeBytes = nodes * this.#nodeBytes
    if (this.#treeBytes + SEPARATOR > start + found) throw new RangeError('the search tree is cut off')
    this.#ipv4Root = ipVersion === 4 ? 0 : this.#walk(0, [0, 0, 0])
  }

  /** The record that covers an address; null where there is none, as for IPv6 in a file of IPv4. Throws a RangeError where
   *  its bytes are wrong. */
  record({ family, words }: Ip): unknown {
    if (family === 6 && this.facts.ipVersion === 4) return null
    const found = this.#walk(family === 4 ? this.#ipv4Root : 0, words)
    if (found <= this.#nodes) return null
    return this.#valueAt(found - this.#nodes + this.#treeBytes, this.#treeBytes + SEPARATOR)
  }

  /** Follows the bits of these words from a node; what is no node ends it. */
  #walk(from: number, words: readonly number[]): number {
    let node = from
    for (const word of words) {
      for (let bit = 31; bit >= 0; bit--) {
        if (node >= this.#nodes) return node
        node = this.#child(node, (word >>> bit) & 1)
      }
    }
    return node
  }

  #child(node: number, side: number): number {
    const at = node * this.#nodeBytes
    if (this.#nodeBytes === 6) return this.#bytes.uint(at + side * 3, 3)
    if (this.#nodeBytes === 8) return this.#bytes.uint(at + side * 4, 4)
    const middle = this.#bytes.uint(at + 3, 1)
    return side === 0
      ? (middle >>> 4) * 0x1000000 + this.#bytes.uint(at, 3)
      : (middle & 15) * 0x1000000 + this.#bytes.uint(at + 4, 3)
  }

  /** `base`: what pointers count from. */
  #valueAt(at: number, base: number): unknown {
    this.#left = MOST_VALUES
    return this.#decode(at, base, 0)
  }

  #decode(at: number, base: number, depth: number): unknown {
    if (--this.#left < 0 || depth > MOST_DEPTH) throw new RangeError('a record has too many values')
    const control = this.#bytes.uint(at, 1)
    if (control >>> 5 === 1) return this.#pointedAt(at, control, base, depth)
    const type = control >>> 5 === 0 ? this.#bytes.uint(at + 1, 1) + 7 : control >>> 5
    const first = control >>> 5 === 0 ? at + 2 : at + 1
    const more = Math.max(0, (control & 31) - 28)
    const size = more === 0 ? control & 31 : (SIZE_FROM[more] ?? 0) + this.#bytes.uint(first, more)
    return this.#typed(type, first + more, size, base, depth)
  }

  #pointedAt(at: number, control: number, base: number, depth: number): unknown {
    const size = (control >>> 3) & 3
    const low = this.#bytes.uint(at + 1, size + 1)
    const high = size === 3 ? 0 : (control & 7) * 256 ** (size + 1)
    const value = this.#decode(base + (POINTER_FROM[size] ?? 0) + high + low, base, depth + 1)
    this.#end = at + 2 + size
    return value
  }

  #typed(type: number, at: number, size: number, base: number, depth: number): unknown {
    if (type === MAP || type === ARRAY) {
      this.#end = at
      return type === MAP ? this.#map(size, base, depth) : this.#array(size, base, depth)
    }
    this.#end = type === BOOLEAN ? at : at + size
    switch (type) {
      case TEXT:
        return this.#bytes.slice(at, at + size).toString('utf8')
      case DOUBLE:
        return this.#bytes.slice(at, at + 8).readDoubleBE(0)
      case FLOAT:
        return this.#bytes.slice(at, at + 4).readFloatBE(0)
      case BOOLEAN:
        return size === 1
      case BYTES:
        return Buffer.from(this.#bytes.slice(at, at + size))
      case INT32:
        return size === 4 ? this.#bytes.uint(at, 4) | 0 : this.#unsigned(at, size)
      case UINT16:
      case UINT32:
      case UINT64:
      case UINT128:
        return this.#unsigned(at, size)
    }
    throw new RangeError(`a value has the unknown type ${type}`)
  }

  /** Above 2⁵³ not exact; nothing that is read here is. */
  #unsigned(at: number, size: number): number {
    if (size > 16) throw new RangeError('a number is too long')
    let value = 0
    for (let byte = 0; byte < size; byte++) value = value * 256 + this.#bytes.uint(at + byte, 1)
    return value
  }

  #map(size: number, base: number, depth: number): Readonly<Record<string, unknown>> {
    const map: Record<string, unknown> = {}
    for (let left = size; left > 0; left--) {
      const key = String(this.#decode(this.#end, base, depth + 1))
      const value = this.#decode(this.#end, base, depth + 1)
      if (key !== '__proto__') map[key] = value
    }
    return map
  }

  #array(size: number, base: number, depth: number): readonly unknown[] {
    const items: unknown[] = []
    while (items.length < size) items.push(this.#decode(this.#end, base, depth + 1))
    return items
  }
}

/** What sizes of one, two and three further bytes begin at. */
const SIZE_FROM = [0, 29, 285, 65_821]

const TEXT = 2
const DOUBLE = 3
const BYTES = 4
const UINT16 = 5
const UINT32 = 6
const MAP = 7
const INT32 = 8
const UINT64 = 9
const UINT128 = 10
const ARRAY = 11
const BOOLEAN = 14
const FLOAT = 15
