// Finished and opened sessions on their way from a worker to the main thread: gathered for a moment and sent together. Records go
// as the JSON line the log keeps anyway; decisions stay here until somebody asks, because few are ever looked at.

import type { Decided } from '../../proxy/decided.ts'
import type { LiveSessions, OpenSession } from '../../proxy/live-sessions.ts'
import type { SessionRecord } from '../../proxy/record.ts'
import type { SessionNews, ShippedDecision, ShippedOpen } from './messages.ts'

/** How long the first session of a batch waits for company, and how many make a batch at once. */
const GATHER_MS = 20
const MOST_TOGETHER = 512

export interface OutboxSettings {
  readonly send: (news: SessionNews) => void
  readonly live: LiveSessions
  /** finished sessions whose decisions are kept */
  readonly remember: number
}

export class SessionOutbox {
  readonly #settings: OutboxSettings
  /** oldest first; cut back when there are twice as many as are kept: a Map that loses its oldest with every entry takes 4 µs each */
  #untold: ShippedDecision[] = []
  #ids: string[] = []
  #lines: string[] = []
  #opened: ShippedOpen[] = []
  #timer: NodeJS.Timeout | undefined
  #stopWatching: (() => void) | undefined

  constructor(settings: OutboxSettings) {
    this.#settings = settings
  }

  record(record: SessionRecord, decided: Decided | undefined): void {
    this.#ids.push(record.SessionID)
    this.#lines.push(JSON.stringify(record))
    if (decided !== undefined) this.#keep(shipped(record.SessionID, decided))
    if (this.#lines.length >= MOST_TOGETHER) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), GATHER_MS)
  }

  /** From now on openings are told too, and decisions with their sessions; or no longer. */
  watch(on: boolean): void {
    this.#stopWatching?.()
    this.#stopWatching = on ? this.#settings.live.subscribe((open) => this.#open(open)) : undefined
  }

  /** Sends what waits. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#lines.length === 0 && this.#opened.length === 0) return
    const decided = this.#stopWatching === undefined ? [] : this.untold()
    const news = { kind: 'sessions', ids: this.#ids, lines: this.#lines, opened: this.#opened, decided } as const
    this.#ids = []
    this.#lines = []
    this.#opened = []
    this.#settings.send(news)
  }

  /** Decisions not told yet; they are now. */
  untold(): ShippedDecision[] {
    const decisions = this.#untold.slice(-this.#settings.remember)
    this.#untold = []
    return decisions
  }

  /** Every open session with its decision, as it can be sent. */
  open(): ShippedOpen[] {
    return this.#settings.live.decided().map(shippedOpen)
  }

  #open(session: OpenSession): void {
    this.#opened.push(shippedOpen(session))
    this.#timer ??= setTimeout(() => this.flush(), GATHER_MS)
  }

  #keep(decision: ShippedDecision): void {
    this.#untold.push(decision)
    const { remember } = this.#settings
    if (this.#untold.length >= 2 * remember) this.#untold = this.#untold.slice(-remember)
  }
}

function shippedOpen({ session, decided }: OpenSession): ShippedOpen {
  return { session, decided: decided === undefined ? undefined : shipped(session.id, decided) }
}

function shipped(id: string, { flow, decision, snapshot }: Decided): ShippedDecision {
  return { id, flow, decision, revision: snapshot.revision }
}
