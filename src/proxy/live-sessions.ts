// The open sessions: what the API lists and closes, and what a graceful stop waits for; and the most recent finished ones
// with their decisions. The session log keeps all.

import { GatewayError } from '../errors/gateway-error.ts'
import { formatEndpoint, formatTarget } from '../net/endpoint.ts'
import type { Decision } from '../policy/decision.ts'
import { LinkedList } from '../transport/linked-list.ts'
import type { InboundProtocol } from './arrival.ts'
import type { Session } from './session.ts'
import { formatInstant, type SessionRecord } from './session-record.ts'
import { decisionOf, type SessionDecision, type Upstream } from './stage-values.ts'

/** One open session, as data. Bytes are counted so far; `target` is as the client asked for it. */
export interface LiveSession {
  readonly id: string
  readonly protocol: InboundProtocol
  readonly listener: string
  readonly email: string
  readonly source: string
  readonly target: string
  readonly egress: string
  readonly outcome: string
  readonly rule: string
  readonly startedAt: string
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly policyRevision: number
}

/** One open session with its decision. */
export interface OpenSession {
  readonly session: LiveSession
  readonly decided: SessionDecision | undefined
}

/** Every open session of a thread: listed, found by id, cut off, and waited for. */
export class LiveSessions {
  /** a list, not a map by id: thousands of short sessions come and go, and almost none is ever looked up */
  readonly #open = new LinkedList<Session<Upstream>>()
  readonly #listeners = new Set<(session: OpenSession) => void>()

  get size(): number {
    return this.#open.size
  }

  add(session: Session<Upstream>): void {
    session.listEntry = this.#open.enter(session)
    if (this.#listeners.size === 0) return
    const opened = describeDecided(session)
    for (const listener of this.#listeners) listener(opened)
  }

  /** Calls the listener for every session that opens. Returns a function that ends the subscription. */
  subscribe(listener: (session: OpenSession) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  delete(session: Session<Upstream>): void {
    if (session.listEntry !== undefined) this.#open.leave(session.listEntry)
  }

  /** Every open session, oldest first. */
  list(): LiveSession[] {
    return this.#open.list().map(describe)
  }

  /** Every open session with its decision, oldest first. */
  decided(): readonly OpenSession[] {
    return this.#open.list().map(describeDecided)
  }

  /** The open session of this id with its decision. */
  find(id: string): OpenSession | undefined {
    const session = this.#byId(id)
    return session === undefined ? undefined : describeDecided(session)
  }

  /** Resets one session on both sides (`relay.killed`); false when there is none with that id. */
  close(id: string, message = 'closed on request of the operator'): boolean {
    const session = this.#byId(id)
    session?.kill(message)
    return session !== undefined
  }

  /** Resets one session like {@link close}, with an error of the caller's. */
  cut(id: string, why: GatewayError): void {
    this.#byId(id)?.kill(why)
  }

  /** Resets every session (`relay.killed`). */
  closeAll(message: string): void {
    for (const session of this.#open.list()) session.kill(message)
  }

  #byId(id: string): Session<Upstream> | undefined {
    return this.#open.list().find((session) => session.id === id)
  }

  /** Resolves once no session is open. */
  empty(): Promise<void> {
    return this.#open.empty()
  }
}

function describeDecided(session: Session<Upstream>): OpenSession {
  return { session: describe(session), decided: decisionOf(session.connected) }
}

function describe(session: Session<Upstream>): LiveSession {
  const { client, context, snapshot, target, upstream } = session.connected
  const { decision } = upstream.attempt
  return {
    id: session.id,
    protocol: client.protocol,
    listener: client.listener.name,
    email: context.identity?.email ?? '',
    source: formatEndpoint(context.source),
    target: formatTarget(target),
    egress: formatEndpoint(upstream.publicEndpoint),
    outcome: decision.outcome,
    rule: decision.rule?.name ?? '',
    startedAt: formatInstant(client.acceptedAt),
    bytesReceived: upstream.channel.bytesRead,
    bytesSent: upstream.channel.bytesWritten,
    policyRevision: snapshot.revision,
  }
}

/** The open sessions an outage affects, as they were before it; `reset`: they were reset. */
export interface AffectedSessions {
  readonly reset: boolean
  readonly sessions: readonly LiveSession[]
}

/** True when a connection depends on this data center: its ingress or egress is there, or its IPv4 egress address
 *  belongs there. An IPv6 range works from every data center ([E4]). */
export function dependsOn({ ingressColo, physicalColo, egress }: Decision, code: string): boolean {
  if (ingressColo.code === code || physicalColo?.code === code) return true
  return egress?.family === 4 && egress.dedicated?.colo === code
}

/** Finds the sessions that depend on a data center (`code`) that went down. With `reset` it resets them on both sides
 *  (TU-07), and each ends with `relay.colo_down`. */
export function applyColoOutage(
  open: Pick<LiveSessions, 'decided' | 'cut'>,
  code: string,
  reset: boolean,
): AffectedSessions {
  const sessions = open
    .decided()
    .filter(({ decided }) => decided !== undefined && dependsOn(decided.decision, code))
    .map(({ session }) => session)
  if (reset) for (const { id, egress } of sessions) open.cut(id, coloWentDown(code, egress))
  return { reset, sessions }
}

function coloWentDown(code: string, egress: string): GatewayError {
  return new GatewayError(
    'relay.colo_down',
    `data center ${code} went down, so the connection from ${egress} was reset`,
  )
}

export interface RecentSession {
  readonly id: string
  readonly record: SessionRecord
  /** absent where the connection failed before a decision */
  readonly decided?: SessionDecision
}

/** The last finished sessions, at most as many as it has room for; the oldest goes first. */
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
