// Decides recordings as `replay` does, in the test's own thread, so that rules are loaded once for many recordings.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll } from 'vitest'
import { replayDocument } from '../../src/cli/commands/replay.ts'
import { loadReplaySide } from '../../src/replay/load-policy.ts'
import type { ReplayRequest, UnreadableRecord } from '../../src/replay/replay.ts'
import { createReplayer, type ReplaySide } from '../../src/replay/replayer.ts'
import { openSessions, replayBytes } from '../../src/replay/session-stream.ts'
import { SpanReader } from '../../src/replay/span.ts'
import { run } from '../cli/run.ts'

const EXAMPLES = 'config/examples/recordings'
export const ACCOUNT = `${EXAMPLES}/account.yaml`
export const example = (name: string) => `${EXAMPLES}/${name}`

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-recordings-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

export function written(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

/** What `replay FILE --json` prints, decided in this thread; rules are loaded once. */
export async function replayed(file: string, { rules, against, names, columns }: Partial<ReplayRequest> = {}) {
  const [after, before] = against === undefined ? [rules] : [against, rules]
  const other = against === undefined ? {} : { before: sideOf(before) }
  const replayer = createReplayer(sideOf(after), { ...other, ...(names === undefined ? {} : { names }) })
  const unreadable: UnreadableRecord[] = []
  const spans = new SpanReader()
  let lines = 0
  for await (const { lines: piece, inRecords } of openSessions(file, Readable.from([]), columns).pieces()) {
    if ('problem' in piece) {
      unreadable.push({ file, record: ++lines, message: piece.problem })
      continue
    }
    const bytes = piece.kind === 'bytes' ? piece.bytes : spans.read(piece.span)
    const report = replayBytes(replayer, bytes, { keepChanged: false })
    for (const { line, message } of report.problems) {
      unreadable.push({ file, ...(inRecords ? { record: lines + line } : { line: lines + line }), message })
    }
    lines += report.lines
  }
  spans.close()
  const decided = sideOf(after).snapshot.ruleset.rules
  return replayDocument({ summary: replayer.summary(), unreadable, seconds: 1, rules: decided }) as Document
}

/** The verb itself. */
export const verb = (file: string, ...args: readonly string[]) =>
  run(['replay', file, '-c', ACCOUNT, '--threads', '1', ...args])

/** Results of every shape; tests look into theirs. */
// biome-ignore lint/suspicious/noExplicitAny: see above
type Document = any

const sides = new Map<string, ReplaySide>()

/** Like the verb: a list of rules goes with the account, anything else is a configuration. */
function sideOf(file = ACCOUNT): ReplaySide {
  const isList = readFileSync(file, 'utf8').startsWith('- ')
  const side =
    sides.get(file) ?? loadReplaySide(isList ? { configFile: ACCOUNT, rulesFile: file } : { configFile: file })
  sides.set(file, side)
  return side
}

/** Sessions of the first example, as a Logpush job writes them. */
export const SESSIONS = readFileSync(example('network-sessions.ndjson'), 'utf8').trimEnd().split('\n')
export const session = (nth: number, changes: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({ ...JSON.parse(SESSIONS[nth] ?? ''), ...changes })
export const only = (...lines: readonly string[]) => written('some.ndjson', `${lines.join('\n')}\n`)
/** Sends Finance to the bank from Ashburn, which the bank refuses. */
export const elsewhere = () =>
  written(
    'elsewhere.yaml',
    readFileSync(ACCOUNT, 'utf8').replace(
      'egress: { ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.30, ipv6: "2001:db8:20::/64" }',
      'egress: { ipv4: 203.0.113.30, ipv4_fallback: 203.0.113.20, ipv6: "2001:db8:30::/64" }',
    ),
  )
