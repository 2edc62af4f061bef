// Which site stands where: from the configured origins and destinations to the sockets that have to listen, each with the
// sites it serves by host name. Pure.

import type { Destination, OriginSpec } from '../config/lab-config.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'

/** What speaks HTTP. */
export type WebKind = Exclude<OriginSpec['kind'], 'udp-echo'>
export type WebSpec = OriginSpec & { readonly kind: WebKind }

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

/** The doors of all origins: each mapped port of each stand-in, TLS behind public ports 443 and 8443, HTTP behind others.
 *  Throws an InputError for origins without a destination and for one real port behind both kinds. */
export function planOriginListeners(
  specs: readonly WebSpec[],
  destinations: readonly Destination[],
): readonly OriginListener[] {
  const doors = new Map<string, { at: Endpoint; scheme: 'http' | 'https'; sites: Map<string, Site> }>()
  const issues: Issue[] = []
  for (const spec of specs) {
    const destination = destinations.find((candidate) => candidate.name === spec.name)
    if (destination === undefined) issues.push(originsWithoutAddress(spec))
    for (const { at, scheme, site } of destination === undefined ? [] : entrances(spec, destination)) {
      const key = formatEndpoint(at)
      const door = doors.get(key) ?? { at, scheme, sites: new Map() }
      if (door.scheme !== scheme) issues.push(bothKinds(spec, key))
      door.sites.set(spec.name, site)
      doors.set(key, door)
    }
  }
  if (issues.length > 0) throw new InputError(issues)
  return [...doors.values()]
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

/** Where all origins stand, UDP ones too; those without a destination are left out. */
export function plannedEndpoints(specs: readonly OriginSpec[], destinations: readonly Destination[]): Endpoint[] {
  return specs.flatMap((spec) => {
    const destination = destinations.find(({ name }) => name === spec.name)
    if (destination === undefined) return []
    return isWeb(spec) ? entrances(spec, destination).map(({ at }) => at) : datagramEndpoints(destination)
  })
}

/** Where a UDP origin stands: at the mapped ports alone. */
export function datagramEndpoints({ addresses }: Destination): Endpoint[] {
  return addresses.flatMap(({ standIn, ports }) => [...ports.values()].map((port) => ({ ip: standIn, port })))
}

/** An origin that no destination leads to. */
export function originsWithoutAddress(spec: OriginSpec): Issue {
  const message = `the test origin \`${spec.name}\` has no destination of that name to stand at`
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
  /** where the world thinks it is */
  readonly public: Endpoint
}
