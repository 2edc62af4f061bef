// Durations of many operations, counted by powers of two of nanoseconds: as text, as data, and as a picture of its own.

import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { writeOutput } from '../../config/files.ts'
import { renderTable } from '../terminal.ts'
import { barChart } from './picture.ts'

const BAR = 40

/** `2 µs`; three digits at most behind the point. */
export function durationText(nanoseconds: number): string {
  if (nanoseconds < 1000) return `${nanoseconds} ns`
  if (nanoseconds < 1e6) return `${round(nanoseconds / 1000, 2)} µs`
  return `${round(nanoseconds / 1e6, 2)} ms`
}

/** One line per bucket between the first and the last that occurred. `buckets`: the count at n took less than 2^(n+1) ns. */
export function renderHistogram(buckets: readonly number[], style: (text: string) => string): string {
  const most = Math.max(...buckets)
  const rows = rowsOf(buckets).map(({ below_ns, count, share }) => {
    const bar = count === 0 ? '' : count / most < 0.5 / BAR ? '·' : '█'.repeat(Math.round((count / most) * BAR))
    return [`< ${durationText(below_ns)}`, style(bar), `${round(share * 100, 3)} %`]
  })
  return renderTable(rows)
}

/** The same as data. */
export function histogramJson(buckets: readonly number[]): { readonly below_ns: number; readonly count: number }[] {
  return rowsOf(buckets).map(({ below_ns, count }) => ({ below_ns, count }))
}

/** Adds `--histogram`. */
export function withHistogram(command: Command): Command {
  return command.option('--histogram <file>', 'write the histogram to this file: .svg or .json', (file: string) => {
    if (!/\.(svg|json)$/i.test(file)) throw new InvalidArgumentError('expected a name that ends in .svg or .json.')
    return file
  })
}

/** `what`: what took so long. Throws an InputError for a file that cannot be written. */
export function writeHistogram(file: string, what: string, buckets: readonly number[]): void {
  const bars = rowsOf(buckets).map(({ below_ns, count, share }) => {
    return {
      name: `< ${durationText(below_ns)}`,
      value: count,
      note: `${round(share * 100, 3)} %`,
      tone: 'good' as const,
    }
  })
  const text = /\.svg$/i.test(file)
    ? barChart(`how long ${what} took`, bars)
    : `${JSON.stringify({ what, histogram: histogramJson(buckets) }, null, 2)}\n`
  writeOutput(file, text, 'bench.unwritable')
}

function rowsOf(buckets: readonly number[]) {
  const total = Math.max(
    1,
    buckets.reduce((sum, one) => sum + one, 0),
  )
  const [first, last] = [buckets.findIndex((one) => one > 0), buckets.findLastIndex((one) => one > 0)]
  if (first < 0) return []
  return buckets.slice(first, last + 1).map((count, at) => {
    return { below_ns: 2 ** (first + at + 1), count, share: count / total }
  })
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits))
}
