// The configuration as written, after its shape was checked and defaults were filled in (config/lab.schema.json). Keys
// are the file's own; used in config/ only.

import type { RawInvariant } from './read-invariants.ts'

export interface RawConfig {
  readonly account: {
    readonly name: string
    readonly id?: string
    readonly home_country: string
    readonly home_colo: string
  }
  readonly settings: RawSettings
  readonly colos_down: readonly string[]
  readonly addresses: 'auto' | 'real' | 'stand-ins'
  readonly stand_ins: { readonly network: string }
  readonly dedicated_ips: readonly RawDedicatedIp[]
  readonly shared_egress: Readonly<Record<'ipv4' | 'ipv6', { readonly range: string; readonly stand_ins: string }>> & {
    readonly exit?: RawExit
  }
  readonly virtual_networks: readonly (RawNamed & { readonly comment: string; readonly default: boolean })[]
  readonly tunnels: readonly RawTunnel[]
  readonly private_routes: readonly RawPrivateRoute[]
  readonly hostname_routes: readonly RawHostnameRoute[]
  readonly lists: readonly (RawNamed & { readonly type: string; readonly items: readonly string[] })[]
  readonly rules: readonly RawRule[]
  readonly rules_file?: string
  readonly invariants: readonly RawInvariant[]
  readonly policy: { readonly source: 'api' | 'file' }
  readonly groups?: readonly (RawNamed & { readonly email: string })[]
  readonly users: readonly RawUser[]
  readonly identity_providers: readonly RawIdentityProvider[]
  readonly posture_checks: readonly RawNamed[]
  readonly devices: readonly RawDevice[]
  readonly sources: readonly RawSource[]
  readonly listeners: readonly RawListener[]
  readonly destinations: readonly RawDestination[]
  readonly categories: readonly RawCategory[]
  readonly geo: { readonly databases: readonly string[]; readonly proxied_by_cloudflare: readonly string[] }
  readonly guard: {
    readonly profile: 'lab' | 'strict'
    readonly allow: readonly string[]
    readonly deny: readonly string[]
  }
  readonly timeouts: Readonly<
    Record<'connect' | 'idle' | 'handshake' | 'drain' | 'response' | 'keep_alive' | 'body_idle', string>
  >
  readonly dns?: RawDns
  readonly distance: { readonly enabled: boolean; readonly ms_per_1000_km: number }
  readonly udp: {
    readonly enabled: boolean
    readonly idle: string
    readonly max_destinations: number
    readonly packets_per_second: number
    readonly bytes_per_second: string
  }
  readonly workers: number
  readonly engine: 'auto' | 'linux' | 'node'
  readonly limits: { readonly max_clients: number; readonly max_head_size: string }
  readonly api: { readonly host: string; readonly port: number; readonly names: readonly string[] }
  readonly log: { readonly max_size: string; readonly keep: number }
}

export interface RawNamed {
  readonly name: string
  readonly id?: string
}

export interface RawDns {
  readonly listen: readonly string[]
  readonly clients: readonly string[]
  readonly upstream?: readonly string[]
}

export interface RawSettings {
  readonly tcp_proxying: boolean
  readonly udp_proxying: boolean
  readonly host_selector: boolean
  readonly no_rule_matched: 'balanced' | 'default'
  readonly expressions: 'default' | 'lenient'
  readonly balance_tolerance: { readonly percent: number; readonly km: number }
  readonly max_connections_per_destination: number
}

/** A data center's code, or coordinates. */
export type RawPlace =
  | string
  | {
      readonly city?: string
      readonly country?: string
      readonly continent?: string
      readonly latitude: number
      readonly longitude: number
    }

export interface RawDedicatedIp {
  readonly colo: string
  readonly ipv4?: string
  readonly ipv6?: string
  readonly stand_ins?: { readonly ipv4?: string | readonly string[]; readonly ipv6?: string | readonly string[] }
  readonly geolocation?: RawPlace
  readonly geolocation_updated_at?: string
  readonly exit?: RawExit
}

export interface RawExit {
  readonly socks5?: string
  readonly http?: string
  readonly username?: string
  readonly password?: string
}

export interface RawTunnel extends RawNamed {
  readonly networks: readonly {
    readonly network: string
    readonly stand_in: string
    readonly ports?: Readonly<Record<string, number>>
  }[]
  readonly hosts: readonly { readonly name: string; readonly addresses: readonly string[] }[]
  readonly upstream?: RawExit
}

export interface RawPrivateRoute {
  readonly network: string
  readonly virtual_network?: string
  readonly tunnel: string
  readonly id?: string
  readonly comment: string
}

export interface RawHostnameRoute {
  readonly hostname: string
  readonly tunnel: string
  readonly id?: string
  readonly comment: string
}

export interface RawRule extends RawNamed {
  readonly description: string
  readonly enabled: boolean
  readonly precedence?: number
  readonly action: string
  readonly filters: readonly string[]
  readonly traffic: string
  readonly identity: string
  readonly device_posture: string
  readonly egress: { readonly ipv4: string; readonly ipv4_fallback: string | null; readonly ipv6?: string } | null
}

export interface RawUser {
  readonly email: string
  readonly name?: string
  readonly id?: string
  readonly password?: string
  readonly password_hash?: string
  readonly groups: readonly string[]
  readonly saml_attributes: Readonly<Record<string, string | readonly string[]>>
  readonly place?: RawPlace
  readonly device?: string
  readonly virtual_network?: string
}

export interface RawIdentityProvider {
  readonly name: string
  readonly issuer: string
  readonly audience: string | readonly string[]
  readonly jwks_url?: string
  readonly jwks_file?: string
  readonly algorithms: readonly string[]
  readonly clock_skew: string
  readonly claims: Readonly<Record<'email' | 'id' | 'name' | 'groups' | 'saml_attributes', string | readonly string[]>>
}

export interface RawDevice extends RawNamed {
  readonly user?: string
  readonly source_ip?: string
  readonly internal_source_ip?: string
  readonly place?: RawPlace
  readonly posture: { readonly passed: readonly string[]; readonly failed: readonly string[] }
}

export interface RawSource {
  readonly network: string
  readonly user?: string
  readonly device?: string
  readonly virtual_network?: string
}

export interface RawListener {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly authentication?: 'required' | 'optional' | 'anonymous'
  readonly user?: string
  readonly virtual_network?: string
  readonly family?: 4 | 6
  readonly endpoint?: {
    readonly kind: 'ip' | 'identity'
    readonly name?: string
    readonly subdomain?: string
    readonly networks: readonly string[]
    readonly sign_in?: 'page'
  }
  /** certificate and key are given together or not at all */
  readonly tls?:
    | boolean
    | { readonly certificate?: string; readonly key?: string; readonly alpn?: readonly ('h2' | 'http/1.1')[] }
  readonly client_ca?: string
  readonly revoked_certificates: readonly string[]
  readonly proxy_protocol?: { readonly from: readonly string[] }
}

export interface RawDestination {
  readonly name?: string
  readonly addresses: readonly (
    | string
    | { readonly public: string; readonly stand_in?: string; readonly ports?: Readonly<Record<string, number>> }
  )[]
  readonly ports?: Readonly<Record<string, number>>
  readonly origin?:
    | OriginKind
    | { readonly kind: OriginKind; readonly allow: readonly string[]; readonly title?: string }
  readonly place?: RawPlace
  readonly proxied_by_cloudflare: boolean
  readonly proxy_protocol?: 'v2'
}

export type OriginKind = 'echo' | 'saas' | 'search' | 'site' | 'udp-echo'

export interface RawCategory {
  readonly host?: string
  readonly network?: string
  readonly content_categories: readonly number[]
  readonly applications: readonly number[]
}
