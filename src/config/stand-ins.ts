// Local addresses that stand in for public ones: the configured ones, the public one itself if the machine owns it, and
// otherwise addresses of one /16. The same file on the same machine gives the same stand-ins at every start.

import { type Cidr, cidr } from '../net/cidr.ts'
import { fromIpv4Number, type Ip, ip } from '../net/ip.ts'

/** The third number of the address, by its use ([T11], config/lab.yaml). */
const THIRD = { dedicatedIpv4: 10, dedicatedIpv6: 16, destinationIpv4: 20, destinationIpv6: 26 } as const

export type StandInUse = keyof typeof THIRD

export interface StandIns {
  /** the stand-in for all IPv6 that is dialled over IPv6: ::1, if this machine has it */
  readonly ipv6Loopback: readonly Ip[]
  /** Reserves an address. */
  reserve(address: Ip): void
  /** An address for this use whose last number is `wanted` (0…255), or the next free one after it; `undefined` when
   *  all 256 are taken. */
  take(use: StandInUse, wanted: number): Ip | undefined
  /** Whether every address of this public prefix is its own stand-in. */
  isItself(use: 'dedicated' | 'shared', prefix: Cidr): boolean
}

/** Whether egress addresses without a configured stand-in are bound themselves: if the machine owns them (`auto`),
 *  for dedicated ones always (`real`), or never. */
export type AddressMode = 'auto' | 'real' | 'stand-ins'

export interface StandInSettings {
  /** the network of stand-ins; of a wider one its first /16 */
  readonly network: Cidr
  readonly addresses: AddressMode
  readonly hasIpv6Loopback: boolean
  /** not called if every address has a stand-in */
  readonly owns: (prefix: Cidr) => boolean
}

/** Creates stand-ins from a /16. */
export function createStandIns({ network, addresses, hasIpv6Loopback, owns }: StandInSettings): StandIns {
  const base = network.base.words[0] ?? 0
  const taken = new Set<string>()
  return {
    isItself: (use, prefix) =>
      addresses !== 'stand-ins' && ((use === 'dedicated' && addresses === 'real') || owns(prefix)),
    ipv6Loopback: hasIpv6Loopback ? [ip('::1')] : [],
    reserve: (address) => void taken.add(address.text),
    take(use, wanted) {
      for (let step = 0; step < 256; step++) {
        const address = fromIpv4Number(base + THIRD[use] * 256 + ((wanted + step) % 256))
        if (taken.has(address.text)) continue
        taken.add(address.text)
        return address
      }
      return undefined
    },
  }
}

/** The part of a range of shared egress that is used: addresses 1 to `count`. */
export function usedPart({ base, family, length }: Cidr, count: number): Cidr {
  const bits = family === 4 ? 32 : 128
  return cidr(`${base.text}/${Math.max(length, bits - Math.ceil(Math.log2(count + 1)))}`)
}

/** The number by which people identify a public address: the last of an IPv4 address; of an IPv6 address the last
 *  group read as decimal if that gives a number up to 255 (`::20` → 20), else its low eight bits. */
export function lastNumber(address: Ip): number {
  const low = (address.words.at(-1) ?? 0) & 0xffff
  if (address.family === 4) return low & 0xff
  const asRead = Number(low.toString(16))
  return Number.isInteger(asRead) && asRead <= 255 ? asRead : low & 0xff
}
