// Everything that carries connections, in this thread or in workers: the choice is made here, once, and the rest of the lab does not
// see the difference. With one worker, which is the default, nothing is started and nothing is sent anywhere.

import type { LabConfig } from '../config/lab-config.ts'
import type { LoadConfigOptions } from '../config/load.ts'
import type { ReadFiles } from '../config/source-document.ts'
import { endpointsAt, type OpenedSockets } from '../decider/configured-sockets.ts'
import type { DecisionContext } from '../decider/decider.ts'
import { counted } from '../errors/counted.ts'
import { inputError } from '../errors/issue.ts'
import type { OpenListener } from '../inbound/listener.ts'
import { descriptorsOfThisProcess, roomFor } from '../inbound/overload.ts'
import type { OwnPages } from '../inbound/own-pages.ts'
import type { EventLog } from '../log/event-log.ts'
import type { SessionLog } from '../log/session-log.ts'
import { SourceRegistry } from '../outbound/source-registry.ts'
import type { Listener } from '../proxy/arrival.ts'
import type { RecentSessions } from '../proxy/live-sessions.ts'
import type { ConnectionPipeline } from '../proxy/pipeline.ts'
import type { SessionRecord } from '../proxy/session-record.ts'
import type { PublicSourceOf } from '../proxy/stage-values.ts'
import type { Store } from '../store/store.ts'
import type { Engine } from '../transport/engine.ts'
import type { ListenerCertificates } from './certificates.ts'
import type { FollowedConfig } from './follow-config.ts'
import type { OpenedSignIn } from './open-sign-in.ts'
import {
  createThreadDataPlane,
  type DataPlaneTraffic,
  inProcessTraffic,
  openListeners,
  type ThreadDataPlane,
  type ThreadDataPlaneParts,
} from './thread-data-plane.ts'
import { askedOf } from './workers/remote-addresses.ts'
import { SessionBatchReceiver } from './workers/session-batches.ts'
import { WorkerPool } from './workers/worker-pool.ts'

export interface DataPlaneParts extends Pick<ThreadDataPlaneParts, 'egress'> {
  readonly config: LabConfig
  readonly workers: number
  readonly engine: Engine
  /** how the configuration was read, with its files */
  readonly load: LoadConfigOptions & { readonly files: ReadFiles }
  /** folder of the development certificates */
  readonly certificates: string
  /** the configuration in force, which may have been reloaded: its files, and the destinations beside it */
  readonly loaded: () => Pick<FollowedConfig, 'files' | 'destinations'>
  readonly store: Store
  readonly context: DecisionContext
  readonly sessions: SessionLog
  readonly memory: RecentSessions
  readonly events: EventLog
  /** filled in as listeners open */
  readonly ownSockets: OpenedSockets
  readonly listenerCertificates: Pick<ListenerCertificates, 'tlsFor'>
  /** absent: no listener has a sign-in page */
  readonly signIn: OpenedSignIn | undefined
  /** once the API listens */
  readonly ownPages: () => OwnPages
  /** what is noted on every record besides; absent: nothing is */
  readonly annotate?: (record: SessionRecord) => SessionRecord
}

export interface DataPlane {
  readonly traffic: DataPlaneTraffic
  /** of this thread; carries nothing where there are workers */
  readonly pipeline: ConnectionPipeline
  /** of this thread */
  readonly dataPath: Pick<ThreadDataPlane, 'dial' | 'clock'>
  /** absent: this thread carries the connections */
  readonly pool?: WorkerPool
  /** what test origins ask about who connects, by transport */
  readonly publicSourceOf: Readonly<Record<'tcp' | 'udp', PublicSourceOf>>
  /** A new configuration is in force in this thread; resolves when it is everywhere. */
  configTaken(): Promise<void>
  /** Opens every listener or none; resolves to them with their real ports. Throws an InputError. */
  open(): Promise<readonly Listener[]>
  /** Opens one more listener, on loopback; absent where other threads carry the connections. Rejects with an InputError. */
  readonly openOne?: (listener: Listener) => Promise<OpenListener>
  /** Drains and closes them (LC-01). */
  stop(): Promise<void>
}

/** Builds the data plane; no listener is open yet. Throws an InputError for what does not work with workers. */
export function createDataPlane(parts: DataPlaneParts): DataPlane {
  return parts.workers === 1 ? inThisThread(parts) : inWorkers(parts)
}

function inThisThread(parts: DataPlaneParts): DataPlane {
  const { config, store, ownSockets, listenerCertificates, signIn } = parts
  const registries = { tcp: new SourceRegistry(), udp: new SourceRegistry() }
  const dataPath = recordingDataPath(parts, registries)
  let stop = async () => {}
  const shared = () => ({
    store,
    tlsFor: listenerCertificates.tlsFor,
    ...roomOf(parts),
    ownPages: parts.ownPages(),
    ...(signIn === undefined ? {} : { signIn: signIn.proxy }),
  })
  // what has the development certificate lends it to listeners that no file declares
  const lender = config.listeners.find(({ tls, clientCertificates }) => !(tls?.files ?? clientCertificates))
  return {
    traffic: inProcessTraffic(dataPath.pipeline, dataPath.leases),
    pipeline: dataPath.pipeline,
    dataPath,
    publicSourceOf: { tcp: registries.tcp.publicSourceOf, udp: registries.udp.publicSourceOf },
    configTaken: async () => {},
    async open() {
      const gateway = await openListeners(config, dataPath, shared())
      stop = () => gateway.stop()
      ownSockets.services.push(...gateway.listeners.map(({ address }) => address))
      return gateway.listeners.map(({ listener, address }) => ({ ...listener, port: address.port }))
    },
    async openOne(listener) {
      const tlsFor = () => (lender === undefined ? undefined : listenerCertificates.tlsFor(lender))
      const { listeners } = await openListeners({ ...config, listeners: [listener] }, dataPath, { ...shared(), tlsFor })
      const [opened] = listeners
      if (opened === undefined) throw new RangeError('a listener opened and is not there')
      ownSockets.services.push(opened.address)
      return opened
    },
    stop: () => stop(),
  }
}

function inWorkers(parts: DataPlaneParts): DataPlane {
  const { config, workers, engine, load, store, context, sessions, memory, events, ownSockets } = parts
  refuseWhatNeedsOneThread(config)
  const registries = { tcp: new SourceRegistry(), udp: new SourceRegistry() }
  const pool = new WorkerPool({
    workers,
    engine: engine.name,
    reclaim: (descriptor) => engine.reclaim?.(descriptor),
    store,
    events,
    file: config.file,
    load,
    loaded: parts.loaded,
    ownSockets,
    room: roomOf(parts),
    certificates: parts.certificates,
    registries,
    ...(context.ports.placeholderAt === undefined ? {} : { placeholderAt: context.ports.placeholderAt }),
    gatewayDnsAt: context.dnsEndpoints,
    geo: context.geo,
    signIn: () => parts.signIn?.shared(),
    ownPages: parts.ownPages,
    receiverFor: (revisions) => new SessionBatchReceiver(sessions, memory, revisions),
  })
  const catchUp = () => pool.catchUpSources()
  const dataPath = recordingDataPath(parts, registries)
  return {
    traffic: pool,
    pipeline: dataPath.pipeline,
    dataPath,
    pool,
    publicSourceOf: { tcp: askedOf(registries.tcp, catchUp), udp: askedOf(registries.udp, catchUp) },
    configTaken: () => {
      pool.replaceConfig()
      return pool.inForce()
    },
    async open() {
      const ports = await pool.start()
      const listeners = config.listeners.map((listener, at) => ({ ...listener, port: ports[at] ?? listener.port }))
      ownSockets.services.push(...listeners.flatMap(({ host, port }) => endpointsAt(host, port)))
      return listeners
    },
    stop: () => pool.stop(),
  }
}

function recordingDataPath(
  { config, engine, store, context, sessions, memory, events, egress, annotate }: DataPlaneParts,
  sources: Readonly<Record<'tcp' | 'udp', SourceRegistry>>,
) {
  return createThreadDataPlane(config, {
    engine,
    store,
    context,
    events,
    sources,
    egress,
    record: (made, decided) => {
      const record = annotate?.(made) ?? made
      sessions.record(record)
      const id = record.SessionID
      memory.add(decided === undefined ? { id, record } : { id, record, decided })
    },
  })
}

/** As many clients as are configured, or as the limit of open files leaves room for. */
function roomOf({ config, workers, events }: DataPlaneParts): { maxClients: number; maxRefusedClients: number } {
  const { maxClients } = config.limits
  const descriptors = descriptorsOfThisProcess()
  if (descriptors === undefined) return { maxClients, maxRefusedClients: MOST_REFUSED_CLIENTS }
  const { clients, refusedClients } = roomFor({ ...descriptors, workers, ownOrigins: config.origins.length > 0 })
  if (clients < Math.min(maxClients, FEW_CLIENTS)) {
    const { limit } = descriptors
    const advice = `raise it with \`ulimit -n\`, or lower \`limits.max_clients\``
    events.warn(
      `${counted(limit, 'open file')} ${limit === 1 ? 'leaves' : 'leave'} room for ${counted(clients, 'client')} at a time, not ${maxClients}: ${advice}`,
    )
  }
  return {
    maxClients: Math.min(clients, maxClients),
    maxRefusedClients: Math.max(1, Math.floor(refusedClients / workers)),
  }
}

/** Room for fewer than these is worth a warning. */
const FEW_CLIENTS = 1000

/** Where the system does not say how many files may be open. */
const MOST_REFUSED_CLIENTS = 256

/** Systems whose SO_REUSEPORT spreads connections; elsewhere the last socket bound gets all of them. */
const SPREADING: ReadonlySet<string> = new Set(['linux', 'freebsd'])

/** What would work by halves in several threads is refused. */
function refuseWhatNeedsOneThread({ file }: LabConfig): void {
  if (SPREADING.has(process.platform)) return
  const message = `workers share a port with SO_REUSEPORT, and ${process.platform} does not distribute connections among them`
  const hint = 'use one worker: remove `--workers`, and set `workers: 1` in the configuration'
  throw inputError('workers.not_possible', message, { hint, file })
}
