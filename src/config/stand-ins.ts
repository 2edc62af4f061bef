// Local addresses that stand in for public ones: the configured ones, the public one itself if the machine owns it, and
// otherwise addresses of one /16. The same file on the same machine gives the same stand-ins at every start. What the machine
// owns its kernel says: interfaces, and on Linux local routes, which make whole prefixes local (`ip route add local …`).
// Reads only; binds and changes nothing.

import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { type Cidr, cidr, containsIp, parseCidr } from '../net/cidr.ts'
import { fromIpv4Number, type Ip, ip } from '../net/ip.ts'

/** The third number of the address, by its use ([T11], config/lab.yaml). */
const THIRD = { dedicatedIpv4: 10, dedicatedIpv6: 16, destinationIpv4: 20, destinationIpv6: 26 } as const
/** The third numbers behind the first 256 addresses of a use: so many from here on. */
const FURTHER = { dedicatedIpv4: 64, dedicatedIpv6: 112, destinationIpv4: 160, destinationIpv6: 208 } as const
const FURTHER_THIRDS = 47
/** How many stand-ins one use can have. */
export const MOST_STAND_INS: number = 256 * (1 + FURTHER_THIRDS)

export type StandInUse = keyof typeof THIRD

export interface StandIns {
  /** the stand-in for all IPv6 that is dialled over IPv6: ::1, if this machine has it */
  readonly ipv6Loopback: readonly Ip[]
  /** Reserves an address. */
  reserve(address: Ip): void
  /** An address for this use whose last number is `wanted` (0…255), or the next free one after it; `undefined` when
   *  all {@link MOST_STAND_INS} are taken. */
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

/** Creates stand-ins from a /16 (docs/addresses.md). */
export function createStandIns({ network, addresses, hasIpv6Loopback, owns }: StandInSettings): StandIns {
  const base = network.base.words[0] ?? 0
  const taken = new Set<string>()
  /** how many further addresses of each use have been looked at; those are taken */
  const passed = new Map<StandInUse, number>()
  const takeAt = (third: number, last: number): Ip | undefined => {
    const address = fromIpv4Number(base + third * 256 + last)
    if (taken.has(address.text)) return undefined
    taken.add(address.text)
    return address
  }
  return {
    isItself: (use, prefix) =>
      addresses !== 'stand-ins' && ((use === 'dedicated' && addresses === 'real') || owns(prefix)),
    ipv6Loopback: hasIpv6Loopback ? [ip('::1')] : [],
    reserve: (address) => void taken.add(address.text),
    take(use, wanted) {
      for (let step = 0; step < 256; step++) {
        const address = takeAt(THIRD[use], (wanted + step) % 256)
        if (address !== undefined) return address
      }
      for (let at = passed.get(use) ?? 0; at < FURTHER_THIRDS * 256; at++) {
        passed.set(use, at + 1)
        const address = takeAt(FURTHER[use] + (at >> 8), at & 255)
        if (address !== undefined) return address
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

export interface OwnPrefix {
  readonly prefix: Cidr
  /** if the kernel names one */
  readonly interface?: string
  /** why the prefix is local */
  readonly by: 'address' | 'route'
}

export interface OwnAddresses {
  readonly prefixes: readonly OwnPrefix[]
  /** `net.ipv6.ip_nonlocal_bind`: without it Linux binds only single IPv6 addresses, whatever its routes; undefined:
   *  the system has no such switch */
  readonly ipv6NonlocalBind: boolean | undefined
}

const NONLOCAL_BIND = '/proc/sys/net/ipv6/ip_nonlocal_bind'

/** The prefixes this machine owns now (`/proc/net/fib_trie`, `/proc/net/ipv6_route`, interfaces). */
export function readOwnAddresses(): OwnAddresses {
  const nonlocal = textOf(NONLOCAL_BIND)
  return {
    prefixes: [
      ...interfaceAddresses(),
      ...localIpv4Routes(textOf('/proc/net/fib_trie') ?? ''),
      ...localIpv6Routes(textOf('/proc/net/ipv6_route') ?? ''),
    ],
    ipv6NonlocalBind: nonlocal === undefined ? undefined : nonlocal.trim() === '1',
  }
}

/** The most specific prefix of this machine that contains this one. Interface addresses before routes. */
export function ownPrefixOf({ prefixes }: OwnAddresses, wanted: Cidr): OwnPrefix | undefined {
  return prefixes
    .filter(({ prefix }) => prefix.length <= wanted.length && containsIp(prefix, wanted.base))
    .reduce<OwnPrefix | undefined>(
      (best, one) => (best === undefined || one.prefix.length > best.prefix.length ? one : best),
      undefined,
    )
}

/** Whether every address of the prefix can be bound. */
export function isOwn(own: OwnAddresses, wanted: Cidr): boolean {
  const found = ownPrefixOf(own, wanted)
  if (found === undefined) return false
  return wanted.family === 4 || found.by === 'address' || own.ipv6NonlocalBind === true
}

function interfaceAddresses(): OwnPrefix[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.flatMap(({ address, family }) => {
      const prefix = parseCidr(`${address.replace(/%.*$/, '')}/${family === 'IPv4' ? 32 : 128}`)
      return prefix === undefined ? [] : [{ prefix, interface: name, by: 'address' as const }]
    }),
  )
}

/** Local leaves of the kernel's routing trie: an address on one line, its lengths and scopes below it. */
function localIpv4Routes(trie: string): OwnPrefix[] {
  const found = new Map<string, OwnPrefix>()
  let leaf = ''
  for (const line of trie.split('\n')) {
    leaf = /^ *\|-- (\S+)/.exec(line)?.[1] ?? leaf
    const length = /^ *\/(\d+) \S+ LOCAL/.exec(line)?.[1]
    const prefix = length === undefined ? undefined : parseCidr(`${leaf}/${length}`)
    if (prefix !== undefined) found.set(prefix.text, { prefix, by: 'route' })
  }
  return [...found.values()]
}

/** RTF_LOCAL of linux/ipv6_route.h. */
const LOCAL_FLAG = 0x8000_0000

/** Rows: destination and its length in hexadecimal, eight columns later the interface. */
function localIpv6Routes(table: string): OwnPrefix[] {
  return table.split('\n').flatMap((line) => {
    const [base = '', length = '', , , , , , , flags = '', device] = line.trim().split(/\s+/)
    if (device === undefined || (Number.parseInt(flags, 16) & LOCAL_FLAG) === 0) return []
    const groups = base.match(/.{4}/g)?.join(':')
    const prefix = parseCidr(`${groups}/${Number.parseInt(length, 16)}`)
    return prefix === undefined ? [] : [{ prefix, interface: device, by: 'route' as const }]
  })
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
