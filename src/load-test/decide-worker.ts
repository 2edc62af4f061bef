// One thread of a decide load: compiles its own copy of the rules, decides, reports.

import { parentPort, workerData } from 'node:worker_threads'
import { compileRuleset } from '../policy/ruleset.ts'
import { type DecideJob, runDecideLoad } from './decide-load.ts'

const { subject, ...options }: DecideJob = workerData
const { ruleset } = compileRuleset(subject.rules, subject.lists, subject.settings)
const onProgress = (share: number) => parentPort?.postMessage(share)
parentPort?.postMessage(runDecideLoad(ruleset, subject.flows, { ...options, onProgress }))
