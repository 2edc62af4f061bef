// The account a policy is decided in: what it owns, where things are, what is switched on. A frozen value; a change
// makes a new one.

import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import type { Colo, Place } from './place.ts'

/** One dedicated egress IP: an IPv4 address and/or an IPv6 range at one colo. `standIns` are local addresses that really get
 *  bound, at most one per family; the one of the family actually dialled is used. */
export interface DedicatedEgressIp {
  readonly colo: string
  readonly ipv4?: { readonly address: Ip; readonly standIns: readonly Ip[] }
  /** `isItself`: addresses inside the range are bound as they are wherever an IPv6 destination is really dialled */
  readonly ipv6?: { readonly range: Cidr; readonly standIns: readonly Ip[]; readonly isItself?: boolean }
  /** where the databases say it is; the colo's city unless configured otherwise (BYOIP) */
  readonly geolocation: Place
  /** from this instant (epoch ms) other sites' databases know `geolocation` ([G2]); absent: they always did */
  readonly geolocationUpdatedAt?: number
}

/** Shared egress addresses: a range per family, one address per colo counted from the start of the range in the order of
 *  the account's colos, and the range of stand-ins counted alike. */
export interface SharedEgress {
  readonly ipv4: { readonly range: Cidr; readonly standIns: Cidr }
  readonly ipv6: { readonly range: Cidr; readonly standIns: Cidr }
}

export interface VirtualNetwork {
  /** UUID */
  readonly id: string
  readonly name: string
  readonly comment: string
  readonly isDefault: boolean
}

/** A private network behind a tunnel, in one virtual network. */
export interface PrivateRoute {
  readonly id: string
  readonly network: Cidr
  readonly virtualNetworkId: string
  readonly tunnelId: string
  readonly comment: string
}

/** A host name behind a tunnel; `*.` at the front covers every subdomain. */
export interface HostnameRoute {
  readonly id: string
  readonly hostname: string
  readonly tunnelId: string
  readonly comment: string
}

export interface NamedList {
  /** UUID */
  readonly id: string
  readonly name: string
  /** IP, DOMAIN, EMAIL, URL, SERIAL, … as Cloudflare's */
  readonly type: string
  readonly items: readonly string[]
}

/** How the account behaves where the product leaves a choice; every one has a documented default. */
export interface AccountSettings {
  readonly tcpProxying: boolean
  readonly udpProxying: boolean
  readonly hostSelector: boolean
  /** [E2] */
  readonly noRuleMatched: 'balanced' | 'default'
  /** [R11] */
  readonly expressions: 'default' | 'lenient'
  /** [B2] share of the nearest distance (0.1 = 10 %) and kilometres, whichever is more */
  readonly balanceTolerance: { readonly share: number; readonly km: number }
  /** [E7] */
  readonly maxConnectionsPerDestination: number
  /** [G2] where an IP seemed to be before its geolocation was updated */
  readonly homeCountry: string
  /** colo for users whose place nobody knows */
  readonly homeColo: string
}

export interface Account {
  /** 32 hex digits */
  readonly id: string
  readonly name: string
  /** by code, in a fixed order */
  readonly colos: ReadonlyMap<string, Colo>
  readonly colosDown: ReadonlySet<string>
  readonly dedicatedIps: readonly DedicatedEgressIp[]
  readonly sharedEgress: SharedEgress
  readonly virtualNetworks: readonly VirtualNetwork[]
  readonly privateRoutes: readonly PrivateRoute[]
  readonly hostnameRoutes: readonly HostnameRoute[]
  readonly lists: readonly NamedList[]
  readonly settings: AccountSettings
}
