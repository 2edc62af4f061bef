// The real pipeline with the real doors and the real dialer over a small configuration in code, and the records it wrote.
// Names and people are tables here, so that a test sees its whole world.

import { EventEmitter, once } from 'node:events'
import { onTestFinished } from 'vitest'
import { GatewayError } from '../../src/errors/gateway-error.ts'
import { type Gateway, type GatewaySettings, openGateway } from '../../src/inbound/gateway.ts'
import type { Endpoint, Target } from '../../src/net/endpoint.ts'
import { ip } from '../../src/net/ip.ts'
import { PortLeases } from '../../src/outbound/port-leases.ts'
import { SourceRegistry } from '../../src/outbound/source-registry.ts'
import { createTcpDialer } from '../../src/outbound/tcp-dialer.ts'
import type { Identity } from '../../src/policy/flow.ts'
import type { Snapshot } from '../../src/policy/snapshot.ts'
import type { Knock, Listener } from '../../src/proxy/arrival.ts'
import { type ConnectionPipeline, createConnectionPipeline } from '../../src/proxy/connection.ts'
import { DeadlineClock } from '../../src/proxy/deadline.ts'
import type { Candidate, Persona, Ports } from '../../src/proxy/ports.ts'
import type { SessionRecord } from '../../src/proxy/record.ts'
import { account, identity, PLACES, rule, snapshot, VNETS, via } from '../policy/build.ts'

export const PSEUDONYM = 'egresslab-under-test'
export const BOB = 'bob@example.com'
export const ALICE = 'alice@example.com'
/** appears nowhere but in credentials, so that finding it anywhere else is a leak (HH-03) */
export const PASSWORD = 'pAssw0rd-tHat-must-not-leak'

/** The lab's people: bob and alice without a choice of network, carol through vnet-AMER. */
const PEOPLE: Readonly<Record<string, { identity: Identity; vnet: string; place: keyof typeof PLACES }>> = {
  [BOB]: { identity: identity(BOB), vnet: VNETS.default, place: 'netherlands' },
  [ALICE]: { identity: identity(ALICE, ['Finance']), vnet: VNETS.emea, place: 'england' },
  'carol@example.com': { identity: identity('carol@example.com'), vnet: VNETS.amer, place: 'lasVegas' },
}

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

export interface GatewayOptions {
  readonly listener?: Partial<Listener>
  readonly settings?: Partial<GatewaySettings>
  readonly snapshot?: Snapshot
  readonly connectTimeoutMs?: number
  readonly idleTimeoutMs?: number
  /** name → addresses, instead of every `*.test` name being 198.51.100.1 at 127.0.0.1 */
  readonly resolve?: Ports['resolve']
  readonly dial?: Ports['dial']
  readonly identify?: Ports['identify']
}

export interface TestGateway {
  readonly port: number
  readonly gateway: Gateway
  readonly pipeline: ConnectionPipeline
  readonly leases: PortLeases
  readonly sources: SourceRegistry
  /** every record so far, in order */
  readonly records: readonly SessionRecord[]
  /** resolves once there are this many records */
  recorded(count: number): Promise<readonly SessionRecord[]>
  /** puts another version of the policy in force */
  publish(next: Snapshot): void
}

/** Starts a gateway on a free port; it is gone when the test ends. */
export async function startGateway(options: GatewayOptions = {}): Promise<TestGateway> {
  const clock = new DeadlineClock(10)
  const leases = new PortLeases({ limit: () => 40_000, range: { first: 20_000, last: 60_000 } })
  const sources = new SourceRegistry()
  const records: SessionRecord[] = []
  const news = new EventEmitter()
  let current = options.snapshot ?? snapshot(account(), RULES)
  const now = () => performance.timeOrigin + performance.now()
  const pipeline = createConnectionPipeline(
    {
      snapshots: { current: () => current },
      identify: options.identify ?? identify,
      resolve: options.resolve ?? resolve,
      placeOf: () => undefined,
      categoriesOf: () => ({ contentCategories: [], applications: [] }),
      dial: options.dial ?? createTcpDialer({ leases, sources, clock, staggerMs: 50 }),
      record: (record) => {
        records.push(record)
        news.emit('record')
      },
      now,
    },
    {
      connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
      idleTimeoutMs: options.idleTimeoutMs ?? 60_000,
      clock,
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
    handshakeTimeoutMs: 5_000,
    drainMs: 1_000,
    maxClients: 10_000,
    maxHeadBytes: 64 * 1024,
    pseudonym: PSEUDONYM,
    now,
    ...options.settings,
  })
  onTestFinished(() => gateway.kill())
  return {
    port: gateway.doors[0]?.address.port ?? 0,
    gateway,
    pipeline,
    leases,
    sources,
    records,
    async recorded(count) {
      const signal = AbortSignal.timeout(8_000)
      while (records.length < count) await once(news, 'record', { signal })
      return records
    },
    publish: (next) => {
      current = next
    },
  }
}

/** The table above: name and password, or the listener's fixed user, or nobody where the listener is open. */
export function identify({ credentials, listener, peer }: Knock): Persona {
  const email = credentials?.username ?? listener.fixedUser
  if (email === undefined) {
    if (listener.authentication !== 'required') return { virtualNetworkId: VNETS.default, source: peer }
    throw new GatewayError('identity.required', 'credentials are needed')
  }
  const person = PEOPLE[email]
  if (person === undefined || (credentials !== undefined && credentials.password !== PASSWORD)) {
    throw new GatewayError('identity.rejected', 'the user name or the password is wrong')
  }
  return {
    identity: person.identity,
    virtualNetworkId: person.vnet,
    source: peer,
    userPlace: PLACES[person.place],
  }
}

/** Literals are themselves; every name in `.test` is 198.51.100.1 at 127.0.0.1 on the port asked for; nothing else exists. */
export function resolve(target: Target): readonly Candidate[] {
  if (target.kind === 'ip') return [candidate({ ip: target.ip, port: target.port })]
  if (!target.name.endsWith('.test')) {
    throw new GatewayError('name.not_found', `\`${target.name}\` does not exist`)
  }
  return [candidate({ ip: ip('198.51.100.1'), port: target.port }, '127.0.0.1')]
}

export function candidate(destination: Endpoint, standIn?: string): Candidate {
  const dial = standIn === undefined ? destination : { ip: ip(standIn), port: destination.port }
  return { destination, dial, proxiedByCloudflare: false }
}
