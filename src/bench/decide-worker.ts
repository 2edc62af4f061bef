// One thread of a decide load: compiles its own copy of the rules, decides, reports.

import { parentPort, workerData } from 'node:worker_threads'
import { compileRuleset } from '../policy/ruleset.ts'
import type { DecideSubject } from './decide-bench.ts'
import { type DecideLoad, runDecideLoad } from './decide-load.ts'

export interface DecideJob {
  readonly subject: DecideSubject
  readonly seconds: number
}

export type DecideReport = DecideLoad

const { subject, seconds }: DecideJob = workerData
const { ruleset } = compileRuleset(subject.rules, subject.lists, subject.settings)
const report: DecideReport = runDecideLoad(ruleset, subject.flows, {
  seconds,
  onProgress: (share) => parentPort?.postMessage(share),
})
parentPort?.postMessage(report)
