// The decision on one flow, with its reason in words ([E1], [E5]).

import type { Family, Ip } from '../net/ip.ts'
import type { DedicatedEgressIp } from './account.ts'
import type { Colo, Place } from './place.ts'
import type { Rule } from './rule.ts'

/** [E1] */
export const OUTCOMES = ['dedicated', 'dedicated-fallback', 'balanced', 'default', 'exempt', 'unroutable'] as const
export type DecisionOutcome = (typeof OUTCOMES)[number]

/** Why egress rules do not apply to a flow ([E1]). */
export type ExemptReason =
  | { readonly kind: 'private-route'; readonly routeId: string; readonly tunnelId: string }
  | { readonly kind: 'hostname-route'; readonly routeId: string; readonly tunnelId: string }
  | { readonly kind: 'gateway-dns' }
  | { readonly kind: 'proxying-off'; readonly transport: 'tcp' | 'udp' }

/** The source address a connection leaves from. `address` is the public one; one of `standIns` (or `address` itself
 *  where it is local) is bound. */
export interface Egress {
  readonly family: Family
  readonly address: Ip
  readonly standIns: readonly Ip[]
  /** absent for shared egress */
  readonly dedicated?: DedicatedEgressIp
  readonly fallback: boolean
}

export interface Decision {
  readonly outcome: DecisionOutcome
  /** the rule that decided; null when none did */
  readonly rule: Rule | null
  readonly reason: string
  readonly exempt?: ExemptReason
  /** null exactly when `unroutable` */
  readonly egress: Egress | null
  readonly ingressColo: Colo
  readonly physicalColo: Colo | null
  /** where geo databases place the egress address */
  readonly logical: { readonly colo: Colo; readonly place: Place } | null
}

/** The address as the account lists it: the IPv4 address, the IPv6 range that contains a user's address, or the
 *  shared address. */
export function nameOfEgress({ family, dedicated, address }: Pick<Egress, 'family' | 'dedicated' | 'address'>): string {
  return (family === 6 ? dedicated?.ipv6?.range.text : undefined) ?? address.text
}
