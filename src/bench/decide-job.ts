// What rule evaluation is load-tested on: plain data, so that every thread can be given its own copy.

import type { NamedList } from '../policy/account.ts'
import type { Flow } from '../policy/flow.ts'
import type { Rule } from '../policy/rule.ts'
import type { RulesetSettings } from '../policy/ruleset.ts'
import type { Order } from './draw.ts'

export interface DecideSubject {
  readonly rules: readonly Rule[]
  readonly lists: readonly NamedList[]
  readonly settings: RulesetSettings
  readonly flows: readonly Flow[]
}

/** One thread's share. */
export interface DecideJob {
  readonly subject: DecideSubject
  readonly seconds: number
  readonly order: Order
  readonly cache: boolean
}
