// A network prefix as a value.

import { type Family, fromIpv4Number, fromIpv6Words, type Ip, parseIp } from './ip.ts'

/** A prefix: `base` has its host bits cleared; `length` is 0…32 (IPv4) or 0…128 (IPv6). */
export interface Cidr {
  readonly family: Family
  readonly base: Ip
  readonly length: number
  readonly text: string
}

/** Parses `address/length`, or a bare address as a host prefix. Host bits may be set; they are cleared in `base`
 *  (rules keep the text as written, [R7]). Returns `undefined` for any other text. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.lastIndexOf('/')
  const address = parseIp(slash < 0 ? text : text.slice(0, slash))
  if (address === undefined) return undefined
  const bits = address.family === 4 ? 32 : 128
  const digits = slash < 0 ? String(bits) : text.slice(slash + 1)
  if (!/^\d{1,3}$/.test(digits)) return undefined
  const length = Number(digits)
  if (length > bits) return undefined
  const base = maskIp(address, length)
  return Object.freeze({ family: address.family, base, length, text: `${base.text}/${length}` })
}

/** Like {@link parseCidr}, for text known to be a prefix. Throws RangeError for any other. */
export function cidr(text: string): Cidr {
  const parsed = parseCidr(text)
  if (parsed === undefined) throw new RangeError(`\`${text}\` is not an address prefix`)
  return parsed
}

/** Whether the prefix contains the address. Never for an address of the other family. */
export function containsIp(prefix: Cidr, address: Ip): boolean {
  if (prefix.family !== address.family) return false
  for (let at = 0; at < prefix.base.words.length; at++) {
    const mask = wordMask(prefix.length - 32 * at)
    if ((((address.words[at] ?? 0) ^ (prefix.base.words[at] ?? 0)) & mask) !== 0) return false
  }
  return true
}

/** As people write it: a single address without its length. */
export function rangeText({ family, base, length, text }: Cidr): string {
  return length === (family === 4 ? 32 : 128) ? base.text : text
}

/** The address with all bits after the first `length` cleared. */
export function maskIp(address: Ip, length: number): Ip {
  const words = address.words.map((word, at) => (word & wordMask(length - 32 * at)) >>> 0)
  return address.family === 4 ? fromIpv4Number(words[0] ?? 0) : fromIpv6Words(words)
}

function wordMask(bits: number): number {
  if (bits <= 0) return 0
  return bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0
}
