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
