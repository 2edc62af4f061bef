// Sections destinations and categories: the hosts the proxy reaches by name, their real addresses, the origins that serve
// them, and the table of their categories.

import { cidr, containsIp } from '../net/cidr.ts'
import type { Target } from '../net/endpoint.ts'
import { type Ip, ip } from '../net/ip.ts'
import type { Category, Destination, DestinationAddress, OriginSpec } from './lab-config.ts'
import type { RawDestination } from './lab-schema.ts'
import { checkUnique, type ReadingContext, readHostName, readPlace } from './reading.ts'
import type { DocumentPath } from './source-document.ts'
import { lastNumber, MOST_STAND_INS, type StandIns } from './stand-ins.ts'

/** Unprivileged real ports of the lab's own origins. */
const WEB_PORTS: Readonly<Record<string, number>> = { 80: 10_080, 443: 10_443 }
const UDP_ECHO_PORTS: Readonly<Record<string, number>> = { 7: 10_007 }

export interface Destinations {
  readonly destinations: readonly Destination[]
  readonly origins: readonly OriginSpec[]
}

/** Destinations (orange-clouded or not, [E5]) and the origins among them; stand-ins that are not configured are taken from `standIns`. */
export function readDestinations(reading: ReadingContext, standIns: StandIns): Destinations {
  const { raw } = reading
  checkUnique(reading, raw.destinations, {
    path: (at) => ['destinations', at, 'name'],
    noun: 'host name',
    key: ({ name }) => (name === undefined ? undefined : readHostName(name)),
  })
  for (const { stand_in } of raw.destinations.flatMap(addressesOf)) {
    if (stand_in !== undefined) standIns.reserve(ip(stand_in))
  }
  const map = createAddressMap(reading, standIns)
  const destinations = raw.destinations.map((item, at) => readDestination(reading, item, at, map))
  return { destinations, origins: raw.destinations.flatMap((item, at) => readOrigin(reading, item, at)) }
}

function readDestination({ problems }: ReadingContext, item: RawDestination, at: number, map: AddressMap): Destination {
  const place = readPlace(item.place, ['destinations', at, 'place'], problems)
  return Object.freeze({
    ...(item.name === undefined ? {} : { name: readHostName(item.name) }),
    addresses: addressesOf(item).flatMap((address, index) =>
      map.read(item, address, ['destinations', at, 'addresses', index]),
    ),
    ...(place === undefined ? {} : { place }),
    proxiedByCloudflare: item.proxied_by_cloudflare,
    ...(item.proxy_protocol === undefined ? {} : { proxyProtocol: item.proxy_protocol }),
  })
}

function readOrigin({ problems }: ReadingContext, { name, origin }: RawDestination, at: number): OriginSpec[] {
  if (origin === undefined) return []
  const path = ['destinations', at, 'origin']
  if (name === undefined) {
    problems.add(path, 'config.missing_key', 'an origin needs a host name: give the destination a `name`')
    return []
  }
  const { kind, allow, title } = typeof origin === 'string' ? { kind: origin, allow: [], title: undefined } : origin
  if (kind !== 'saas' && allow.length > 0) {
    problems.add([...path, 'allow'], 'config.conflict', `\`allow\` is for origins of kind saas, not \`${kind}\``)
  }
  const host = readHostName(name)
  return [Object.freeze({ name: host, kind, allow: allow.map((text) => cidr(text)), title: title ?? host })]
}

type RawAddress = Exclude<RawDestination['addresses'][number], string>

function addressesOf({ addresses }: RawDestination): readonly RawAddress[] {
  return addresses.map((address) => (typeof address === 'string' ? { public: address } : address))
}

interface AddressMap {
  read(item: RawDestination, address: RawAddress, path: DocumentPath): DestinationAddress[]
}

interface Known {
  readonly address: DestinationAddress
  readonly path: DocumentPath
  readonly hasOrigin: boolean
}

/** Checks that public addresses and stand-ins are unambiguous: an address has one meaning in the whole file, and one
 *  real port serves one test origin. */
function createAddressMap({ problems }: ReadingContext, standIns: StandIns): AddressMap {
  const byPublic = new Map<string, Known>()
  const byStandIn = new Map<string, Known[]>()
  const standInOf = (address: Ip, before: Known | undefined, path: DocumentPath): Ip | undefined => {
    if (before !== undefined) return before.address.standIn
    const taken = standIns.take(address.family === 4 ? 'destinationIpv4' : 'destinationIpv6', lastNumber(address))
    if (taken === undefined) {
      const message = `all ${MOST_STAND_INS} stand-ins for destinations are taken`
      problems.add(path, 'config.conflict', message, { hint: 'name the others’ own, as `stand_in`' })
    }
    return taken
  }
  return {
    read(item, raw, path) {
      const address = ip(raw.public)
      const before = byPublic.get(address.text)
      const standIn = raw.stand_in === undefined ? standInOf(address, before, path) : ip(raw.stand_in)
      if (standIn === undefined) return []
      const ports = raw.ports ?? item.ports ?? usualPorts(item)
      const found: DestinationAddress = Object.freeze({
        public: address,
        standIn,
        ports: new Map(Object.entries(ports).map(([from, to]) => [Number(from), to])),
      })
      const entry: Known = { address: found, path, hasOrigin: item.origin !== undefined }
      const beside = byStandIn.get(standIn.text) ?? []
      const others = before === undefined ? beside : [before, ...beside]
      const clash = others.map((one) => clashOf(one, entry)).find((words) => words !== undefined)
      if (clash !== undefined) problems.add(path, 'config.conflict', clash)
      if (before === undefined) byPublic.set(address.text, entry)
      byStandIn.set(standIn.text, [...beside, entry])
      return [found]
    },
  }
}

function usualPorts({ origin }: RawDestination): Readonly<Record<string, number>> {
  if (origin === undefined) return {}
  return (typeof origin === 'string' ? origin : origin.kind) === 'udp-echo' ? UDP_ECHO_PORTS : WEB_PORTS
}

function clashOf(one: Known, other: Known): string | undefined {
  const [a, b] = [one.address, other.address]
  if (a.public.text === b.public.text && (a.standIn.text !== b.standIn.text || !samePorts(a.ports, b.ports))) {
    return `\`${b.public.text}\` is given twice, with different stand-ins or ports`
  }
  if (!(one.hasOrigin && other.hasOrigin) || a.standIn.text !== b.standIn.text) return undefined
  const shared = [...b.ports.values()].find((port) => [...a.ports.values()].includes(port))
  if (shared === undefined) return undefined
  return `port ${shared} of the stand-in \`${b.standIn.text}\` already serves another test origin`
}

function samePorts(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): boolean {
  return a.size === b.size && [...a].every(([from, to]) => b.get(from) === to)
}

/** The entries of the table of categories, for `net.fqdn.content_category` and `app.ids` ([F3]). Problems are recorded. */
export function readCategories({ raw, problems }: ReadingContext): readonly Category[] {
  return raw.categories.map(({ host, network, name, content_categories, applications }, at) => {
    if ((host === undefined) === (network === undefined)) {
      problems.add(['categories', at], 'config.conflict', 'an entry needs either a `host` or a `network`')
    }
    return Object.freeze({
      ...(host === undefined ? {} : { host: readHostName(host) }),
      ...(network === undefined ? {} : { network: cidr(network) }),
      ...(name === undefined ? {} : { name }),
      contentCategories: content_categories,
      applications,
    })
  })
}

export interface Categories {
  readonly contentCategories: readonly number[]
  readonly applications: readonly number[]
}

const NONE: Categories = Object.freeze({ contentCategories: [], applications: [] })

/** Prepares the table for lookup ([F3]); all matching entries count, each number once. */
export function createCategoryTable(entries: readonly Category[]): (target: Target, address: Ip) => Categories {
  if (entries.length === 0) return () => NONE
  const byHost = Map.groupBy(
    entries.filter(({ host }) => host !== undefined),
    ({ host = '' }) => host.toLowerCase(),
  )
  const networks = entries.filter(({ network }) => network !== undefined)
  return (target, address) => {
    const fitting = [
      ...(target.kind === 'name' ? domainsOf(target.name).flatMap((domain) => byHost.get(domain) ?? []) : []),
      ...networks.filter(({ network }) => network !== undefined && containsIp(network, address)),
    ]
    if (fitting.length === 0) return NONE
    return {
      contentCategories: distinct(fitting.flatMap((entry) => entry.contentCategories)),
      applications: distinct(fitting.flatMap((entry) => entry.applications)),
    }
  }
}

function domainsOf(name: string): string[] {
  const labels = name.split('.')
  return labels.map((_, at) => labels.slice(at).join('.'))
}

function distinct(numbers: readonly number[]): readonly number[] {
  return [...new Set(numbers)]
}

/** Every number the table has, with a name: the entry's, or that of the host or network it was first declared for. */
export function namedNumbers(
  entries: readonly Category[],
  of: keyof Categories,
): readonly { readonly id: number; readonly name: string }[] {
  const names = new Map<number, string>()
  for (const entry of entries) {
    const own = of === 'applications' ? entry.name : undefined
    for (const id of entry[of]) {
      if (own !== undefined || !names.has(id)) names.set(id, own ?? entry.host ?? entry.network?.text ?? String(id))
    }
  }
  return [...names].map(([id, name]) => ({ id, name }))
}
