// Computes where the test origins listen: from the configured origins and destinations to sockets, each with the sites
// it serves by host name. Pure.

import type { Destination, OriginSpec } from '../config/lab-config.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'

/** An origin that serves HTTP. */
export type WebKind = Exclude<OriginSpec['kind'], 'udp-echo'>
export type WebSpec = OriginSpec & { readonly kind: WebKind }

/** Whether the origin serves HTTP. */
export function isWeb(spec: OriginSpec): spec is WebSpec {
  return spec.kind !== 'udp-echo'
}

/** One socket to listen on. */
export interface OriginListener {
  readonly at: Endpoint
  readonly scheme: 'http' | 'https'
  /** by host name */
  readonly sites: ReadonlyMap<string, Site>
}

const TLS_PORTS: ReadonlySet<number> = new Set([443, 8443])
const USUAL_PORTS: ReadonlyMap<number, number> = new Map([
  [80, 80],
  [443, 443],
])

/** The listeners of all HTTP origins: one per mapped port of each stand-in, with TLS for public ports 443 and 8443
 *  and HTTP for others. Throws InputError for an origin without a destination, and for a real port that would serve
 *  both HTTP and HTTPS. */
export function planOriginListeners(
  specs: readonly WebSpec[],
  destinations: readonly Destination[],
): readonly OriginListener[] {
  const listeners = new Map<string, { at: Endpoint; scheme: 'http' | 'https'; sites: Map<string, Site> }>()
  const issues: Issue[] = []
  for (const spec of specs) {
    const destination = destinations.find((candidate) => candidate.name === spec.name)
    if (destination === undefined) issues.push(originsWithoutAddress(spec))
    for (const { at, scheme, site } of destination === undefined ? [] : entrances(spec, destination)) {
      const key = formatEndpoint(at)
      const listener = listeners.get(key) ?? { at, scheme, sites: new Map() }
      if (listener.scheme !== scheme) issues.push(bothKinds(spec, key))
      listener.sites.set(spec.name, site)
      listeners.set(key, listener)
    }
  }
  if (issues.length > 0) throw new InputError(issues)
  return [...listeners.values()]
}

function entrances(spec: WebSpec, destination: Destination) {
  return destination.addresses.flatMap((address) =>
    [...(address.ports.size > 0 ? address.ports : USUAL_PORTS)].map(([port, realPort]) => ({
      at: { ip: address.standIn, port: realPort },
      scheme: TLS_PORTS.has(port) ? ('https' as const) : ('http' as const),
      site: { spec, public: { ip: address.public, port } },
    })),
  )
}

/** The endpoints of all origins, including UDP; origins without a destination are omitted. */
export function plannedEndpoints(specs: readonly OriginSpec[], destinations: readonly Destination[]): Endpoint[] {
  return specs.flatMap((spec) => {
    const destination = destinations.find(({ name }) => name === spec.name)
    if (destination === undefined) return []
    return isWeb(spec) ? entrances(spec, destination).map(({ at }) => at) : datagramEndpoints(destination)
  })
}

/** The endpoints of a UDP origin: its mapped ports only. */
export function datagramEndpoints({ addresses }: Destination): Endpoint[] {
  return addresses.flatMap(({ standIn, ports }) => [...ports.values()].map((port) => ({ ip: standIn, port })))
}

/** The issue of an origin without a destination. */
export function originsWithoutAddress(spec: OriginSpec): Issue {
  const message = `the test origin \`${spec.name}\` has no destination of that name`
  const hint = 'add a destination with this name, an address and its stand-in'
  return { severity: 'error', code: 'origins.no_destination', message, hint, path: ['origins'] }
}

function bothKinds(spec: OriginSpec, where: string): Issue {
  const message = `the test origin \`${spec.name}\` would speak both HTTP and HTTPS at \`${where}\``
  const hint = 'map ports 80 and 443 to different real ports'
  return { severity: 'error', code: 'origins.port_conflict', message, hint, path: ['destinations'] }
}
/** A site at one of its addresses. */
export interface Site {
  readonly spec: WebSpec
  /** where geo databases place it */
  readonly public: Endpoint
}
