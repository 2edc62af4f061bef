// `bench decide`: load-tests rule evaluation and shows rate, percentiles and a histogram.

import { type Command, Option } from 'commander'
import { counted } from '../../errors/counted.ts'
import type { DecideBenchSummary } from '../../load-test/bench-decide.ts'
import {
  durationText,
  histogramJson,
  renderHistogram,
  withHistogram,
  writeHistogram,
} from '../render/render-histogram.ts'
import { createProgressBar, type Io, renderTable, stylesFor, writeJson } from '../terminal.ts'
import { type RegisterVerb, wholeNumber, withConfig, withJson } from '../verb.ts'
import { registerBenchProxy } from './bench-proxy.ts'

interface Options {
  readonly config: string
  readonly json?: true
  readonly rules?: number
  readonly connections: number
  readonly traffic: 'zipf' | 'uniform'
  readonly cache: boolean
  readonly threads: number
  readonly seconds: number
  readonly seed: number
  readonly histogram?: string
}

export const registerBench: RegisterVerb = (program, context) => {
  const bench = program.command('bench').description('runs load tests')
  registerDecide(bench, context)
  registerBenchProxy(bench, context)
}

const registerDecide = (bench: Command, { io, action }: Parameters<RegisterVerb>[1]) => {
  withHistogram(withJson(withConfig(bench.command('decide'))))
    .description('load-tests rule evaluation: a synthetic rule set, or the configuration’s rules')
    .option('--rules <n>', 'number of synthetic rules (default: use the rules of the configuration)', wholeNumber)
    .option('--connections <n>', 'number of distinct connections', wholeNumber, 50_000)
    .addOption(
      new Option(
        '--traffic <kind>',
        'traffic distribution: `zipf` (few hot flows, realistic) or `uniform` (worst case)',
      )
        .choices(['zipf', 'uniform'])
        .default('zipf'),
    )
    .option('--no-cache', 'decide every connection without the cache')
    .option('--threads <n>', 'worker threads', wholeNumber, 1)
    .option('--seconds <n>', 'duration', wholeNumber, 10)
    .option('--seed <n>', 'seed of the synthetic rules', wholeNumber, 1)
    .action(
      action(async ({ config, rules, json, histogram, ...options }: Options) => {
        const progress = createProgressBar(io, `deciding for ${options.seconds} s on ${options.threads} thread(s)`)
        const { benchDecideOn } = await import('../../load-test/bench-decide.ts')
        const summary = await benchDecideOn({
          ...options,
          rules: rules ?? { configFile: config },
          onProgress: progress.show,
        }).finally(progress.clear)
        if (histogram !== undefined) writeHistogram(histogram, 'one decision', summary.buckets)
        if (json) writeJson(io, asDocument(summary))
        else report(io, summary)
        return 0
      }),
    )
}

/** The shape scripts rely on, and what is worth adding. */
function asDocument(summary: DecideBenchSummary) {
  return {
    rules: summary.rules,
    connections: summary.connections,
    threads: summary.threads,
    seconds: summary.seconds,
    decisions: summary.decisions,
    decisions_per_second: Math.round(summary.decisionsPerSecond),
    processor_ns: round(summary.processorNs, 0),
    matched: round(summary.matched, 3),
    latency_ns: summary.latencyNs,
    histogram: histogramJson(summary.buckets),
    from_cache: round(summary.known, 3),
    not_from_cache_ns: summary.unknownNs,
    compile_ms: round(summary.compileMs, 1),
    ruleset_mb: round(summary.rulesetBytes / 1e6, 1),
    rss_mb: round(summary.rssBytes / 1e6, 1),
  }
}

function report(io: Io, summary: DecideBenchSummary): void {
  const style = stylesFor(io, io.stdout)
  const { p50, p90, p99, p999, max } = summary.latencyNs
  const { known, unknownNs } = summary
  const rows = [
    [
      'rules',
      `${count(summary.rules)}, compiled in ${round(summary.compileMs, 1)} ms, ${megabytes(summary.rulesetBytes)}`,
    ],
    ['connections', `${count(summary.connections)}, ${round(summary.matched * 100, 1)} % matched by a rule`],
    ['decisions', `${count(summary.decisions)} in ${summary.seconds} s on ${counted(summary.threads, 'thread')}`],
    ['rate', style.strong(`${counted(Math.round(summary.decisionsPerSecond), 'decision')} per second`)],
    ['processor', `${round(summary.processorNs, 0)} ns of one thread per decision, on average`],
    ['memory', `${round(summary.rssBytes / 1e6, 1)} MB resident`],
    ['p50', durationText(p50)],
    ['p90', durationText(p90)],
    ['p99', durationText(p99)],
    ['p99.9', durationText(p999)],
    ['max', durationText(max)],
  ]
  if (known > 0) {
    const others =
      unknownNs === null ? '' : `; the others p50 ${durationText(unknownNs.p50)}, p99 ${durationText(unknownNs.p99)}`
    rows.push(['cache', `answered ${round(known * 100, 1)} %${others}`])
  }
  io.stdout.write(renderTable(rows))
  io.stdout.write(`\n${renderHistogram(summary.buckets, style.accent)}`)
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}

/** Too little to distinguish from heap noise is not given a number. */
function megabytes(bytes: number): string {
  return bytes < 50_000 ? 'under 0.1 MB' : `${round(bytes / 1e6, 1)} MB`
}
