// One point of a growth curve in a process of its own, so that memory is that point's:
// `node measure.ts rules|people SIZE`. Prints figures as one line of JSON.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createSyntheticSubject } from '../../src/load-test/bench-decide.ts'
import type { PolicyUnderTest } from '../../src/load-test/decide-load.ts'
import { createDraws } from '../../src/load-test/random.ts'
import { freshFlow, touchFlow } from '../../src/load-test/synthetic-flows.ts'
import type { Flow } from '../../src/policy/flow.ts'
import { compileRuleset, type Ruleset } from '../../src/policy/ruleset.ts'
import { processorNs, roundsOf } from '../processor-time.ts'

export interface GrowthPoint {
  readonly size: number
  readonly figures: Readonly<Record<string, number>>
}

const CONNECTIONS = 50_000
/** Rules while people grow. */
const RULES = 1000
const ROUNDS = 7
const BATCH = 128
const BATCHES = 200
const WARM_BATCHES = 1500

const [kind = '', written = ''] = process.argv.slice(2)
const size = Number(written)
setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')
const point: GrowthPoint = { size, figures: kind === 'people' ? people() : rules() }
process.stdout.write(`${JSON.stringify(point)}\n`)

function rules() {
  const subject = createSyntheticSubject(size, CONNECTIONS, { traffic: 'uniform' })
  const before = inUse()
  const residentBefore = process.memoryUsage.rss()
  const kept: Ruleset[] = []
  const started = performance.now()
  const spent = processorNs(() => kept.push(compile(subject)))
  const elapsed = performance.now() - started
  const residentAfter = process.resourceUsage().maxRSS * 1024
  const after = inUse()
  const [ruleset] = kept
  if (ruleset === undefined) throw new Error('nothing was compiled')
  return {
    compileUs: spent / 1000 / size,
    compileMs: elapsed,
    compileProcessorMs: spent / 1e6,
    bytes: (after - before) / size,
    // the most while compiling, over what the process had with the rules as text
    peakBytes: Math.max(0, residentAfter - residentBefore) / size,
    residentMb: residentAfter / 1e6,
    ...decided(ruleset, subject.flows),
  }
}

/** So many people, each of whom connects; half the connections come from people who were there before. */
function people() {
  const subject = createSyntheticSubject(RULES, CONNECTIONS, { traffic: 'uniform' })
  const ruleset = compile(subject)
  const flows = Array.from({ length: size }, (_, at) => somebody(subject.flows[at % CONNECTIONS], at))
  decided(ruleset, subject.flows)
  const before = inUse()
  for (const flow of flows) ruleset.firstMatchAnew(flow)
  const after = inUse()
  return { bytes: (after - before) / size, ...decided(ruleset, flows) }
}

/** The connection as one of somebody else. */
function somebody(flow: Flow | undefined, number: number): Flow {
  if (flow === undefined) throw new RangeError('no connections to decide')
  const { identity } = flow
  return identity === undefined ? flow : { ...flow, identity: { ...identity, id: `person-${number}` } }
}

function compile({ rules, lists, settings }: PolicyUnderTest): Ruleset {
  return compileRuleset(rules, lists, settings).ruleset
}

/** Processor time of a decision without the cache, over all of them evenly, and the times of single ones. */
function decided(ruleset: Ruleset, flows: readonly Flow[]) {
  const draw = createDraws(flows.length, 'uniform')
  const next = () => {
    const flow = freshFlow(flows[draw()] ?? somebody(undefined, 0))
    touchFlow(flow)
    return flow
  }
  const batch = () => Array.from({ length: BATCH }, next)
  for (let count = 0; count < WARM_BATCHES; count++) for (const flow of batch()) ruleset.firstMatchAnew(flow)
  const rounds = Array.from({ length: ROUNDS }, () => {
    let spent = 0
    for (let count = 0; count < BATCHES; count++) {
      const connections = batch()
      spent += processorNs(() => {
        for (const flow of connections) ruleset.firstMatchAnew(flow)
      })
    }
    return spent / (BATCHES * BATCH)
  })
  const singles = new Float64Array(BATCH * BATCHES)
  for (let count = 0; count < BATCHES; count++) {
    for (const [at, flow] of batch().entries()) {
      const begun = process.hrtime.bigint()
      ruleset.firstMatchAnew(flow)
      singles[count * BATCH + at] = Number(process.hrtime.bigint() - begun)
    }
  }
  singles.sort()
  const { median } = roundsOf(rounds)
  return {
    decideNs: median,
    p50Ns: singles[singles.length >> 1] ?? 0,
    p99Ns: singles[Math.floor(singles.length * 0.99)] ?? 0,
  }
}

function inUse(): number {
  collect()
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
