// Runs a replay: which rules, checked once before any thread starts; the recordings; the workers; the file of
// changed records.

import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import type { ReplaySummary } from '../analysis/replay-summary.ts'
import { cannotWrite } from '../config/files.ts'
import { readSourceDocument } from '../config/source-document.ts'
import { readConfig } from '../decider/read-config.ts'
import { InputError } from '../errors/issue.ts'
import type { RulesOrigin } from './load-policy.ts'
import { replayFiles } from './replay-files.ts'
import { openSessions } from './session-stream.ts'
import { startWorkerPool } from './worker-pool.ts'

/** Replays recordings. Throws an InputError for rules that are not good and recordings that cannot be read. */
export async function replay(request: ReplayRequest): Promise<ReplayOutcome> {
  const { sessions, configFile, threads, out } = request
  const after = originOf(request.against ?? request.rules, configFile)
  const before = request.against === undefined ? undefined : originOf(request.rules, configFile)
  const rules = checkedRules([after, ...(before === undefined ? [] : [before])])
  const sources = sessions.map((path) => openSessions(path, standardInput()))
  const sink = out === undefined ? undefined : await openSink(out)
  const workerData = before === undefined ? { after } : { after, before }
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
function checkedRules(origins: readonly RulesOrigin[]): ReplayOutcome['rules'] {
  const read = origins.map(({ configFile, rulesFile }) => {
    return readConfig(configFile, rulesFile === undefined ? {} : { rulesFile }).config.rules
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
  /** where changed records go */
  readonly out?: string
  /** share done, 0…1 */
  readonly onProgress?: (share: number) => void
}

export interface ReplayOutcome {
  readonly summary: ReplaySummary
  /** the first few lines that are no session record */
  readonly unreadable: readonly { readonly file: string; readonly line: number; readonly message: string }[]
  readonly seconds: number
  /** the rules sessions were decided by in the end, by precedence; those that can decide */
  readonly rules: readonly { readonly id: string; readonly name: string; readonly precedence: number }[]
}
