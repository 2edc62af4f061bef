// One thread of a replay: loads the rules for itself, then answers each piece of a recording with a report.

import { parentPort, workerData } from 'node:worker_threads'
import { loadReplaySide } from './load-policy.ts'
import { createReplayer } from './replayer.ts'
import { replayBytes } from './session-stream.ts'
import { SpanReader } from './span.ts'
import type { ReplayTask, ReplayTaskResult, ReplayWorkerData } from './worker-pool.ts'

const { after, before, names }: ReplayWorkerData = workerData
const against = before === undefined ? {} : { before: loadReplaySide(before) }
const replayer = createReplayer(loadReplaySide(after), { ...against, names })
const spans = new SpanReader()

function tell(message: ReplayTaskResult): void {
  parentPort?.postMessage(message)
}

parentPort?.on('message', (message: ReplayTask) => {
  if (message.kind === 'finish') {
    tell({ kind: 'summary', summary: replayer.summary() })
    parentPort?.close()
  } else {
    const { lines, keepChanged } = message
    const bytes = lines.kind === 'bytes' ? lines.bytes : spans.read(lines.span)
    tell({ kind: 'report', report: replayBytes(replayer, bytes, { keepChanged }) })
  }
})
tell({ kind: 'ready' })
