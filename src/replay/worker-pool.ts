// Hands pieces of a recording to worker threads and gives their reports back in the order of the pieces. Holds only a few
// pieces at a time, so that memory stays the same however long the recording is.

import { Worker } from 'node:worker_threads'
import type { ReplaySummary } from '../analysis/replay-summary.ts'
import type { RulesOrigin } from './load-policy.ts'
import type { NameSource } from './recorded-session.ts'
import type { PieceReport } from './replayer.ts'
import type { Lines } from './session-stream.ts'

/** What a worker starts with. */
export interface ReplayWorkerData {
  readonly after: RulesOrigin
  /** absent: compare with what was recorded */
  readonly before?: RulesOrigin
  readonly names: NameSource
}

export type ReplayTask =
  | { readonly kind: 'piece'; readonly lines: Lines; readonly keepChanged: boolean }
  | { readonly kind: 'finish' }

export type ReplayTaskResult =
  | { readonly kind: 'ready' }
  | { readonly kind: 'report'; readonly report: PieceReport }
  | { readonly kind: 'summary'; readonly summary: ReplaySummary }

/** Pieces a worker has at once: one in work, one waiting. */
const PIECES_EACH = 2

interface Member {
  readonly worker: Worker
  readonly waiting: ((message: ReplayTaskResult) => void)[]
}

export interface ReplayWorkerPool {
  /** Resolves as soon as there is room for the piece; `report` once it has been replayed. */
  submit(lines: Lines): Promise<{ readonly report: Promise<PieceReport> }>
  /** The summaries of all workers, once all pieces are done. */
  finish(): Promise<ReplaySummary[]>
  close(): Promise<void>
}

/** Starts the workers; `module` answers in the messages above. Rejects when one of them cannot start. */
export async function startWorkerPool(
  module: URL,
  threads: number,
  { workerData, keepChanged }: { readonly workerData: ReplayWorkerData; readonly keepChanged: boolean },
): Promise<ReplayWorkerPool> {
  const failure = Promise.withResolvers<never>()
  failure.promise.catch(() => {})
  const members = Array.from({ length: threads }, (): Member => {
    const member: Member = { worker: new Worker(module, { workerData }), waiting: [] }
    member.worker.on('message', (message: ReplayTaskResult) => member.waiting.shift()?.(message))
    member.worker.on('error', (error) => failure.reject(error))
    return member
  })
  const answer = (member: Member) => {
    const { promise, resolve } = Promise.withResolvers<ReplayTaskResult>()
    member.waiting.push(resolve)
    return Promise.race([promise, failure.promise])
  }
  const ask = (member: Member, message: ReplayTask, transfer: ArrayBuffer[] = []) => {
    const answered = answer(member)
    member.worker.postMessage(message, transfer)
    return answered
  }
  const close = async () => {
    await Promise.all(members.map(({ worker }) => worker.terminate()))
  }
  try {
    await Promise.all(members.map(answer))
  } catch (thrown) {
    await close()
    throw thrown
  }
  const running = new Set<Promise<unknown>>()
  return {
    async submit(lines) {
      while (running.size >= threads * PIECES_EACH) await Promise.race(running)
      const member = members.reduce((a, b) => (b.waiting.length < a.waiting.length ? b : a))
      const moved = lines.kind === 'bytes' ? [lines.bytes.buffer] : []
      const report = ask(member, { kind: 'piece', lines, keepChanged }, moved).then((message) => {
        if (message.kind !== 'report') throw new RangeError(`a worker answered ${message.kind} to a piece`)
        return message.report
      })
      const settled: Promise<unknown> = report.then(
        () => running.delete(settled),
        () => running.delete(settled),
      )
      running.add(settled)
      return { report }
    },
    async finish() {
      const answers = await Promise.all(members.map((member) => ask(member, { kind: 'finish' })))
      return answers.flatMap((message) => (message.kind === 'summary' ? [message.summary] : []))
    },
    close,
  }
}
