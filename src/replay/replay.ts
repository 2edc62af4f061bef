// Runs a replay: which rules, checked once before any thread starts; the recordings, in pieces that go to the workers; their
// reports, taken in order, so that lines have their numbers and the changed records their order.

import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { addSummary, emptySummary, type ReplaySummary } from '../analysis/replay-summary.ts'
import { cannotWrite } from '../config/files.ts'
import { readSourceDocument } from '../config/source-document.ts'
import { readConfig } from '../decider/read-config.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { withoutGeoDatabase } from '../geo/database.ts'
import type { RulesOrigin } from './load-policy.ts'
import type { NameSource } from './recorded-session.ts'
import type { NoRecord } from './recording-form.ts'
import type { PieceReport } from './replayer.ts'
import { openSessions, type SessionSource } from './session-stream.ts'
import { type ReplayWorkerPool, startWorkerPool } from './worker-pool.ts'

/** Replays recordings. Throws an InputError for rules that are not good and recordings that cannot be read. */
export async function replay(request: ReplayRequest): Promise<ReplayOutcome> {
  const { sessions, configFile, threads, out } = request
  const after = originOf(request.against ?? request.rules, configFile)
  const before = request.against === undefined ? undefined : originOf(request.rules, configFile)
  const rules = checkedRules([after, ...(before === undefined ? [] : [before])], request.onNotice)
  const sources = sessions.map((path) => openSessions(path, standardInput(), request.columns))
  const sink = out === undefined ? undefined : await openSink(out)
  const workerData = { after, ...(before === undefined ? {} : { before }), names: request.names ?? 'recorded' }
  const module = new URL('./replay-worker.ts', import.meta.url)
  const pool = await startWorkerPool(module, threads, { workerData, keepChanged: sink !== undefined })
  try {
    const changed = sink === undefined ? {} : { changed: (text: string) => writeTo(sink, text) }
    const progress = request.onProgress === undefined ? {} : { onProgress: request.onProgress }
    return { ...(await replayFiles(sources, pool, { ...progress, ...changed })), rules }
  } finally {
    await pool.close()
    if (sink !== undefined) await finished(sink.end())
  }
}

interface ReplaySinks {
  /** share done, 0…1; only where the sizes of all inputs are known */
  readonly onProgress?: (share: number) => void
  /** takes changed records, as NDJSON; resolves when there is room for more */
  readonly changed?: (text: string) => Promise<void>
}

/** Unreadable lines that are described; all are counted. */
const MOST_UNREADABLE = 5

/** Replays the sources one after the other. Throws an InputError for a source that breaks off. */
async function replayFiles(
  sources: readonly SessionSource[],
  pool: ReplayWorkerPool,
  { onProgress, changed }: ReplaySinks,
): Promise<Omit<ReplayOutcome, 'rules'>> {
  const start = performance.now()
  const total = sources.reduce((sum, { size }) => sum + (size ?? Number.NaN), 0)
  const unreadable: UnreadableRecord[] = []
  let [before, others] = [0, 0]
  for (const source of sources) {
    let lines = 0
    const take = async ({ lines: count, problems, changed: records }: PieceReport, inRecords: boolean) => {
      for (const { line, message } of problems.slice(0, MOST_UNREADABLE - unreadable.length)) {
        const at = inRecords ? { record: lines + line } : { line: lines + line }
        unreadable.push({ file: source.name, ...at, message })
      }
      lines += count
      if (records !== '') await changed?.(records)
    }
    const takeNone = ({ problem: message, line }: NoRecord, inRecords: boolean) => {
      others++
      lines++
      const at = inRecords && line === undefined ? { record: lines } : { line: line ?? lines }
      if (unreadable.length < MOST_UNREADABLE) unreadable.push({ file: source.name, ...at, message })
    }
    let inOrder: Promise<void> = Promise.resolve()
    for await (const { lines: piece, inRecords, done } of source.pieces()) {
      const submitted = 'problem' in piece ? undefined : await pool.submit(piece)
      const turn = inOrder.then(async () => {
        if ('problem' in piece) takeNone(piece, inRecords)
        else if (submitted !== undefined) await take(await submitted.report, inRecords)
      })
      turn.catch(() => {})
      inOrder = turn
      if (Number.isFinite(total)) onProgress?.((before + done) / total)
    }
    await inOrder
    before += source.size ?? 0
  }
  const summary = emptySummary()
  for (const part of await pool.finish()) addSummary(summary, part)
  summary.records += others
  summary.unreadable += others
  return { summary, unreadable, seconds: (performance.now() - start) / 1000 }
}

/** Standard input as bytes. Verbs have it as text; as Latin-1 text every byte is a character, and back again. */
async function* standardInput(): AsyncGenerator<Uint8Array> {
  process.stdin.setEncoding('latin1')
  for await (const text of process.stdin) yield Buffer.from(String(text), 'latin1')
}

/** A list is rules alone, anything else a configuration. */
function originOf(file: string | undefined, configFile: string): RulesOrigin {
  if (file === undefined) return { configFile }
  const document = readSourceDocument(file)
  if (document.issues.length > 0) throw new InputError(document.issues)
  return Array.isArray(document.data) ? { configFile, rulesFile: file } : { configFile: file }
}

/** The rules that decide in the end: the first of these. Throws with the problems of all. */
function checkedRules(origins: readonly RulesOrigin[], onNotice: ReplayRequest['onNotice']): ReplayOutcome['rules'] {
  const read = origins.map(({ configFile, rulesFile }) => {
    const { geo, rules } = readConfig(configFile, rulesFile === undefined ? {} : { rulesFile }).config
    const missing = withoutGeoDatabase(geo.databases)
    if (missing !== undefined) onNotice?.(missing)
    return rules
  })
  return (read[0] ?? [])
    .filter(({ enabled, action }) => enabled && action === 'egress')
    .toSorted((a, b) => a.precedence - b.precedence)
    .map(({ id, name, precedence }) => ({ id, name, precedence }))
}

async function openSink(file: string): Promise<WriteStream> {
  const sink = createWriteStream(file)
  try {
    await once(sink, 'open')
    return sink
  } catch (thrown) {
    throw cannotWrite(file, thrown, 'replay.unwritable')
  }
}

async function writeTo(sink: WriteStream, text: string): Promise<void> {
  if (!sink.write(text)) await once(sink, 'drain')
}

export interface ReplayRequest {
  /** paths; `-` is standard input */
  readonly sessions: readonly string[]
  /** for rules in a file of their own, and where no rules are named */
  readonly configFile: string
  /** configuration or list of rules */
  readonly rules?: string
  /** compare these with `rules`, in place of `rules` with what was recorded */
  readonly against?: string
  readonly threads: number
  /** default: the record's name alone */
  readonly names?: NameSource
  /** of a table whose first row does not name them */
  readonly columns?: readonly string[]
  /** where changed records go */
  readonly out?: string
  /** share done, 0…1 */
  readonly onProgress?: (share: number) => void
  readonly onNotice?: (issue: Issue) => void
}

export interface ReplayOutcome {
  readonly summary: ReplaySummary
  /** the first few lines that are no session record */
  readonly unreadable: readonly UnreadableRecord[]
  readonly seconds: number
  /** the rules sessions were decided by in the end, by precedence; those that can decide */
  readonly rules: readonly { readonly id: string; readonly name: string; readonly precedence: number }[]
}

/** Counted in lines, or in records where a record is no line. */
export interface UnreadableRecord {
  readonly file: string
  readonly line?: number
  readonly record?: number
  readonly message: string
}
