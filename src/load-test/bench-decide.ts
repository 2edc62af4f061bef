// What `bench decide` measures: synthetic rules, or a configuration's own under connections made of its own people,
// virtual networks and destinations.

import { createHistogram, type Histogram } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import type { LabConfig } from '../config/lab-config.ts'
import { readConfig } from '../decider/read-config.ts'
import { inputError } from '../errors/issue.ts'
import { fromIpv4Number, ip } from '../net/ip.ts'
import type { NamedList } from '../policy/account.ts'
import type { Flow } from '../policy/flow.ts'
import type { Rule } from '../policy/rule.ts'
import { compileRuleset } from '../policy/ruleset.ts'
import type { DecideJob, DecideLoad, DecideLoadOptions, PolicyUnderTest } from './decide-load.ts'
import { createRandom, type Random } from './random.ts'
import { createSyntheticFlows, type SyntheticTraffic } from './synthetic-flows.ts'
import { createSyntheticWorld, type SyntheticWorld } from './synthetic-world.ts'

/** Runs the load test. Throws an InputError for a configuration that is not valid or has no rules. */
export async function benchDecideOn(request: DecideBenchRequest): Promise<DecideBenchSummary> {
  const { rules, connections, seed, traffic } = request
  const subject =
    typeof rules === 'number'
      ? createSyntheticSubject(rules, connections, { seed, traffic })
      : configuredSubject((await readConfig(rules.configFile)).config, connections, seed)
  const { latency, unknownLatency, ...result } = await benchDecide(subject, { ...request, order: traffic })
  const unknownNs = unknownLatency.count === 0 ? null : percentilesOf(unknownLatency)
  return { ...result, latencyNs: percentilesOf(latency), unknownNs }
}

function percentilesOf(latency: Histogram): DecideBenchSummary['latencyNs'] {
  return {
    p50: latency.percentile(50),
    p90: latency.percentile(90),
    p99: latency.percentile(99),
    p999: latency.percentile(99.9),
    max: latency.max,
  }
}

function configuredSubject(config: LabConfig, connections: number, seed: number): PolicyUnderTest {
  if (config.rules.length === 0) {
    const hint = 'pass `--rules N` for synthetic rules'
    throw inputError('bench.no_rules', 'the configuration has no rules', { file: config.file, hint })
  }
  const random = createRandom(seed)
  const { rules, lists, settings } = config
  return { rules, lists, settings, flows: Array.from({ length: connections }, () => anyFlow(config, random)) }
}

/** A connection of somebody in the configuration to something in it, or to any address. */
function anyFlow({ users, devices, virtualNetworks, destinations }: LabConfig, random: Random): Flow {
  const user = users.length === 0 ? undefined : random.pick(users)
  const device = devices.find(({ device }) => device.id === user?.defaultDevice)?.device
  const destination = destinations.length === 0 || random.chance(0.2) ? undefined : random.pick(destinations)
  const address = destination === undefined ? undefined : random.pick(destination.addresses).public
  return {
    transport: 'tcp',
    source: { ip: device?.sourceIp ?? ip('192.0.2.1'), port: 1024 + random.below(60_000) },
    ...(user === undefined ? {} : { identity: user.identity }),
    ...(device === undefined ? {} : { device }),
    ...(user?.place === undefined ? {} : { userPlace: user.place }),
    virtualNetworkId: random.pick(virtualNetworks).id,
    ...(destination?.name === undefined ? {} : { host: destination.name }),
    destination: { ip: address ?? fromIpv4Number(random.below(0xe0000000)), port: random.pick([80, 443, 443, 8443]) },
    ...(destination?.place === undefined ? {} : { destinationPlace: destination.place }),
    proxiedByCloudflare: destination?.proxiedByCloudflare ?? false,
    contentCategories: [],
    applications: [],
  }
}

export type Percentiles = Readonly<Record<'p50' | 'p90' | 'p99' | 'p999' | 'max', number>>
export interface DecideBenchRequest extends Omit<DecideBenchOptions, 'order'> {
  /** a synthetic rule set of this size, or the rules of a configuration file */
  readonly rules: number | { readonly configFile: string }
  readonly connections: number
  readonly traffic: SyntheticTraffic
  readonly seed: number
}

export interface DecideBenchSummary extends Omit<DecideBenchResult, 'latency' | 'unknownLatency'> {
  readonly latencyNs: Percentiles
  /** of those that did not come from the cache; null where all did */
  readonly unknownNs: Percentiles | null
}

// A whole load test of rule evaluation: rules compiled, threads started, results added up.

/** Added up over all threads; `processorNs` and the shares are means. */
export interface DecideBenchResult extends DecideLoad {
  readonly rules: number
  readonly connections: number
  readonly threads: number
  readonly seconds: number
  readonly compileMs: number
  /** heap the compiled rules take, lists included */
  readonly rulesetBytes: number
  readonly rssBytes: number
}

export interface DecideBenchOptions extends DecideLoadOptions {
  readonly threads: number
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

// A synthetic world as what gets decided: Gateway rules, lists and connections.

const LIST_TYPES = { prefix: 'IP', email: 'EMAIL', domain: 'DOMAIN' } as const

/** Rules, lists and connections of a synthetic world of this many rules. */
export function createSyntheticSubject(
  rules: number,
  connections: number,
  { seed = 1, traffic = 'zipf' }: { readonly seed?: number; readonly traffic?: SyntheticTraffic } = {},
): PolicyUnderTest {
  const world = createSyntheticWorld(rules, seed)
  return { ...subjectOf(world), flows: createSyntheticFlows(world, connections, { seed: seed + 1, traffic }) }
}

/** The rules and lists of a world; the rule at position n has precedence n. */
export function subjectOf(world: SyntheticWorld): Omit<PolicyUnderTest, 'flows'> {
  const rules = world.rules.map(
    ({ expressions }, at): Rule => ({
      id: `00000000-0000-4000-8000-${at.toString(16).padStart(12, '0')}`,
      name: `rule ${at}`,
      description: '',
      enabled: true,
      precedence: at,
      action: 'egress',
      filters: ['egress'],
      ...expressions,
      devicePosture: '',
      egress: null,
    }),
  )
  const lists = world.lists.map(({ id, of, items }): NamedList => ({ id, name: id, type: LIST_TYPES[of], items }))
  return { rules, lists, settings: { hostSelector: true, expressions: 'default' } }
}
