// What was decided for one flow, with the reason in words ([E1], [E5]).

import type { Family, Ip } from '../net/ip.ts'
import type { DedicatedEgressIp } from './account.ts'
import type { Colo, Place } from './place.ts'
import type { Rule } from './rule.ts'

/** [E1] */
export const OUTCOMES = ['dedicated', 'dedicated-fallback', 'balanced', 'default', 'exempt', 'unroutable'] as const
export type DecisionOutcome = (typeof OUTCOMES)[number]

export type ExemptReason =
  | { readonly kind: 'private-route'; readonly routeId: string; readonly tunnelId: string }
  | { readonly kind: 'hostname-route'; readonly routeId: string; readonly tunnelId: string }
  | { readonly kind: 'gateway-dns' }
  | { readonly kind: 'proxying-off'; readonly transport: 'tcp' | 'udp' }

/** The source address a connection leaves from. `address` is what the world is told; one of `standIns` (or `address` itself
 *  where it is local) is what gets bound. */
export interface Egress {
  readonly family: Family
  readonly address: Ip
  readonly standIns: readonly Ip[]
  /** absent: shared egress */
  readonly dedicated?: DedicatedEgressIp
  readonly fallback: boolean
}

export interface Decision {
  readonly outcome: DecisionOutcome
  /** the rule that decided; null where none did */
  readonly rule: Rule | null
  readonly reason: string
  readonly exempt?: ExemptReason
  /** null exactly when `unroutable` */
  readonly egress: Egress | null
  readonly ingressColo: Colo
  readonly physicalColo: Colo | null
  /** what geo databases will say of the egress address */
  readonly logical: { readonly colo: Colo; readonly place: Place } | null
}

/** The address as the account has it: the IPv4 address, the IPv6 range a user's own address lies in, or the shared address. */
export function nameOfEgress({ family, dedicated, address }: Pick<Egress, 'family' | 'dedicated' | 'address'>): string {
  return (family === 6 ? dedicated?.ipv6?.range.text : undefined) ?? address.text
}
