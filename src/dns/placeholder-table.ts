// Which address was given out for which name, and what it really was then ([D1], [D3]). An address belongs to one name
// until nobody has used it for long; only a full range takes it back earlier, and never under a connection. Asks nobody anything.

import { type Cidr, containsIp } from '../net/cidr.ts'
import { type Family, fromIpv4Number, fromIpv6Words, type Ip } from '../net/ip.ts'

/** How long clients may keep an answer, in seconds. */
export const PLACEHOLDER_TTL_S = 30

/** Unused for so long, a placeholder is forgotten. */
const IDLE_MS = 3_600_000
/** A full range takes back what was unused for so long: clients have let go of it by then. */
const REUSE_MS = 2 * PLACEHOLDER_TTL_S * 1_000

export interface PlaceholderTableOptions {
  /** the ranges in force, asked anew each time */
  readonly rangeOf: (family: Family) => Cidr
  /** monotonic, ms */
  readonly now: () => number
  readonly idleMs?: number
  readonly reuseMs?: number
}

/** A placeholder in use. */
export interface GivenPlaceholder {
  readonly initial: Ip
  readonly name: string
  readonly address: Ip
  /** open connections to it */
  readonly connections: number
  /** since an answer or a connection last had it, ms; 0 while a connection has it */
  readonly unusedMs: number
}

interface Entry {
  readonly initial: Ip
  readonly name: string
  readonly address: Ip
  connections: number
  lastUsed: number
}

/** The entries of one family, the one unused the longest first. */
interface Shelf {
  readonly byAddress: Map<string, Entry>
  /** the newest of each name */
  readonly byName: Map<string, Entry>
  /** the one `number` and `taken` speak of */
  range: Cidr | undefined
  /** of the address given out last */
  number: number
  /** how many addresses of the range are given out */
  taken: number
}

export class PlaceholderTable {
  readonly #options: Required<PlaceholderTableOptions>
  readonly #shelves: Readonly<Record<Family, Shelf>> = { 4: newShelf(), 6: newShelf() }

  constructor(options: PlaceholderTableOptions) {
    this.#options = { idleMs: IDLE_MS, reuseMs: REUSE_MS, ...options }
  }

  /** The placeholder of a name for one of these real addresses (of one family, at least one), a new one for the first address where
   *  the name has none for any. Undefined: the range is used up. */
  give(name: string, addresses: readonly [Ip, ...Ip[]]): Ip | undefined {
    const [address] = addresses
    const shelf = this.#shelves[address.family]
    this.#forgetIdle(shelf)
    const before = shelf.byName.get(name)
    if (before !== undefined && addresses.some(({ text }) => text === before.address.text)) {
      this.#touch(shelf, before)
      return before.initial
    }
    const initial = this.#freeAddress(shelf, this.#options.rangeOf(address.family))
    if (initial === undefined) return undefined
    const entry: Entry = { initial, name, address, connections: 0, lastUsed: this.#options.now() }
    shelf.byAddress.set(initial.text, entry)
    shelf.byName.set(name, entry)
    shelf.taken++
    return initial
  }

  /** What an address stands for; `unknown`: it is in a range that placeholders come from, and nobody's; undefined: it is no
   *  placeholder. */
  at(address: Ip): (GivenPlaceholder & { hold(): () => void }) | 'unknown' | undefined {
    const shelf = this.#shelves[address.family]
    this.#forgetIdle(shelf)
    const entry = shelf.byAddress.get(address.text)
    if (entry === undefined) return containsIp(this.#options.rangeOf(address.family), address) ? 'unknown' : undefined
    this.#touch(shelf, entry)
    return { ...this.#describe(entry), hold: () => this.#hold(shelf, entry) }
  }

  /** All of them, the one unused the longest first, IPv4 before IPv6. */
  list(): GivenPlaceholder[] {
    return ([4, 6] as const).flatMap((family) => {
      this.#forgetIdle(this.#shelves[family])
      return Array.from(this.#shelves[family].byAddress.values(), (entry) => this.#describe(entry))
    })
  }

  #describe({ initial, name, address, connections, lastUsed }: Entry): GivenPlaceholder {
    const unusedMs = connections > 0 ? 0 : this.#options.now() - lastUsed
    return { initial, name, address, connections, unusedMs }
  }

  #hold(shelf: Shelf, entry: Entry): () => void {
    entry.connections++
    let held = true
    return () => {
      if (!held) return
      held = false
      entry.connections--
      this.#touch(shelf, entry)
    }
  }

  #touch({ byAddress }: Shelf, entry: Entry): void {
    entry.lastUsed = this.#options.now()
    if (byAddress.get(entry.initial.text) !== entry) return
    byAddress.delete(entry.initial.text)
    byAddress.set(entry.initial.text, entry)
  }

  #forgetIdle(shelf: Shelf): void {
    for (;;) {
      const entry = this.#longestUnused(shelf)
      if (entry === undefined || this.#options.now() - entry.lastUsed < this.#options.idleMs) return
      this.#forget(shelf, entry)
    }
  }

  /** The first without a connection; those with one on the way there count as used now. */
  #longestUnused(shelf: Shelf): Entry | undefined {
    const { size } = shelf.byAddress
    let seen = 0
    for (const entry of shelf.byAddress.values()) {
      if (entry.connections === 0) return entry
      if (++seen > size) return undefined
      this.#touch(shelf, entry)
    }
    return undefined
  }

  #freeAddress(shelf: Shelf, range: Cidr): Ip | undefined {
    if (shelf.range?.text !== range.text) {
      shelf.range = range
      shelf.number = 0
      shelf.taken = [...shelf.byAddress.values()].filter(({ initial }) => containsIp(range, initial)).length
    }
    const capacity = capacityOf(range)
    while (shelf.taken < capacity) {
      shelf.number = (shelf.number % capacity) + 1
      const address = placeholderOf(range, shelf.number)
      if (!shelf.byAddress.has(address.text)) return address
    }
    return this.#takeBack(shelf, range)
  }

  /** Of this very range: what was given out before it was moved is no help. */
  #takeBack(shelf: Shelf, range: Cidr): Ip | undefined {
    const latest = this.#options.now() - this.#options.reuseMs
    for (const entry of shelf.byAddress.values()) {
      if (entry.connections > 0 || !containsIp(range, entry.initial)) continue
      if (entry.lastUsed > latest) return undefined
      this.#forget(shelf, entry)
      return entry.initial
    }
    return undefined
  }

  #forget(shelf: Shelf, entry: Entry): void {
    const { byAddress, byName } = shelf
    byAddress.delete(entry.initial.text)
    if (byName.get(entry.name) === entry) byName.delete(entry.name)
    if (shelf.range !== undefined && containsIp(shelf.range, entry.initial)) shelf.taken--
  }
}

function newShelf(): Shelf {
  return { byAddress: new Map(), byName: new Map(), range: undefined, number: 0, taken: 0 }
}

/** More than this many are never kept at one time, however wide the range: a /16 of IPv4 has as many. */
const MOST = 65_534

/** How many placeholders the range holds. The first address of a range stands for the range, the last IPv4 one for broadcast;
 *  ranges of one or two addresses use them all (RFC 3021). */
export function capacityOf({ family, length }: Cidr): number {
  const bits = (family === 4 ? 32 : 128) - length
  if (bits <= 1) return bits + 1
  return Math.min(2 ** bits - (family === 4 ? 2 : 1), MOST)
}

/** The placeholder of this number, from 1 to the capacity. */
export function placeholderOf({ family, base, length }: Cidr, number: number): Ip {
  const bits = (family === 4 ? 32 : 128) - length
  const offset = bits <= 1 ? number - 1 : number
  const words = base.words.with(-1, ((base.words.at(-1) ?? 0) + offset) >>> 0)
  return family === 4 ? fromIpv4Number(words[0] ?? 0) : fromIpv6Words(words)
}
