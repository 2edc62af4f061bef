// One thread of a decide load: compiles its own copy of the rules, decides, reports.

import type { RecordableHistogram } from 'node:perf_hooks'
import { parentPort, workerData } from 'node:worker_threads'
import { compileRuleset } from '../policy/ruleset.ts'
import type { DecideSubject } from './decide-bench.ts'
import { runDecideLoad } from './decide-load.ts'

export interface DecideJob {
  readonly subject: DecideSubject
  readonly seconds: number
}

export interface DecideReport {
  readonly decisions: number
  readonly decisionsPerSecond: number
  readonly matched: number
  readonly latency: RecordableHistogram
  readonly clockNs: number
}

const { subject, seconds }: DecideJob = workerData
const { ruleset } = compileRuleset(subject.rules, subject.lists, subject.settings)
const load = runDecideLoad(ruleset, subject.flows, { seconds, onProgress: (share) => parentPort?.postMessage(share) })
const report: DecideReport = load
parentPort?.postMessage(report)
