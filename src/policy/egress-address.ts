// The addresses connections leave from: the account's dedicated ones, looked up as rules write them, and the shared
// ones of each colo with their stand-ins.

import { type Cidr, containsIp, parseCidr } from '../net/cidr.ts'
import { type Family, fromIpv4Number, fromIpv6Words, type Ip, parseIp } from '../net/ip.ts'
import type { Account, DedicatedEgressIp } from './account.ts'
import { hash32 } from './balance.ts'
import type { Egress } from './decision.ts'
import type { Flow } from './flow.ts'

/** The fallback that stands for shared egress at the colo nearest the user ([R6]). */
export const SHARED_FALLBACK = '0.0.0.0'

/** A stable name of the flow's user ([B4]), the same in every process: the email, else the id, else the device id,
 *  else the source address. */
export function userKeyOf(flow: Flow): string {
  return flow.identity?.email || flow.identity?.id || flow.device?.id || flow.source.ip.text
}

/** The dedicated IP that owns this IPv4 address, in any spelling ([R5]); undefined for other addresses and for text
 *  that is none. */
export function findDedicatedByIpv4(account: Account, text: string): DedicatedEgressIp | undefined {
  const wanted = parseIp(text)?.text
  if (wanted === undefined) return undefined
  return account.dedicatedIps.find((dedicated) => dedicated.ipv4?.address.text === wanted)
}

/** The dedicated IP that owns this IPv6 range, compared as a prefix: letter case and host bits do not matter ([R7]).
 *  Undefined when the account does not own it. */
export function findDedicatedByIpv6(account: Account, text: string): DedicatedEgressIp | undefined {
  const wanted = parseCidr(text)?.text
  if (wanted === undefined) return undefined
  return account.dedicatedIps.find((dedicated) => dedicated.ipv6?.range.text === wanted)
}

/** The label under which an egress address is counted, few enough for a metric: the dedicated IPv4 address, the
 *  dedicated IPv6 range, the colo's shared address, or `other` for one the account does not have (any more). For a
 *  single address use {@link nameOfEgress}. */
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

/** This user's address inside a range, the same in every process ([E4]): the host bits are a hash of the user key,
 *  never all zero (the subnet-router anycast address, RFC 4291 section 2.6.1). */
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

/** Shared egress of each colo, in the order of the account's colo table. */
export interface SharedAddresses {
  egressOf(coloCode: string, family: Family): Egress
}

/** Prepares the shared addresses of an account: colo number n gets address n and stand-in n, counted from the first
 *  host of each range (`.1`, `::1`). A colo beyond the end of a range, or unknown, gets the range's first address. */
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

/** Host number n of a range; the first host if the range has fewer. */
function hostOf(range: Cidr, number: number): Ip {
  const bits = (range.family === 4 ? 32 : 128) - range.length
  const host = bits >= 31 || number < 2 ** bits ? number : 1
  const { words } = range.base
  const last = words[words.length - 1] ?? 0
  if (range.family === 4) return fromIpv4Number(last + host)
  return fromIpv6Words([...words.slice(0, -1), (last + host) >>> 0])
}
