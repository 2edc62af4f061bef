// What people who look at the lab need beside the records: decisions as they fell, and questions that take traffic or
// the whole configuration to answer. The composition root wires it.

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
}
