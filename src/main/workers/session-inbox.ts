// Sessions as they come from workers, into the one log and the one memory of the main thread.

import type { SessionLog } from '../../log/session-log.ts'
import type { Decided } from '../../proxy/decided.ts'
import type { SessionRecord } from '../../proxy/record.ts'
import type { RememberedSession, SessionMemory } from '../../proxy/session-memory.ts'
import type { ShippedDecision } from './messages.ts'
import type { PolicyShelf } from './policy-shelf.ts'

/** Its decision may come later than its record. */
class ShippedSession implements RememberedSession {
  readonly record: SessionRecord
  decided?: Decided

  constructor(record: SessionRecord) {
    this.record = record
  }
}

export class SessionInbox {
  readonly #sessions: SessionLog
  readonly #memory: SessionMemory
  readonly #shelf: PolicyShelf

  constructor(sessions: SessionLog, memory: SessionMemory, shelf: PolicyShelf) {
    this.#sessions = sessions
    this.#memory = memory
    this.#shelf = shelf
  }

  /** Finished sessions as JSON, and decisions of these or earlier ones. */
  take(lines: readonly string[], decisions: readonly ShippedDecision[]): void {
    const here = new Map(decisions.map((decision) => [decision.id, decision]))
    for (const line of lines) {
      const session = new ShippedSession(JSON.parse(line))
      this.#attach(session, here.get(session.record.SessionID))
      here.delete(session.record.SessionID)
      this.#sessions.record(session.record, line)
      this.#memory.add(session)
    }
    for (const decision of here.values()) {
      const session = this.#memory.find(decision.id)
      if (session instanceof ShippedSession) this.#attach(session, decision)
    }
  }

  #attach(session: ShippedSession, shipped: ShippedDecision | undefined): void {
    const decided = this.#shelf.decidedOf(shipped)
    if (decided !== undefined) session.decided = decided
  }
}
