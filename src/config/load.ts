// Configuration files in, one validated LabConfig out, or every problem at once with file, line and column. Does not
// parse expressions (the policy compiles them, at the positions recorded here) and binds no address.

import { networkInterfaces } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { InputError, type Issue } from '../errors/issue.ts'
import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import { ip } from '../net/ip.ts'
import { type RawRule, RULE_LIST } from './account-schema.ts'
import { checkShape, validSections } from './check-shape.ts'
import { FORMATS, parseDurationMs, parsePeriodMs, parseSizeBytes } from './formats.ts'
import { type DnsSettings, type LabConfig, type OtlpSettings, Secret } from './lab-config.ts'
import { LAB, type RawConfig, type RawDestination } from './lab-schema.ts'
import { configuredId, gatherNames } from './names.ts'
import { compareVersions, ownVersion } from './own-package.ts'
import { createProblems, type Problems } from './problems.ts'
import { readAccount, readColosDown, readDedicatedIps, readSettings, readSharedEgress } from './read-account.ts'
import { readApi } from './read-api.ts'
import { readCategories, readDestinations } from './read-destinations.ts'
import { readFleet } from './read-fleet.ts'
import { readInvariants } from './read-invariants.ts'
import { readListeners } from './read-listeners.ts'
import {
  readBindings,
  readExits,
  readHostnameRoutes,
  readLists,
  readPrivateRoutes,
  readTunnels,
  readVirtualNetworks,
} from './read-networks.ts'
import { readDevices, readGroups, readIdentityProviders, readSources, readUsers } from './read-people.ts'
import { type RuleList, readRules } from './read-rules.ts'
import { endpointOf, type ReadingContext } from './reading.ts'
import {
  type DocumentPath,
  type ParsedFiles,
  parseSourceDocument,
  type ReadFiles,
  readSourceDocument,
  type SourceDocument,
} from './source-document.ts'
import { createStandIns, isOwn, type OwnAddresses, readOwnAddresses, type StandIns } from './stand-ins.ts'

export interface LoadConfigOptions {
  /** listeners and API take free ports, so that several labs can run; origins keep their ports */
  readonly portsFromZero?: boolean
  /** instead of `stand_ins.network`, so that two labs on one machine do not share stand-ins */
  readonly standInNetwork?: string
  /** whether this machine has ::1, which then stands in for IPv6 ranges too; default: read from its interfaces */
  readonly hasIpv6Loopback?: boolean
  /** the addresses this machine owns, for `addresses: auto`; default: read from its kernel */
  readonly own?: OwnAddresses
  /** rules from this file, relative to the working directory, instead of all rules of the configuration */
  readonly rulesFile?: string
  /** every listener annotates its HTTP answers */
  readonly annotate?: boolean
  /** destinations besides those of the configuration */
  readonly destinations?: readonly RawDestination[]
  /** contents of files read before; further files that are read are added */
  readonly files?: ReadFiles
  /** files parsed before; further files that are parsed are added */
  readonly parsed?: ParsedFiles
}

/** A configuration, read as far as possible. `config` is present exactly when no issue is an error. */
export interface CheckedConfig {
  readonly config?: LabConfig
  readonly issues: readonly Issue[]
}

/** Loads a configuration file (docs/configuration.md). Throws InputError with all errors and warnings (CF-01). */
export function loadConfig(file: string, options: LoadConfigOptions = {}): LabConfig {
  const { config, issues } = checkConfig(file, options)
  if (config === undefined) throw new InputError(issues)
  return config
}

/** Reads and checks a configuration file; never throws for its contents. Issues are in the order of the file. */
export function checkConfig(file: string, options: LoadConfigOptions = {}): CheckedConfig {
  return checkDocument(readSourceDocument(file, options.files, options.parsed), options)
}

/** The same for given text; `file` names it in messages, and relative paths start from it. */
export function checkConfigText(file: string, text: string, options: LoadConfigOptions = {}): CheckedConfig {
  return checkDocument(parseSourceDocument(file, text), options)
}

function checkDocument(document: SourceDocument, options: LoadConfigOptions): CheckedConfig {
  if (document.issues.length > 0) return { issues: document.issues }
  const all = createProblems(document)
  refuseNewer(document.data, all)
  if (all.issues.length > 0) return { issues: all.issues }
  const { raw: written, problems } = checkedShape(document, all)
  const raw = options.rulesFile === undefined ? written : withRulesOf(options.rulesFile, written, document.file)
  const lists = ruleLists({ document, problems }, raw, options)
  const withOptions = applyOptions(raw, options)
  const reading = { raw: withOptions, names: gatherNames(document.data), problems }
  const config = readLab(reading, { document, lists, standIns: standInsFor(withOptions, options) })
  const issues = inFileOrder(problems.issues)
  return issues.some(({ severity }) => severity === 'error') ? { issues } : { config, issues }
}

/** A file for a later version may have keys whose absence here would be reported one by one. */
function refuseNewer(data: unknown, problems: Problems): void {
  const wanted: unknown = Object(data).egresslab
  if (typeof wanted !== 'string' || FORMATS.version?.test(wanted) !== true) return
  if (compareVersions(wanted, ownVersion()) <= 0) return
  const message = `this file is for egresslab \`${wanted}\`, and this is \`${ownVersion()}\``
  const hint = 'run the version it names, or lower the number if the file needs nothing newer'
  problems.add(['egresslab'], 'config.newer', message, { hint })
}

function inFileOrder(issues: readonly Issue[]): readonly Issue[] {
  const byFile = Object.values(Object.groupBy(issues, ({ file = '' }) => file))
  return byFile.flatMap((some = []) =>
    some.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)),
  )
}

/** The data with defaults. Parts of the wrong shape are read as absent: their errors are recorded already, and
 *  references to them use names collected from the raw data. */
function checkedShape(document: SourceDocument, problems: Problems): { raw: RawConfig; problems: Problems } {
  const data = structuredClone(document.data)
  checkShape(LAB, data, problems)
  const { data: sound, originalPath } = validSections(data, pathsOf(problems.issues))
  const whole: unknown = { dedicated_ips: [], ...sound }
  checkShape(LAB, whole, createProblems(document))
  return { raw: whole as RawConfig, problems: problems.at(originalPath) }
}

function pathsOf(issues: readonly Issue[]): readonly DocumentPath[] {
  return issues.map(({ path = [] }) => path)
}

function ruleLists(
  { document, problems }: Pick<RuleList, 'document' | 'problems'>,
  raw: RawConfig,
  { files, parsed }: LoadConfigOptions,
): readonly RuleList[] {
  const own: RuleList = { document, problems, path: ['rules'], rules: raw.rules }
  if (raw.rules_file === undefined) return [own]
  const other = readSourceDocument(join(dirname(document.file), raw.rules_file), files, parsed)
  const theirs = problems.in(other)
  for (const issue of other.issues) {
    if (issue.code === 'config.unreadable') problems.add(['rules_file'], issue.code, issue.message)
    else theirs.issues.push(issue)
  }
  const rules = other.issues.length === 0 ? structuredClone(other.data) : []
  const before = theirs.issues.length
  checkShape(RULE_LIST, rules, theirs)
  const bad = pathsOf(theirs.issues.slice(before)).map((path) => ['rules', ...path])
  const { data, originalPath } = validSections({ rules }, bad)
  const inFile = theirs.at((path) => originalPath(['rules', ...path]).slice(1))
  return [own, { document: other, problems: inFile, path: [], rules: (data.rules ?? []) as readonly RawRule[] }]
}

function withRulesOf(rulesFile: string, raw: RawConfig, file: string): RawConfig {
  return { ...raw, rules: [], rules_file: relative(dirname(file), rulesFile) }
}

function applyOptions(raw: RawConfig, options: LoadConfigOptions): RawConfig {
  const { portsFromZero = false, standInNetwork, annotate = false, destinations = [] } = options
  return {
    ...raw,
    destinations: [...raw.destinations, ...destinations],
    ...(standInNetwork === undefined ? {} : { stand_ins: { network: standInNetwork } }),
    ...(portsFromZero
      ? {
          api: { ...raw.api, port: 0 },
          ...dnsFromZero(raw),
        }
      : {}),
    listeners: raw.listeners.map((one) => ({
      ...one,
      ...(portsFromZero ? { port: 0 } : {}),
      ...(annotate ? { annotate } : {}),
    })),
  }
}

function dnsFromZero({ dns }: RawConfig): Pick<RawConfig, 'dns'> {
  if (dns === undefined) return {}
  return { dns: { ...dns, listen: dns.listen.map((text) => text.replace(/\d+$/, '0')) } }
}

function seesIpv6Loopback(): boolean {
  const addresses = Object.values(networkInterfaces()).flatMap((some = []) => some)
  return addresses.some(({ address }) => address === '::1')
}

function standInsFor({ addresses, stand_ins }: RawConfig, { hasIpv6Loopback, own }: LoadConfigOptions): StandIns {
  let known = own
  return createStandIns({
    addresses,
    network: cidr(stand_ins.network),
    hasIpv6Loopback: hasIpv6Loopback ?? seesIpv6Loopback(),
    owns: (prefix) => {
      known ??= readOwnAddresses()
      return isOwn(known, prefix)
    },
  })
}

interface LoadContext {
  readonly document: SourceDocument
  readonly lists: readonly RuleList[]
  readonly standIns: StandIns
}

function readLab(reading: ReadingContext, { document: { file }, lists, standIns }: LoadContext): LabConfig {
  const { raw } = reading
  const virtualNetworks = readVirtualNetworks(reading)
  const dns = readDns(reading)
  return Object.freeze({
    file,
    account: readAccount(reading),
    settings: readSettings(reading),
    colosDown: readColosDown(reading),
    dedicatedIps: readDedicatedIps(reading, standIns),
    sharedEgress: readSharedEgress(reading, standIns),
    exits: readExits(reading),
    bindings: readBindings(reading),
    virtualNetworks,
    tunnels: readTunnels(reading),
    privateRoutes: readPrivateRoutes(reading, virtualNetworks),
    hostnameRoutes: readHostnameRoutes(reading),
    lists: readLists(reading),
    rules: readRules(reading, lists),
    invariants: readInvariants(raw.invariants, ['invariants'], file, reading.problems),
    policySource: raw.policy.source,
    openVocabularies: raw.policy.open,
    ...(raw.rules_file === undefined ? {} : { rulesFile: join(dirname(file), raw.rules_file) }),
    names: reading.names.byId,
    users: readUsers(reading),
    groups: readGroups(reading),
    identityProviders: readIdentityProviders(reading, dirname(file)),
    postureChecks: raw.posture_checks.map(({ id, name }) => ({
      id: configuredId('posture_checks', { id, name }),
      name,
    })),
    devices: readDevices(reading),
    sources: readSources(reading),
    listeners: readListeners(reading, dirname(file)),
    ...readDestinations(reading, standIns),
    categories: readCategories(reading),
    ...(dns === undefined ? {} : { dns }),
    ...readFleet(reading, { folder: dirname(file), rules: lists.flatMap(({ rules }) => rules) }),
    ...readTelemetry(reading),
    api: readApi(reading, dirname(file)),
    ...readOperation(raw, file),
  })
}

function readOperation(raw: RawConfig, file: string) {
  const duration = (name: keyof RawConfig['timeouts']) => parseDurationMs(raw.timeouts[name] ?? '') ?? 0
  return {
    geo: Object.freeze({
      databases: raw.geo.databases.map((path) => resolve(dirname(file), path)),
      proxiedByCloudflare: raw.geo.proxied_by_cloudflare.map((text) => cidr(text)),
    }),
    guard: Object.freeze({
      profile: raw.guard.profile,
      allow: raw.guard.allow.map((text) => cidr(text)),
      deny: raw.guard.deny.map((text) => cidr(text)),
    }),
    timeouts: Object.freeze({
      connectMs: duration('connect'),
      idleMs: duration('idle'),
      ...(raw.timeouts.unacknowledged === undefined ? {} : { unacknowledgedMs: duration('unacknowledged') }),
      handshakeMs: duration('handshake'),
      drainMs: duration('drain'),
      responseMs: duration('response'),
      keepAliveMs: duration('keep_alive'),
      bodyIdleMs: duration('body_idle'),
    }),
    ...(raw.distance.enabled ? { distance: Object.freeze({ msPer1000Km: raw.distance.ms_per_1000_km }) } : {}),
    udp: Object.freeze({
      enabled: raw.udp.enabled,
      idleMs: parseDurationMs(raw.udp.idle) ?? 0,
      maxDestinations: raw.udp.max_destinations,
      packetsPerSecond: raw.udp.packets_per_second,
      bytesPerSecond: parseSizeBytes(raw.udp.bytes_per_second) ?? 0,
    }),
    workers: raw.workers,
    engine: raw.engine,
    limits: Object.freeze({
      maxClients: raw.limits.max_clients,
      maxHeadBytes: parseSizeBytes(raw.limits.max_head_size) ?? 0,
    }),
    log: Object.freeze({
      maxBytes: parseSizeBytes(raw.log.max_size) ?? 0,
      keep: raw.log.keep,
      auditKeepMs: parsePeriodMs(raw.log.audit_keep) ?? 0,
    }),
  }
}

function readTelemetry({ raw, problems }: ReadingContext): { readonly otlp?: OtlpSettings } {
  if (raw.telemetry === undefined) return {}
  const { endpoint, headers, interval, metrics, logs } = raw.telemetry.otlp
  const { username, password, search, hash } = new URL(endpoint)
  const path = ['telemetry', 'otlp', 'endpoint']
  if (username !== '' || password !== '') {
    const hint = 'write them as `headers: { authorization: … }`, which no log shows'
    problems.add(path, 'config.conflict', 'the address of a receiver has no credentials', { hint })
  }
  if (search !== '' || hash !== '') {
    problems.add(path, 'config.conflict', 'the address of a receiver has no query and no fragment')
  }
  const secrets = new Map(Object.entries(headers).map(([name, value]) => [name, new Secret(value)]))
  const intervalMs = parseDurationMs(interval) ?? 0
  return {
    otlp: Object.freeze({ endpoint: endpoint.replace(/\/+$/, ''), headers: secrets, metrics, logs, intervalMs }),
  }
}

const LOOPBACK: readonly Cidr[] = [cidr('127.0.0.0/8'), cidr('::1')]

/** Gateway DNS ([D1]); undefined if the section is absent. Problems are recorded. */
export function readDns({ raw, problems }: ReadingContext): DnsSettings | undefined {
  if (raw.dns === undefined) return undefined
  const { upstream, https_records: httpsRecords, policies } = raw.dns
  const listen = raw.dns.listen.map(endpointOf)
  const clients = raw.dns.clients.map((text) => cidr(text))
  for (const [at, endpoint] of listen.entries()) {
    const shown = formatEndpoint(endpoint)
    if (!LOOPBACK.some((network) => containsIp(network, endpoint.ip)) && clients.length === 0) {
      const message = `\`${shown}\` can be reached from other machines, but no client there would be answered`
      problems.add(['dns', 'listen', at], 'config.missing_key', message, {
        hint: 'name the networks that may ask in `clients`, or listen on a loopback address',
      })
    }
    const asked = (upstream ?? []).indexOf(shown)
    if (asked >= 0) {
      const message = `\`${shown}\` is Gateway DNS itself; its queries would loop`
      problems.add(['dns', 'upstream', asked], 'config.conflict', message)
    }
    const taken = [raw.api, ...raw.listeners].find(
      ({ host, port }) => port !== 0 && port === endpoint.port && ip(host).text === endpoint.ip.text,
    )
    if (taken !== undefined) {
      const message = `port ${endpoint.port} of \`${endpoint.ip.text}\` is taken by the API or a listener`
      problems.add(['dns', 'listen', at], 'config.duplicate', message, { hint: 'give Gateway DNS another port' })
    }
  }
  return Object.freeze({ listen, clients, httpsRecords, policies, ...(upstream === undefined ? {} : { upstream }) })
}
