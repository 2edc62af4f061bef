// Destinations behind a tunnel: host name routes first, then private networks of the flow's virtual network, the most
// specific first. Traffic to them is exempt from egress policy ([E1]).

import type { Family, Ip } from '../net/ip.ts'
import type { Account, HostnameRoute, PrivateRoute } from './account.ts'
import type { NetworkId } from './ids.ts'

export interface RouteTable {
  hostnameRoute(host: string | undefined): HostnameRoute | undefined
  privateRoute(virtualNetworkId: NetworkId, address: Ip): PrivateRoute | undefined
}

/** Routes of one virtual network by prefix length, longest first. */
interface Lengths {
  readonly length: number
  readonly byNetwork: Map<string, PrivateRoute>
}

/** Prepares the routes of an account for lookup by name and by address. */
export function createRouteTable(account: Account): RouteTable {
  const exact = new Map<string, HostnameRoute>()
  const wildcard = new Map<string, HostnameRoute>()
  for (const route of account.hostnameRoutes) {
    const name = route.hostname.toLowerCase().replace(/\.$/, '')
    if (name.startsWith('*.')) wildcard.set(name.slice(2), route)
    else exact.set(name, route)
  }
  const tables = privateTables(account.privateRoutes)
  return {
    hostnameRoute(host) {
      if (host === undefined || exact.size + wildcard.size === 0) return undefined
      return exact.get(host) ?? nearestWildcard(wildcard, host)
    },
    privateRoute(virtualNetworkId, address) {
      const lengths = tables[address.family].get(virtualNetworkId)
      if (lengths === undefined) return undefined
      for (const { length, byNetwork } of lengths) {
        const route = byNetwork.get(networkKey(address.words, length))
        if (route !== undefined) return route
      }
      return undefined
    },
  }
}

function nearestWildcard(wildcard: ReadonlyMap<string, HostnameRoute>, host: string): HostnameRoute | undefined {
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
    const route = wildcard.get(host.slice(dot + 1))
    if (route !== undefined) return route
  }
  return undefined
}

/** By family and virtual network. */
function privateTables(
  routes: readonly PrivateRoute[],
): Readonly<Record<Family, ReadonlyMap<string, readonly Lengths[]>>> {
  const tables: Record<Family, Map<string, Lengths[]>> = { 4: new Map(), 6: new Map() }
  for (const route of [...routes].sort((a, b) => b.network.length - a.network.length)) {
    const ofFamily = tables[route.network.family]
    const lengths = ofFamily.get(route.virtualNetworkId) ?? []
    ofFamily.set(route.virtualNetworkId, lengths)
    let level = lengths.find(({ length }) => length === route.network.length)
    if (level === undefined) {
      level = { length: route.network.length, byNetwork: new Map() }
      lengths.push(level)
    }
    const network = networkKey(route.network.base.words, route.network.length)
    if (!level.byNetwork.has(network)) level.byNetwork.set(network, route)
  }
  return tables
}

/** The leading bits of an address as a key. */
function networkKey(words: readonly number[], length: number): string {
  let key = ''
  for (let at = 0; at * 32 < length; at++) {
    const bits = Math.min(32, length - 32 * at)
    key += `${bits === 32 ? (words[at] ?? 0) : (words[at] ?? 0) >>> (32 - bits)}.`
  }
  return key
}
