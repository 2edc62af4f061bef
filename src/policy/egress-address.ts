// Addresses connections leave from: the account's dedicated ones, looked up as rules write them, and the shared ones of
// each colo with their stand-ins.

import { type Cidr, containsIp, parseCidr } from '../net/cidr.ts'
import { type Family, fromIpv4Number, fromIpv6Words, type Ip, parseIp } from '../net/ip.ts'
import type { Account, DedicatedEgressIp } from './account.ts'
import { hash32 } from './balance.ts'
import type { Egress } from './decision.ts'
import type { Flow } from './flow.ts'

/** The word of [R6] for shared egress at the colo nearest the user. */
export const SHARED_FALLBACK = '0.0.0.0'

/** What connections of one user are known by, in every process: the email, else the id, else the device, else the source address. */
export function userKeyOf(flow: Flow): string {
  return flow.identity?.email || flow.identity?.id || flow.device?.id || flow.source.ip.text
}

/** The dedicated IP that owns this IPv4 address, whatever its spelling ([R5]). */
export function findDedicatedByIpv4(account: Account, text: string): DedicatedEgressIp | undefined {
  const wanted = parseIp(text)?.text
  if (wanted === undefined) return undefined
  return account.dedicatedIps.find((dedicated) => dedicated.ipv4?.address.text === wanted)
}

/** The dedicated IP that owns this IPv6 range, compared as a prefix: letter case and host bits do not matter ([R7]). */
export function findDedicatedByIpv6(account: Account, text: string): DedicatedEgressIp | undefined {
  const wanted = parseCidr(text)?.text
  if (wanted === undefined) return undefined
  return account.dedicatedIps.find((dedicated) => dedicated.ipv6?.range.text === wanted)
}

/** A name for an egress address that many people share, for counting: the dedicated IPv4 address, the dedicated IPv6 range, the
 *  shared address of a colo; `other` for one the account does not have, or no longer. `nameOfEgress` for an address alone. */
export function countedEgress({ dedicatedIps, sharedEgress }: Account, text: string): string {
  const address = parseIp(text)
  if (address === undefined) return text
  if (address.family === 6) {
    const own = dedicatedIps.find(({ ipv6 }) => ipv6 !== undefined && containsIp(ipv6.range, address))
    if (own?.ipv6 !== undefined) return own.ipv6.range.text
    return containsIp(sharedEgress.ipv6.range, address) ? address.text : 'other'
  }
  const isOwn = dedicatedIps.some(({ ipv4 }) => ipv4?.address.text === address.text)
  return isOwn || containsIp(sharedEgress.ipv4.range, address) ? address.text : 'other'
}

/** The address inside a range that is this user's, the same in every process ([E4]): the host bits are a hash of the user,
 *  never all zero (that one is the subnet-router anycast address, RFC 4291 section 2.6.1). */
export function userAddressIn(range: Cidr, userKey: string): Ip {
  const words = range.base.words.map((word, at) => {
    const free = Math.min(32, Math.max(0, 32 * (at + 1) - range.length))
    const mask = free === 32 ? 0xffffffff : (1 << free) - 1
    return (word | (hash32(userKey, at + 1) & mask)) >>> 0
  })
  const last = words.length - 1
  const allZero = words.every((word, at) => word === range.base.words[at])
  if (allZero && range.length < 128) words[last] = ((words[last] ?? 0) | 1) >>> 0
  return fromIpv6Words(words)
}

/** Shared egress of every colo, in the order of the account's colo table. */
export interface SharedAddresses {
  egressOf(coloCode: string, family: Family): Egress
}

/** Prepares the shared addresses of an account: address and stand-in number n for colo number n, counted from the first host of
 *  each range (`.1`, `::1`). A colo beyond the end of a range, or unknown, shares the range's first address. */
export function createSharedAddresses(account: Account): SharedAddresses {
  const numbers = new Map([...account.colos.keys()].map((code, at) => [code, at + 1] as const))
  const known = new Map<string, Egress>()
  return {
    egressOf(coloCode, family) {
      const key = `${coloCode}/${family}`
      const before = known.get(key)
      if (before !== undefined) return before
      const { range, standIns } = family === 4 ? account.sharedEgress.ipv4 : account.sharedEgress.ipv6
      const number = numbers.get(coloCode) ?? 1
      const egress = { family, address: hostOf(range, number), standIns: [hostOf(standIns, number)], fallback: false }
      known.set(key, Object.freeze(egress))
      return egress
    },
  }
}

/** Host number n of a range; the first one where the range has fewer. */
function hostOf(range: Cidr, number: number): Ip {
  const bits = (range.family === 4 ? 32 : 128) - range.length
  const host = bits >= 31 || number < 2 ** bits ? number : 1
  const { words } = range.base
  const last = words[words.length - 1] ?? 0
  if (range.family === 4) return fromIpv4Number(last + host)
  return fromIpv6Words([...words.slice(0, -1), (last + host) >>> 0])
}
