// The contents of a named list, by Cloudflare's list types. Read at evaluation time and replaced as a whole on a
// change, so rules need no recompilation.

import { parseCidr } from '../net/cidr.ts'
import { compareIp, type Ip, parseIp } from '../net/ip.ts'
import { createIpSet, type IpRange, IpSetBuilder, rangeOfCidr } from '../net/ip-set.ts'
import { bytesOf, intOf, type ListContents, type Value } from './value.ts'
import { foldAscii } from './wildcard.ts'

/** Contents that can also be enumerated, for an index over many lists. */
export interface KnownContents extends ListContents {
  /** texts as they are compared: in lower case if the list ignores case */
  readonly texts: Iterable<string>
  readonly integers: Iterable<number | bigint>
  ranges(): readonly IpRange[]
}

/** Contents of a list of Cloudflare's `type` (`IP`, `DOMAIN`, `EMAIL`, `URL`, `SERIAL`, …, in any letter case).
 *  Addresses and networks become ranges; names and email addresses compare without ASCII case; all else compares
 *  byte for byte ([R14]). Items that do not fit the type are omitted: whoever accepts items must report them. */
export function listContents(type: string, items: Iterable<string>): KnownContents {
  const kind = type.toUpperCase()
  if (kind === 'IP') return addressList(items)
  if (kind === 'DOMAIN' || kind === 'HOST' || kind === 'EMAIL') {
    return foldedList(items, kind === 'EMAIL' ? (item) => item.trim() : hostOf)
  }
  return plainList(items)
}

/** Contents given as JSON, where only the compared value tells the type: strings are text and, if they parse so,
 *  addresses, networks or ranges; numbers are integers. */
export function listOfJson(items: readonly unknown[]): ListContents {
  const texts = items.filter((item) => typeof item === 'string')
  const ranges = texts.map(rangeOf).filter((range) => range !== undefined)
  const addresses = createIpSet(ranges)
  const scalars = new Set<Value>(texts.map(bytesOf))
  for (const item of items) {
    if (typeof item === 'number' || typeof item === 'bigint') scalars.add(intOf(BigInt(item)))
    if (typeof item === 'string' && /^-?\d{1,19}$/.test(item)) scalars.add(intOf(BigInt(item)))
  }
  return { has: (value) => (typeof value === 'object' ? addresses.has(value as Ip) : scalars.has(value)) }
}

function addressList(items: Iterable<string>): KnownContents {
  const builder = new IpSetBuilder()
  for (const item of items) {
    if (addIpv4(builder, item)) continue
    const range = rangeOf(item)
    if (range !== undefined) builder.add(range)
  }
  const addresses = builder.build()
  const has = (value: Value) => typeof value === 'object' && 'words' in value && addresses.has(value)
  return { has, texts: [], integers: [], ranges: () => addresses.ranges() }
}

const QUAD = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/

/** The common items `a.b.c.d` and `a.b.c.d/n`, without creating addresses: lists are long. Any other item takes the
 *  general path. */
function addIpv4(builder: IpSetBuilder, item: string): boolean {
  const found = QUAD.exec(item)
  if (found === null) return false
  const [, a, b, c, d, length = '32'] = found
  if ([a, b, c, d].some((octet) => Number(octet) > 255 || (octet?.length !== 1 && octet?.startsWith('0')))) return false
  if (Number(length) > 32) return false
  const size = 2 ** (32 - Number(length))
  const address = ((Number(a) * 256 + Number(b)) * 256 + Number(c)) * 256 + Number(d)
  const first = address - (address % size)
  builder.addIpv4(first, first + size - 1)
  return true
}

function foldedList(items: Iterable<string>, normalise: (item: string) => string): KnownContents {
  const texts = new Set<string>()
  for (const item of items) texts.add(foldAscii(bytesOf(normalise(item))))
  const has = (value: Value) => typeof value === 'string' && texts.has(foldAscii(value))
  return { has, texts, integers: [], ranges: () => [] }
}

function plainList(items: Iterable<string>): KnownContents {
  const texts = new Set<string>()
  const integers = new Set<number | bigint>()
  for (const item of items) {
    texts.add(bytesOf(item))
    if (/^-?\d{1,19}$/.test(item)) integers.add(intOf(BigInt(item)))
  }
  const has = (value: Value) => {
    if (typeof value === 'string') return texts.has(value)
    return (typeof value === 'number' || typeof value === 'bigint') && integers.has(value)
  }
  return { has, texts, integers, ranges: () => [] }
}

/** An address, a network (host bits are cleared), or `first-last` / `first..last`. */
function rangeOf(item: string): IpRange | undefined {
  const prefix = parseCidr(item.trim())
  if (prefix !== undefined) return rangeOfCidr(prefix)
  const [first, last] = item.split(/\s*(?:-|\.\.)\s*/, 2).map((text) => parseIp(text.trim()))
  if (first === undefined || last === undefined || first.family !== last.family) return undefined
  return compareIp(first, last) <= 0 ? { first, last } : undefined
}

/** A host name in A-label form without a trailing dot. */
function hostOf(item: string): string {
  const name = item.trim().replace(/\.$/, '')
  if (!/[^\0-\x7f]/.test(name)) return name
  return URL.canParse(`http://${name}`) ? new URL(`http://${name}`).hostname : name
}
