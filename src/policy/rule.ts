// A Gateway rule as its author wrote it ([R1]), with our names; api/ translates Cloudflare's.

import type { RuleId } from './ids.ts'

/** Egress settings of a rule: addresses as written ([R7]). `null` settings on a rule mean default shared egress
 *  ([R4]). */
export interface EgressSettings {
  readonly ipv4: string
  /** another dedicated IPv4, `0.0.0.0` for shared egress, or null for none ([R6]) */
  readonly ipv4Fallback: string | null
  readonly ipv6: string
}

export interface Rule {
  readonly id: RuleId
  readonly name: string
  readonly description: string
  readonly enabled: boolean
  /** integer ≥ 0, unique over all rule kinds of the account ([R3]) */
  readonly precedence: number
  /** `egress` for the rules this project evaluates; anything else is kept and never evaluated ([R9]) */
  readonly action: string
  readonly filters: readonly string[]
  /** expressions as given; the empty string is true ([R1]) */
  readonly traffic: string
  readonly identity: string
  readonly devicePosture: string
  readonly egress: EgressSettings | null
}

/** The three expression slots of a rule, in the order they are shown. */
export const EXPRESSION_SLOTS = ['traffic', 'identity', 'devicePosture'] as const
export type ExpressionSlot = (typeof EXPRESSION_SLOTS)[number]
