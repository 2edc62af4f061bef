// One measured round: load against one proxy, with the processor time its processes used per operation.

import type { ProxyUnderTest } from '../../src/load-test/proxy/operation.ts'
import { processorSeconds } from '../../src/load-test/proxy/origin-process.ts'
import { type LoadReport, type LoadRequest, load } from './load.ts'
import type { RunningProxy } from './rivals.ts'

export interface Round {
  readonly load: LoadReport
  /** processor microseconds per operation; for relay: processor milliseconds per GB */
  readonly cost: number
}

/** Runs load for a while and accounts the proxy's processor time. Throws when anything failed: a proxy that answers wrongly
 *  is not measured. */
export async function measureRound(proxy: RunningProxy, subject: ProxyUnderTest, request: LoadRequest): Promise<Round> {
  const before = processorSeconds(proxy.pids())
  const report = await load(subject, request)
  const used = processorSeconds(proxy.pids()) - before
  if (report.failures > 0 || report.operations === 0) {
    throw new Error(`${report.failures} of ${report.failures + report.operations} operations failed: ${report.failure}`)
  }
  const cost = request.mode === 'relay' ? (used * 1e3) / (report.bytes / 1e9) : (used * 1e6) / report.operations
  return { load: report, cost }
}

/** Median, minimum and maximum of one figure over rounds. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}
