// The lab, started in stages: configuration, state, compiled policy, trial of every address, certificates and geo data,
// origins, doors. Nothing listens before the policy is valid and every address has been tried; a stage that fails takes
// everything before it down again. It stops in the reverse order: refuse, drain, close, flush.

import { join } from 'node:path'
import type { RunningLab, StartOptions } from '../cli/services.ts'
import type { LabConfig } from '../config/lab-config.ts'
import type { LoadOptions } from '../config/load.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { attributionOf } from '../geo/attribution.ts'
import { siteViewOf } from '../geo/site-view.ts'
import { type Gateway, openGateway } from '../inbound/gateway.ts'
import { createEventLog, type EventLog } from '../log/event-log.ts'
import { openSessionFile } from '../log/session-file.ts'
import { createSessionLog, type SessionLog } from '../log/session-log.ts'
import { openStandardOutput } from '../log/standard-output.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { startOrigins } from '../origins/serve.ts'
import { DEFAULT_PORT_RANGE, PortLeases } from '../outbound/port-leases.ts'
import { SourceRegistry } from '../outbound/source-registry.ts'
import { createTcpDialer } from '../outbound/tcp-dialer.ts'
import { type ConnectionPipeline, createConnectionPipeline } from '../proxy/connection.ts'
import { DeadlineClock } from '../proxy/deadline.ts'
import { memoryJournal } from '../store/journal.ts'
import { openJournal } from '../store/sqlite-journal.ts'
import { createStore, type Store } from '../store/store.ts'
import { certificatesFor } from './certificates.ts'
import { deskOver } from './desk.ts'
import { readConfig } from './read-config.ts'
import { checkAddressesAndPorts } from './trial.ts'
import { createWorld, type World } from './world.ts'

/** `portsFromZero`, `standInNetwork`: for labs beside other labs (tests, the tour). */
export interface LabOptions extends StartOptions, LoadOptions {
  /** where the lab speaks of itself; default: plain lines on standard error */
  readonly events?: EventLog
}

/** What tests and verbs of the same process may reach into. */
export interface Lab extends RunningLab {
  readonly store: Store
  readonly pipeline: ConnectionPipeline
  readonly sessions: SessionLog
}

/** How long waiting log lines get when stopping. */
const FLUSH_MS = 2000

/** Starts everything or nothing. Throws an InputError with every problem. */
export async function startLab(options: LabOptions): Promise<Lab> {
  const events = options.events ?? createEventLog({ form: 'line', write: (text) => process.stderr.write(text) })
  const { config, issues } = readConfig(options.configFile, options)
  await using stack = new AsyncDisposableStack()

  const store = openStore(config, options, events)
  stack.defer(() => store.close())
  await checkAddressesAndPorts(config, store.current().account)

  const sessions = await openSessionLog(config, options, events)
  stack.defer(() => sessions.close(FLUSH_MS))
  const ownListeners: Endpoint[] = []
  const world = await createWorld({ config, store, ownListeners, onNotice: (issue) => events.warn(issue.message) })
  stack.defer(() => world.close())
  const [certificates] = await Promise.all([certificatesFor(config), world.geo.load()])

  const { pipeline, publicSourceOf } = createPipeline(config, { store, world, sessions })
  const origins = await startOrigins({
    specs: config.origins,
    destinations: config.destinations,
    certificate: certificates.leaf,
    proxy: proxyUrl(config),
    publicSourceOf,
    siteViewOf: (address, at) => siteViewOf(store.current().account, world.ports.placeOf, address, at),
    now: () => store.now(),
    attribution: attributionOf(world.geo.files()),
  })
  stack.defer(() => origins.close())
  const gateway = await openDoors(config, pipeline, store)
  stack.defer(() => gateway.stop())
  ownListeners.push(...gateway.doors.map(({ address }) => address))

  const everything = stack.move()
  return {
    config,
    issues,
    snapshot: () => store.current(),
    listeners: gateway.doors.map(({ listener, address }) => ({ ...listener, port: address.port })),
    authorityFile: certificates.authorityFile,
    ...(options.ephemeral ? {} : { sessionsFile: sessionsFile(options.state) }),
    desk: deskOver({ config, issues, store, world, close: () => undefined }),
    store,
    pipeline,
    sessions,
    close: () => everything.disposeAsync(),
  }
}

function openStore(config: LabConfig, { state, ephemeral }: LabOptions, events: EventLog): Store {
  const journal = ephemeral ? memoryJournal() : openJournal(state)
  return createStore(config, { journal, onNotice: (issue) => events.warn(issue.message) })
}

async function openSessionLog({ log }: LabConfig, options: LabOptions, events: EventLog): Promise<SessionLog> {
  const path = sessionsFile(options.state)
  const onProblem = (error: unknown) => events.error(`the session log \`${path}\` cannot be written`, error)
  const onOutputGone = () => events.warn('nobody reads standard output any more; sessions go to the file only')
  const { sessionsTo } = options
  return createSessionLog({
    ...(options.ephemeral ? {} : { file: openSessionFile({ path, ...log, onProblem }) }),
    ...(sessionsTo === undefined ? {} : { output: { ...sessionsTo, queue: await openStandardOutput(onOutputGone) } }),
  })
}

function sessionsFile(state: string): string {
  return join(state, 'sessions.ndjson')
}

interface Live {
  readonly store: Store
  readonly world: World
  readonly sessions: SessionLog
}

function createPipeline({ timeouts }: LabConfig, { store, world, sessions }: Live) {
  const clock = new DeadlineClock()
  const sources = new SourceRegistry()
  const limit = () => store.current().account.settings.maxConnectionsPerDestination
  const leases = new PortLeases({ limit, range: DEFAULT_PORT_RANGE })
  const pipeline = createConnectionPipeline(
    {
      ...world.ports,
      dial: createTcpDialer({ leases, sources, clock }),
      record: (record) => sessions.record(record),
      now: () => store.now(),
    },
    { connectTimeoutMs: timeouts.connectMs, idleTimeoutMs: timeouts.idleMs, clock },
  )
  return { pipeline, publicSourceOf: sources.publicSourceOf }
}

/** The trial found every port free; one that was taken since is a problem like any other. */
async function openDoors(config: LabConfig, pipeline: ConnectionPipeline, store: Store): Promise<Gateway> {
  const { timeouts, limits, listeners } = config
  try {
    return await openGateway(pipeline, listeners, {
      handshakeTimeoutMs: timeouts.handshakeMs,
      drainMs: timeouts.drainMs,
      ...limits,
      pseudonym: `egresslab-${process.pid}`,
      now: () => store.now(),
    })
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown)
    const issue: Issue = {
      severity: 'error',
      code: 'listen.failed',
      message: `cannot listen: ${reason}`,
      file: config.file,
    }
    throw new InputError([issue])
  }
}

function proxyUrl({ listeners: [first] }: LabConfig): string {
  return `http://${first?.host ?? '127.0.0.1'}:${first?.port ?? 8080}`
}
