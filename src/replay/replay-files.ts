// Replays whole recordings: pieces go to the workers, reports come back in order, so that lines have their numbers and the
// changed records their order. Knows neither what the workers decide nor where the output goes.

import { addSummary, emptySummary, type ReplaySummary } from '../analysis/replay-summary.ts'
import type { PieceReport } from './replayer.ts'
import type { SessionSource } from './session-stream.ts'
import type { ReplayWorkerPool } from './worker-pool.ts'

export interface UnreadableLine {
  readonly file: string
  readonly line: number
  readonly message: string
}

export interface ReplayResult {
  readonly summary: ReplaySummary
  /** the first few */
  readonly unreadable: readonly UnreadableLine[]
  readonly seconds: number
}

export interface ReplaySinks {
  /** share done, 0…1; only where the sizes of all inputs are known */
  readonly onProgress?: (share: number) => void
  /** takes changed records, as NDJSON; resolves when there is room for more */
  readonly changed?: (text: string) => Promise<void>
}

/** Unreadable lines that are described; all are counted. */
const MOST_UNREADABLE = 5

/** Replays the sources one after the other. Throws an InputError for a source that breaks off. */
export async function replayFiles(
  sources: readonly SessionSource[],
  pool: ReplayWorkerPool,
  { onProgress, changed }: ReplaySinks,
): Promise<ReplayResult> {
  const start = performance.now()
  const total = sources.reduce((sum, { size }) => sum + (size ?? Number.NaN), 0)
  const unreadable: UnreadableLine[] = []
  let before = 0
  for (const source of sources) {
    let lines = 0
    const take = async ({ lines: count, problems, changed: records }: PieceReport) => {
      for (const { line, message } of problems) {
        if (unreadable.length < MOST_UNREADABLE) unreadable.push({ file: source.name, line: lines + line, message })
      }
      lines += count
      if (records !== '') await changed?.(records)
    }
    let inOrder: Promise<void> = Promise.resolve()
    for await (const { lines: piece, done } of source.pieces()) {
      const { report } = await pool.submit(piece)
      const turn = inOrder.then(async () => take(await report))
      turn.catch(() => {})
      inOrder = turn
      if (Number.isFinite(total)) onProgress?.((before + done) / total)
    }
    await inOrder
    before += source.size ?? 0
  }
  const summary = emptySummary()
  for (const part of await pool.finish()) addSummary(summary, part)
  return { summary, unreadable, seconds: (performance.now() - start) / 1000 }
}
