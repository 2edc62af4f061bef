// One worker as the main thread sees it: the revision it decides by, its last report, and the promises of those who wait for it.
// A worker that dies settles them all.

import { MessageChannel, Worker } from 'node:worker_threads'
import { InputError } from '../../errors/issue.ts'
import type { SourceRegistry } from '../../outbound/source-registry.ts'
import type { Ports } from '../../proxy/pipeline-ports.ts'
import type {
  MessageFromWorker,
  MessageToWorker,
  OpenSessionMessage,
  WorkerNumbers,
  WorkerReport,
  WorkerStart,
} from './messages.ts'
import { PlaceholderServer, SourceListener } from './remote-addresses.ts'

const MODULE = new URL('./worker-thread.ts', import.meta.url)

export interface WorkerEvents {
  /** gets every message that the handle does not process itself */
  readonly heard: (message: Extract<MessageFromWorker, { kind: 'sessions' | 'event' }>) => void
  /** called when it has ended, with the error it died of, if any */
  readonly died: (member: WorkerHandle, error: Error | undefined) => void
}

/** What its connections need of the main thread. */
export interface WorkerContext {
  readonly registries: Readonly<Record<'tcp' | 'udp', SourceRegistry>>
  /** absent: there is no Gateway DNS */
  readonly placeholderAt?: Ports['placeholderAt']
  /** closes what the engine of an ended worker has left */
  readonly reclaim: (descriptor: number) => void
}

/** One worker thread: starts it, sends it versions, asks it for its numbers, and stops it. */
export class WorkerHandle {
  readonly index: number
  readonly sources: SourceListener
  /** the ports of its listeners; rejects with an InputError if it cannot start, or with the error it died of */
  readonly ready: Promise<readonly number[]>
  /** open sessions as last reported */
  open: readonly OpenSessionMessage[] = []
  numbers: WorkerNumbers | undefined
  readonly #worker: Worker
  readonly #placeholders: PlaceholderServer | undefined
  readonly #events: WorkerEvents
  readonly #reclaim: (descriptor: number) => void
  /** of its engine, until that is closed */
  #descriptor: number | undefined
  readonly #ready = Promise.withResolvers<readonly number[]>()
  readonly #stopped = Promise.withResolvers<void>()
  readonly #reports = new Map<number, (report: WorkerReport | undefined) => void>()
  #waiting: { readonly revision: number; readonly resolve: () => void }[] = []
  /** decides by this one */
  revision: number
  isReady = false
  #nextReport = 0
  #error: Error | undefined
  #gone = false

  constructor(
    start: Omit<WorkerStart, 'sources'>,
    { registries, placeholderAt, reclaim }: WorkerContext,
    events: WorkerEvents,
  ) {
    const { port1, port2 } = new MessageChannel()
    this.index = start.index
    this.#events = events
    this.#reclaim = reclaim
    this.#placeholders = placeholderAt === undefined ? undefined : new PlaceholderServer(placeholderAt)
    this.revision = start.version.revision
    this.sources = new SourceListener(port1, registries)
    this.ready = this.#ready.promise
    this.ready.catch(() => undefined)
    const workerData: WorkerStart = { ...start, sources: port2 }
    this.#worker = new Worker(MODULE, { workerData, transferList: [port2] })
    this.#worker.on('message', this.#hear)
    this.#worker.on('error', (error) => {
      this.#error = error instanceof Error ? error : new Error(String(error))
    })
    this.#worker.once('exit', this.#exit)
  }

  tell(message: MessageToWorker): void {
    this.#worker.postMessage(message)
  }

  /** Resolves when it decides by this revision, or is gone. */
  untilAt(revision: number): Promise<void> {
    if (this.#gone || this.revision >= revision) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ revision, resolve }))
  }

  /** What it reports now; undefined where it is gone before it has. */
  report(): Promise<WorkerReport | undefined> {
    if (this.#gone) return Promise.resolve(undefined)
    const id = this.#nextReport++
    this.tell({ kind: 'report', id })
    return new Promise((resolve) => this.#reports.set(id, resolve))
  }

  /** Drains it, then ends it. */
  async stop(): Promise<void> {
    this.tell({ kind: 'stop' })
    await this.#stopped.promise
    await this.end()
  }

  /** Ends it immediately. */
  async end(): Promise<void> {
    await this.#worker.terminate()
  }

  readonly #hear = (message: MessageFromWorker): void => {
    switch (message.kind) {
      case 'ready':
        this.isReady = true
        this.#ready.resolve(message.ports)
        break
      case 'failed':
        this.#ready.reject(new InputError(message.issues))
        break
      case 'took':
        this.revision = message.revision
        this.#settle(({ revision }) => revision <= message.revision)
        break
      case 'report':
        this.#take(message.id, message.report)
        break
      case 'placeholder':
      case 'hold':
      case 'letGo':
        void this.#placeholders?.hear(message, (answer) => this.tell(answer))
        break
      case 'engine':
        this.#descriptor = message.descriptor
        break
      case 'stopped':
        this.#descriptor = undefined
        this.#stopped.resolve()
        break
      default:
        this.#events.heard(message)
    }
  }

  #take(id: number, report: WorkerReport): void {
    this.numbers = report.numbers
    this.open = report.open
    this.#reports.get(id)?.(report)
    this.#reports.delete(id)
  }

  readonly #exit = (): void => {
    this.#gone = true
    if (this.#descriptor !== undefined) this.#reclaim(this.#descriptor)
    this.open = []
    this.sources.close()
    this.#placeholders?.close()
    this.#ready.reject(this.#error ?? new Error('the worker ended before it was ready'))
    this.#stopped.resolve()
    this.#settle(() => true)
    for (const resolve of this.#reports.values()) resolve(undefined)
    this.#reports.clear()
    this.#events.died(this, this.#error)
  }

  #settle(isDue: (waiting: { readonly revision: number }) => boolean): void {
    const due = this.#waiting.filter(isDue)
    this.#waiting = this.#waiting.filter((waiting) => !isDue(waiting))
    for (const { resolve } of due) resolve()
  }
}
