// One version of everything a decision rests on. A connection takes one snapshot and keeps it (CF-02).

import type { Account } from './account.ts'
import type { Ruleset } from './ruleset.ts'

export interface Snapshot {
  /** grows by one with every change, whatever changed */
  readonly revision: number
  readonly account: Account
  readonly ruleset: Ruleset
}
