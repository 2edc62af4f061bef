// `npm run bench -- decide`: our rule evaluation at four sizes, with and without its cache, and beside rivals on the same rules in the
// same run, each shown to give the same answers. Figures go to bench/results/<tag>/decide.json.

import { benchDecide, createSyntheticSubject, subjectOf } from '../../src/load-test/bench-decide.ts'
import { runDecideLoad } from '../../src/load-test/decide-load.ts'
import { createSyntheticFlows } from '../../src/load-test/synthetic-flows.ts'
import { createSyntheticWorld } from '../../src/load-test/synthetic-world.ts'
import type { Flow } from '../../src/policy/flow.ts'
import { compileRuleset, type Ruleset } from '../../src/policy/ruleset.ts'
import { keepResults, table } from '../report.ts'
import { casbin } from './rivals/casbin.ts'
import { cedar } from './rivals/cedar.ts'
import { celJs, marcbachmannCelJs } from './rivals/cel.ts'
import { closures } from './rivals/closures.ts'
import { jsonRulesEngine } from './rivals/json-rules-engine.ts'
import type { FirstMatch } from './rivals/rival.ts'

const SIZES = [10, 1000, 10_000, 100_000]
/** as real connections come; the same as if each came for the first time; and the worst case for every cache there is */
const CASES = [
  { traffic: 'zipf', cache: true },
  { traffic: 'zipf', cache: false },
  { traffic: 'uniform', cache: false },
] as const
const CONNECTIONS = 50_000
const COMPARED_SIZE = 1000
const RIVALS = [closures, marcbachmannCelJs, casbin, celJs, cedar, jsonRulesEngine]
/** every rival must agree with us on these before it is timed */
const AGREED_FLOWS = 300
const SECONDS_EACH = 4

export async function benchDecideAll(tag: string): Promise<void> {
  const sizes = []
  for (const size of SIZES) {
    for (const { traffic, cache } of CASES) {
      process.stderr.write(`deciding among ${size} rules, ${traffic} traffic, ${cache ? 'with the' : 'no'} cache\n`)
      const subject = createSyntheticSubject(size, CONNECTIONS, { traffic })
      const options = { threads: 1, seconds: SECONDS_EACH, order: traffic, cache }
      sizes.push({ traffic, cache, ...(await benchDecide(subject, options)) })
    }
  }
  process.stdout.write('\nOurs, one thread, time from a connection to its rule:\n\n')
  process.stdout.write(
    table(
      [
        'rules',
        'traffic',
        'from cache',
        'processor ns',
        'p50 ns',
        'p99 ns',
        'p99.9 ns',
        'decisions/s',
        'matched',
        'compile ms',
        'ruleset MB',
      ],
      sizes.map((one) => [
        one.rules.toLocaleString('en-US'),
        one.traffic,
        one.cache ? `${(one.known * 100).toFixed(0)} %` : 'off',
        one.processorNs.toFixed(0),
        String(one.latency.percentile(50)),
        String(one.latency.percentile(99)),
        String(one.latency.percentile(99.9)),
        Math.round(one.decisionsPerSecond).toLocaleString('en-US'),
        `${(one.matched * 100).toFixed(0)} %`,
        one.compileMs.toFixed(0),
        (one.rulesetBytes / 1e6).toFixed(1),
      ]),
    ),
  )
  const compared = await compareRivals()
  process.stdout.write(`\nThe same ${COMPARED_SIZE} rules, mean processor time of one decision:\n\n`)
  process.stdout.write(
    table(
      ['engine', 'µs', 'times ours', 'how its rules were written'],
      compared.map(({ name, us, ratio, how }) => [name, us.toFixed(2), ratio.toFixed(1), how]),
    ),
  )
  await keepResults(tag, 'decide', {
    sizes: sizes.map(({ latency, unknownLatency: _, ...one }) => {
      return { ...one, p50: latency.percentile(50), p99: latency.percentile(99) }
    }),
    compared,
  })
}

interface Compared {
  readonly name: string
  readonly how: string
  readonly us: number
  readonly ratio: number
}

async function compareRivals(): Promise<readonly Compared[]> {
  const world = createSyntheticWorld(COMPARED_SIZE)
  const flows = createSyntheticFlows(world, 20_000)
  const { rules, lists, settings } = subjectOf(world)
  const { ruleset } = compileRuleset(rules, lists, settings)
  const load = { seconds: SECONDS_EACH, order: 'turn', cache: false } as const
  const ours = runDecideLoad(ruleset, flows, load).processorNs / 1000
  const results: Compared[] = [
    { name: 'egresslab', how: 'Gateway expressions, indexed, without the cache', us: ours, ratio: 1 },
    scanned(ruleset, flows, ours),
  ]
  for (const rival of RIVALS) {
    process.stderr.write(`the same rules in ${rival.name}\n`)
    const firstMatch = await rival.prepare(world)
    await mustAgree(rival.name, firstMatch, ruleset, flows)
    const us = await meanMicroseconds(firstMatch, flows)
    results.push({ name: rival.name, how: rival.how, us, ratio: us / ours })
  }
  return results
}

/** Our own compiled expressions without the index. */
function scanned(ruleset: Ruleset, flows: readonly Flow[], ours: number): Compared {
  const start = process.cpuUsage()
  const some = flows.slice(0, 5000)
  for (const flow of some) ruleset.firstByScan(ruleset.read(flow))
  const us = processorMicroseconds(start) / some.length
  return { name: 'egresslab, no index', how: 'Gateway expressions, tried in a row', us, ratio: us / ours }
}

async function mustAgree(
  name: string,
  firstMatch: FirstMatch,
  ruleset: Ruleset,
  flows: readonly Flow[],
): Promise<void> {
  for (const flow of flows.slice(0, AGREED_FLOWS)) {
    const theirs = await firstMatch(flow)
    const ours = ruleset.firstMatch(flow)?.rule.precedence ?? -1
    if (theirs !== ours) throw new Error(`${name} finds rule ${theirs} where we find ${ours}: it is not measured`)
  }
}

async function meanMicroseconds(firstMatch: FirstMatch, flows: readonly Flow[]): Promise<number> {
  const start = process.cpuUsage()
  let decided = 0
  while (processorMicroseconds(start) < SECONDS_EACH * 1e6) {
    const flow = flows[decided % flows.length]
    if (flow === undefined) break
    const answer = firstMatch(flow)
    if (answer instanceof Promise) await answer
    decided++
  }
  return processorMicroseconds(start) / decided
}

function processorMicroseconds(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since)
  return user + system
}
