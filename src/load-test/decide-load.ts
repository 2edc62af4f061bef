// Load on rule evaluation: how many first matches a second one thread finds, and how long single ones take.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { NamedList } from '../policy/account.ts'
import type { Flow } from '../policy/flow.ts'
import type { Rule } from '../policy/rule.ts'
import type { Ruleset, RulesetSettings } from '../policy/ruleset.ts'
import { createDraws, type Order } from './random.ts'
import { freshFlow, touchFlow } from './synthetic-flows.ts'

export interface DecideLoadOptions {
  /** half of them measure the rate without a clock in the loop, half the single decisions */
  readonly seconds: number
  readonly order: Order
  /** decide what came before from the cache */
  readonly cache: boolean
  /** called now and then with the share done, 0…1 */
  readonly onProgress?: (share: number) => void
}

export interface PolicyUnderTest {
  readonly rules: readonly Rule[]
  readonly lists: readonly NamedList[]
  readonly settings: RulesetSettings
  readonly flows: readonly Flow[]
}

/** One thread's share. */
export type DecideJob = Omit<DecideLoadOptions, 'onProgress'> & { readonly subject: PolicyUnderTest }

export interface DecideLoad {
  readonly decisions: number
  readonly decisionsPerSecond: number
  /** nanoseconds of processor time of one decision, on average: what other work on the machine cannot change much */
  readonly processorNs: number
  readonly matched: number
  /** share of the single decisions that came from the cache, 0…1 */
  readonly known: number
  /** nanoseconds of single decisions, the cost of asking the clock taken off */
  readonly latency: RecordableHistogram
  /** of those that did not come from the cache */
  readonly unknownLatency: RecordableHistogram
  /** single decisions by duration, as {@link countIn} counts */
  readonly buckets: readonly number[]
  /** nanoseconds the clock itself takes, as taken off */
  readonly clockNs: number
}

/** Connections made at a time: few enough for their facts to stay in the processor's cache until they are decided. */
const BATCH = 128

/** Up to 2^32 nanoseconds, about four seconds. */
export const BUCKETS = 32

/** Counts a duration in its bucket: the count at n took at least 2^n and less than 2^(n+1) nanoseconds. */
export function countIn(buckets: number[], nanoseconds: number): void {
  const bucket = Math.min(BUCKETS - 1, 31 - Math.clz32(Math.min(nanoseconds, 0xffff_ffff)))
  buckets[bucket] = (buckets[bucket] ?? 0) + 1
}

type Decide = (flow: Flow) => unknown

/** Decides flows. A decision is everything from a flow to its rule: reading the flow's values and the first match, or the cache's answer
 *  and keeping it. The facts of each connection are made right before, outside what is timed, since a proxy has just made them (see
 *  synthetic-flows.ts); rules, people and lists are in the processor's cache or not as the traffic has it. */
export function runDecideLoad(ruleset: Ruleset, flows: readonly Flow[], options: DecideLoadOptions): DecideLoad {
  const { onProgress } = options
  const half = (options.seconds * 1000) / 2
  const draw = createDraws(flows.length, options.order)
  const next = () => freshOne(flows, draw())
  const decide: Decide = options.cache ? ruleset.firstMatch : ruleset.firstMatchAnew
  run(next, decide, Math.min(half, 500))
  onProgress?.(0.05)
  const rate = run(next, decide, half)
  onProgress?.(0.5)
  const timed = timeSingle(ruleset, { next, decide, ms: half, onProgress: (share) => onProgress?.(0.5 + share / 2) })
  return {
    ...timed,
    decisions: rate.decisions + timed.decisions,
    decisionsPerSecond: (rate.decisions * 1000) / rate.ms,
    processorNs: rate.processorNs,
    matched: rate.matched / rate.decisions,
  }
}

function freshOne(flows: readonly Flow[], number: number): Flow {
  const flow = flows[number]
  if (flow === undefined) throw new RangeError('no connections to decide')
  const fresh = freshFlow(flow)
  touchFlow(fresh)
  return fresh
}

interface Single {
  readonly next: () => Flow
  readonly decide: Decide
  readonly ms: number
  readonly onProgress: (share: number) => void
}

type Timed = Pick<DecideLoad, 'decisions' | 'known' | 'latency' | 'unknownLatency' | 'buckets' | 'clockNs'>

function timeSingle(ruleset: Ruleset, { next, decide, ms, onProgress }: Single): Timed {
  const clockNs = clockCost()
  const latency = createHistogram()
  const unknownLatency = createHistogram()
  const buckets = new Array<number>(BUCKETS).fill(0)
  const end = performance.now() + ms
  let decisions = 0
  let known = 0
  while (performance.now() < end) {
    const batch = Array.from({ length: BATCH }, next)
    for (const flow of batch) {
      const knownBefore = ruleset.cacheCounts.known
      const before = process.hrtime.bigint()
      decide(flow)
      const took = Math.max(1, Number(process.hrtime.bigint() - before) - clockNs)
      latency.record(took)
      if (ruleset.cacheCounts.known > knownBefore) known++
      else unknownLatency.record(took)
      countIn(buckets, took)
    }
    decisions += BATCH
    onProgress(Math.min(1, 1 - (end - performance.now()) / ms))
  }
  return { decisions, known: known / decisions, latency, unknownLatency, buckets, clockNs }
}

interface Rate {
  readonly decisions: number
  readonly matched: number
  /** spent deciding */
  readonly ms: number
  readonly processorNs: number
}

function run(next: () => Flow, decide: Decide, ms: number): Rate {
  const end = performance.now() + ms
  const spent = { ms: 0, processorUs: 0 }
  let decisions = 0
  let matched = 0
  while (performance.now() < end) {
    const batch = Array.from({ length: BATCH }, next)
    matched += timeBatch(decide, batch, spent)
    decisions += batch.length
  }
  return { decisions, matched, ms: spent.ms, processorNs: (spent.processorUs * 1000) / decisions }
}

function timeBatch(decide: Decide, batch: readonly Flow[], spent: { ms: number; processorUs: number }): number {
  let matched = 0
  const cpu = process.threadCpuUsage()
  const start = performance.now()
  for (const flow of batch) if (decide(flow) !== undefined) matched++
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
