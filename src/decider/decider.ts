// What the running lab and an offline decider (`explain`) share: everything that turns an arrival at a listener into flows. No
// listener, no outgoing socket.

import type { LabConfig } from '../config/lab-config.ts'
import type { LabSnapshot } from '../config/lab-state.ts'
import { createCategoryTable } from '../config/read-destinations.ts'
import { type AddressBook, createAddressBook, type HostsFile, readHostsFile } from '../dns/address-book.ts'
import type { OwnSockets } from '../dns/destination-guard.ts'
import { createDnsClient, type DnsClient } from '../dns/dns-client.ts'
import type { PlaceholderPart } from '../dns/placeholder-table.ts'
import { createResolver } from '../dns/resolver.ts'
import { createTunnels } from '../dns/tunnels.ts'
import type { Issue } from '../errors/issue.ts'
import {
  bundledGeoSources,
  type GeoDatabase,
  isProxiedByCloudflare,
  openGeoDatabase,
  withoutGeoDatabase,
} from '../geo/database.ts'
import { createIdentifier, type Identifier } from '../identity/identify.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { Ip } from '../net/ip.ts'
import { type BindingOf, createBindingTable, createExitTable, type ExitOf } from '../outbound/configured-egress.ts'
import { isInterfaceAddress } from '../outbound/local-addresses.ts'
import { type Allowlists, createAllowlists } from '../policy/allowlist.ts'
import type { Flow } from '../policy/flow.ts'
import type { Arrival } from '../proxy/arrival.ts'
import type { Ports } from '../proxy/pipeline-ports.ts'
import type { Candidate } from '../proxy/stage-values.ts'
import { flowsOf, identify, receive, resolvePlaceholder, resolveTarget } from '../proxy/stages.ts'
import { readJournal } from '../store/sqlite-journal.ts'
import type { Store } from '../store/store.ts'
import { configuredSockets } from './configured-sockets.ts'
import { createLabDns, type LabDns } from './lab-dns.ts'
import { openStore } from './open-store.ts'
import { readConfig } from './read-config.ts'

export interface DecisionContext {
  readonly geo: GeoDatabase
  readonly identifier: Identifier
  readonly ports: Pick<Ports, 'snapshots' | 'identify' | 'resolve' | 'placeholderAt' | 'placeOf' | 'categoriesOf'>
  readonly exitOf: ExitOf
  readonly bindingOf: BindingOf
  /** absent where the configuration has no `dns` */
  readonly gatewayDns?: LabDns
  /** where it listens; with real ports once it does */
  readonly dnsEndpoints: Endpoint[]
  /** Puts a newly read configuration into force: users, names, categories, exits, bindings. */
  replaceConfig(config: LabConfig): void
  close(): void
}

export interface DecisionContextOptions {
  readonly config: LabConfig
  readonly store: Pick<Store, 'current' | 'now'>
  /** where the lab listens, filled in as it comes up; the guard keeps connections away from there */
  readonly ownSockets: OwnSockets
  readonly onNotice: (notice: Issue) => void
  /** nobody logs in: passwords are not hashed ahead */
  readonly hashes?: 'on-use'
  /** the bundled geo database, where somebody has it open already; stays open. Not used where the configuration has its own. */
  readonly bundledGeo?: GeoDatabase
  /** `shared`: what is read of geo databases into memory can be given to other threads; a map: another thread has read these */
  readonly geoContents?: 'shared' | ReadonlyMap<string, SharedArrayBuffer>
  /** Gateway DNS that runs elsewhere: where it listens, and what its placeholders stand for */
  readonly remoteDns?: { readonly endpoints: readonly Endpoint[]; readonly placeholderAt: Ports['placeholderAt'] }
}

/** Opens the geo database and puts the parts together. Throws an InputError for a missing database. */
export async function createDecisionContext(options: DecisionContextOptions): Promise<DecisionContext> {
  const { config, store, ownSockets, onNotice, bundledGeo, remoteDns } = options
  const hosts = await readHostsFile()
  const borrowed = config.geo.databases.length > 0 ? undefined : bundledGeo
  const geo = borrowed ?? openGeo(config, options)
  const missing = options.geoContents instanceof Map ? undefined : withoutGeoDatabase(config.geo.databases)
  if (missing !== undefined) onNotice(missing)
  const { placeOf } = geo
  const identifier = createIdentifier({
    people: config,
    placeOf,
    now: () => store.now(),
    ...(options.hashes === undefined ? {} : { hashes: options.hashes }),
    chosenVirtualNetwork: ({ email }) => choiceOf(store, email),
  })
  const upstream = config.dns?.upstream
  let dnsSettings = config.dns
  const dns = createDnsClient(upstream === undefined ? {} : { servers: upstream })
  const gatewayDnsAt: Endpoint[] = [...(remoteDns?.endpoints ?? config.dns?.listen ?? [])]
  const bookFor = (current: LabConfig) => createAddressBook(current.destinations, hosts)
  let book = bookFor(config)
  let tunnels = createTunnels(config.tunnels)
  const resolverFor = (current: LabConfig) =>
    createResolver(resolverFacts(current, { hosts, book, dns, placeOf, ownSockets, gatewayDns: gatewayDnsAt }))
  let resolve = resolverFor(config)
  let categoriesOf = createCategoryTable(config.categories)
  let exitOf = createExitTable(config.exits, config.tunnels)
  let bindingOf = createBindingTable(config.bindings)
  const gatewayDns =
    config.dns === undefined || remoteDns !== undefined
      ? undefined
      : createLabDns({
          store,
          dns,
          book: () => book,
          tunnels: () => tunnels,
          categoriesOf: (target, address) => categoriesOf(target, address),
          upstream,
          own: gatewayDnsAt,
          part: placeholderPart(config),
          onNotice,
          settings: () => dnsSettings,
        })
  const placeholderAt = remoteDns?.placeholderAt ?? gatewayDns?.placeholderAt
  return {
    geo,
    identifier,
    ports: {
      snapshots: store,
      identify: (client, snapshot) => identifier.identify(client, snapshot),
      resolve: (target, options) => resolve(target, options),
      placeOf,
      categoriesOf: (target, address) => categoriesOf(target, address),
      ...(placeholderAt === undefined ? {} : { placeholderAt }),
    },
    ...(gatewayDns === undefined ? {} : { gatewayDns }),
    dnsEndpoints: gatewayDnsAt,
    exitOf: (egress, tunnel) => exitOf(egress, tunnel),
    bindingOf: (egress) => bindingOf(egress),
    replaceConfig(current) {
      identifier.replacePeople(current)
      dnsSettings = current.dns
      book = bookFor(current)
      tunnels = createTunnels(current.tunnels)
      resolve = resolverFor(current)
      categoriesOf = createCategoryTable(current.categories)
      exitOf = createExitTable(current.exits, current.tunnels)
      bindingOf = createBindingTable(current.bindings)
    },
    close: () => {
      if (borrowed === undefined) geo.close()
    },
  }
}

function openGeo({ geo }: LabConfig, { geoContents, onNotice }: DecisionContextOptions): GeoDatabase {
  const sources = geo.databases.length > 0 ? geo.databases.map((path) => ({ path })) : bundledGeoSources()
  const changes = { onReload: (path: string) => onNotice(reloaded(path)), onWarning: onNotice }
  if (geoContents === undefined || geoContents === 'shared') {
    return openGeoDatabase(sources, { changes, shared: geoContents === 'shared' })
  }
  const read = sources.map((source) => {
    const contents = geoContents.get(source.path)
    return contents === undefined ? source : { ...source, contents }
  })
  return openGeoDatabase(read, { changes })
}

function reloaded(file: string): Issue {
  return { severity: 'advice', code: 'geo.reloaded', message: `reloaded the geo database \`${file}\``, file }
}

interface ResolverParts {
  readonly hosts: HostsFile
  readonly book: AddressBook
  readonly dns: DnsClient
  readonly gatewayDns: readonly Endpoint[]
  readonly placeOf: GeoDatabase['placeOf']
  readonly ownSockets: OwnSockets
}

function resolverFacts(config: LabConfig, { ownSockets, ...parts }: ResolverParts) {
  const { destinations, tunnels, guard, geo } = config
  return {
    ...parts,
    allowlists: allowlistsOf(config),
    destinations,
    tunnels,
    guard: { settings: guard, ownSockets, isLocal: isInterfaceAddress },
    isProxiedByCloudflare: (address: Ip) => isProxiedByCloudflare(address, geo.proxiedByCloudflare),
  }
}

/** The person's choice made at run time; null: the default was chosen; undefined: none was made. */
function choiceOf(store: Pick<Store, 'current'>, email: string): string | null | undefined {
  const choice = store.current().state.choice.get(email)
  return choice === undefined || choice.deletedAt !== null ? undefined : choice.value.virtualNetworkId
}

/** Opens a decider on a configuration and, if a state folder is given, on its run-time changes; it changes neither.
 *  Throws an InputError. */
export async function openDecider({ configFile, state }: DeciderOptions, shared: SharedParts = {}): Promise<Decider> {
  const { config, issues } = readConfig(configFile)
  const notices: Issue[] = [...issues]
  const onNotice = (notice: Issue) => void notices.push(notice)
  const store = openStore(config, {
    onNotice,
    ...(state === undefined ? {} : { kept: { journal: readJournal(state, onNotice), folder: state } }),
  })
  const context = await createDecisionContext({
    config,
    store,
    ownSockets: configuredSockets(config),
    onNotice,
    hashes: 'on-use',
    ...shared,
  })
  return deciderOver({ config, issues: notices, store, context, close: () => closeAll(context, store) })
}

/** What several deciders of one process share. */
export type SharedParts = Pick<DecisionContextOptions, 'bundledGeo'>

interface DeciderParts {
  /** read on every use: it may be reloaded */
  readonly config: LabConfig
  readonly issues: readonly Issue[]
  readonly store: Store
  readonly context: DecisionContext
  readonly close: () => void
}

/** A decider on parts that others may use as well. */
export function deciderOver(parts: DeciderParts): Decider {
  const { issues, store, context, close } = parts
  const { ports } = context
  return {
    get config() {
      return parts.config
    },
    issues,
    get snapshot() {
      return store.current()
    },
    ports,
    flowsOf: async (arrival) => hypotheticalFlows(arrival, store, ports),
    close,
  }
}

async function hypotheticalFlows(
  arrival: Arrival,
  store: Store,
  ports: DecisionContext['ports'],
): Promise<HypotheticalFlow[]> {
  const snapshot = store.current()
  const identified = await identify(ports, receive(arrival, arrival.target, snapshot), arrival)
  const named = await resolvePlaceholder(ports, identified)
  return flowsOf(ports, await resolveTarget(ports, named, AbortSignal.timeout(10_000)))
}

function closeAll(context: DecisionContext, store: Store): void {
  context.close()
  store.close()
}

/** What would be decided on, and the address bytes would really go to. */
export interface HypotheticalFlow {
  readonly flow: Flow
  readonly candidate: Candidate
}

export interface DeciderOptions {
  readonly configFile: string
  /** folder of what was changed at run time; absent: the configuration alone */
  readonly state?: string
}

/** Decides hypothetical connections: everything the lab decides with, and no sockets. */
export interface Decider {
  readonly config: LabConfig
  readonly issues: readonly Issue[]
  readonly snapshot: LabSnapshot
  /** for whoever takes the stages apart, because many connections share some of them */
  readonly ports: DecisionContext['ports']
  /** What the proxy would make of this arrival, were its password right: one flow per address, in dial order.
   *  Throws GatewayError as the proxy would. */
  readonly flowsOf: (arrival: Arrival) => Promise<readonly HypotheticalFlow[]>
  readonly close: () => void
}

/** The test services of a configuration that have an allowlist. */
export function allowlistsOf({ origins, destinations }: LabConfig): Allowlists {
  const services = origins.filter(({ kind }) => kind === 'saas')
  return createAllowlists(
    services.map(({ name, allow }) => {
      const own = destinations.filter((destination) => destination.name === name)
      return { name, allow, addresses: own.flatMap(({ addresses }) => addresses.map((address) => address.public)) }
    }),
  )
}

/** Members of a fleet know no placeholder of each other, so that none may mean two names: each data center with dedicated IPs gives out
 *  a part of its own, and the others the last one. */
function placeholderPart({ fleet, dedicatedIps }: LabConfig): PlaceholderPart | undefined {
  if (fleet === undefined) return undefined
  const colos = [...new Set(dedicatedIps.map(({ colo }) => colo))].sort()
  const index = colos.indexOf(fleet.colo)
  return { index: index < 0 ? colos.length : index, of: colos.length + 1 }
}
