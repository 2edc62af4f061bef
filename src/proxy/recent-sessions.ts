// The most recent finished sessions with their decisions, for the API and the console. Fixed size: the oldest is
// dropped (RS-10). The session log keeps all.

import type { SessionRecord } from './session-record.ts'
import type { SessionDecision } from './stage-values.ts'

export interface RecentSession {
  readonly id: string
  readonly record: SessionRecord
  /** absent where the connection failed before a decision */
  readonly decided?: SessionDecision
}

export class RecentSessions {
  readonly #capacity: number
  /** a ring, its oldest entry at `#next` once it is full; deleting the oldest entry of a Map costs 4 µs per session */
  readonly #ring: RecentSession[] = []
  #next = 0
  readonly #listeners = new Set<(session: RecentSession) => void>()

  /** Keeps at most `capacity` sessions (at least 1). */
  constructor(capacity: number) {
    this.#capacity = Math.max(1, capacity)
  }

  add(session: RecentSession): void {
    this.#ring[this.#next] = session
    this.#next = (this.#next + 1) % this.#capacity
    for (const listener of this.#listeners) listener(session)
  }

  find(id: string): RecentSession | undefined {
    return this.#ring.find((session) => session.id === id)
  }

  /** Oldest first. */
  list(): RecentSession[] {
    return [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)]
  }

  /** Calls the listener for every session that finishes. Returns a function that ends the subscription. */
  subscribe(listener: (session: RecentSession) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
