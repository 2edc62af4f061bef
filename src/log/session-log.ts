// The sinks of finished sessions: the file, the last few in memory, and standard output (a readable line each on a
// terminal, NDJSON elsewhere). Recording never blocks and never throws; dropped lines are counted.

import type { SessionRecord } from '../proxy/session-record.ts'
import type { LineQueue } from './line-queue.ts'
import type { SessionFile } from './session-file.ts'
import { sessionLine } from './session-line.ts'

/** A finished session. Its record may be computed on first access. */
export interface LoggedSession {
  readonly record: SessionRecord
}

export interface SessionLog {
  record(record: SessionRecord): void
  /** The same for a session whose record is already JSON; the record itself may never be accessed. */
  recordWritten(session: LoggedSession, json: string): void
  /** the last sessions since {@link forget}, oldest first */
  recent(): readonly SessionRecord[]
  /** sessions recorded and log lines lost so far */
  readonly total: number
  readonly dropped: number
  /** Why a session could not be written to the file now, found by trying; undefined if it could, or there is no
   *  file. */
  whyNotWritable(): Promise<string | undefined>
  /** Empties what {@link recent} shows; files and counts keep all. */
  forget(): void
  /** Calls back for every new session; returns the function that unsubscribes. */
  subscribe(listener: (record: SessionRecord) => void): () => void
  /** Writes pending lines, for at most `deadlineMs`. */
  close(deadlineMs: number): Promise<void>
}

export interface SessionLogOptions {
  readonly file?: SessionFile
  readonly output?: { readonly queue: LineQueue; readonly form: 'line' | 'ndjson'; readonly colour: boolean }
  /** sessions kept in memory (default 1000) */
  readonly remember?: number
}

/** Creates the log of sessions, one record each ([S1]), with these sinks; each may be absent. */
export function createSessionLog(options: SessionLogOptions): SessionLog {
  const { file, output, remember = 1000 } = options
  let ring = createRing<LoggedSession>(remember)
  /** recorded before the last {@link SessionLog.forget} */
  let before = 0
  const listeners = new Set<(record: SessionRecord) => void>()
  const sinks = [file, output?.queue].filter((sink) => sink !== undefined)
  const wantsJson = file !== undefined || output?.form === 'ndjson'
  function take(session: LoggedSession, json: string): void {
    ring.push(session)
    file?.push(json)
    output?.queue.push(output.form === 'ndjson' ? json : sessionLine(session.record, output))
    for (const listener of listeners) listener(session.record)
  }
  return {
    record: (record) => take({ record }, wantsJson ? JSON.stringify(record) : ''),
    recordWritten: take,
    recent: () => ring.items().map(({ record }) => record),
    forget() {
      before += ring.total
      ring = createRing(remember)
    },
    get total() {
      return before + ring.total
    },
    get dropped() {
      return sinks.reduce((sum, sink) => sum + sink.dropped, 0)
    },
    whyNotWritable: async () => file?.whyNotWritable(),
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async close(deadlineMs) {
      await Promise.all(sinks.map((sink) => sink.close(deadlineMs)))
    },
  }
}

export interface Ring<T> {
  push(item: T): void
  /** oldest first */
  items(): T[]
  /** number of items ever pushed */
  readonly total: number
}

/** A ring of at most `capacity` items (at least 1); the oldest makes room. */
export function createRing<T>(capacity: number): Ring<T> {
  const slots: T[] = []
  let total = 0
  return {
    push(item) {
      slots[total % capacity] = item
      total++
    },
    items() {
      const start = total > capacity ? total % capacity : 0
      return [...slots.slice(start), ...slots.slice(0, start)]
    },
    get total() {
      return total
    },
  }
}
