// Sessions as they come from workers, into the one log and the one memory of the main thread.

import type { SessionLog } from '../../log/session-log.ts'
import type { Decided } from '../../proxy/decided.ts'
import type { SessionRecord } from '../../proxy/record.ts'
import type { RememberedSession, SessionMemory } from '../../proxy/session-memory.ts'
import type { SessionNews, ShippedDecision } from './messages.ts'
import type { PolicyShelf } from './policy-shelf.ts'

/** Its decision may come later than its record, which is read when somebody looks at it: of thousands a second few are ever looked at. */
class ShippedSession implements RememberedSession {
  readonly id: string
  decided?: Decided
  #line: string
  #record: SessionRecord | undefined

  constructor(id: string, line: string) {
    this.id = id
    this.#line = line
  }

  get record(): SessionRecord {
    if (this.#record === undefined) {
      this.#record = JSON.parse(this.#line) as SessionRecord
      this.#line = ''
    }
    return this.#record
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

  /** Finished sessions, and decisions of these or earlier ones. */
  take({ ids, lines, decided: decisions }: Pick<SessionNews, 'ids' | 'lines' | 'decided'>): void {
    const here = new Map(decisions.map((decision) => [decision.id, decision]))
    for (const [at, line] of lines.entries()) {
      const session = new ShippedSession(ids[at] ?? '', line)
      this.#attach(session, here.get(session.id))
      here.delete(session.id)
      this.#sessions.recordWritten(session, line)
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
