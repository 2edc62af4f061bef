// `bench proxy`: load-tests the data path in a process of its own and shows what one operation costs it.

import { type Command, Option } from 'commander'
import type { ProxyBenchSummary } from '../../load-test/bench-proxy.ts'
import { histogramJson, renderHistogram, withHistogram, writeHistogram } from '../render/render-histogram.ts'
import { createProgressBar, type Io, renderTable, stylesFor, writeJson } from '../terminal.ts'
import { type VerbContext, wholeNumber, withConfig, withJson, workerCount } from '../verb.ts'

const MODES = ['connect', 'http', 'socks5', 'relay', 'udp'] as const

interface Options {
  readonly config: string
  readonly json?: true
  readonly mode: (typeof MODES)[number]
  readonly concurrency?: number
  readonly seconds: number
  readonly workers: number
  readonly histogram?: string
}

/** Adds `proxy` to the command `bench`. */
export function registerBenchProxy(bench: Command, { io, action }: VerbContext): void {
  withHistogram(withJson(withConfig(bench.command('proxy'))))
    .description('load-tests the proxy against a built-in origin and measures the proxy’s processor time')
    .addOption(new Option('--mode <mode>', 'kind of operation').choices(MODES).default('connect'))
    .option('--concurrency <n>', 'concurrent operations (default: 50; relay: 4)', wholeNumber)
    .option('--seconds <n>', 'duration', wholeNumber, 10)
    .option('--workers <n>', 'worker threads of the proxy', workerCount, 1)
    .action(
      action(
        async ({
          config,
          mode,
          seconds,
          workers,
          concurrency = mode === 'relay' ? 4 : 50,
          json,
          histogram,
        }: Options) => {
          const progress = createProgressBar(io, `${mode}, ${concurrency} at a time, ${seconds} s`)
          const { benchProxyOn } = await import('../../load-test/bench-proxy.ts')
          const summary = await benchProxyOn({
            configFile: config,
            mode,
            concurrency,
            seconds,
            workers,
            onProgress: progress.show,
          }).finally(progress.clear)
          if (histogram !== undefined) writeHistogram(histogram, `one operation (${mode})`, summary.buckets)
          if (json) writeJson(io, asDocument(summary))
          else report(io, summary)
          return summary.failures > 0 || summary.operations === 0 ? 1 : 0
        },
      ),
    )
}

function asDocument(summary: ProxyBenchSummary) {
  const { mode, concurrency, seconds, operations, failures, failure, bytes, latency, rssBytes } = summary
  return {
    mode,
    concurrency,
    seconds: round(seconds, 2),
    operations,
    failures,
    ...(failure === undefined ? {} : { failure }),
    operations_per_second: round(operations / seconds, 1),
    processor_seconds: round(summary.processorSeconds, 2),
    processor_us_per_operation: costOf(summary),
    bytes,
    bytes_per_processor_second: summary.processorSeconds === 0 ? null : Math.round(bytes / summary.processorSeconds),
    latency_ns: latency,
    histogram: histogramJson(summary.buckets),
    rss_mb: round(rssBytes / 1e6, 1),
  }
}

function report(io: Io, summary: ProxyBenchSummary): void {
  const style = stylesFor(io, io.stdout)
  const { mode, operations, seconds, failures, failure, bytes, latency, processorSeconds } = summary
  const good = operations.toLocaleString('en-US')
  const rows = [
    ['mode', `${mode}, ${summary.concurrency} at a time, ${round(seconds, 1)} s`],
    ['operations', `${good}, ${Math.round(operations / seconds).toLocaleString('en-US')} per second`],
    ['processor', style.strong(costText(summary))],
    ['memory', `${round(summary.rssBytes / 1e6, 1)} MB resident`],
  ]
  if (mode === 'relay') rows.push(['relayed', `${round(bytes / 1e9, 2)} GB, ${round(bytes / seconds / 1e9, 2)} GB/s`])
  else for (const at of ['p50', 'p90', 'p99', 'max'] as const) rows.push([at, `${round(latency[at] / 1e6, 2)} ms`])
  if (failures > 0) rows.push([style.bad('failed'), `${failures}; the first: ${failure}`])
  io.stdout.write(renderTable(rows))
  if (mode !== 'relay') io.stdout.write(`\n${renderHistogram(summary.buckets, style.accent)}`)
  if (processorSeconds === 0) io.stdout.write('too short to measure processor time: increase --seconds\n')
}

function costText(summary: ProxyBenchSummary): string {
  const { mode, bytes, processorSeconds } = summary
  if (mode === 'relay') return `${round(bytes / processorSeconds / 1e9, 2)} GB per processor second`
  return `${costOf(summary)} µs of the proxy's processor time per operation`
}

function costOf({ operations, processorSeconds }: ProxyBenchSummary): number | null {
  return operations === 0 ? null : round((processorSeconds * 1e6) / operations, 1)
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
