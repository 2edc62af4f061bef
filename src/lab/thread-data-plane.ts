// Builds the data plane of one thread: dialler, pipeline, listeners; and its traffic as the API sees it, whether it runs in
// this thread or in workers.

import type { LabConfig } from '../config/lab-config.ts'
import { configuredSockets } from '../decider/configured-sockets.ts'
import type { DecisionContext } from '../decider/decider.ts'
import type { GatewayError } from '../errors/gateway-error.ts'
import { inputError } from '../errors/issue.ts'
import { messageOf } from '../errors/thrown.ts'
import { type Gateway, type GatewaySettings, openGateway } from '../inbound/proxy-server.ts'
import type { UdpHandler } from '../inbound/socks5/socks5-handshake.ts'
import { createUdpHandler } from '../inbound/socks5/udp-association.ts'
import type { EventLog } from '../log/event-log.ts'
import { formatEndpoint, formatTarget, reachableHost } from '../net/endpoint.ts'
import { delayByDistance } from '../outbound/distant-dial.ts'
import {
  DEFAULT_PORT_RANGE,
  type PortLeaseCounts,
  PortLeases,
  type PortPressure,
  type UseCounts,
} from '../outbound/port-leases.ts'
import type { Sources } from '../outbound/source-registry.ts'
import { createTcpDialer, type TcpDialerSettings } from '../outbound/tcp-dialer.ts'
import { createUdpOutlets } from '../outbound/udp-socket.ts'
import type { ConnectionCounts, DatagramCounts } from '../proxy/counters.ts'
import type { OpenSession } from '../proxy/live-sessions.ts'
import { type ConnectionPipeline, createConnectionPipeline } from '../proxy/pipeline.ts'
import type { Ports } from '../proxy/pipeline-ports.ts'
import type { Store } from '../store/store.ts'
import type { Engine } from '../transport/engine.ts'
import { type Clock, TimerWheel } from '../transport/timer-wheel.ts'
import type { ListenerCertificates } from './certificates.ts'

export interface ThreadDataPlaneParts {
  /** how connections enter and leave */
  readonly engine: Engine
  readonly store: Pick<Store, 'current' | 'now'>
  readonly context: Pick<DecisionContext, 'ports' | 'exitOf' | 'bindingOf'>
  readonly record: Ports['record']
  readonly events: Pick<EventLog, 'warn'>
  /** who is behind outgoing connections, for test origins */
  readonly sources: Readonly<Record<'tcp' | 'udp', Sources>>
  /** gets the outcome of attempts from egress addresses, and says which addresses count as lost */
  readonly egress: Pick<TcpDialerSettings, 'onAttempt' | 'isLost' | 'memberOf'>
  /** what [E7] is counted in; absent: this thread is the only one */
  readonly shared?: PortShare
}

/** This thread's share of source ports, and the counts it has in common with the others (EG-04). */
export interface PortShare {
  readonly uses: UseCounts
  readonly slice: { readonly index: number; readonly of: number }
}

export interface ThreadDataPlane {
  readonly engine: Engine
  readonly pipeline: ConnectionPipeline
  readonly leases: PortLeases
  /** takes UDP ASSOCIATE over; undefined: it is switched off */
  readonly udp: UdpHandler | undefined
  /** connects as the pipeline does, for whoever has decided elsewhere */
  readonly dial: Ports['dial']
  readonly clock: Clock
}

/** Fine enough for data centers 1,000 km apart. */
const FINE_TICK_MS = 2

/** The data plane of this thread without its listeners. */
export function createThreadDataPlane(config: LabConfig, parts: ThreadDataPlaneParts): ThreadDataPlane {
  const { engine, store, context, events, sources, shared, egress } = parts
  const { timeouts, udp, distance } = config
  const { exitOf, bindingOf } = context
  const clock = new TimerWheel()
  const limit = () => store.current().account.settings.maxConnectionsPerDestination
  const leases = new PortLeases({
    limit,
    range: {
      ...DEFAULT_PORT_RANGE,
      except: listeningPorts(config),
      ...(shared === undefined ? {} : { slice: shared.slice }),
    },
    ...(shared === undefined ? {} : { uses: shared.uses }),
    onPressure: createPressureWarning((message) => events.warn(message)),
  })
  const { unacknowledgedMs: userTimeoutMs } = timeouts
  const dial = createTcpDialer({
    engine,
    leases,
    sources: sources.tcp,
    clock,
    exitOf,
    bindingOf,
    userTimeoutMs,
    ...egress,
  })
  const pipeline = createConnectionPipeline(
    {
      ...context.ports,
      dial: distance === undefined ? dial : delayByDistance(dial, { ...distance, clock: new TimerWheel(FINE_TICK_MS) }),
      record: parts.record,
      now: () => store.now(),
    },
    {
      connectTimeoutMs: timeouts.connectMs,
      idleTimeoutMs: timeouts.idleMs,
      clock,
      passOn: engine.passOn?.bind(engine),
    },
  )
  const { onAttempt, memberOf } = egress
  const outlets = { engine, leases, sources: sources.udp, exitOf, bindingOf, onAttempt }
  const openOutlets = createUdpOutlets({ ...outlets, ...(memberOf === undefined ? {} : { memberOf }) })
  return {
    engine,
    pipeline,
    leases,
    dial,
    clock,
    udp: udp.enabled ? createUdpHandler({ engine, pipeline, openOutlets, limits: udp }) : undefined,
  }
}

/** Connections do not leave from ports that the lab itself listens on, at whatever address. */
function listeningPorts(config: LabConfig): number[] {
  const { services, origins } = configuredSockets(config)
  const mapped = config.destinations.flatMap(({ addresses }) => addresses.flatMap(({ ports }) => [...ports.values()]))
  return [...[...services, ...origins].map(({ port }) => port), ...mapped]
}

/** What the listeners share with those of other threads. */
export type ListenerGroup = Pick<GatewaySettings, 'clients' | 'sharesPorts' | 'signIn' | 'ownPages'> &
  Partial<Pick<GatewaySettings, 'maxClients' | 'maxRefusedClients'>>

/** Opens every listener or none. Throws an InputError for a port that was taken since the preflight. */
export async function openListeners(
  config: LabConfig,
  { engine, pipeline, udp }: ThreadDataPlane,
  {
    store,
    tlsFor,
    ...together
  }: Pick<ThreadDataPlaneParts, 'store'> & Pick<ListenerCertificates, 'tlsFor'> & ListenerGroup,
): Promise<Gateway> {
  const { timeouts, limits, listeners, file } = config
  try {
    return await openGateway(pipeline, listeners, {
      handshakeTimeoutMs: timeouts.handshakeMs,
      drainMs: timeouts.drainMs,
      userTimeoutMs: timeouts.unacknowledgedMs,
      responseTimeoutMs: timeouts.responseMs,
      keepAliveMs: timeouts.keepAliveMs,
      bodyIdleMs: timeouts.bodyIdleMs,
      ...limits,
      ...together,
      engine,
      pseudonym: `egresslab-${process.pid}`,
      now: () => store.now(),
      tlsFor,
      ...(udp === undefined ? {} : { udp }),
    })
  } catch (thrown) {
    const message = `cannot listen: ${messageOf(thrown)}`
    throw inputError('listen.failed', message, { file })
  }
}

/** The URL of the first listener. */
export function proxyUrl({ listeners: [first] }: Pick<LabConfig, 'listeners'>): string {
  const scheme = first?.tls?.mode === 'required' ? 'https' : 'http'
  return `${scheme}://${formatTarget({ kind: 'name', name: reachableHost(first?.host ?? '127.0.0.1'), port: first?.port ?? 8080 })}`
}

/** How long the same mark of the same destination is not reported again. */
const QUIET_MS = 60_000
/** Marks remembered at one time; the oldest is forgotten first. */
const MAX_REMEMBERED = 1_000

/** Passes sentences to `warn`. `now`: monotonic ms. */
export function createPressureWarning(
  warn: (message: string) => void,
  now: () => number = () => performance.now(),
): (pressure: PortPressure) => void {
  const reported = new Map<string, number>()
  return ({ egress, destination, percent, used, limit }) => {
    const where = formatEndpoint(destination)
    const key = `${egress.text} ${where} ${percent}`
    const before = reported.get(key)
    if (before !== undefined && now() - before < QUIET_MS) return
    reported.delete(key)
    reported.set(key, now())
    const [oldest] = reported.keys()
    if (reported.size > MAX_REMEMBERED && oldest !== undefined) reported.delete(oldest)
    const next = percent === 100 ? '; the next one is refused with `egress.ports_exhausted`' : ''
    warn(`${used} of ${limit} connections from \`${egress.text}\` to \`${where}\` are in use (${percent} %)${next}`)
  }
}

export interface DataPlaneTraffic {
  /** Brings everything below up to date. */
  refresh(): Promise<void>
  /** Resolves when every new connection is decided by the state as it is now. */
  inForce(): Promise<void>
  /** worker threads that are up, and the oldest revision one of them decides by */
  standing(): { readonly workers: number; readonly revision: number }
  /** Every open session with its decision. */
  decided(): readonly OpenSession[]
  find(id: string): OpenSession | undefined
  /** Cuts one session with a reset on both sides; nothing where it is not open. */
  cut(id: string, why: GatewayError): void
  /** Calls the listener for every session that opens. Returns the function that unsubscribes it. */
  onOpen(listener: (session: OpenSession) => void): () => void
  counts(): ConnectionCounts
  datagrams(): DatagramCounts
  leases(): Pick<PortLeaseCounts, 'refused' | 'pressure'>
  /** What is not as it should be, one clause each. */
  troubles(): readonly string[]
}

/** Traffic of this thread: always up to date, and every change is in force at once. */
export function inProcessTraffic({ sessions, ...pipeline }: ConnectionPipeline, leases: PortLeases): DataPlaneTraffic {
  return {
    refresh: async () => {},
    inForce: async () => {},
    standing: () => ({ workers: 1, revision: pipeline.snapshot().revision }),
    decided: () => sessions.decided(),
    find: (id) => sessions.find(id),
    cut: (id, why) => sessions.cut(id, why),
    onOpen: (listener) => sessions.subscribe(listener),
    counts: () => pipeline.counts(),
    datagrams: () => pipeline.datagrams.read(),
    leases: () => leases.counts(),
    troubles: () => [],
  }
}
