// The data path in several threads: starts the workers, gives each every version of the state, gathers what they did, replaces
// one that dies, and drains them all. Nothing here touches a connection.

import type { LoadConfigOptions } from '../../config/load.ts'
import type { ReadFiles } from '../../config/source-document.ts'
import type { GatewayError } from '../../errors/gateway-error.ts'
import type { GeoDatabase } from '../../geo/database.ts'
import { SharedClients } from '../../inbound/listener.ts'
import type { OwnPages } from '../../inbound/own-pages.ts'
import type { EventLog } from '../../log/event-log.ts'
import type { Endpoint } from '../../net/endpoint.ts'
import type { PortLeaseCounts } from '../../outbound/port-leases.ts'
import { SharedUseTable } from '../../outbound/shared-use-counts.ts'
import type { ConnectionCounts, DatagramCounts } from '../../proxy/counters.ts'
import type { OpenSession } from '../../proxy/live-sessions.ts'
import { versionAfter, wholeVersion } from '../../store/replica.ts'
import type { Store } from '../../store/store.ts'
import type { FollowedConfig } from '../follow-config.ts'
import type { SharedSignIn } from '../open-sign-in.ts'
import type { DataPlaneTraffic } from '../thread-data-plane.ts'
import type {
  MessageFromWorker,
  MessageToWorker,
  SharedConfig,
  WorkerNumbers,
  WorkerReport,
  WorkerStart,
} from './messages.ts'
import { RecentRevisions, type SessionBatchReceiver } from './session-batches.ts'
import { type WorkerContext, type WorkerEvents, WorkerHandle } from './worker-handle.ts'

/** A worker that has not taken a new state by then is replaced by one that has. */
const TAKES_AT_MOST_MS = 10_000
/** Pauses before a dead worker is replaced; the last one repeats while it keeps dying young. */
const RESTART_PAUSES_MS = [0, 100, 1000, 5000] as const
/** A worker that lived so long was not born sick. */
const HEALTHY_AFTER_MS = 10_000

export interface PoolOptions
  extends WorkerContext,
    Pick<WorkerStart, 'engine' | 'ownSockets' | 'room' | 'certificates'> {
  readonly workers: number
  readonly store: Store
  readonly events: EventLog
  readonly file: string
  /** how the configuration was read at the start */
  readonly load: LoadConfigOptions & { readonly files: ReadFiles }
  /** the configuration in force: what it was read from, and the destinations beside it */
  readonly loaded: () => Pick<FollowedConfig, 'files' | 'destinations'>
  /** where Gateway DNS listens, filled in as it comes up */
  readonly gatewayDnsAt: readonly Endpoint[]
  /** what was read of geo databases */
  readonly geo: GeoDatabase
  /** undefined: no listener has a sign-in page */
  readonly signIn: () => SharedSignIn | undefined
  readonly ownPages: () => OwnPages
  readonly receiverFor: (revisions: RecentRevisions) => SessionBatchReceiver
}

/** All workers of a lab, as one data plane's traffic. */
export class WorkerPool implements DataPlaneTraffic {
  readonly #options: PoolOptions
  readonly #revisions: RecentRevisions
  readonly #receiver: SessionBatchReceiver
  readonly #uses: SharedUseTable
  readonly #clients: SharedClients
  readonly #members: (WorkerHandle | undefined)[] = []
  readonly #bornAt: number[] = []
  readonly #sickness: number[] = []
  /** of workers that are gone */
  readonly #remains: WorkerNumbers[] = []
  readonly #watchers = new Set<(session: OpenSession) => void>()
  readonly #unsubscribe: () => void
  #ports: readonly number[] | undefined
  #files: ReadFiles
  #stopping = false

  constructor(options: PoolOptions) {
    this.#options = options
    this.#revisions = new RecentRevisions(options.store)
    this.#receiver = options.receiverFor(this.#revisions)
    this.#uses = new SharedUseTable(options.workers)
    this.#clients = new SharedClients(options.workers)
    this.#files = options.load.files
    this.#unsubscribe = options.store.subscribe((snapshot, { touched }) => {
      // a new configuration is on its way, and brings the whole state
      if (this.#options.loaded().files !== this.#files) return
      this.#tellAll({ kind: 'version', version: versionAfter(snapshot, touched) })
    })
  }

  /** Starts every worker; resolves to the ports of the listeners. Throws an InputError if one cannot start; then none runs. */
  async start(): Promise<readonly number[]> {
    try {
      this.#ports = await this.#begin(0).ready
      await Promise.all(Array.from({ length: this.#options.workers - 1 }, (_, at) => this.#begin(at + 1).ready))
      return this.#ports
    } catch (thrown) {
      await this.end()
      throw thrown
    }
  }

  /** A newly read configuration is in force: hands it on with the whole state. */
  replaceConfig(): void {
    this.#files = this.#options.loaded().files
    this.#tellAll({ kind: 'config', config: this.#sharedConfig() })
  }

  catchUpSources(): void {
    for (const member of this.#alive()) member.sources.catchUp()
  }

  async refresh(): Promise<void> {
    const reports = await Promise.all(this.#alive().map((member) => member.report()))
    for (const report of reports) if (report !== undefined) this.#takeReport(report)
  }

  async inForce(): Promise<void> {
    const { revision } = this.#options.store.current()
    await Promise.all(this.#alive().map((member) => this.#untilAt(member, revision)))
  }

  standing(): { readonly workers: number; readonly revision: number } {
    const up = this.#alive().filter(({ isReady }) => isReady)
    return { workers: up.length, revision: Math.min(...up.map(({ revision }) => revision)) }
  }

  decided(): readonly OpenSession[] {
    return this.#alive().flatMap(({ open }) => open.map((one) => this.#revisions.openOf(one)))
  }

  find(id: string): OpenSession | undefined {
    return this.decided().find(({ session }) => session.id === id)
  }

  /** No worker but the one that has the session minds. */
  cut(id: string, { code, message }: GatewayError): void {
    this.#tellAll({ kind: 'cut', id, code, message })
  }

  onOpen(listener: (session: OpenSession) => void): () => void {
    this.#watchers.add(listener)
    if (this.#watchers.size === 1) this.#tellAll({ kind: 'watch', on: true })
    return () => {
      this.#watchers.delete(listener)
      if (this.#watchers.size === 0) this.#tellAll({ kind: 'watch', on: false })
    }
  }

  counts() {
    return sumOfCounts(this.#numbers())
  }

  datagrams() {
    return sumOfDatagrams(this.#numbers())
  }

  leases() {
    return sumOfLeases(this.#numbers())
  }

  troubles(): readonly string[] {
    return Array.from({ length: this.#options.workers }, (_, at) => at)
      .filter((at) => this.#members[at] === undefined)
      .map((at) => `worker ${at + 1} of ${this.#options.workers} is down`)
  }

  /** What each worker last reported, by its place; undefined where it is down. */
  numbersByWorker(): readonly (WorkerNumbers | undefined)[] {
    return this.#members.map((member) => member?.numbers)
  }

  /** Ends one worker as an accident would. For tests. */
  async crash(index: number): Promise<void> {
    await this.#members[index]?.end()
  }

  /** Lets every worker drain, takes in their last sessions, and ends them (LC-01). */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#unsubscribe()
    await Promise.all(this.#alive().map((member) => member.stop()))
    this.#revisions.close()
  }

  /** Ends every worker at once. */
  async end(): Promise<void> {
    this.#stopping = true
    this.#unsubscribe()
    this.#revisions.close()
    await Promise.all(this.#alive().map((member) => member.end()))
  }

  #begin(index: number): WorkerHandle {
    const { workers, engine, ownSockets, room, certificates, placeholderAt, gatewayDnsAt } = this.#options
    const signIn = this.#options.signIn()
    const start = {
      ...this.#sharedConfig(),
      filesAtStart: this.#options.load.files,
      index,
      of: workers,
      engine,
      ownSockets,
      room,
      certificates,
      geo: this.#options.geo.contents(),
      ...(placeholderAt === undefined ? {} : { gatewayDns: gatewayDnsAt }),
      uses: this.#uses.buffer,
      clients: this.#clients.buffer,
      ...(signIn === undefined ? {} : { signIn }),
      ownPages: this.#options.ownPages(),
      ...(this.#ports === undefined ? {} : { ports: this.#ports }),
    }
    const events: WorkerEvents = { heard: this.#heard, died: this.#died }
    const member = new WorkerHandle(start, this.#options, events)
    this.#members[index] = member
    this.#bornAt[index] = performance.now()
    if (this.#watchers.size > 0) member.tell({ kind: 'watch', on: true })
    return member
  }

  readonly #heard = (message: Extract<MessageFromWorker, { kind: 'sessions' | 'event' }>): void => {
    if (message.kind === 'sessions') {
      for (const opened of message.opened) {
        for (const watcher of this.#watchers) watcher(this.#revisions.openOf(opened))
      }
      this.#receiver.take(message)
    } else if (message.level === 'error') this.#options.events.error(message.message, message.cause)
    else this.#options.events[message.level](message.message)
  }

  /** Its connections went with it; what it had counted is given back before another takes its place. */
  readonly #died = (member: WorkerHandle, error: Error | undefined): void => {
    const { index, numbers } = member
    this.#members[index] = undefined
    if (numbers !== undefined) this.#remains.push(remainsOf(numbers))
    this.#uses.forget(index)
    const clients = this.#clients.forget(index)
    if (this.#stopping || this.#ports === undefined) return
    const young = performance.now() - (this.#bornAt[index] ?? 0) < HEALTHY_AFTER_MS
    const sickness = young ? (this.#sickness[index] ?? 0) : 0
    this.#sickness[index] = sickness + 1
    const pause = RESTART_PAUSES_MS[Math.min(sickness, RESTART_PAUSES_MS.length - 1)] ?? 0
    this.#options.events.error(`worker ${index + 1} died with ${clients} client connections; starting a new one`, error)
    setTimeout(() => this.#replace(index), pause).unref()
  }

  #replace(index: number): void {
    if (this.#stopping) return
    const { events, workers } = this.#options
    this.#begin(index).ready.then(
      () => events.info(`worker ${index + 1} of ${workers} is back`),
      () => undefined,
    )
  }

  async #untilAt(member: WorkerHandle, revision: number): Promise<void> {
    const late = setTimeout(() => {
      this.#options.events.warn(`worker ${member.index + 1} does not apply the new state; ending it`)
      void member.end()
    }, TAKES_AT_MOST_MS)
    await member.untilAt(revision)
    clearTimeout(late)
  }

  #takeReport({ decided }: WorkerReport): void {
    this.#receiver.take({ ids: [], lines: [], decided })
  }

  #numbers(): WorkerNumbers[] {
    return [...this.#remains, ...this.#alive().flatMap(({ numbers }) => numbers ?? [])]
  }

  #alive(): WorkerHandle[] {
    return this.#members.filter((member) => member !== undefined)
  }

  #tellAll(message: MessageToWorker): void {
    for (const member of this.#alive()) member.tell(message)
  }

  #sharedConfig(): SharedConfig {
    const { file, load, loaded, store } = this.#options
    const { portsFromZero, standInNetwork, rulesFile, annotate } = load
    return {
      file,
      load: {
        files: this.#files,
        ...(portsFromZero === undefined ? {} : { portsFromZero }),
        ...(standInNetwork === undefined ? {} : { standInNetwork }),
        ...(rulesFile === undefined ? {} : { rulesFile }),
        ...(annotate === undefined ? {} : { annotate }),
        destinations: loaded().destinations,
      },
      version: wholeVersion(store.current()),
    }
  }
}

type Counted = Readonly<Record<string, number>>

/** The connections of all workers, and the bytes they carried. */
export function sumOfCounts(all: readonly WorkerNumbers[]): ConnectionCounts {
  const of = (key: 'active' | 'opened' | 'closed' | 'bytesReceived' | 'bytesSent') =>
    sum(all.map(({ counts }) => counts[key]))
  return {
    active: of('active'),
    opened: of('opened'),
    closed: of('closed'),
    refused: sumByName(all.map(({ counts }) => counts.refused)),
    bytesReceived: of('bytesReceived'),
    bytesSent: of('bytesSent'),
  }
}

/** The datagrams of all workers, dropped ones by reason. */
export function sumOfDatagrams(all: readonly WorkerNumbers[]): DatagramCounts {
  const of = (key: 'associations' | 'sent' | 'received') => sum(all.map(({ datagrams }) => datagrams[key]))
  const dropped = sumByName(all.map(({ datagrams }) => datagrams.dropped))
  return { associations: of('associations'), sent: of('sent'), received: of('received'), dropped }
}

/** How often any worker refused a port, or had 80, 95 or 100 % of its share in use. */
export function sumOfLeases(all: readonly WorkerNumbers[]): Pick<PortLeaseCounts, 'refused' | 'pressure'> {
  const reached = (percent: 80 | 95 | 100) => sum(all.map(({ leases }) => leases.pressure[percent]))
  const pressure = { 80: reached(80), 95: reached(95), 100: reached(100) }
  return { refused: sum(all.map(({ leases }) => leases.refused)), pressure }
}

/** What remains of a worker that is gone: its totals, and nothing of what it had open. */
export function remainsOf({ counts, datagrams, leases }: WorkerNumbers): WorkerNumbers {
  return { counts: { ...counts, active: 0 }, datagrams: { ...datagrams, associations: 0 }, leases }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function sumByName(all: readonly Counted[]): Counted {
  const total: Record<string, number> = {}
  for (const counts of all) {
    for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count
  }
  return total
}
