// Which prefixes `addresses up` and `shell` make a machine's own: the public egress addresses of a configuration.

import type { LabConfig } from '../config/lab-config.ts'
import { usedPart } from '../config/stand-ins.ts'
import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { COLOS } from '../policy/colos.ts'

export interface Wish {
  /** shared egress, too */
  readonly shared: boolean
  /** addresses the lab cannot do without and does not have */
  readonly missing: readonly Ip[]
}

/** Each once, none inside another. Addresses realised by an exit elsewhere are not bound here. */
export function wantedPrefixes({ dedicatedIps, exits, sharedEgress }: LabConfig, { shared, missing }: Wish): Cidr[] {
  const elsewhere = new Set(exits.flatMap(({ realises }) => realises))
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
