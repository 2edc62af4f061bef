// What a soak came to.

import type { Judgement } from './judge-records.ts'
import type { Gauges } from './lab-api.ts'
import type { LabEnding } from './lab-child.ts'
import type { LabMemory } from './lab-process.ts'
import type { Starvation } from './starvation.ts'
import type { Vitals } from './vitals.ts'

export interface SoakSummary {
  readonly good: boolean
  readonly engine: string
  readonly seed: number
  readonly seconds: number
  /** by kind, those that went as they should */
  readonly operations: Readonly<Record<string, number>>
  readonly changes: number
  /** client connections */
  readonly connections: number
  readonly starvation: Starvation['summary']
  /** operations that failed while descriptors ran out, as they may */
  readonly starved: number
  /** operations and tunnels that did not, the first of them */
  readonly failed: readonly string[]
  readonly failedCount: number
  readonly records: Judgement
  /** as it started, after the warm-up, at the highest, and when all was quiet again */
  readonly vitals: {
    readonly start: Vitals
    readonly before: Vitals
    readonly highest: Vitals
    readonly after: Vitals
  }
  /** after the warm-up and at the end, both after garbage collection */
  readonly memory: { readonly before: LabMemory; readonly after: LabMemory }
  /** at the end */
  readonly gauges: Gauges
  /** told to stop while tunnels were open */
  readonly ending: LabEnding
  readonly complaints: readonly string[]
}

/** Lines for a terminal. */
export function drawSummary(summary: SoakSummary): string {
  const { records, vitals } = summary
  const table = (of: Readonly<Record<string, number>>) =>
    Object.entries(of)
      .toSorted(([, a], [, b]) => b - a)
      .map(([name, count]) => `  ${String(count).padStart(9)}  ${name}`)
  const vital = ({ residentMb, descriptors }: Vitals) => `${residentMb.toFixed(0)} MB, ${descriptors} descriptors`
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
  const memory = ({ residentBytes, heapBytes, externalBytes }: LabMemory) =>
    `${mb(residentBytes)} resident, ${mb(heapBytes)} in the heap, ${mb(externalBytes)} outside it`
  const { crowds, served, refused, shortages } = summary.starvation
  const { sessionsOpen, portsInUse } = summary.gauges
  const lines = [
    `soak of ${summary.seconds} s on the engine ${summary.engine}, seed ${summary.seed}, ${summary.changes} changes of rules and data centers`,
    'operations',
    ...table(summary.operations),
    `  ${String(summary.starved).padStart(9)}  failed while descriptors ran out, as they may`,
    `  ${String(summary.failedCount).padStart(9)}  failed`,
    ...summary.failed.map((text) => `             ${text}`),
    `descriptors ran out: ${crowds} crowds (${served} clients served, ${refused} refused), ${shortages} times a limit below what was open`,
    'records',
    `  ${String(records.records).padStart(9)}  of ${summary.connections} client connections`,
    `  ${String(records.judged).padStart(9)}  with an egress address`,
    `  ${String(records.compared).padStart(9)}  compared with what the origin saw, ${records.exact} of them to the byte`,
    `  ${String(records.wrongCount).padStart(9)}  wrong`,
    ...records.wrong.map((text) => `             ${text}`),
    ...table(records.closeReasons),
    ...table(records.errors),
    'the process',
    `  started    ${vital(vitals.start)}`,
    `  warm       ${vital(vitals.before)}; ${memory(summary.memory.before)} after garbage collection`,
    `  highest    ${vital(vitals.highest)}`,
    `  after      ${vital(vitals.after)}; ${memory(summary.memory.after)} after garbage collection`,
    `  left       ${sessionsOpen} sessions, ${portsInUse} ports`,
    `  ended      ${summary.ending.how} after ${(summary.ending.ms / 1000).toFixed(1)} s, ${remains(summary.ending)}`,
    ...summary.complaints.map((text) => `wrong: ${text}`),
    summary.good ? 'all is as it should be' : 'something is wrong',
  ]
  return `${lines.join('\n')}\n`
}

function remains({ remains: left }: LabEnding): string {
  if (left === undefined) return 'without a word'
  const heap = `${(left.memory.heapBytes / 1e6).toFixed(0)} MB in the heap`
  return `${left.descriptors === '' ? 'no descriptor' : `the descriptors ${left.descriptors}`} and ${heap} left of it`
}
