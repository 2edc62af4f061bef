// One worker: the data path of the lab in a thread of its own. Builds it from the main thread's configuration and state, opens the
// listeners beside the other workers' (SO_REUSEPORT), and takes every new version of the state before it says so. Has no API, no
// store on disk, no test origins.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { LabConfig } from '../../config/lab-config.ts'
import { loadConfig } from '../../config/load.ts'
import { createDecisionContext, type DecisionContext } from '../../decider/decider.ts'
import { rangeOf } from '../../decider/lab-dns.ts'
import { GatewayError } from '../../errors/gateway-error.ts'
import { InputError } from '../../errors/issue.ts'
import { SharedClients } from '../../inbound/listener.ts'
import type { Gateway } from '../../inbound/proxy-server.ts'
import { type EventLog, tellIssue } from '../../log/event-log.ts'
import { watchEgressHealth } from '../../outbound/egress-health.ts'
import { SharedUseTable } from '../../outbound/shared-use-counts.ts'
import { Replica } from '../../store/replica.ts'
import { chooseEngine } from '../../transport/choose-engine.ts'
import { certificatesFor, openListenerCertificates } from '../certificates.ts'
import { settled } from '../follow-config.ts'
import { joinSignIn } from '../open-sign-in.ts'
import { createThreadDataPlane, openListeners, type ThreadDataPlane } from '../thread-data-plane.ts'
import type { MessageFromWorker, MessageToWorker, SharedConfig, WorkerReport, WorkerStart } from './messages.ts'
import { createSourceSender, PlaceholderClient } from './remote-addresses.ts'
import { SessionBatchSender } from './session-batches.ts'

/** Finished sessions of this worker whose decisions can still be asked for. */
const REMEMBERED_DECISIONS = 5000

const start: WorkerStart = workerData
if (parentPort !== null) await serve(parentPort)

interface Parts {
  readonly replica: Replica
  readonly context: DecisionContext
  readonly dataPath: ThreadDataPlane
  readonly batches: SessionBatchSender
  readonly placeholders: PlaceholderClient
  readonly gateway: Gateway
  /** where test origins listen; grows with the configuration */
  readonly origins: Set<string>
}

async function serve(port: MessagePort): Promise<void> {
  const tell = (message: MessageFromWorker) => port.postMessage(message)
  try {
    const parts = await build(tell)
    port.on('message', (message: MessageToWorker) => obey(message, parts, tell))
    tell({ kind: 'ready', ports: parts.gateway.listeners.map(({ address }) => address.port) })
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    tell({ kind: 'failed', issues: thrown.issues })
  }
}

async function build(tell: (message: MessageFromWorker) => void): Promise<Parts> {
  const { index, of, version, ports, gatewayDns } = start
  const events = eventsTold(tell)
  const config = configOf(start, ports)
  const replica = new Replica(config, version)
  const services = [...start.ownSockets.services]
  const placeholders = new PlaceholderClient(tell, (family) => rangeOf(replica.current(), family))
  const context = await createDecisionContext({
    config,
    store: replica,
    ownSockets: { services, origins: start.ownSockets.origins },
    onNotice: (issue) => tellIssue(events, issue),
    geoContents: start.geo,
    ...(gatewayDns === undefined
      ? {}
      : { remoteDns: { endpoints: gatewayDns, placeholderAt: placeholders.placeholderAt } }),
  })
  const [certificates] = await Promise.all([certificatesFor(config, start.certificates), context.geo.load()])
  const { tlsFor } = openListenerCertificates(config.listeners, certificates.leaf, events)
  const origins = new Set(originAddresses(config))
  const sources = createSourceSender(start.sources, origins)
  const engine = chooseEngine(start.engine, (message) => events.warn(message))
  if (engine.descriptor !== undefined) tell({ kind: 'engine', descriptor: engine.descriptor })
  const dataPath = createThreadDataPlane(config, {
    engine,
    store: replica,
    context,
    events,
    record: (record, decided) => batches.record(record, decided),
    sources: { tcp: sources('tcp'), udp: sources('udp') },
    egress: { onAttempt: watchEgressHealth(() => replica.now(), events).attempted },
    shared: { uses: new SharedUseTable(of, start.uses).countsOf(index), slice: { index, of } },
  })
  const batches = new SessionBatchSender({
    send: tell,
    live: dataPath.pipeline.sessions,
    remember: REMEMBERED_DECISIONS,
  })
  const clients = new SharedClients(of, start.clients).countOf(index, start.room.maxClients)
  const gateway = await openListeners(config, dataPath, {
    store: replica,
    tlsFor,
    ...start.room,
    clients,
    sharesPorts: true,
    ownPages: start.ownPages,
    ...(start.signIn === undefined ? {} : { signIn: joinSignIn(start.signIn, () => replica.now()) }),
  })
  services.push(...gateway.listeners.map(({ address }) => address))
  return { replica, context, dataPath, batches, placeholders, gateway, origins }
}

function obey(message: MessageToWorker, parts: Parts, tell: (message: MessageFromWorker) => void): void {
  const { replica, context, dataPath, batches, placeholders, gateway } = parts
  switch (message.kind) {
    case 'version':
      replica.take(message.version)
      tell({ kind: 'took', revision: replica.current().revision })
      break
    case 'config': {
      const config = configOf(message.config)
      for (const address of originAddresses(config)) parts.origins.add(address)
      replica.take(message.config.version, config)
      context.replaceConfig(config)
      tell({ kind: 'took', revision: replica.current().revision })
      break
    }
    case 'report':
      batches.flush()
      tell({ kind: 'report', id: message.id, report: reportOf(parts) })
      break
    case 'watch':
      batches.watch(message.on)
      break
    case 'cut':
      dataPath.pipeline.sessions.cut(message.id, new GatewayError(message.code, message.message))
      break
    case 'placeholder':
      placeholders.hear(message)
      break
    case 'stop':
      void gateway.stop().then(async () => {
        batches.flush()
        await dataPath.engine.close()
        tell({ kind: 'stopped' })
      })
  }
}

function reportOf({ dataPath, batches }: Parts): WorkerReport {
  return {
    numbers: {
      counts: dataPath.pipeline.counts(),
      datagrams: dataPath.pipeline.datagrams.read(),
      leases: dataPath.leases.counts(),
    },
    open: batches.open(),
    decided: batches.unsent(),
  }
}

/** The configuration, with what was settled at the start, and its listeners at the ports they already have. */
function configOf({ file, load }: SharedConfig, ports?: readonly number[]): LabConfig {
  const config = { ...loadConfig(file, load), ...settled(loadConfig(file, { ...load, files: start.filesAtStart })) }
  if (ports === undefined) return config
  return { ...config, listeners: config.listeners.map((one, at) => ({ ...one, port: ports[at] ?? one.port })) }
}

/** Where test origins listen: they want to know who comes. */
function originAddresses({ origins, destinations }: LabConfig): string[] {
  const names = new Set(origins.map(({ name }) => name))
  return destinations
    .filter(({ name }) => name !== undefined && names.has(name))
    .flatMap(({ addresses }) => addresses.map(({ standIn }) => standIn.text))
}

function eventsTold(tell: (message: MessageFromWorker) => void): EventLog {
  const say = (text: string) => `worker ${start.index + 1}: ${text}`
  return {
    info: (message) => tell({ kind: 'event', level: 'info', message: say(message) }),
    warn: (message) => tell({ kind: 'event', level: 'warn', message: say(message) }),
    error: (message, error) =>
      tell({
        kind: 'event',
        level: 'error',
        message: say(message),
        ...(error instanceof Error ? { cause: error } : {}),
      }),
  }
}
