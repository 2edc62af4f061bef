// The addresses of a range that placeholders are taken from, by number: 1 is the first address after the range's own.

import type { Cidr } from '../net/cidr.ts'
import { fromIpv4Number, fromIpv6Words, type Ip } from '../net/ip.ts'

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
