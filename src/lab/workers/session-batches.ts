// Finished and opened sessions on their way from a worker to the main thread: gathered for a moment and sent together. Records go
// as the JSON line the log keeps anyway; decisions stay here until somebody asks, because few are ever looked at.

import type { LabSnapshot } from '../../config/lab-state.ts'
import type { SessionLog } from '../../log/session-log.ts'
import type { LiveSessions, OpenSession, RecentSession, RecentSessions } from '../../proxy/live-sessions.ts'
import type { SessionRecord } from '../../proxy/session-record.ts'
import type { SessionDecision } from '../../proxy/stage-values.ts'
import type { Store } from '../../store/store.ts'
import type { DecisionMessage, OpenSessionMessage, SessionMessage } from './messages.ts'

/** How long the first session of a batch waits for company, and how many make a batch at once. */
const GATHER_MS = 20
const MOST_TOGETHER = 512

export interface BatchSettings {
  readonly send: (message: SessionMessage) => void
  readonly live: LiveSessions
  /** finished sessions whose decisions are kept */
  readonly remember: number
}

/** The worker's end: gathers sessions and sends them; keeps the last decisions for whoever asks. */
export class SessionBatchSender {
  readonly #settings: BatchSettings
  /** oldest first; cut back when there are twice as many as are kept: a Map that loses its oldest with every entry takes 4 µs each */
  #unsent: DecisionMessage[] = []
  #ids: string[] = []
  #lines: string[] = []
  #opened: OpenSessionMessage[] = []
  #timer: NodeJS.Timeout | undefined
  #stopWatching: (() => void) | undefined

  constructor(settings: BatchSettings) {
    this.#settings = settings
  }

  record(record: SessionRecord, decided: SessionDecision | undefined): void {
    this.#ids.push(record.SessionID)
    this.#lines.push(JSON.stringify(record))
    if (decided !== undefined) this.#keep(decisionMessage(record.SessionID, decided))
    if (this.#lines.length >= MOST_TOGETHER) this.flush()
    else this.#timer ??= setTimeout(() => this.flush(), GATHER_MS)
  }

  /** Turns reports of opened sessions, and of decisions with their sessions, on or off. */
  watch(on: boolean): void {
    this.#stopWatching?.()
    this.#stopWatching = on ? this.#settings.live.subscribe((open) => this.#open(open)) : undefined
  }

  /** Sends what is waiting. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#lines.length === 0 && this.#opened.length === 0) return
    const decided = this.#stopWatching === undefined ? [] : this.unsent()
    const message = { kind: 'sessions', ids: this.#ids, lines: this.#lines, opened: this.#opened, decided } as const
    this.#ids = []
    this.#lines = []
    this.#opened = []
    this.#settings.send(message)
  }

  /** The decisions not sent yet; they count as sent from now on. */
  unsent(): DecisionMessage[] {
    const decisions = this.#unsent.slice(-this.#settings.remember)
    this.#unsent = []
    return decisions
  }

  /** Every open session with its decision, as it can be sent. */
  open(): OpenSessionMessage[] {
    return this.#settings.live.decided().map(openSessionMessage)
  }

  #open(session: OpenSession): void {
    this.#opened.push(openSessionMessage(session))
    this.#timer ??= setTimeout(() => this.flush(), GATHER_MS)
  }

  #keep(decision: DecisionMessage): void {
    this.#unsent.push(decision)
    const { remember } = this.#settings
    if (this.#unsent.length >= 2 * remember) this.#unsent = this.#unsent.slice(-remember)
  }
}

function openSessionMessage({ session, decided }: OpenSession): OpenSessionMessage {
  return { session, decided: decided === undefined ? undefined : decisionMessage(session.id, decided) }
}

function decisionMessage(id: string, { snapshot, ...decided }: SessionDecision): DecisionMessage {
  return { id, ...decided, revision: snapshot.revision }
}

/** Its decision may come later than its record, which is read when somebody looks at it: of thousands a second few are ever looked at. */
class SessionRecordMessage implements RecentSession {
  readonly id: string
  decided?: SessionDecision
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

/** The main thread's end: writes records to the session log and remembers the sessions. */
export class SessionBatchReceiver {
  readonly #sessions: SessionLog
  readonly #memory: RecentSessions
  readonly #revisions: RecentRevisions

  constructor(sessions: SessionLog, memory: RecentSessions, revisions: RecentRevisions) {
    this.#sessions = sessions
    this.#memory = memory
    this.#revisions = revisions
  }

  /** Finished sessions, and decisions of these or earlier ones. */
  take({ ids, lines, decided: decisions }: Pick<SessionMessage, 'ids' | 'lines' | 'decided'>): void {
    const here = new Map(decisions.map((decision) => [decision.id, decision]))
    for (const [at, line] of lines.entries()) {
      const session = new SessionRecordMessage(ids[at] ?? '', line)
      this.#attach(session, here.get(session.id))
      here.delete(session.id)
      this.#sessions.recordWritten(session, line)
      this.#memory.add(session)
    }
    for (const decision of here.values()) {
      const session = this.#memory.find(decision.id)
      if (session instanceof SessionRecordMessage) this.#attach(session, decision)
    }
  }

  #attach(session: SessionRecordMessage, message: DecisionMessage | undefined): void {
    const decided = this.#revisions.decidedOf(message)
    if (decided !== undefined) session.decided = decided
  }
}

const REVISIONS_KEPT = 64

/** The last 64 versions of the policy, to explain by which a worker decided; `close` ends following the store. */
export class RecentRevisions {
  readonly #byRevision = new Map<number, LabSnapshot>()
  readonly close: () => void

  constructor(store: Pick<Store, 'current' | 'subscribe'>) {
    this.#keep(store.current())
    this.close = store.subscribe((snapshot) => this.#keep(snapshot))
  }

  decidedOf(message: DecisionMessage | undefined): SessionDecision | undefined {
    const snapshot = message === undefined ? undefined : this.#byRevision.get(message.revision)
    if (message === undefined || snapshot === undefined) return undefined
    const { id: _, revision: __, ...decided } = message
    return { ...decided, snapshot }
  }

  openOf({ session, decided }: OpenSessionMessage): OpenSession {
    return { session, decided: this.decidedOf(decided) }
  }

  #keep(snapshot: LabSnapshot): void {
    this.#byRevision.set(snapshot.revision, snapshot)
    const [oldest] = this.#byRevision.keys()
    if (this.#byRevision.size > REVISIONS_KEPT && oldest !== undefined) this.#byRevision.delete(oldest)
  }
}
