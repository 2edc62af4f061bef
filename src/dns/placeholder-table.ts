// Which placeholder address was given out for which name, and the real address behind it ([D1], [D3]). An address keeps
// its name until it has been unused for long; only a full range reclaims it earlier, and never during a connection.

import { type Cidr, containsIp } from '../net/cidr.ts'
import { type Family, fromIpv4Number, fromIpv6Words, type Ip } from '../net/ip.ts'

/** How long clients may cache an answer, in seconds. */
export const PLACEHOLDER_TTL_S = 30

/** A placeholder that is unused for this long is dropped. */
const IDLE_MS = 3_600_000
/** A full range reuses placeholders that were unused for this long: clients have dropped them by then. */
const REUSE_MS = 2 * PLACEHOLDER_TTL_S * 1_000

export interface PlaceholderPart {
  readonly index: number
  readonly of: number
}

export interface PlaceholderTableOptions {
  /** the ranges in force; called for each name */
  readonly rangeOf: (family: Family) => Cidr
  /** the part of each range to give out, counted from 0; others give out the rest. Absent: all of it */
  readonly part?: PlaceholderPart | undefined
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
  /** number of open connections to it */
  readonly connections: number
  /** when an answer or a connection last used it, ms; 0 while a connection uses it */
  readonly unusedMs: number
}

interface Entry {
  readonly initial: Ip
  readonly name: string
  readonly address: Ip
  connections: number
  lastUsed: number
}

/** The entries of one family, least recently used first. */
interface FamilyTable {
  readonly byAddress: Map<string, Entry>
  /** the newest entry of each name */
  readonly byName: Map<string, Entry>
  /** the range that `number` and `taken` refer to */
  range: Cidr | undefined
  /** number of the last address given out */
  number: number
  /** how many addresses of the range are given out */
  taken: number
}

/** See the head of this file. */
export class PlaceholderTable {
  readonly #options: Required<PlaceholderTableOptions> & { readonly part: PlaceholderPart }
  readonly #tables: Readonly<Record<Family, FamilyTable>> = { 4: newTable(), 6: newTable() }

  constructor(options: PlaceholderTableOptions) {
    const { part = { index: 0, of: 1 } } = options
    this.#options = { idleMs: IDLE_MS, reuseMs: REUSE_MS, ...options, part }
  }

  /** The placeholder of a name for one of these real addresses (of one family, at least one); a new one for the
   *  first address if the name has none. Undefined if the range is used up. */
  give(name: string, addresses: readonly [Ip, ...Ip[]]): Ip | undefined {
    const [address] = addresses
    const table = this.#tables[address.family]
    this.#dropIdle(table)
    const before = table.byName.get(name)
    if (before !== undefined && addresses.some(({ text }) => text === before.address.text)) {
      this.#touch(table, before)
      return before.initial
    }
    const initial = this.#freeAddress(table, this.#options.rangeOf(address.family))
    if (initial === undefined) return undefined
    const entry: Entry = { initial, name, address, connections: 0, lastUsed: this.#options.now() }
    table.byAddress.set(initial.text, entry)
    table.byName.set(name, entry)
    table.taken++
    return initial
  }

  /** What an address stands for; `unknown`: it is in a placeholder range but not in use; undefined: it is not a
   *  placeholder. */
  at(address: Ip): (GivenPlaceholder & { hold(): () => void }) | 'unknown' | undefined {
    const table = this.#tables[address.family]
    this.#dropIdle(table)
    const entry = table.byAddress.get(address.text)
    if (entry === undefined) return containsIp(this.#options.rangeOf(address.family), address) ? 'unknown' : undefined
    this.#touch(table, entry)
    return { ...this.#describe(entry), hold: () => this.#hold(table, entry) }
  }

  /** All of them, least recently used first, IPv4 before IPv6. */
  list(): GivenPlaceholder[] {
    return ([4, 6] as const).flatMap((family) => {
      this.#dropIdle(this.#tables[family])
      return Array.from(this.#tables[family].byAddress.values(), (entry) => this.#describe(entry))
    })
  }

  #describe({ initial, name, address, connections, lastUsed }: Entry): GivenPlaceholder {
    const unusedMs = connections > 0 ? 0 : this.#options.now() - lastUsed
    return { initial, name, address, connections, unusedMs }
  }

  #hold(table: FamilyTable, entry: Entry): () => void {
    entry.connections++
    let held = true
    return () => {
      if (!held) return
      held = false
      entry.connections--
      this.#touch(table, entry)
    }
  }

  #touch({ byAddress }: FamilyTable, entry: Entry): void {
    entry.lastUsed = this.#options.now()
    if (byAddress.get(entry.initial.text) !== entry) return
    byAddress.delete(entry.initial.text)
    byAddress.set(entry.initial.text, entry)
  }

  #dropIdle(table: FamilyTable): void {
    for (;;) {
      const entry = this.#longestUnused(table)
      if (entry === undefined || this.#options.now() - entry.lastUsed < this.#options.idleMs) return
      this.#drop(table, entry)
    }
  }

  /** The first without a connection; entries with one that are passed over count as used now. */
  #longestUnused(table: FamilyTable): Entry | undefined {
    const { size } = table.byAddress
    let seen = 0
    for (const entry of table.byAddress.values()) {
      if (entry.connections === 0) return entry
      if (++seen > size) return undefined
      this.#touch(table, entry)
    }
    return undefined
  }

  #freeAddress(table: FamilyTable, range: Cidr): Ip | undefined {
    if (table.range?.text !== range.text) {
      table.range = range
      table.number = 0
      table.taken = [...table.byAddress.values()].filter(({ initial }) => containsIp(range, initial)).length
    }
    const { index, of } = this.#options.part
    const capacity = Math.floor(capacityOf(range) / of)
    while (table.taken < capacity) {
      table.number = (table.number % capacity) + 1
      const address = placeholderOf(range, index * capacity + table.number)
      if (!table.byAddress.has(address.text)) return address
    }
    return this.#reclaim(table, range)
  }

  /** Entries of this range only: those of an earlier range cannot be reused. */
  #reclaim(table: FamilyTable, range: Cidr): Ip | undefined {
    const latest = this.#options.now() - this.#options.reuseMs
    for (const entry of table.byAddress.values()) {
      if (entry.connections > 0 || !containsIp(range, entry.initial)) continue
      if (entry.lastUsed > latest) return undefined
      this.#drop(table, entry)
      return entry.initial
    }
    return undefined
  }

  #drop(table: FamilyTable, entry: Entry): void {
    const { byAddress, byName } = table
    byAddress.delete(entry.initial.text)
    if (byName.get(entry.name) === entry) byName.delete(entry.name)
    if (table.range !== undefined && containsIp(table.range, entry.initial)) table.taken--
  }
}

function newTable(): FamilyTable {
  return { byAddress: new Map(), byName: new Map(), range: undefined, number: 0, taken: 0 }
}

/** Most placeholders at one time, however wide the range: as many as in an IPv4 /16. */
const MOST = 65_534

/** How many placeholders the range holds. The first address of a range identifies the range, the last IPv4 one is
 *  its broadcast address; ranges of one or two addresses use them all (RFC 3021). */
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
