// The preflight before anything listens: binds every stand-in once, checks every port, and reports all problems together
// (LC-03).

import { readdirSync, readFileSync } from 'node:fs'
import type { ApiServer } from '../api/index.ts'
import type { ConfiguredExit, LabConfig } from '../config/lab-config.ts'
import { usedPart } from '../config/stand-ins.ts'
import { configuredServices } from '../decider/configured-sockets.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import type { OwnPages } from '../inbound/own-pages.ts'
import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import { parseHost } from '../net/host.ts'
import { type Ip, ip } from '../net/ip.ts'
import { checkBinding, checkLocalAddresses, checkPortFree } from '../outbound/local-addresses.ts'
import type { Account } from '../policy/account.ts'
import { createSharedAddresses, userAddressIn } from '../policy/egress-address.ts'
import { COLOS } from '../policy/place.ts'
import type { Engine, SocketBinding } from '../transport/engine.ts'

/** Throws an InputError naming every address that cannot be bound and every port that is taken. */
export async function checkAddressesAndPorts(config: LabConfig, account: Account, engine: Engine): Promise<void> {
  const ports = configuredServices(config).filter(({ port }) => port !== 0)
  const taken = Promise.all(ports.map(({ ip, port }) => checkPortFree(ip, port)))
  refuseAny(config, [...(await checkNeeded(config, neededAddresses(config, account), engine)), ...(await taken)])
}

/** The same without the ports, for a configuration that is to replace one in force. */
export async function checkAddresses(config: LabConfig, account: Account, engine: Engine): Promise<void> {
  refuseAny(config, await checkNeeded(config, neededAddresses(config, account), engine))
}

/** Binds each address once, as the lab would with this engine, and tries the devices of exits. Issues as of `checkLocalAddresses`. */
async function checkNeeded(
  { exits, tunnels }: LabConfig,
  needed: readonly NeededAddresses[],
  engine: Engine,
): Promise<(Issue | undefined)[]> {
  const { true: bound = [], false: plain = [] } = Object.groupBy(needed, ({ binding }) =>
    binding === undefined ? 'false' : 'true',
  )
  const upstreams = tunnels.flatMap(({ upstream }) => upstream ?? [])
  return [
    ...(await checkLocalAddresses(plain.flatMap(({ addresses }) => addresses))),
    ...(await Promise.all(bound.map((item) => checkBound(item, engine)))).flat(),
    ...(await Promise.all([...exits, ...upstreams].map((exit) => checkExitDevice(exit, engine)))),
  ]
}

function refuseAny({ file }: LabConfig, found: readonly (Issue | undefined)[]): void {
  const issues = found.filter((issue) => issue !== undefined)
  if (issues.length > 0) throw new InputError(issues.map((issue) => ({ ...issue, file })))
}

/** Binds each address once, as configured. */
export async function checkBound({ addresses, binding }: NeededAddresses, engine: Engine): Promise<Issue[]> {
  if (binding === undefined) return checkLocalAddresses(addresses)
  const issues = await Promise.all(addresses.map((address) => checkBinding(address, binding, engine)))
  return issues.filter((issue) => issue !== undefined)
}

async function checkExitDevice({ at, device, text }: ConfiguredExit, engine: Engine): Promise<Issue | undefined> {
  if (device === undefined) return undefined
  const anywhere = ip(at.ip.family === 4 ? '0.0.0.0' : '::')
  const issue = await checkBinding(anywhere, { device }, engine)
  return issue === undefined ? undefined : { ...issue, message: `the exit ${text}: ${issue.message}` }
}

/** Where the proxy finds the lab's own pages, and the hosts they go by. */
export function ownPagesOf(
  { api }: Pick<LabConfig, 'api'>,
  { port, forProxy }: Pick<ApiServer, 'port' | 'forProxy'>,
  secret: string,
): OwnPages {
  const hosts = [api.host, ...(api.names ?? [])].flatMap((text) => {
    const host = parseHost(text)
    return host === undefined ? [] : [host.kind === 'ip' ? host.ip.text : host.name]
  })
  return { port, api: { host: EVERYWHERE[forProxy.host] ?? forProxy.host, port: forProxy.port }, hosts, secret }
}

const EVERYWHERE: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

/** What keeps a few descriptors free, as shares of all: for refusing clients, and for the API, logs, DNS and certificates. */
const LANE_SHARE = 1 / 8
const RESERVE_SHARE = 1 / 16
const MOST_IN_LANE = 256
const MOST_RESERVED = 512
/** epoll, event and listening descriptors of one worker thread */
const PER_WORKER = 16

export interface DescriptorFacts {
  /** open files this process may have */
  readonly limit: number
  /** and has, before its listeners are open */
  readonly inUse: number
  readonly workers: number
  /** connections end at test origins of the same process, which need one as well */
  readonly ownOrigins: boolean
}

export interface ClientRoom {
  /** clients that can be served at one time */
  readonly clients: number
  /** clients that can be refused at one time */
  readonly refusedClients: number
}

/** The room there is; at least one client. */
export function roomFor({ limit, inUse, workers, ownOrigins }: DescriptorFacts): ClientRoom {
  const refusedClients = Math.max(8, Math.min(MOST_IN_LANE, Math.floor(limit * LANE_SHARE)))
  const reserved = Math.max(8, Math.min(MOST_RESERVED, Math.floor(limit * RESERVE_SHARE)))
  const own = inUse + (workers === 1 ? 0 : workers * PER_WORKER)
  const left = limit - own - refusedClients - reserved
  return { clients: Math.max(1, Math.floor(left / (ownOrigins ? 3 : 2))), refusedClients }
}

/** As the system says; undefined where it does not. */
export function descriptorsOfThisProcess(): Pick<DescriptorFacts, 'limit' | 'inUse'> | undefined {
  try {
    const limit = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return limit === undefined ? undefined : { limit: Number(limit), inUse: readdirSync('/proc/self/fd').length }
  } catch {
    return undefined
  }
}

// Every local address the lab binds on a configuration, and what for: the preflight and `addresses check` use this list.

/** Addresses of one purpose; those of shared egress come together, one for each data center. */
export interface NeededAddresses {
  readonly use: 'dedicated' | 'shared' | 'origin'
  /** as people know what is bound: an address, a prefix, the first and the last of several */
  readonly binds: string
  /** what to try: every address that is bound, or two of a whole prefix */
  readonly addresses: readonly Ip[]
  /** how they are bound, where that is configured */
  readonly binding?: SocketBinding
  /** the public address or prefix, as people know it */
  readonly public: string
  /** colo, or the origin's host name; '' for shared egress */
  readonly where: string
}

/** In the order of the configuration: dedicated IPs, shared egress, test origins. */
export function neededAddresses(config: LabConfig, account: Account): NeededAddresses[] {
  const byPublic = new Map(config.bindings?.flatMap(({ of, binding }) => of.map((text) => [text, binding] as const)))
  const bound = (item: NeededAddresses): NeededAddresses => {
    const binding = byPublic.get(item.use === 'shared' ? 'shared' : item.public)
    return binding === undefined || item.use === 'origin' ? item : { ...item, binding }
  }
  return [...dedicated(config), ...shared(account), ...origins(config)].map(bound)
}

function dedicated({ dedicatedIps }: LabConfig): NeededAddresses[] {
  return dedicatedIps.flatMap(({ colo, ipv4, ipv6 }) => {
    const found: NeededAddresses[] = []
    const add = (publicText: string, addresses: readonly Ip[]) => {
      for (const address of addresses) {
        const binds = address.text
        found.push({ use: 'dedicated', binds, addresses: [address], public: publicText, where: colo })
      }
    }
    if (ipv4 !== undefined) add(ipv4.address.text, ipv4.standIns.length > 0 ? ipv4.standIns : [ipv4.address])
    if (ipv6 !== undefined) {
      if (ipv6.isItself === true) found.push(wholeRange(ipv6.range, colo))
      add(ipv6.range.text, ipv6.standIns)
    }
    return found
  })
}

/** A range that is bound itself: a user's address in it, and `::1`, which people would look for. */
export function wholeRange(range: Cidr, where: string): NeededAddresses {
  const first = ip(range.text.replace(/::\/.*$/, '::1').replace(/\/.*$/, ''))
  const addresses = [first, userAddressIn(range, 'trial')]
  return { use: 'dedicated', binds: range.text, addresses, public: range.text, where }
}

function shared(account: Account): NeededAddresses[] {
  const shared = createSharedAddresses(account)
  return ([4, 6] as const).map((family) => {
    const addresses = [...account.colos.keys()].flatMap((code) => shared.egressOf(code, family).standIns)
    return {
      use: 'shared',
      binds: `${addresses[0]?.text} … ${addresses.at(-1)?.text}`,
      addresses,
      public: account.sharedEgress[family === 4 ? 'ipv4' : 'ipv6'].range.text,
      where: '',
    }
  })
}

function origins({ destinations, origins: specs }: LabConfig): NeededAddresses[] {
  const names = new Set(specs.map(({ name }) => name))
  return destinations.flatMap(({ name, addresses }) => {
    if (name === undefined || !names.has(name)) return []
    return addresses.map((address) => ({
      use: 'origin' as const,
      binds: address.standIn.text,
      addresses: [address.standIn],
      public: address.public.text,
      where: name,
    }))
  })
}

export interface WantedPrefix {
  /** shared egress, too */
  readonly shared: boolean
  /** addresses the lab cannot do without and does not have */
  readonly missing: readonly Ip[]
}

/** Each once, none inside another. Addresses realised by an exit elsewhere are not bound here, and
 *  those bound by `freebind` or `transparent` need not be this machine's. */
export function wantedPrefixes(
  { dedicatedIps, exits, sharedEgress, bindings = [] }: LabConfig,
  { shared, missing }: WantedPrefix,
): Cidr[] {
  const nonlocal = bindings.filter(
    ({ binding: { freebind, transparent } }) => freebind === true || transparent === true,
  )
  const elsewhere = new Set([...exits.flatMap(({ realises }) => realises), ...nonlocal.flatMap(({ of }) => of)])
  const dedicated = dedicatedIps.flatMap(({ ipv4, ipv6 }) => [
    ...(ipv4 === undefined || elsewhere.has(ipv4.address.text) ? [] : [cidr(ipv4.address.text)]),
    ...(ipv6 === undefined || elsewhere.has(ipv6.range.text) ? [] : [ipv6.range]),
  ])
  const ranges = shared ? [sharedEgress.ipv4.range, sharedEgress.ipv6.range] : []
  const all = [
    ...dedicated,
    ...ranges.map((range) => usedPart(range, COLOS.size)),
    ...missing.map(({ text }) => cidr(text)),
  ]
  const distinct = [...new Map(all.map((prefix) => [prefix.text, prefix])).values()]
  return distinct.filter((one) => !distinct.some((other) => other !== one && isInside(one, other)))
}

function isInside(inner: Cidr, outer: Cidr): boolean {
  return inner.length >= outer.length && containsIp(outer, inner.base)
}
