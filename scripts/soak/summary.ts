// The result of a soak.

import type { Judgement } from './judge-records.ts'
import type { ProcessMetrics } from './process-metrics.ts'

export interface SoakSummary {
  readonly good: boolean
  readonly seed: number
  readonly seconds: number
  /** by kind, those that went as they should */
  readonly operations: Readonly<Record<string, number>>
  readonly changes: number
  readonly tunnelsHeld: number
  /** operations and tunnels that did not, the first of them */
  readonly failed: readonly string[]
  readonly failedCount: number
  readonly records: Judgement
  /** after the warm-up, at the highest, and when all was quiet again */
  readonly metrics: {
    readonly before: ProcessMetrics
    readonly highest: ProcessMetrics
    readonly after: ProcessMetrics
  }
  readonly complaints: readonly string[]
}

/** Lines for a terminal. */
export function renderSummary(summary: SoakSummary): string {
  const { records, metrics } = summary
  const table = (of: Readonly<Record<string, number>>) =>
    Object.entries(of)
      .toSorted(([, a], [, b]) => b - a)
      .map(([name, count]) => `  ${String(count).padStart(9)}  ${name}`)
  const metricsText = ({ residentMb, descriptors }: ProcessMetrics) =>
    `${residentMb.toFixed(0)} MB, ${descriptors} descriptors`
  const lines = [
    `soak of ${summary.seconds} s, seed ${summary.seed}, ${summary.changes} changes of rules and data centers`,
    'operations',
    ...table(summary.operations),
    `  ${String(summary.tunnelsHeld).padStart(9)}  tunnels held from beginning to end`,
    `  ${String(summary.failedCount).padStart(9)}  failed`,
    ...summary.failed.map((text) => `             ${text}`),
    'records',
    `  ${String(records.judged).padStart(9)}  with an egress address, ${records.wrongCount} of them wrong, of ${records.records}`,
    ...records.wrong.map((text) => `             ${text}`),
    ...table(records.closeReasons),
    ...table(records.errors),
    'the process',
    `  before     ${metricsText(metrics.before)}`,
    `  highest    ${metricsText(metrics.highest)}`,
    `  after      ${metricsText(metrics.after)}`,
    ...summary.complaints.map((text) => `failed: ${text}`),
    summary.good ? 'passed' : 'failed',
  ]
  return `${lines.join('\n')}\n`
}
