// The last finished sessions with what they were decided on, for people who look back. Fixed size: the oldest gives way
// (RS-10). The session log is what lasts.

import type { Decided } from './decided.ts'
import type { SessionRecord } from './record.ts'

export interface RememberedSession {
  readonly record: SessionRecord
  /** absent where the connection failed before a decision */
  readonly decided?: Decided
}

export class SessionMemory {
  readonly #capacity: number
  readonly #byId = new Map<string, RememberedSession>()
  readonly #listeners = new Set<(session: RememberedSession) => void>()

  /** Remembers at most `capacity` sessions (at least 1). */
  constructor(capacity: number) {
    this.#capacity = Math.max(1, capacity)
  }

  add(session: RememberedSession): void {
    this.#byId.set(session.record.SessionID, session)
    if (this.#byId.size > this.#capacity) {
      const oldest = this.#byId.keys().next()
      if (!oldest.done) this.#byId.delete(oldest.value)
    }
    for (const listener of this.#listeners) listener(session)
  }

  find(id: string): RememberedSession | undefined {
    return this.#byId.get(id)
  }

  /** Oldest first. */
  list(): RememberedSession[] {
    return [...this.#byId.values()]
  }

  /** Tells every session that finishes; the answer stops it. */
  subscribe(listener: (session: RememberedSession) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
