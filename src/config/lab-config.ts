// The configuration of the lab: the validated value that the loader produces and all rooms read. No I/O here.

import { inspect } from 'node:util'
import type { OpenVocabulary } from '../analysis/value-findings.ts'
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
import type { ColoCode, NetworkId, TunnelId } from '../policy/ids.ts'
import type { Place } from '../policy/place.ts'
import type { ExpressionSlot, Rule } from '../policy/rule.ts'
import type { Listener } from '../proxy/arrival.ts'
import type { UdpLimits } from '../proxy/udp-association-flows.ts'
import type { EngineChoice } from '../transport/choose-engine.ts'
import type { SocketBinding } from '../transport/engine.ts'
import type { WrittenName } from './expression-names.ts'
import type { SourcePosition } from './problems.ts'
import type { ApiSettings } from './read-api.ts'
import type { ConfiguredInvariant } from './read-invariants.ts'

export interface LabConfig {
  /** as given on the command line */
  readonly file: string
  readonly account: { readonly id: string; readonly name: string }
  readonly settings: AccountSettings
  readonly colosDown: readonly ColoCode[]
  readonly dedicatedIps: readonly DedicatedEgressIp[]
  readonly sharedEgress: SharedEgress
  /** egress addresses realised by a proxy elsewhere */
  readonly exits: readonly ConfiguredExit[]
  /** how egress addresses are bound, where the file says more than the address; absent: nowhere */
  readonly bindings?: readonly ConfiguredBinding[]
  readonly virtualNetworks: readonly VirtualNetwork[]
  readonly privateRoutes: readonly PrivateRoute[]
  readonly hostnameRoutes: readonly HostnameRoute[]
  readonly tunnels: readonly ConfiguredTunnel[]
  readonly lists: readonly NamedList[]
  readonly rules: readonly ConfiguredRule[]
  /** statements about every connection, for `prove` */
  readonly invariants?: readonly ConfiguredInvariant[]
  /** the file of further rules, relative to where the lab was started */
  readonly rulesFile?: string
  /** `policy.source`: rules may be changed at the API (`api`, the default), or the file alone owns them (`file`) */
  readonly policySource?: 'api' | 'file'
  /** `policy.open`: kinds of names in rules that come from elsewhere too */
  readonly openVocabularies?: readonly OpenVocabulary[]
  readonly users: readonly ConfiguredUser[]
  /** names by id of everything that rules may name by its id */
  readonly names?: ReadonlyMap<string, string>
  /** as declared; users may have others too */
  readonly groups: readonly UserGroup[]
  /** the issuers whose tokens count as a login */
  readonly identityProviders: readonly IdentityProvider[]
  readonly postureChecks?: readonly { readonly id: string; readonly name: string }[]
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
    /** destinations proxied by Cloudflare in addition to its published ranges ([E5]) */
    readonly proxiedByCloudflare: readonly Cidr[]
  }
  readonly guard: GuardSettings
  readonly timeouts: {
    readonly connectMs: number
    /** timeout while both directions are silent (no RFC; product default 8 h) */
    readonly idleMs: number
    /** data that a peer neither acknowledges nor takes; absent: as the system has it */
    readonly unacknowledgedMs?: number
    /** first byte, request head, SOCKS negotiation */
    readonly handshakeMs: number
    readonly drainMs: number
    /** until an origin's response head */
    readonly responseMs?: number
    /** a kept client connection without a request */
    readonly keepAliveMs?: number
    /** a stalled request body */
    readonly bodyIdleMs?: number
  }
  /** absent: no Gateway DNS */
  readonly dns?: DnsSettings
  /** connecting takes one round trip over the simulated distance; absent: no delay */
  readonly distance?: { readonly msPer1000Km: number }
  readonly udp: UdpLimits & { readonly enabled: boolean }
  /** threads that carry connections; absent: one, the lab's own */
  readonly workers?: number
  /** absent: `auto` */
  readonly engine?: EngineChoice
  readonly limits: { readonly maxClients: number; readonly maxHeadBytes: number }
  readonly api: ApiSettings
  readonly log: { readonly maxBytes: number; readonly keep: number; readonly auditKeepMs: number }
  /** absent: this lab is alone */
  readonly fleet?: FleetSettings
  /** absent: nothing is pushed by OpenTelemetry */
  readonly otlp?: OtlpSettings
}

/** The fleet that this lab is a member of, and what it is in it (docs/fleet.md). Paths are absolute. */
export interface FleetSettings {
  readonly name: string
  readonly member: string
  readonly colo: ColoCode
  readonly servers: readonly string[]
  /** at the servers; at most one of the two */
  readonly login?: { readonly user: string; readonly password: Secret }
  readonly credentialsFile?: string
  readonly serverAuthorityFile?: string
  readonly advertise: Endpoint
  readonly listen: Endpoint
  readonly authorityFile: string
  readonly files: { readonly certificate: string; readonly key: string }
  readonly onPartition: 'go_on' | 'refuse'
  /** what all members must have alike: section of the file → fingerprint of what it says, without what is this machine's alone */
  readonly share: Readonly<Record<string, string>>
}

/** OpenTelemetry over OTLP/HTTP. */
export interface OtlpSettings {
  /** without a slash at its end; `/v1/logs` is added to it */
  readonly endpoint: string
  readonly headers: ReadonlyMap<string, Secret>
  readonly metrics: boolean
  readonly logs: boolean
  readonly intervalMs: number
}

/** Gateway DNS ([D1]). */
export interface DnsSettings {
  /** for UDP and TCP; port 0 takes a free one */
  readonly listen: readonly Endpoint[]
  /** networks of clients that are answered, besides loopback */
  readonly clients: readonly Cidr[]
  /** name servers, `address` or `address:port`; default: the system's own */
  readonly upstream?: readonly string[]
  /** HTTPS and SVCB records of names that rules depend on: `passed` on, as the product does, or `withheld` */
  readonly httpsRecords?: 'passed' | 'withheld'
  /** whether rules of type `dns` change answers, as the product's do */
  readonly policies?: 'evaluated' | 'ignored'
}

/** A proxy on a machine that owns an egress address: connections leave through it instead of from a stand-in. */
export interface ConfiguredExit {
  /** the dedicated IPv4 addresses and IPv6 ranges it realises, as text; `shared`: shared egress */
  readonly realises: readonly string[]
  readonly kind: 'socks5' | 'http'
  readonly at: Endpoint
  /** for messages and records: `socks5://192.0.2.7:1080`, without the login */
  readonly text: string
  readonly login?: { readonly username: string; readonly password: Secret }
  /** the network device by which connections to it leave */
  readonly device?: string
}

export interface ConfiguredBinding {
  /** as with {@link ConfiguredExit.realises} */
  readonly of: readonly string[]
  readonly binding: SocketBinding
}

/** A tunnel that routes name, and how the lab reaches what is behind it: a stand-in if a network has one, else the
 *  proxy at its other end. */
export interface ConfiguredTunnel {
  readonly id: TunnelId
  readonly name: string
  /** narrowest first; an address keeps its low bits */
  readonly networks: readonly TunnelNetwork[]
  /** the other side's name or address for private names (a leading `*.`: every subdomain); exact ones first, then
   *  longest first */
  readonly hosts: readonly { readonly name: string; readonly addresses: readonly Ip[] }[]
  readonly upstream?: ConfiguredExit
  /** the connector's own public addresses, which origins on the other side see; at most one per family */
  readonly egress?: readonly Ip[]
}

export interface TunnelNetwork {
  readonly network: Cidr
  /** the local address that stands in for it, or the network itself if this machine can reach it */
  readonly standIn: Cidr
  /** private port → real port; an absent port is dialled unchanged */
  readonly ports: ReadonlyMap<number, number>
}

export interface ConfiguredRule extends Rule {
  readonly position: SourcePosition
  readonly expressionPositions: Readonly<Partial<Record<ExpressionSlot, SourcePosition>>>
  /** names in its expressions where the file has names and the rule ids */
  readonly writtenNames?: Readonly<Partial<Record<ExpressionSlot, readonly WrittenName[]>>>
}

export interface ConfiguredUser {
  readonly identity: Identity
  /** absent: this user cannot log in; listeners and sources can still name it */
  readonly password?: ConfiguredPassword
  /** where the user is; overrides the geo database */
  readonly place?: Place
  /** id of the device assumed for a connection that names none */
  readonly defaultDevice?: string
  /** the user's current choice of virtual network, by id */
  readonly virtualNetwork?: NetworkId
}

/** As written in the file. A plain password is hashed by identity/, once and in the background, so that reading a
 *  file with thousands of users stays fast. `hash` has the form `scrypt$N$r$p$<salt base64>$<hash base64>`. */
export type ConfiguredPassword =
  | { readonly kind: 'plain'; readonly text: Secret }
  | { readonly kind: 'hash'; readonly hash: string }

/** An issuer of tokens (JWT, RFC 7519), known by its public keys (JWK Set, RFC 7517). */
export interface IdentityProvider {
  readonly name: string
  /** `iss` */
  readonly issuer: string
  /** one of these must be in `aud` */
  readonly audiences: readonly string[]
  readonly keys: { readonly kind: 'file'; readonly path: string } | { readonly kind: 'url'; readonly url: string }
  /** asymmetric algorithms only */
  readonly algorithms: readonly string[]
  readonly clockSkewMs: number
  /** paths into the claims; the first present one counts. Without any object of OIDC claims the token's own count. */
  readonly claims: Readonly<
    Record<'email' | 'id' | 'name' | 'groups' | 'samlAttributes' | 'oidcClaims', readonly string[]>
  >
}

export interface ConfiguredDevice {
  readonly device: Device
  /** email of its owner, the only user who can use it */
  readonly user?: string
  readonly place?: Place
}

/** Connections from this network have this user (email), device (id) and/or virtual network (id). */
export interface ConfiguredSource {
  readonly network: Cidr
  readonly user?: string
  readonly device?: string
  readonly virtualNetwork?: NetworkId
}

/** A name the lab resolves, and where its public addresses really are. A destination without a name maps an address. */
export interface Destination {
  readonly name?: string
  readonly addresses: readonly DestinationAddress[]
  readonly place?: Place
  readonly proxiedByCloudflare: boolean
  /** the client information it receives */
  readonly proxyProtocol?: 'v2'
}

export interface DestinationAddress {
  readonly public: Ip
  /** the local address that stands in; the public one itself if the machine owns it */
  readonly standIn: Ip
  /** public port → real port; an absent port is dialled unchanged */
  readonly ports: ReadonlyMap<number, number>
}

/** A test origin the lab runs on its destination's stand-ins. */
export interface OriginSpec {
  readonly name: string
  readonly kind: 'echo' | 'saas' | 'search' | 'site' | 'udp-echo'
  /** `saas`: addresses it admits */
  readonly allow: readonly Cidr[]
  readonly title: string
}

/** The content categories and applications of hosts or networks (`net.fqdn.content_category`, `app.ids`). */
export interface Category {
  readonly host?: string
  readonly network?: Cidr
  /** what its applications are called; absent: as the host or the network */
  readonly name?: string
  readonly contentCategories: readonly number[]
  readonly applications: readonly number[]
}

export interface GuardSettings {
  /** loopback and private destinations: for loopback clients only (`lab`), or nobody (`strict`) */
  readonly profile: 'lab' | 'strict'
  readonly allow: readonly Cidr[]
  readonly deny: readonly Cidr[]
}

/** Holds one secret text, which only `reveal` returns: it prints as a placeholder in logs, dumps and responses. */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The text itself. */
  reveal(): string {
    return this.#text
  }

  toString(): string {
    return '(secret)'
  }

  toJSON(): string {
    return '(secret)'
  }

  [inspect.custom](): string {
    return '(secret)'
  }
}
