// Every local address the lab binds on a configuration, and what for: the preflight and `addresses check` use this list.

import type { LabConfig } from '../config/lab-config.ts'
import { usedPart } from '../config/stand-ins.ts'
import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import { type Ip, ip } from '../net/ip.ts'
import type { Account } from '../policy/account.ts'
import { createSharedAddresses, userAddressIn } from '../policy/egress-address.ts'
import { COLOS } from '../policy/place.ts'
import type { SocketBinding } from '../transport/engine.ts'

/** Addresses of one purpose; those of shared egress come together, one for each data center. */
export interface NeededAddresses {
  readonly use: 'dedicated' | 'shared' | 'origin'
  /** as people know what is bound: an address, a prefix, the first and the last of several */
  readonly binds: string
  /** what to try: every address that is bound, or two of a whole prefix */
  readonly addresses: readonly Ip[]
  /** how they are bound, where that is configured */
  readonly binding?: SocketBinding
  /** the public address or prefix, as people know it */
  readonly public: string
  /** colo, or the origin's host name; '' for shared egress */
  readonly where: string
}

/** In the order of the configuration: dedicated IPs, shared egress, test origins. */
export function neededAddresses(config: LabConfig, account: Account): NeededAddresses[] {
  const byPublic = new Map(config.bindings?.flatMap(({ of, binding }) => of.map((text) => [text, binding] as const)))
  const bound = (item: NeededAddresses): NeededAddresses => {
    const binding = byPublic.get(item.use === 'shared' ? 'shared' : item.public)
    return binding === undefined || item.use === 'origin' ? item : { ...item, binding }
  }
  return [...dedicated(config), ...shared(account), ...origins(config)].map(bound)
}

function dedicated({ dedicatedIps }: LabConfig): NeededAddresses[] {
  return dedicatedIps.flatMap(({ colo, ipv4, ipv6 }) => {
    const found: NeededAddresses[] = []
    const add = (publicText: string, addresses: readonly Ip[]) => {
      for (const address of addresses) {
        const binds = address.text
        found.push({ use: 'dedicated', binds, addresses: [address], public: publicText, where: colo })
      }
    }
    if (ipv4 !== undefined) add(ipv4.address.text, ipv4.standIns.length > 0 ? ipv4.standIns : [ipv4.address])
    if (ipv6 !== undefined) {
      if (ipv6.isItself === true) found.push(wholeRange(ipv6.range, colo))
      add(ipv6.range.text, ipv6.standIns)
    }
    return found
  })
}

/** A range that is bound itself: a user's address in it, and `::1`, which people would look for. */
export function wholeRange(range: Cidr, where: string): NeededAddresses {
  const first = ip(range.text.replace(/::\/.*$/, '::1').replace(/\/.*$/, ''))
  const addresses = [first, userAddressIn(range, 'trial')]
  return { use: 'dedicated', binds: range.text, addresses, public: range.text, where }
}

function shared(account: Account): NeededAddresses[] {
  const shared = createSharedAddresses(account)
  return ([4, 6] as const).map((family) => {
    const addresses = [...account.colos.keys()].flatMap((code) => shared.egressOf(code, family).standIns)
    return {
      use: 'shared',
      binds: `${addresses[0]?.text} … ${addresses.at(-1)?.text}`,
      addresses,
      public: account.sharedEgress[family === 4 ? 'ipv4' : 'ipv6'].range.text,
      where: '',
    }
  })
}

function origins({ destinations, origins: specs }: LabConfig): NeededAddresses[] {
  const names = new Set(specs.map(({ name }) => name))
  return destinations.flatMap(({ name, addresses }) => {
    if (name === undefined || !names.has(name)) return []
    return addresses.map((address) => ({
      use: 'origin' as const,
      binds: address.standIn.text,
      addresses: [address.standIn],
      public: address.public.text,
      where: name,
    }))
  })
}

export interface WantedPrefix {
  /** shared egress, too */
  readonly shared: boolean
  /** addresses the lab cannot do without and does not have */
  readonly missing: readonly Ip[]
}

/** Each once, none inside another. Addresses realised by an exit elsewhere are not bound here, and
 *  those bound by `freebind` or `transparent` need not be this machine's. */
export function wantedPrefixes(
  { dedicatedIps, exits, sharedEgress, bindings = [] }: LabConfig,
  { shared, missing }: WantedPrefix,
): Cidr[] {
  const nonlocal = bindings.filter(
    ({ binding: { freebind, transparent } }) => freebind === true || transparent === true,
  )
  const elsewhere = new Set([...exits.flatMap(({ realises }) => realises), ...nonlocal.flatMap(({ of }) => of)])
  const dedicated = dedicatedIps.flatMap(({ ipv4, ipv6 }) => [
    ...(ipv4 === undefined || elsewhere.has(ipv4.address.text) ? [] : [cidr(ipv4.address.text)]),
    ...(ipv6 === undefined || elsewhere.has(ipv6.range.text) ? [] : [ipv6.range]),
  ])
  const ranges = shared ? [sharedEgress.ipv4.range, sharedEgress.ipv6.range] : []
  const all = [
    ...dedicated,
    ...ranges.map((range) => usedPart(range, COLOS.size)),
    ...missing.map(({ text }) => cidr(text)),
  ]
  const distinct = [...new Map(all.map((prefix) => [prefix.text, prefix])).values()]
  return distinct.filter((one) => !distinct.some((other) => other !== one && isInside(one, other)))
}

function isInside(inner: Cidr, outer: Cidr): boolean {
  return inner.length >= outer.length && containsIp(outer, inner.base)
}
