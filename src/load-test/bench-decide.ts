// What `bench decide` measures: synthetic rules, or a configuration's own under connections made of its own people,
// virtual networks and destinations.

import type { Histogram } from 'node:perf_hooks'
import type { LabConfig } from '../config/lab-config.ts'
import { readConfig } from '../decider/read-config.ts'
import { inputError } from '../errors/issue.ts'
import { fromIpv4Number, ip } from '../net/ip.ts'
import type { Flow } from '../policy/flow.ts'
import { benchDecide } from './decide-bench.ts'
import type { PolicyUnderTest } from './decide-worker.ts'
import { createRandom, type Random } from './random.ts'
import { createSyntheticSubject } from './synthetic-subject.ts'

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
export interface DecideBenchRequest {
  /** a synthetic rule set of this size, or the rules of a configuration file */
  readonly rules: number | { readonly configFile: string }
  readonly connections: number
  /** how connections are spread: a few of them, and of their people and sites, come most of the time, or all equally often */
  readonly traffic: 'zipf' | 'uniform'
  /** decide what came before from the cache */
  readonly cache: boolean
  readonly threads: number
  readonly seconds: number
  readonly seed: number
  /** share done, 0…1 */
  readonly onProgress?: (share: number) => void
}

export interface DecideBenchSummary {
  readonly rules: number
  readonly connections: number
  readonly threads: number
  readonly seconds: number
  readonly decisions: number
  readonly decisionsPerSecond: number
  /** mean processor time of one decision */
  readonly processorNs: number
  /** share of connections some rule matched, 0…1 */
  readonly matched: number
  /** share of decisions that came from the cache, 0…1 */
  readonly known: number
  readonly latencyNs: Percentiles
  /** of those that did not come from the cache; null where all did */
  readonly unknownNs: Percentiles | null
  /** single decisions by duration: the count at n took at least 2^n and less than 2^(n+1) nanoseconds */
  readonly buckets: readonly number[]
  readonly compileMs: number
  readonly rulesetBytes: number
  readonly rssBytes: number
}
