// Load on rule evaluation: how many first matches a second one thread finds, and how long single ones take.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { Flow } from '../policy/flow.ts'
import type { CompiledRule, Ruleset } from '../policy/ruleset.ts'

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

/** Flows between two looks at the clock while the rate is measured. */
const BATCH = 1000

/** Up to 2^32 nanoseconds, about four seconds. */
const BUCKETS = 32

/** Decides the flows round and round. A decision is everything from a flow to its rule: reading the flow's values and the first match. */
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
  readonly ms: number
  readonly processorNs: number
}

function run(ruleset: Ruleset, flows: readonly Flow[], ms: number): Rate {
  const cpu = process.threadCpuUsage()
  const start = performance.now()
  let decisions = 0
  let matched = 0
  let last: CompiledRule | undefined
  while (performance.now() - start < ms) {
    for (let at = 0; at < BATCH; at++) {
      const flow = flows[decisions % flows.length]
      if (flow === undefined) break
      last = ruleset.firstMatch(flow)
      if (last !== undefined) matched++
      decisions++
    }
  }
  const { user, system } = process.threadCpuUsage(cpu)
  return { decisions, matched, ms: performance.now() - start, processorNs: ((user + system) * 1000) / decisions }
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
