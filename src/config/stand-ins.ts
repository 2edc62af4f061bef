// Local addresses that stand in for public ones: the ones written down, the public one itself where the machine owns it, and
// numbers out of one /16 for the rest. The same file on the same machine gives the same stand-ins at every start.

import { type Cidr, cidr } from '../net/cidr.ts'
import { fromIpv4Number, type Ip, ip } from '../net/ip.ts'

/** The third number of the address, by what it stands in for ([T11], config/lab.yaml). */
const THIRD = { dedicatedIpv4: 10, dedicatedIpv6: 16, destinationIpv4: 20, destinationIpv6: 26 } as const

export type StandInUse = keyof typeof THIRD

export interface StandIns {
  /** what stands in for everything IPv6 that is dialled over IPv6: ::1, where this machine has it */
  readonly ipv6Loopback: readonly Ip[]
  /** Keeps an address from being handed out. */
  reserve(address: Ip): void
  /** An address for this use whose last number is `wanted` (0…255), or the next one free behind it; `undefined` when
   *  all 256 are gone. */
  take(use: StandInUse, wanted: number): Ip | undefined
  /** Is every address of this public prefix its own stand-in? */
  isItself(use: 'dedicated' | 'shared', prefix: Cidr): boolean
}

/** Whether egress addresses nobody names a stand-in for are bound themselves: where the machine owns them (`auto`), dedicated ones
 *  always (`real`), or never. */
export type AddressMode = 'auto' | 'real' | 'stand-ins'

export interface StandInSettings {
  /** of stand-ins; wider ones: their first /16 */
  readonly network: Cidr
  readonly addresses: AddressMode
  readonly hasIpv6Loopback: boolean
  /** asked unless every address has a stand-in */
  readonly owns: (prefix: Cidr) => boolean
}

/** Stand-ins out of a /16. */
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

/** The part of a range of shared egress that is used: numbers 1 to `count` of it. */
export function usedPart({ base, family, length }: Cidr, count: number): Cidr {
  const bits = family === 4 ? 32 : 128
  return cidr(`${base.text}/${Math.max(length, bits - Math.ceil(Math.log2(count + 1)))}`)
}

/** The number people would look for in a public address: the last of an IPv4 address; of an IPv6 address the last group read
 *  as decimal where that makes a number up to 255 (`::20` → 20), else its low eight bits. */
export function lastNumber(address: Ip): number {
  const low = (address.words.at(-1) ?? 0) & 0xffff
  if (address.family === 4) return low & 0xff
  const asRead = Number(low.toString(16))
  return Number.isInteger(asRead) && asRead <= 255 ? asRead : low & 0xff
}
