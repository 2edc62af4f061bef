// How far one connection has come. Stages add what they learned, in order; the record and the error answers are written
// from whatever is there when the connection ends.

import type { Snapshot } from '../policy/snapshot.ts'
import type { Knock } from './arrival.ts'
import type { FirstBytes } from './first-bytes.ts'
import type { DialAttempt, Outlet, Persona, Placeholder } from './ports.ts'

/** Every field is there from the beginning, so that all connections have one shape. */
export interface Progress {
  readonly knock: Knock
  /** the destination as asked for, `host:port`; empty where the client never got to say one */
  readonly target: string
  readonly snapshot: Snapshot
  /** lab time, epoch ms */
  readonly startedAt: number
  /** monotonic, ms (RS-09) */
  readonly startedTick: number
  persona: Persona | undefined
  /** what the destination turned out to stand for */
  placeholder: Placeholder | undefined
  /** gives the placeholder back */
  release: (() => void) | undefined
  attempts: readonly DialAttempt[] | undefined
  ruleEvaluationMs: number | undefined
  upstream: Outlet | undefined
  /** what the client of a tunnel began with */
  firstBytes: FirstBytes | undefined
}
