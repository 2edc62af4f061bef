// The last finished sessions with what they were decided on, for people who look back. Fixed size: the oldest gives way
// (RS-10). The session log is what lasts.

import type { Decided } from './session.ts'
import type { SessionRecord } from './session-record.ts'

export interface RememberedSession {
  readonly id: string
  readonly record: SessionRecord
  /** absent where the connection failed before a decision */
  readonly decided?: Decided
}

export class SessionMemory {
  readonly #capacity: number
  /** a ring, the oldest at `#next` once it is full; a Map that loses its oldest with every entry takes 4 µs each */
  readonly #ring: RememberedSession[] = []
  #next = 0
  readonly #listeners = new Set<(session: RememberedSession) => void>()

  /** Remembers at most `capacity` sessions (at least 1). */
  constructor(capacity: number) {
    this.#capacity = Math.max(1, capacity)
  }

  add(session: RememberedSession): void {
    this.#ring[this.#next] = session
    this.#next = (this.#next + 1) % this.#capacity
    for (const listener of this.#listeners) listener(session)
  }

  find(id: string): RememberedSession | undefined {
    return this.#ring.find((session) => session.id === id)
  }

  /** Oldest first. */
  list(): RememberedSession[] {
    return [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)]
  }

  /** Tells every session that finishes; the answer stops it. */
  subscribe(listener: (session: RememberedSession) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
