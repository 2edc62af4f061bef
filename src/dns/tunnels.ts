// The tunnels of a configuration and how destinations behind them are reached: a local stand-in of a private network,
// or a proxy at its other end. Routes name the tunnel of a destination; this resolves private names and finds the
// endpoint. Dials nothing.

import type { ConfiguredTunnel } from '../config/lab-config.ts'
import { type Cidr, containsIp } from '../net/cidr.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { fromIpv4Number, fromIpv6Words, type Ip } from '../net/ip.ts'
import type { NetworkId } from '../policy/ids.ts'
import type { RouteTable } from '../policy/routes.ts'
import type { Tunnel } from '../proxy/stage-values.ts'

/** A tunnel, and the endpoint that is dialled for one of its destinations. */
export interface TunnelRoute {
  readonly tunnel: Tunnel
  readonly dial: Endpoint
}

export interface Tunnels {
  /** The id of the tunnel that these routes name for a host name. */
  behindName(name: string, routes: RouteTable): string | undefined
  /** The id of the tunnel for an address in a virtual network. */
  behindAddress(address: Ip, virtualNetworkId: NetworkId, routes: RouteTable): string | undefined
  nameOf(tunnelId: string): string
  /** The tunnel's address or name for a private name; undefined if it has none. */
  addressesOf(tunnelId: string, name: string): readonly Ip[] | undefined
  wayTo(tunnelId: string, destination: Endpoint): TunnelRoute
}

/** Prepares tunnels for lookup. A tunnel that is not among them (created through the API) reaches nothing. */
export function createTunnels(tunnels: readonly ConfiguredTunnel[]): Tunnels {
  const byId = new Map(tunnels.map((tunnel) => [tunnel.id, tunnel]))
  const nameOf = (id: string) => byId.get(id)?.name ?? id
  return {
    nameOf,
    behindName: (name, routes) => routes.hostnameRoute(name)?.tunnelId,
    behindAddress: (address, network, routes) => routes.privateRoute(network, address)?.tunnelId,
    addressesOf: (id, name) => byId.get(id)?.hosts.find((host) => covers(host.name, name))?.addresses,
    wayTo(id, destination) {
      const known = { id, name: nameOf(id) }
      const tunnel = byId.get(id)
      const mapped = tunnel?.networks.find(({ network }) => containsIp(network, destination.ip))
      if (mapped !== undefined) {
        const dial = {
          ip: counterpartOf(destination.ip, mapped.standIn),
          port: mapped.ports.get(destination.port) ?? destination.port,
        }
        return { tunnel: { ...known, by: 'stand-in' }, dial }
      }
      return { tunnel: { ...known, by: tunnel?.upstream === undefined ? 'nothing' : 'upstream' }, dial: destination }
    },
  }
}

function covers(pattern: string, name: string): boolean {
  return pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : pattern === name
}

/** The same host in another network: keeps the bits of the address after the network's prefix. */
function counterpartOf({ words }: Ip, { family, base, length }: Cidr): Ip {
  const size = family === 4 ? 1 : 4
  const low = Array.from({ length: size }, (_, at) => words[words.length - size + at] ?? 0)
  const joined = base.words.map((word, at) => {
    const free = Math.min(32, Math.max(0, 32 * (at + 1) - length))
    const mask = free === 32 ? 0xffffffff : (1 << free) - 1
    return (word | ((low[at] ?? 0) & mask)) >>> 0
  })
  return family === 4 ? fromIpv4Number(joined[0] ?? 0) : fromIpv6Words(joined)
}
