// What the lab's APIs answer, as far as the console reads it. The names are the APIs' own.

/** longitude, latitude */
export type Position = readonly [number, number]

export const OUTCOMES = ['dedicated', 'dedicated-fallback', 'balanced', 'default', 'exempt', 'unroutable'] as const
export type Outcome = (typeof OUTCOMES)[number]

export interface Row {
  readonly id: string
  open: boolean
  readonly at: number
  readonly user: string
  readonly vnet: string
  readonly listener: string
  readonly protocol: string
  readonly target: string
  readonly origin: string
  readonly egress: string
  /** '' where it failed before a decision */
  readonly outcome: Outcome | ''
  readonly rule: string
  readonly rule_id: string
  readonly reason: string
  readonly ingress: string
  readonly physical: string
  readonly logical: string
  readonly logical_at: Position | null
  readonly user_place: string
  readonly user_at: Position | null
  readonly destination_at: Position | null
  readonly received: number
  readonly sent: number
  readonly ms: number
  readonly close: string
  readonly error: { readonly code: string; readonly message: string } | null
}

export interface Load {
  readonly open: number
  readonly by_colo: Readonly<Record<string, number>>
}

export interface Beat {
  readonly time: number
  readonly opened: readonly Row[]
  readonly finished: readonly Row[]
  readonly skipped: number
}

export interface Now {
  readonly time: number
  readonly open: readonly Row[]
  readonly finished: readonly Row[]
  readonly load: Load
}

export interface Colo {
  readonly code: string
  readonly city: string
  readonly country: string
  readonly latitude: number
  readonly longitude: number
  readonly up: boolean
  readonly dedicated_ips: readonly { readonly ipv4: string | null; readonly ipv6: string | null }[]
}

export interface Place {
  readonly city?: string
  readonly country?: string
  readonly latitude: number
  readonly longitude: number
}

export interface Account {
  readonly id: string
  readonly name: string
  readonly colos_down: readonly string[]
  readonly dedicated_ips: readonly {
    readonly colo: string
    readonly ipv4: string | null
    readonly ipv6: string | null
    readonly geolocation: Place
    readonly geolocation_updated_at: string | null
  }[]
  readonly settings: Readonly<Record<string, unknown>>
}

export interface Network {
  readonly id: string
  readonly name: string
  readonly comment?: string
}

export interface Person {
  readonly email: string
  readonly name: string
  readonly groups: readonly string[]
  readonly place?: Partial<Place>
  readonly virtual_network: Network & { readonly chosen: boolean }
}

export interface Clock {
  readonly time: string
  readonly offset_seconds: number
}

export interface Health {
  readonly healthy: boolean
  readonly troubles: readonly string[]
  readonly version: string
  readonly revision: number
  readonly time: string
  readonly rules_from: 'file' | 'api'
}

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

export interface PartTrace {
  readonly text: string
  readonly span: readonly [number, number]
  readonly result: boolean
  readonly value: Json
  readonly field: string | null
  readonly decisive: boolean
}

export interface RuleTrace {
  readonly id: string
  readonly rule: string
  readonly precedence: number
  readonly matched: boolean
  readonly skipped: string | null
  readonly expressions: Readonly<Record<string, { readonly result: boolean; readonly parts: readonly PartTrace[] }>>
}

export interface PlanStep {
  readonly from: 'primary' | 'fallback' | 'range' | 'balanced' | 'shared'
  readonly written: string
  readonly colo?: string
  readonly verdict: 'used' | 'colo-down' | 'not-owned' | 'not-set' | 'not-needed'
}

export interface ExplainedDecision {
  readonly outcome: Outcome
  readonly rule: { readonly id: string; readonly name: string; readonly precedence: number } | null
  readonly reason: string
  readonly egress: {
    readonly ipv4?: string
    readonly ipv6?: string
    readonly fallback: boolean
    readonly bind: string
  } | null
  readonly ingress_colo: string
  readonly physical_colo: string | null
  readonly logical: { readonly colo: string; readonly city: string | null; readonly country: string | null } | null
}

export interface Explanation {
  readonly flow: Readonly<Record<string, Json>>
  readonly decision: ExplainedDecision
  readonly trace: readonly RuleTrace[]
  readonly near_misses: readonly {
    readonly id: string
    readonly rule: string
    readonly precedence: number
    readonly expression: string
    readonly parts: readonly { readonly text: string; readonly field: string | null; readonly value: Json }[]
  }[]
  readonly plan: readonly PlanStep[]
  readonly further_addresses?: readonly Explanation[]
}

export interface SessionDetail {
  readonly row: Row
  readonly record: Readonly<Record<string, Json>> | null
  readonly policy: { readonly revision: number; readonly current: boolean } | null
  readonly explanation: Explanation | null
  readonly policy_test: { readonly [key: string]: Json } | null
}

export interface EgressSettings {
  readonly ipv4?: string
  readonly ipv4_fallback?: string
  readonly ipv6?: string
}

export interface Rule {
  readonly id: string
  readonly name: string
  readonly description: string
  readonly precedence: number
  readonly enabled: boolean
  readonly action: string
  readonly filters: readonly string[]
  readonly traffic: string
  readonly identity: string
  readonly device_posture: string
  readonly rule_settings: { readonly egress?: EgressSettings | null } | null
  readonly schedule: Json
  readonly expiration: Json
  readonly version: number
}

export interface Problem {
  readonly severity: 'error' | 'warning' | 'advice'
  readonly code: string
  readonly message: string
  readonly why?: string | null
  readonly hint: string | null
  readonly field: string | null
  readonly span: readonly [number, number] | null
}

export interface Check extends Problem {
  readonly rule: string | null
}

export interface RuleCount {
  readonly rule: string
  readonly sessions: number
  readonly last_used: string | null
}

export interface ReplayOutcome {
  readonly outcome: Outcome
  readonly egress: string | null
  readonly rule: string | null
  readonly physical: string | null
}

export interface Preview {
  readonly problems: readonly Problem[]
  readonly replay: {
    readonly sessions: number
    readonly changed: number
    readonly changes: readonly {
      readonly id: string
      readonly user: string
      readonly target: string
      readonly before: ReplayOutcome
      readonly after: ReplayOutcome
    }[]
  } | null
}

export interface Verification {
  readonly user: string
  readonly dedicated: boolean
  readonly answers: readonly {
    readonly family: 4 | 6
    readonly asked: string
    readonly seen: string
    readonly dedicated: boolean
    readonly colo: string | null
    readonly problem: string | null
  }[]
}

export interface Origin {
  readonly name: string
  readonly kind: string
  readonly title: string
  readonly addresses: readonly string[]
  readonly proxied_by_cloudflare: boolean
  readonly place?: Place
  readonly allow: readonly string[] | null
  readonly visitors: readonly {
    readonly user: string
    readonly vnet: string
    readonly outcome: Outcome | ''
    readonly rule: string | null
    readonly egress: string | null
    readonly let_in: boolean
    readonly reason: string
  }[]
}

export interface Geolocation {
  readonly colo: string
  readonly ipv4: string | null
  readonly ipv6: string | null
  readonly place: { readonly city: string | null; readonly country: string | null }
  readonly seen: { readonly city: string | null; readonly country: string | null }
  readonly caught_up: boolean
  readonly updated_at: string | null
}

export interface Me {
  readonly email: string
  readonly name: string
  readonly place: Partial<Place> | null
  readonly virtual_network: Network & { readonly chosen: boolean }
  readonly virtual_networks: readonly (Network & { readonly is_default: boolean })[]
}
