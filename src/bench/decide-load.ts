// Load on rule evaluation: how many first matches a second one thread finds, and how long single ones take.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { Flow } from '../policy/flow.ts'
import type { Ruleset } from '../policy/ruleset.ts'
import { touchFlow } from './touch-flow.ts'

export interface DecideLoadOptions {
  /** half of them measure the rate without a clock in the loop, half the single decisions */
  readonly seconds: number
  /** called now and then with the share done, 0…1 */
  readonly onProgress?: (share: number) => void
}

export interface DecideLoad {
  readonly decisions: number
  readonly decisionsPerSecond: number
  /** nanoseconds of processor time of one decision, on average: what other work on the machine cannot change much */
  readonly processorNs: number
  readonly matched: number
  /** nanoseconds of single decisions, the cost of asking the clock taken off */
  readonly latency: RecordableHistogram
  /** single decisions by duration: the count at n took at least 2^n and less than 2^(n+1) nanoseconds */
  readonly buckets: readonly number[]
  /** nanoseconds the clock itself takes, as taken off */
  readonly clockNs: number
}

/** Decisions between two looks at the clock while the rate is measured: few enough for their facts to stay in the cache. */
const BATCH = 128

/** Up to 2^32 nanoseconds, about four seconds. */
const BUCKETS = 32

/** Decides the flows round and round. A decision is everything from a flow to its rule: reading the flow's values and the first
 *  match. The facts of each connection are touched right before, outside what is timed, since a proxy has just made them (see
 *  touch-flow.ts); rules, people and lists are in the cache or not as the traffic has it. */
export function runDecideLoad(ruleset: Ruleset, flows: readonly Flow[], options: DecideLoadOptions): DecideLoad {
  const half = (options.seconds * 1000) / 2
  run(ruleset, flows, Math.min(half, 500))
  options.onProgress?.(0.05)
  const rate = run(ruleset, flows, half)
  options.onProgress?.(0.5)
  const clockNs = clockCost()
  const latency = createHistogram()
  const buckets = new Array<number>(BUCKETS).fill(0)
  const end = performance.now() + half
  let timed = 0
  while (performance.now() < end) {
    for (let at = 0; at < BATCH; at++) {
      const flow = flows[timed % flows.length]
      if (flow === undefined) break
      touchFlow(flow)
      const before = process.hrtime.bigint()
      ruleset.firstMatch(flow)
      const took = Math.max(1, Number(process.hrtime.bigint() - before) - clockNs)
      latency.record(took)
      const bucket = Math.min(BUCKETS - 1, 31 - Math.clz32(took))
      buckets[bucket] = (buckets[bucket] ?? 0) + 1
      timed++
    }
    options.onProgress?.(Math.min(1, 1 - (end - performance.now()) / half / 2))
  }
  return {
    decisions: rate.decisions + timed,
    decisionsPerSecond: (rate.decisions * 1000) / rate.ms,
    processorNs: rate.processorNs,
    matched: rate.matched / rate.decisions,
    latency,
    buckets,
    clockNs,
  }
}

interface Rate {
  readonly decisions: number
  readonly matched: number
  /** spent deciding */
  readonly ms: number
  readonly processorNs: number
}

function run(ruleset: Ruleset, flows: readonly Flow[], ms: number): Rate {
  const end = performance.now() + ms
  const spent = { ms: 0, processorUs: 0 }
  let decisions = 0
  let matched = 0
  while (performance.now() < end) {
    const start = decisions % flows.length
    const batch = flows.slice(start, start + BATCH)
    for (const flow of batch) touchFlow(flow)
    matched += timeBatch(ruleset, batch, spent)
    decisions += batch.length
  }
  return { decisions, matched, ms: spent.ms, processorNs: (spent.processorUs * 1000) / decisions }
}

function timeBatch(ruleset: Ruleset, batch: readonly Flow[], spent: { ms: number; processorUs: number }): number {
  let matched = 0
  const cpu = process.threadCpuUsage()
  const start = performance.now()
  for (const flow of batch) if (ruleset.firstMatch(flow) !== undefined) matched++
  spent.ms += performance.now() - start
  const { user, system } = process.threadCpuUsage(cpu)
  spent.processorUs += user + system
  return matched
}

/** What two looks at the clock cost, in nanoseconds: the median of many. */
function clockCost(): number {
  const histogram = createHistogram()
  for (let at = 0; at < 20_000; at++) {
    const before = process.hrtime.bigint()
    histogram.record(Math.max(1, Number(process.hrtime.bigint() - before)))
  }
  return histogram.percentile(50)
}
