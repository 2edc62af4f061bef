// The sessions that are open right now: what the API lists and closes, and what a stop has to wait for.

import { GatewayError } from '../errors/gateway-error.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import type { Decision } from '../policy/decision.ts'
import { LinkedList } from '../transport/linked-list.ts'
import type { InboundProtocol } from './arrival.ts'
import { type Decided, decidedOf, type Session } from './session.ts'
import { formatInstant } from './session-record.ts'
import type { Outlet } from './stage-values.ts'

/** One open session, as data. Bytes are so far; `target` is as asked for. */
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

/** One open session with what it was decided on. */
export interface OpenSession {
  readonly session: LiveSession
  readonly decided: Decided | undefined
}

export class LiveSessions {
  /** not by id: short sessions come and go by thousands, and hardly one is ever asked for */
  readonly #open = new LinkedList<Session<Outlet>>()
  readonly #listeners = new Set<(session: OpenSession) => void>()

  get size(): number {
    return this.#open.size
  }

  add(session: Session<Outlet>): void {
    session.place = this.#open.enter(session)
    if (this.#listeners.size === 0) return
    const opened = describeDecided(session)
    for (const listener of this.#listeners) listener(opened)
  }

  /** Tells every session that opens; the answer stops it. */
  subscribe(listener: (session: OpenSession) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  delete(session: Session<Outlet>): void {
    if (session.place !== undefined) this.#open.leave(session.place)
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

  /** Cuts one session with a reset on both sides; false when there is none by that id. */
  close(id: string, message = 'closed on request of the operator'): boolean {
    const session = this.#byId(id)
    session?.kill(message)
    return session !== undefined
  }

  /** Cuts one session like {@link close}, for a reason that has a code of its own. */
  cut(id: string, why: GatewayError): void {
    this.#byId(id)?.kill(why)
  }

  /** Cuts every session. */
  closeAll(message: string): void {
    for (const session of this.#open.list()) session.kill(message)
  }

  #byId(id: string): Session<Outlet> | undefined {
    return this.#open.list().find((session) => session.id === id)
  }

  /** Resolves as soon as no session is open. */
  empty(): Promise<void> {
    return this.#open.empty()
  }
}

function describeDecided(session: Session<Outlet>): OpenSession {
  return { session: describe(session), decided: decidedOf(session.progress) }
}

function describe(session: Session<Outlet>): LiveSession {
  const { progress, persona, upstream } = session
  const { decision } = upstream.attempt
  return {
    id: session.id,
    protocol: progress.knock.protocol,
    listener: progress.knock.listener.name,
    email: persona.identity?.email ?? '',
    source: formatEndpoint(persona.source),
    target: progress.target,
    egress: formatEndpoint(upstream.announced),
    outcome: decision.outcome,
    rule: decision.rule?.name ?? '',
    startedAt: formatInstant(progress.startedAt),
    bytesReceived: upstream.carrier.bytesRead,
    bytesSent: upstream.carrier.bytesWritten,
    policyRevision: progress.snapshot.revision,
  }
}

/** The open sessions an outage concerns, as they were; `reset` says whether they were cut. */
export interface ConcernedSessions {
  readonly reset: boolean
  readonly sessions: readonly LiveSession[]
}

/** Does a connection depend on this data center: come in there, leave there, or leave by an IPv4 address that is there? An IPv6
 *  range works from every data center ([E4]). */
export function dependsOn({ ingressColo, physicalColo, egress }: Decision, code: string): boolean {
  if (ingressColo.code === code || physicalColo?.code === code) return true
  return egress?.family === 4 && egress.dedicated?.colo === code
}

/** Leaves the sessions that depend on a data center alone, or cuts them with a reset on both sides (TU-07); each then ends
 *  with `relay.colo_down`. */
export function settleOpenSessions(
  open: Pick<LiveSessions, 'decided' | 'cut'>,
  code: string,
  reset: boolean,
): ConcernedSessions {
  const sessions = open
    .decided()
    .filter(({ decided }) => decided !== undefined && dependsOn(decided.decision, code))
    .map(({ session }) => session)
  if (reset) for (const { id, egress } of sessions) open.cut(id, coloWentDown(code, egress))
  return { reset, sessions }
}

function coloWentDown(code: string, egress: string): GatewayError {
  return new GatewayError('relay.colo_down', `data center ${code} went down, and the connection from ${egress} with it`)
}
