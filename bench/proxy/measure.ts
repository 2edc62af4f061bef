// One measured round: load against one proxy, with the processor time its processes used per operation.

import type { ProxyUnderTest } from '../../src/load-test/proxy/operation.ts'
import { processorSeconds } from '../../src/load-test/proxy/processor-time.ts'
import { type LoadMode, type LoadResult, runLoad } from '../../src/load-test/proxy/run-load.ts'
import type { RunningProxy } from './rivals.ts'

export interface Round {
  readonly load: LoadResult
  /** processor microseconds per operation; for relay: bytes per processor second */
  readonly cost: number
}

/** Runs load for a while and accounts the proxy's processor time. Throws when anything failed: a proxy that answers wrongly
 *  is not measured. */
export async function measureRound(
  proxy: RunningProxy,
  subject: ProxyUnderTest,
  options: {
    readonly mode: LoadMode
    readonly concurrency: number
    readonly seconds: number
    readonly straight?: boolean
  },
): Promise<Round> {
  const before = processorSeconds(proxy.pids())
  const load = await runLoad(subject, options)
  const used = processorSeconds(proxy.pids()) - before
  if (load.failures > 0 || load.operations === 0) {
    throw new Error(`${load.failures} of ${load.failures + load.operations} operations failed: ${load.failure}`)
  }
  return { load, cost: options.mode === 'relay' ? load.bytes / used : (used * 1e6) / load.operations }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}
