// What a session was decided on and by: enough to say why it left from where it did, and to ask what other rules would
// have done with it. Holds no credentials.

import type { Decision } from '../policy/decision.ts'
import type { Flow } from '../policy/flow.ts'
import type { Snapshot } from '../policy/snapshot.ts'
import type { Progress } from './progress.ts'

export interface Decided {
  readonly flow: Flow
  readonly decision: Decision
  /** the policy in force then */
  readonly snapshot: Snapshot
}

/** The decision of the address that was connected to, else of the first one tried; undefined where it never came to one. */
export function decidedOf({ upstream, attempts, snapshot }: Progress): Decided | undefined {
  const attempt = upstream?.attempt ?? attempts?.[0]
  return attempt === undefined ? undefined : { flow: attempt.flow, decision: attempt.decision, snapshot }
}
