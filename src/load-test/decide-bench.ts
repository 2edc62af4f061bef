// A whole load test of rule evaluation: rules compiled, threads started, results added up.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { compileRuleset } from '../policy/ruleset.ts'
import type { DecideLoad } from './decide-load.ts'
import type { DecideJob, PolicyUnderTest } from './decide-worker.ts'
import type { Order } from './random.ts'

export interface DecideBenchResult {
  readonly rules: number
  readonly connections: number
  readonly threads: number
  readonly seconds: number
  readonly decisions: number
  readonly decisionsPerSecond: number
  /** mean processor time of one decision */
  readonly processorNs: number
  /** share of connections that some rule matched, 0…1 */
  readonly matched: number
  /** share that came from the cache, 0…1 */
  readonly known: number
  readonly latency: RecordableHistogram
  /** of those that did not come from the cache */
  readonly unknownLatency: RecordableHistogram
  /** as in DecideLoad */
  readonly buckets: readonly number[]
  readonly clockNs: number
  readonly compileMs: number
  /** heap the compiled rules take, lists included */
  readonly rulesetBytes: number
  readonly rssBytes: number
}

export interface DecideBenchOptions {
  readonly threads: number
  readonly seconds: number
  readonly order: Order
  readonly cache: boolean
  readonly onProgress?: (share: number) => void
}

/** Compiles the rules once here for the figures of compiling, then decides on worker threads.
 *  Rejects when a thread dies. */
export async function benchDecide(subject: PolicyUnderTest, options: DecideBenchOptions): Promise<DecideBenchResult> {
  const { compileMs, rulesetBytes } = measureCompile(subject)
  const shares = new Map<number, number>()
  const reports = await Promise.all(
    Array.from({ length: options.threads }, (_, thread) =>
      runThread({ subject, seconds: options.seconds, order: options.order, cache: options.cache }, (share) => {
        shares.set(thread, share)
        options.onProgress?.([...shares.values()].reduce((sum, one) => sum + one, 0) / options.threads)
      }),
    ),
  )
  const latency = createHistogram()
  const unknownLatency = createHistogram()
  for (const report of reports) {
    latency.add(report.latency)
    unknownLatency.add(report.unknownLatency)
  }
  const sum = (read: (report: DecideLoad) => number) => reports.reduce((total, report) => total + read(report), 0)
  return {
    rules: subject.rules.length,
    connections: subject.flows.length,
    threads: options.threads,
    seconds: options.seconds,
    decisions: sum((report) => report.decisions),
    decisionsPerSecond: sum((report) => report.decisionsPerSecond),
    processorNs: sum((report) => report.processorNs) / reports.length,
    matched: sum((report) => report.matched) / reports.length,
    known: sum((report) => report.known) / reports.length,
    latency,
    unknownLatency,
    buckets: latencyBuckets(reports),
    clockNs: sum((report) => report.clockNs) / reports.length,
    compileMs,
    rulesetBytes,
    rssBytes: process.memoryUsage.rss(),
  }
}

function latencyBuckets(reports: readonly DecideLoad[]): number[] {
  const sums: number[] = []
  for (const { buckets } of reports) for (const [at, count] of buckets.entries()) sums[at] = (sums[at] ?? 0) + count
  return sums
}

/** Times the first compilation and weighs a second one, so that what only the first makes (code, caches) is not counted as rules. */
function measureCompile({ rules, lists, settings }: PolicyUnderTest): { compileMs: number; rulesetBytes: number } {
  const start = performance.now()
  compileRuleset(rules, lists, settings)
  const compileMs = performance.now() - start
  const before = heapAtRest()
  const { ruleset } = compileRuleset(rules, lists, settings)
  // less than nothing is the noise of a heap that other things left meanwhile
  const rulesetBytes = Math.max(0, heapAtRest() - before)
  return ruleset.rules.length >= 0 ? { compileMs, rulesetBytes } : { compileMs, rulesetBytes: 0 }
}

const MOST_COLLECTIONS = 8
const AT_REST_BYTES = 4096

/** Heap and buffers in use once collecting frees nothing more: one collection leaves what weak references and code held. */
function heapAtRest(): number {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  let [before, now] = [Number.POSITIVE_INFINITY, heapAfter(collect)]
  for (let count = 1; count < MOST_COLLECTIONS && before - now > AT_REST_BYTES; count++) {
    before = now
    now = heapAfter(collect)
  }
  return now
}

function heapAfter(collect: () => void): number {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

function runThread(job: DecideJob, onProgress: (share: number) => void): Promise<DecideLoad> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./decide-worker.ts', import.meta.url), { workerData: job })
    worker.on('message', (message: number | DecideLoad) => {
      if (typeof message === 'number') onProgress(message)
      else resolve(message)
    })
    worker.once('error', reject)
  })
}
