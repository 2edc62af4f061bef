// What people who look at the lab need beside the records: decisions as they fell, and questions that take traffic or
// the whole configuration to answer. The composition root wires it.

import type { Verified } from '../config/verification.ts'
import type { Place } from '../policy/place.ts'
import type { OpenSession } from '../proxy/live-sessions.ts'
import type { RememberedSession } from '../proxy/session-memory.ts'

export interface InsightPort {
  /** sessions open now, oldest first */
  open(): readonly OpenSession[]
  findOpen(id: string): OpenSession | undefined
  /** the last finished sessions, oldest first */
  finished(): readonly RememberedSession[]
  findFinished(id: string): RememberedSession | undefined
  /** Both answer the way to stop. */
  onOpen(listener: (session: OpenSession) => void): () => void
  onFinish(listener: (session: RememberedSession) => void): () => void
  /** Asks the echo origins through the proxy as this user; `undefined` where the user's password is needed and not known.
   *  The password is the configuration's own where none is given and that is a plain one. */
  verify(question: VerifyQuestion): Promise<readonly Verified[] | undefined>
  /** The test origins, and for those with an allowlist who would be let in as things are. */
  origins(): Promise<readonly OriginView[]>
}

export interface VerifyQuestion {
  readonly user: string
  readonly password?: string
  readonly vnet?: string
}

export interface OriginView {
  readonly name: string
  readonly kind: string
  readonly title: string
  readonly addresses: readonly string[]
  readonly proxiedByCloudflare: boolean
  /** where the configuration has it */
  readonly place?: Place
  /** undefined: lets in everybody */
  readonly allow?: readonly string[]
  readonly visitors: readonly Visitor[]
}

/** What would become of a user's connection to the origin. */
export interface Visitor {
  readonly user: string
  readonly vnet: string
  readonly outcome: string
  readonly rule: string | null
  readonly egress: string | null
  readonly letIn: boolean
  readonly reason: string
}
