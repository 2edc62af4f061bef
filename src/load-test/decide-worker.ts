// One thread of a decide load: compiles its own copy of the rules, decides, reports.

import { parentPort, workerData } from 'node:worker_threads'
import type { NamedList } from '../policy/account.ts'
import type { Flow } from '../policy/flow.ts'
import type { Rule } from '../policy/rule.ts'
import { compileRuleset, type RulesetSettings } from '../policy/ruleset.ts'
import { runDecideLoad } from './decide-load.ts'
import type { Order } from './random.ts'

const { subject, ...options }: DecideJob = workerData
const { ruleset } = compileRuleset(subject.rules, subject.lists, subject.settings)
const onProgress = (share: number) => parentPort?.postMessage(share)
parentPort?.postMessage(runDecideLoad(ruleset, subject.flows, { ...options, onProgress }))

export interface PolicyUnderTest {
  readonly rules: readonly Rule[]
  readonly lists: readonly NamedList[]
  readonly settings: RulesetSettings
  readonly flows: readonly Flow[]
}

/** One thread's share. */
export interface DecideJob {
  readonly subject: PolicyUnderTest
  readonly seconds: number
  readonly order: Order
  readonly cache: boolean
}
