// The account a policy is decided in: what it owns, where that is, and its settings. Frozen; a change makes a new
// value.

import { canonicalListName, type KnownContents, listContents } from '../expression/index.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import type { ColoCode, ListId, NetworkId, TunnelId } from './ids.ts'
import type { Colo, Place } from './place.ts'

/** One dedicated egress IP: an IPv4 address, an IPv6 range or both, at one colo. `standIns` are the local addresses
 *  that are actually bound, used for the family that is dialled. */
export interface DedicatedEgressIp {
  readonly colo: ColoCode
  readonly ipv4?: { readonly address: Ip; readonly standIns: readonly Ip[] }
  /** `isItself`: where IPv6 destinations are really dialled, addresses inside the range are bound themselves */
  readonly ipv6?: { readonly range: Cidr; readonly standIns: readonly Ip[]; readonly isItself?: boolean }
  /** where geo databases place it; the colo's city unless configured otherwise (BYOIP) */
  readonly geolocation: Place
  /** from this instant (epoch ms) other sites' databases know `geolocation` ([G2]); absent: they always did */
  readonly geolocationUpdatedAt?: number
}

/** Shared egress addresses: one range per family, with one address per colo, counted from the start of the range in
 *  the order of the account's colos; the range of stand-ins is counted alike. */
export interface SharedEgress {
  readonly ipv4: { readonly range: Cidr; readonly standIns: Cidr }
  readonly ipv6: { readonly range: Cidr; readonly standIns: Cidr }
}

export interface VirtualNetwork {
  readonly id: NetworkId
  readonly name: string
  readonly comment: string
  readonly isDefault: boolean
}

/** A private network behind a tunnel, in one virtual network. */
export interface PrivateRoute {
  readonly id: string
  readonly network: Cidr
  readonly virtualNetworkId: NetworkId
  readonly tunnelId: TunnelId
  readonly comment: string
}

/** A host name behind a tunnel; a leading `*.` covers every subdomain. */
export interface HostnameRoute {
  readonly id: string
  readonly hostname: string
  readonly tunnelId: TunnelId
  readonly comment: string
}

export interface NamedList {
  readonly id: ListId
  readonly name: string
  /** IP, DOMAIN, EMAIL, URL, SERIAL, … as Cloudflare names them */
  readonly type: string
  readonly items: readonly string[]
}

/** How the account behaves where the product leaves a choice; each setting has a documented default. */
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
  /** colo for users whose place is unknown */
  readonly homeColo: ColoCode
}

/** What holds where a configuration says nothing (config/lab.schema.json). */
export const DEFAULT_SETTINGS: AccountSettings = {
  tcpProxying: true,
  udpProxying: true,
  hostSelector: true,
  noRuleMatched: 'balanced',
  expressions: 'default',
  balanceTolerance: { share: 0.1, km: 50 },
  maxConnectionsPerDestination: 40_000,
  homeCountry: 'US',
  homeColo: 'IAD',
}

export interface Account {
  /** 32 hex digits */
  readonly id: string
  readonly name: string
  /** by code, in a fixed order */
  readonly colos: ReadonlyMap<ColoCode, Colo>
  readonly colosDown: ReadonlySet<ColoCode>
  readonly dedicatedIps: readonly DedicatedEgressIp[]
  readonly sharedEgress: SharedEgress
  readonly virtualNetworks: readonly VirtualNetwork[]
  readonly privateRoutes: readonly PrivateRoute[]
  readonly hostnameRoutes: readonly HostnameRoute[]
  /** by tunnel: its connector's own public addresses, where they are declared */
  readonly tunnelEgress?: ReadonlyMap<string, readonly Ip[]>
  readonly lists: readonly NamedList[]
  readonly settings: AccountSettings
}

// The account's lists as expressions read them (`in $id`). Contents are prepared once per version of a list, so
// changing one of many lists prepares only that one.

export type KnownLists = ReadonlyMap<string, KnownContents>

/** Contents by canonical list name ([R14]). */
export function createLists(lists: readonly NamedList[]): KnownLists {
  return new Map(lists.map((list) => [canonicalListName(list.id), contentsOf(list)] as const))
}

const known = new WeakMap<NamedList, KnownContents>()

function contentsOf(list: NamedList): KnownContents {
  const before = known.get(list)
  if (before !== undefined) return before
  const made = listContents(list.type, list.items)
  known.set(list, made)
  return made
}
