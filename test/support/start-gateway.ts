// The real pipeline with the real adapters over a small configuration in code, and the records it wrote: doors, identity,
// names, guard, policy, dialer. No file, no clock of the lab, no geo database.

import { scryptSync } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { onTestFinished } from 'vitest'
import type { ConfiguredExit, ConfiguredUser } from '../../src/config/lab-config.ts'
import { parseHostsFile } from '../../src/dns/address-book.ts'
import { createResolver } from '../../src/dns/resolver.ts'
import { createIdentifier } from '../../src/identity/identify.ts'
import { formatPasswordHash } from '../../src/identity/password.ts'
import { type Gateway, type GatewaySettings, openGateway } from '../../src/inbound/proxy-server.ts'
import { createUdpHandler } from '../../src/inbound/socks5/udp-association.ts'
import type { Endpoint } from '../../src/net/endpoint.ts'
import { ip } from '../../src/net/ip.ts'
import { createExitTable } from '../../src/outbound/configured-egress.ts'
import { PortLeases } from '../../src/outbound/port-leases.ts'
import { SourceRegistry } from '../../src/outbound/source-registry.ts'
import { createTcpDialer } from '../../src/outbound/tcp-dialer.ts'
import { createUdpOutlets } from '../../src/outbound/udp-socket.ts'
import type { Identity } from '../../src/policy/flow.ts'
import type { Snapshot } from '../../src/policy/ruleset.ts'
import type { Listener } from '../../src/proxy/arrival.ts'
import { type ConnectionPipeline, createConnectionPipeline } from '../../src/proxy/pipeline.ts'
import type { Ports } from '../../src/proxy/pipeline-ports.ts'
import type { SessionRecord } from '../../src/proxy/session-record.ts'
import type { Candidate } from '../../src/proxy/stage-values.ts'
import type { UdpLimits } from '../../src/proxy/udp-association-flows.ts'
import type { Engine } from '../../src/transport/engine.ts'
import { TimerWheel } from '../../src/transport/timer-wheel.ts'
import { account, identity, PLACES, rule, snapshot, VNETS, via } from '../policy/build.ts'
import { engine as testEngine } from './engine.ts'
import { PATIENCE_MS } from './patience.ts'

export const PSEUDONYM = 'egresslab-under-test'
export const BOB = 'bob@example.com'
export const ALICE = 'alice@example.com'
/** appears nowhere but in credentials, so that finding it anywhere else is a leak (HH-03) */
export const PASSWORD = 'pAssw0rd-tHat-must-not-leak'

/** bob and alice are in Europe, alice's network leaves from London; carol is in Las Vegas and leaves from Los Angeles. */
const USERS: readonly ConfiguredUser[] = [
  person(identity(BOB), 'netherlands'),
  person(identity(ALICE, ['Finance']), 'england', VNETS.emea),
  person(identity('carol@example.com'), 'lasVegas', VNETS.amer),
]

/** Every one of them is the same place. */
const NAMES = ['origin.test', 'o.test', 'echo.test', 'real.test']

/** Where each of them leaves from towards anything that is not Cloudflare's: what an origin must see (stand-ins). */
export const EGRESS: Readonly<Record<string, { readonly public: string; readonly bound: string }>> = {
  [BOB]: { public: '203.0.113.10', bound: '127.0.10.10' },
  [ALICE]: { public: '203.0.113.20', bound: '127.0.10.20' },
  'carol@example.com': { public: '203.0.113.40', bound: '127.0.10.40' },
}

const RULES = [
  rule({ name: 'EMEA leaves from London', traffic: `net.vnet_id == "${VNETS.emea}"`, egress: via(20, 30) }),
  rule({ name: 'AMER leaves from Los Angeles', traffic: `net.vnet_id == "${VNETS.amer}"`, egress: via(40) }),
]

const UDP_LIMITS = { idleMs: PATIENCE_MS, maxDestinations: 100, packetsPerSecond: 1e6, bytesPerSecond: 1e9 }

export interface GatewayOptions {
  readonly listener?: Partial<Listener>
  readonly settings?: Partial<GatewaySettings>
  readonly snapshot?: Snapshot
  readonly connectTimeoutMs?: number
  readonly idleTimeoutMs?: number
  /** instead of the table of names below */
  readonly resolve?: Ports['resolve']
  readonly dial?: Ports['dial']
  readonly identify?: Ports['identify']
  /** [E7] */
  readonly limit?: number
  readonly exits?: readonly ConfiguredExit[]
  /** what both sides run on; default: the one tests run on */
  readonly engine?: Engine
  /** switches UDP ASSOCIATE on, with these limits in place of generous ones */
  readonly udp?: Partial<UdpLimits>
}

export interface TestGateway {
  readonly port: number
  readonly gateway: Gateway
  readonly pipeline: ConnectionPipeline
  readonly leases: PortLeases
  readonly sources: SourceRegistry
  readonly udpSources: SourceRegistry
  /** every record so far, in order */
  readonly records: readonly SessionRecord[]
  /** resolves once there are this many records */
  recorded(count: number): Promise<readonly SessionRecord[]>
  /** puts another version of the policy in force */
  publish(next: Snapshot): void
}

/** Starts a gateway on a free port; it is gone when the test ends. */
export async function startGateway(options: GatewayOptions = {}): Promise<TestGateway> {
  const clock = new TimerWheel(10)
  const leases = new PortLeases({
    limit: () => options.limit ?? 40_000,
    range: { first: 20_000, last: 60_000 },
    onPressure: () => undefined,
  })
  const sources = new SourceRegistry()
  const udpSources = new SourceRegistry()
  const engine = options.engine ?? testEngine
  const exitOf = createExitTable(options.exits ?? [])
  const onAttempt = () => undefined
  const identifier = createIdentifier({
    people: { users: USERS, groups: [], identityProviders: [], devices: [], sources: [] },
    placeOf: () => undefined,
    chosenVirtualNetwork: () => undefined,
  })
  const ownListeners: Endpoint[] = []
  const records: SessionRecord[] = []
  const news = new EventEmitter()
  let current = options.snapshot ?? snapshot(account(), RULES)
  const now = () => performance.timeOrigin + performance.now()
  const pipeline = createConnectionPipeline(
    {
      snapshots: { current: () => current },
      identify: options.identify ?? identifier.identify,
      resolve: options.resolve ?? tableResolver(ownListeners),
      placeOf: () => undefined,
      categoriesOf: () => ({ contentCategories: [], applications: [] }),
      dial: options.dial ?? createTcpDialer({ engine, leases, sources, clock, exitOf, onAttempt, staggerMs: 50 }),
      record: (record) => {
        records.push(record)
        news.emit('record')
      },
      now,
    },
    {
      connectTimeoutMs: options.connectTimeoutMs ?? PATIENCE_MS,
      idleTimeoutMs: options.idleTimeoutMs ?? PATIENCE_MS,
      clock,
      passOn: engine.passOn?.bind(engine),
    },
  )
  const listener: Listener = {
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    authentication: 'required',
    ...options.listener,
  }
  const gateway = await openGateway(pipeline, [listener], {
    handshakeTimeoutMs: PATIENCE_MS,
    drainMs: 1_000,
    maxClients: 10_000,
    maxHeadBytes: 64 * 1024,
    pseudonym: PSEUDONYM,
    now,
    engine,
    ...(options.udp === undefined
      ? {}
      : {
          udp: createUdpHandler({
            engine,
            pipeline,
            openOutlets: createUdpOutlets({ engine, leases, sources: udpSources, exitOf, onAttempt }),
            limits: { ...UDP_LIMITS, ...options.udp },
          }),
        }),
    ...options.settings,
  })
  ownListeners.push(...gateway.listeners.map(({ address }) => address))
  onTestFinished(() => gateway.kill())
  return {
    port: gateway.listeners[0]?.address.port ?? 0,
    gateway,
    pipeline,
    leases,
    sources,
    udpSources,
    records,
    async recorded(count) {
      const signal = AbortSignal.timeout(PATIENCE_MS)
      while (records.length < count) await once(news, 'record', { signal })
      return records
    },
    publish: (next) => {
      current = next
    },
  }
}

function person(who: Identity, place: keyof typeof PLACES, virtualNetwork?: string): ConfiguredUser {
  const cost = { N: 2, r: 1, p: 1 }
  const salt = Buffer.from('salt')
  const hash = formatPasswordHash({ cost, salt, hash: scryptSync(PASSWORD, salt, 32, cost) })
  return {
    identity: who,
    password: { kind: 'hash', hash },
    place: PLACES[place],
    ...(virtualNetwork === undefined ? {} : { virtualNetwork }),
  }
}

/** Names of the table are 198.51.100.1 at 127.0.0.1 on the port asked for, literals are themselves, nothing else exists. */
function tableResolver(services: readonly Endpoint[]): Ports['resolve'] {
  return createResolver({
    destinations: NAMES.map((name) => ({
      name,
      addresses: [{ public: ip('198.51.100.1'), standIn: ip('127.0.0.1'), ports: new Map() }],
      proxiedByCloudflare: false,
    })),
    hosts: parseHostsFile(''),
    dns: { query: () => ({ kind: 'missing' }), secondsLeft: () => 0, counts: () => ({ cached: 0, underWay: 0 }) },
    guard: {
      settings: { profile: 'lab', allow: [], deny: [] },
      ownSockets: { services, origins: [] },
      isLocal: () => false,
    },
    placeOf: () => undefined,
    isProxiedByCloudflare: () => false,
  })
}

/** A candidate of one's own; dialled at the stand-in on the same port. */
export function candidate(destination: Endpoint, standIn?: string): Candidate {
  const dial = standIn === undefined ? destination : { ip: ip(standIn), port: destination.port }
  return { destination, dial, proxiedByCloudflare: false }
}
