// The sinks of finished sessions: the file, the last few in memory, Logpush, and standard output (a readable line each on a
// terminal, NDJSON elsewhere). Recording never blocks and never throws; dropped lines are counted.

import { fstat, write } from 'node:fs'
import { promisify } from 'node:util'
import type { AllowlistVerdict } from '../policy/allowlist.ts'
import type { SessionRecord } from '../proxy/session-record.ts'
import { createLineQueue, GATHER_MS, type LineQueue } from './line-queue.ts'
import type { SessionFile } from './session-file.ts'

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
  /** takes sessions as JSON while it has a job */
  readonly logpush?: { readonly isWanted: boolean; readonly push: (json: string) => void }
  readonly output?: { readonly queue: LineQueue; readonly form: 'line' | 'ndjson'; readonly colour: boolean }
  /** sessions kept in memory (default 1000) */
  readonly remember?: number
}

/** Creates the log of sessions, one record each ([S1]), with these sinks; each may be absent. */
export function createSessionLog(options: SessionLogOptions): SessionLog {
  const { file, output, logpush, remember = 1000 } = options
  let ring = createRing<LoggedSession>(remember)
  /** recorded before the last {@link SessionLog.forget} */
  let before = 0
  const listeners = new Set<(record: SessionRecord) => void>()
  const sinks = [file, output?.queue].filter((sink) => sink !== undefined)
  const wantsJson = file !== undefined || output?.form === 'ndjson'
  function take(session: LoggedSession, json: string): void {
    ring.push(session)
    file?.push(json)
    if (logpush?.isWanted) logpush.push(json)
    output?.queue.push(output.form === 'ndjson' ? json : sessionLine(session.record, output))
    for (const listener of listeners) listener(session.record)
  }
  return {
    record: (record) => take({ record }, wantsJson || logpush?.isWanted ? JSON.stringify(record) : ''),
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

const STDOUT = 1

/** Session lines on standard output. A pipe is written by the event loop, a file by a worker thread, so that neither a
 *  stopped reader nor a slow disk delays traffic; when a reader goes away, the output ends, not the process (RS-08).
 *  `onProblem` is called then. */
export async function openStandardOutput(onProblem: (error: unknown) => void): Promise<LineQueue> {
  const { isFile } = await promisify(fstat)(STDOUT).then(
    (stats) => ({ isFile: stats.isFile() }),
    () => ({ isFile: false }),
  )
  let gone = false
  process.stdout.on('error', (error) => {
    if (!gone) onProblem(error)
    gone = true
  })
  return createLineQueue({
    onProblem,
    gatherMs: GATHER_MS,
    async write(batch) {
      if (gone) return
      if (isFile) await writeFully(batch)
      else await new Promise<void>((resolve) => process.stdout.write(batch, () => resolve()))
    },
  })
}

async function writeFully(bytes: Buffer): Promise<void> {
  let at = 0
  while (at < bytes.length) {
    const { bytesWritten } = await promisify(write)(STDOUT, bytes, at, bytes.length - at, null)
    at += bytesWritten
  }
}

type LinePaint = (style: 'good' | 'bad' | 'dim' | 'plain', text: string) => string

/** One session record ([S1]) as a line for a terminal, without a line feed. Columns are padded to usual widths and grow
 *  with longer values. */
export function sessionLine(record: SessionRecord, options: { readonly colour: boolean }): string {
  const paint = options.colour ? colourful : plain
  const failed = record.Lab.error !== undefined
  const columns = [
    paint('dim', clock(record.SessionEndTime)),
    printable(record.Email === '' ? '(nobody)' : record.Email).padEnd(19),
    paint('dim', printable(record.Lab.virtualNetworkName === '' ? '-' : record.Lab.virtualNetworkName).padEnd(9)),
    printable(record.Lab.target).padEnd(24),
    ...(record.EgressIP === '' ? [] : egress(record, paint)),
    ...(failed ? [paint('bad', failure(record))] : []),
    ...(record.Lab.allowlist === undefined ? [] : [verdict(record.Lab.allowlist, paint)]),
    ...(record.EgressIP === '' ? [] : [traffic(record)]),
    paint('dim', `${Math.round(record.Lab.durationMs)} ms`),
  ]
  return columns.join('  ').trimEnd()
}

function egress(record: SessionRecord, paint: LinePaint): string[] {
  const { outcome, logical } = record.Lab
  const rule = record.EgressRuleName === '' ? `(${outcome ?? 'undecided'})` : record.EgressRuleName
  const seen = logical === undefined ? '' : `seen in ${logical.city} ${logical.country}`
  return [
    printable(rule).padEnd(22),
    paint('good', record.EgressIP.padEnd(13)),
    `via ${record.EgressColoName === '' ? '-' : record.EgressColoName}`,
    printable(seen).padEnd(22),
  ]
}

function verdict(allowlist: AllowlistVerdict, paint: LinePaint): string {
  return allowlist === 'refused' ? paint('bad', 'refused') : paint('good', 'let in')
}

function failure(record: SessionRecord): string {
  const { error } = record.Lab
  return `${record.ConnectionCloseReason} ${error?.code ?? ''}: ${printable(error?.message ?? '', 200)}`
}

function traffic(record: SessionRecord): string {
  return `↑ ${bytes(record.BytesSent)} ↓ ${bytes(record.BytesReceived)}`
}

/** `312 B`, `4.1 kB`, `2.0 GB`: decimal units, as usual in networking. */
function bytes(count: number): string {
  if (count < 1000) return `${count} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  const step = Math.min(Math.floor(Math.log10(count) / 3), units.length)
  return `${(count / 1000 ** step).toFixed(1)} ${units[step - 1]}`
}

/** Local time of day; the records themselves have the full UTC time. */
function clock(instant: string): string {
  const date = new Date(instant)
  if (Number.isNaN(date.getTime())) return '--:--:--'
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':')
}

const CODES = { good: '32', bad: '31', dim: '2', plain: '0' }

function colourful(style: keyof typeof CODES, text: string): string {
  return `\u001b[${CODES[style]}m${text}\u001b[0m`
}

function plain(_style: string, text: string): string {
  return text
}

/** C0 and C1 controls, line separators, direction marks and overrides, zero-width and invisible formatting characters,
 *  lone surrogates. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu

/** The text with every unsafe character as `\u{…}`, cut to `limit` characters with an ellipsis
 *  (LG-02). */
export function printable(text: string, limit = 80): string {
  const cut = text.length > limit ? `${text.slice(0, limit - 1)}…` : text
  return cut.replace(UNSAFE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}
