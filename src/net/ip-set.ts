// A set of addresses as sorted, merged ranges, one table per family, searched by bisection. Families are never mixed:
// an IPv4-mapped IPv6 address is an IPv6 address ([L5.2]).

import { type Cidr, maskIp } from './cidr.ts'
import { compareIp, type Family, fromIpv4Number, fromIpv6Words, type Ip } from './ip.ts'

/** Both ends included; both of one family, first not greater than last. */
export interface IpRange {
  readonly first: Ip
  readonly last: Ip
}

/** An immutable set of addresses. */
export interface IpSet {
  /** number of ranges after merging, over both families */
  readonly size: number
  has(address: Ip): boolean
  /** merged ranges in order, IPv4 before IPv6 */
  ranges(): IpRange[]
}

/** The range a prefix covers. */
export function rangeOfCidr(prefix: Cidr): IpRange {
  const bits = prefix.family === 4 ? 32 : 128
  if (prefix.length === bits) return { first: prefix.base, last: prefix.base }
  const first = maskIp(prefix.base, prefix.length)
  const words = first.words.map((word, at) => (word | hostBits(prefix.length - 32 * at)) >>> 0)
  return { first, last: fromWords(prefix.family, words) }
}

/** The union of these ranges. O(n log n); lookups O(log n) without allocation. */
export function createIpSet(ranges: Iterable<IpRange>): IpSet {
  const builder = new IpSetBuilder()
  for (const range of ranges) builder.add(range)
  return builder.build()
}

/** Collects ranges. IPv4 ranges can be added as numbers, without creating addresses, for large sets. */
export class IpSetBuilder {
  readonly #firsts: number[] = []
  readonly #lasts: number[] = []
  readonly #ipv6: IpRange[] = []

  add(range: IpRange): void {
    if (range.first.family === 6) this.#ipv6.push(range)
    else this.addIpv4(range.first.words[0] ?? 0, range.last.words[0] ?? 0)
  }

  /** Adds the IPv4 addresses from `first` to `last`, unsigned 32-bit values. */
  addIpv4(first: number, last: number): void {
    this.#firsts.push(first)
    this.#lasts.push(last)
  }

  build(): IpSet {
    const ipv4 = mergeIpv4(this.#firsts, this.#lasts)
    const ipv6 = merge(this.#ipv6)
    const table6 = packIpv6(ipv6)
    return Object.freeze({
      size: ipv4.length / 2 + ipv6.length,
      has: (address: Ip) => (address.family === 4 ? findIpv4(ipv4, address.words) : findIpv6(table6, address.words)),
      ranges: () => [...unpackIpv4(ipv4), ...ipv6],
    })
  }
}

/** Sorted, merged pairs of first and last. */
function mergeIpv4(firsts: readonly number[], lasts: readonly number[]): Uint32Array {
  const order = Uint32Array.from(firsts.keys()).sort((a, b) => (firsts[a] as number) - (firsts[b] as number))
  const pairs = new Uint32Array(2 * order.length)
  let used = 0
  for (const at of order) {
    const first = firsts[at] as number
    const last = lasts[at] as number
    if (used > 0 && first <= (pairs[used - 1] as number) + 1) {
      if (last > (pairs[used - 1] as number)) pairs[used - 1] = last
    } else {
      pairs[used++] = first
      pairs[used++] = last
    }
  }
  return pairs.slice(0, used)
}

function unpackIpv4(pairs: Uint32Array): IpRange[] {
  const ranges: IpRange[] = []
  for (let at = 0; at < pairs.length; at += 2) {
    ranges.push({ first: fromIpv4Number(pairs[at] ?? 0), last: fromIpv4Number(pairs[at + 1] ?? 0) })
  }
  return ranges
}

function merge(ranges: IpRange[]): IpRange[] {
  const merged: IpRange[] = []
  let current: IpRange | undefined
  for (const range of ranges.sort((a, b) => compareIp(a.first, b.first))) {
    if (current !== undefined && !isBeyond(range.first, current.last)) {
      if (compareIp(range.last, current.last) > 0) current = { first: current.first, last: range.last }
    } else {
      if (current !== undefined) merged.push(current)
      current = range
    }
  }
  if (current !== undefined) merged.push(current)
  return merged
}

/** Whether at least one address lies between `last` and `first`. */
function isBeyond(first: Ip, last: Ip): boolean {
  if (compareIp(first, last) <= 0) return false
  let carry = 1
  for (let at = last.words.length - 1; at >= 0; at--) {
    const sum = (last.words[at] ?? 0) + carry
    if (sum % 0x100000000 !== first.words[at]) return true
    carry = sum > 0xffffffff ? 1 : 0
  }
  return false
}

/** Eight words per range: four of the first address, four of the last. */
function packIpv6(ranges: readonly IpRange[]): Uint32Array {
  return Uint32Array.from(ranges.flatMap((range) => [...range.first.words, ...range.last.words]))
}

function findIpv4(table: Uint32Array, words: readonly number[]): boolean {
  const value = words[0] as number
  let low = 0
  let high = table.length / 2
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((table[2 * middle] as number) <= value) low = middle + 1
    else high = middle
  }
  return low > 0 && value <= (table[2 * low - 1] as number)
}

function findIpv6(table: Uint32Array, words: readonly number[]): boolean {
  let low = 0
  let high = table.length / 8
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareWords(table, 8 * middle, words) <= 0) low = middle + 1
    else high = middle
  }
  return low > 0 && compareWords(table, 8 * low - 4, words) >= 0
}

function compareWords(table: Uint32Array, from: number, words: readonly number[]): number {
  for (let at = 0; at < 4; at++) {
    const difference = (table[from + at] as number) - (words[at] as number)
    if (difference !== 0) return difference
  }
  return 0
}

function hostBits(networkBits: number): number {
  if (networkBits <= 0) return 0xffffffff
  return networkBits >= 32 ? 0 : 0xffffffff >>> networkBits
}

function fromWords(family: Family, words: readonly number[]): Ip {
  return family === 4 ? fromIpv4Number(words[0] ?? 0) : fromIpv6Words(words)
}
