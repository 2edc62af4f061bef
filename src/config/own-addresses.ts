// The addresses this machine owns according to its kernel: those of interfaces, and on Linux local routes, which make
// whole prefixes local (`ip route add local …`). Reads only; binds and changes nothing.

import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { type Cidr, containsIp, parseCidr } from '../net/cidr.ts'

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

/** The prefixes this machine owns now. */
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
