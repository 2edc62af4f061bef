// The lab as configured: the one validated shape that the loader makes and the adapters read. No I/O here.

import type { Cidr } from '../net/cidr.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { Ip } from '../net/ip.ts'
import type {
  AccountSettings,
  DedicatedEgressIp,
  HostnameRoute,
  NamedList,
  PrivateRoute,
  SharedEgress,
  VirtualNetwork,
} from '../policy/account.ts'
import type { Device, Identity, UserGroup } from '../policy/flow.ts'
import type { Place } from '../policy/place.ts'
import type { ExpressionSlot, Rule } from '../policy/rule.ts'
import type { Listener } from '../proxy/arrival.ts'
import type { UdpLimits } from '../proxy/udp-association-flows.ts'
import type { EngineChoice } from '../transport/choose-engine.ts'
import type { Secret } from './secret.ts'

export interface LabConfig {
  /** as given on the command line */
  readonly file: string
  readonly account: { readonly id: string; readonly name: string }
  readonly settings: AccountSettings
  readonly colosDown: readonly string[]
  readonly dedicatedIps: readonly DedicatedEgressIp[]
  readonly sharedEgress: SharedEgress
  /** egress addresses that are realised by a proxy elsewhere */
  readonly exits: readonly ConfiguredExit[]
  readonly virtualNetworks: readonly VirtualNetwork[]
  readonly privateRoutes: readonly PrivateRoute[]
  readonly hostnameRoutes: readonly HostnameRoute[]
  readonly tunnels: readonly ConfiguredTunnel[]
  readonly lists: readonly NamedList[]
  readonly rules: readonly ConfiguredRule[]
  /** the file further rules come from, found from where the lab was started */
  readonly rulesFile?: string
  /** `policy.source`: rules may be changed at the API (`api`, the default), or the file alone owns them (`file`) */
  readonly policySource?: 'api' | 'file'
  readonly users: readonly ConfiguredUser[]
  /** as declared; users may have others where none are */
  readonly groups: readonly UserGroup[]
  /** whose tokens count as a login */
  readonly identityProviders: readonly IdentityProvider[]
  readonly devices: readonly ConfiguredDevice[]
  /** narrowest network first */
  readonly sources: readonly ConfiguredSource[]
  readonly listeners: readonly Listener[]
  readonly destinations: readonly Destination[]
  readonly origins: readonly OriginSpec[]
  readonly categories: readonly Category[]
  readonly geo: {
    /** paths of MMDB files (City or Country); empty: the DB-IP City Lite package */
    readonly databases: readonly string[]
    /** destinations proxied by Cloudflare beside its published ranges ([E5]) */
    readonly proxiedByCloudflare: readonly Cidr[]
  }
  readonly guard: GuardSettings
  readonly timeouts: {
    readonly connectMs: number
    /** both directions silent ([RFC] none; product default 8 h) */
    readonly idleMs: number
    /** first byte, request head, SOCKS negotiation */
    readonly handshakeMs: number
    readonly drainMs: number
    /** until an origin's response head */
    readonly responseMs?: number
    /** a kept client connection without a request */
    readonly keepAliveMs?: number
    /** a request body that stands still */
    readonly bodyIdleMs?: number
  }
  /** absent: there is no Gateway DNS */
  readonly dns?: DnsSettings
  /** distance is made to be felt by one round trip when connecting; absent: it is not */
  readonly distance?: { readonly msPer1000Km: number }
  readonly udp: UdpLimits & { readonly enabled: boolean }
  /** threads that carry connections; absent: one, the lab's own */
  readonly workers?: number
  /** absent: `auto` */
  readonly engine?: EngineChoice
  readonly limits: { readonly maxClients: number; readonly maxHeadBytes: number }
  /** `names`: host names beside loopback that clients may address the API by */
  readonly api: { readonly host: string; readonly port: number; readonly names?: readonly string[] }
  readonly log: { readonly maxBytes: number; readonly keep: number }
}

/** Gateway DNS ([D1]). */
export interface DnsSettings {
  /** UDP and TCP alike; port 0 takes a free one */
  readonly listen: readonly Endpoint[]
  /** networks that are answered beside loopback */
  readonly clients: readonly Cidr[]
  /** name servers, `address` or `address:port`; the system's own where absent */
  readonly upstream?: readonly string[]
}

/** A proxy on a machine that owns an egress address: connections leave by it instead of from a stand-in. */
export interface ConfiguredExit {
  /** the dedicated IPv4 addresses and IPv6 ranges it realises, as text; `shared`: shared egress */
  readonly realises: readonly string[]
  readonly kind: 'socks5' | 'http'
  readonly at: Endpoint
  /** for messages and records: `socks5://192.0.2.7:1080`, without the login */
  readonly text: string
  readonly login?: { readonly username: string; readonly password: Secret }
}

/** A tunnel that routes lead to, and how the lab reaches what is behind it: a stand-in where a network has one, else the proxy on
 *  the other side. */
export interface ConfiguredTunnel {
  readonly id: string
  readonly name: string
  /** narrowest first; an address keeps its low bits */
  readonly networks: readonly TunnelNetwork[]
  /** what private names (`*.` at the front: every subdomain) are known by on the other side; exact ones first, then longest first */
  readonly hosts: readonly { readonly name: string; readonly addresses: readonly Ip[] }[]
  readonly upstream?: ConfiguredExit
}

export interface TunnelNetwork {
  readonly network: Cidr
  /** what answers in its place on this machine, or the network itself where this machine can reach it */
  readonly standIn: Cidr
  /** private port → real port; a port that is absent is dialled as it is */
  readonly ports: ReadonlyMap<number, number>
}

/** Where a rule stands in the file, for messages: line and column are 1-based and those of the expression's first
 *  character where the YAML scalar is plain, quoted or a block. */
export interface SourcePosition {
  /** absent: the configuration file itself */
  readonly file?: string
  readonly line: number
  readonly column: number
}

export interface ConfiguredRule extends Rule {
  readonly position: SourcePosition
  readonly expressionPositions: Readonly<Partial<Record<ExpressionSlot, SourcePosition>>>
}

export interface ConfiguredUser {
  readonly identity: Identity
  /** absent: nobody can log in as this user; listeners and sources still can be them */
  readonly password?: ConfiguredPassword
  /** where the person is; overrides the geo database */
  readonly place?: Place
  /** id of the device a connection is taken to come from when it names none */
  readonly defaultDevice?: string
  /** the person's current choice of virtual network, by id */
  readonly virtualNetwork?: string
}

/** As written in the file. A plain one is hashed by identity/, once and in the background, so that reading a file with
 *  thousands of users stays cheap. `hash` has the form `scrypt$N$r$p$<salt base64>$<hash base64>`. */
export type ConfiguredPassword =
  | { readonly kind: 'plain'; readonly text: Secret }
  | { readonly kind: 'hash'; readonly hash: string }

/** An issuer of tokens (JWT, RFC 7519), known by its public keys (JWK Set, RFC 7517). */
export interface IdentityProvider {
  readonly name: string
  /** `iss` */
  readonly issuer: string
  /** one of these is among `aud` */
  readonly audiences: readonly string[]
  readonly keys: { readonly kind: 'file'; readonly path: string } | { readonly kind: 'url'; readonly url: string }
  /** asymmetric ones only */
  readonly algorithms: readonly string[]
  readonly clockSkewMs: number
  /** paths into the claims, the first that is there counts */
  readonly claims: Readonly<Record<'email' | 'id' | 'name' | 'groups' | 'samlAttributes', readonly string[]>>
}

export interface ConfiguredDevice {
  readonly device: Device
  /** email of its owner; nobody else can use it */
  readonly user?: string
  readonly place?: Place
}

/** Connections from this network are this user (email) on this device (id) and/or virtual network (id). */
export interface ConfiguredSource {
  readonly network: Cidr
  readonly user?: string
  readonly device?: string
  readonly virtualNetwork?: string
}

/** A name the lab answers for, and where its public addresses really are. A destination without a name maps an address. */
export interface Destination {
  readonly name?: string
  readonly addresses: readonly DestinationAddress[]
  readonly place?: Place
  readonly proxiedByCloudflare: boolean
  /** what it is told about who connects */
  readonly proxyProtocol?: 'v2'
}

export interface DestinationAddress {
  readonly public: Ip
  /** the local address that stands in; the public one itself where the machine owns it */
  readonly standIn: Ip
  /** public port → real port; a port that is absent is dialled as it is */
  readonly ports: ReadonlyMap<number, number>
}

/** A test origin the lab runs itself, on its destination's stand-ins. */
export interface OriginSpec {
  readonly name: string
  readonly kind: 'echo' | 'saas' | 'search' | 'site' | 'udp-echo'
  /** `saas`: addresses let in */
  readonly allow: readonly Cidr[]
  readonly title: string
}

/** Which hosts or networks belong to which content categories and applications (`net.fqdn.content_category`, `app.ids`). */
export interface Category {
  readonly host?: string
  readonly network?: Cidr
  readonly contentCategories: readonly number[]
  readonly applications: readonly number[]
}

export interface GuardSettings {
  /** loopback and private destinations: for loopback clients only (`lab`), or nobody (`strict`) */
  readonly profile: 'lab' | 'strict'
  readonly allow: readonly Cidr[]
  readonly deny: readonly Cidr[]
}
