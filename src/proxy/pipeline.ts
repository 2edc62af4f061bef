// The pipeline every connection takes, whatever protocol it arrived by:
//
//   Arrival ─► Identified ─► Named ─► Resolved ─► Decided ─► Connected ─► record
//
// Each value is made of the one before and never changed (stage-values.ts, stages.ts). One snapshot and exactly one
// record per connection, made from the furthest value it reached; one catch around all stages. Reads no bytes and
// writes none: inbound protocols turn bytes into an Arrival and the outcome into a reply.

import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { Cancellation } from '../transport/cancellation.ts'
import type { Engine } from '../transport/engine.ts'
import type { Clock } from '../transport/timer-wheel.ts'
import type { Arrival, ClientInfo } from './arrival.ts'
import { ConnectionCounters, type ConnectionCounts, DatagramCounters } from './counters.ts'
import { LiveSessions } from './live-sessions.ts'
import type { Ports } from './pipeline-ports.ts'
import { newSessionId, Session, type SessionEnd } from './session.ts'
import { makeSessionRecord } from './session-record.ts'
import {
  type Decided,
  type DialAttempt,
  decisionOf,
  type Identification,
  type Reached,
  type Upstream,
} from './stage-values.ts'
import { decideFlows, identify, receive, requireEgress, resolvePlaceholder, resolveTarget } from './stages.ts'

export interface PipelineSettings {
  /** from the first attempt to the established connection, all addresses included */
  readonly connectTimeoutMs: number
  /** a tunnel without a byte in either direction */
  readonly idleTimeoutMs: number
  /** the coarse timer that all deadlines share */
  readonly clock: Clock
  /** takes bulky tunnels over; absent: all stay in this thread */
  readonly passOn?: Engine['passOn']
}

export interface OpenOptions {
  /** aborted when the client goes away */
  readonly signal: Cancellation
  /** for protocols that identify the client before they know its target */
  readonly identified?: Identification
}

export interface ConnectionPipeline {
  readonly settings: PipelineSettings
  readonly sessions: LiveSessions
  readonly datagrams: DatagramCounters
  /** the policy in force */
  snapshot(): Snapshot
  /** lab time, epoch ms */
  now(): number
  counts(): ConnectionCounts
  /** Identifies a client before its target is known, for protocols that answer credentials first. Records nothing: the
   *  caller passes a failure to {@link refuse}. Rejects with GatewayError `identity.*`, `request.malformed`. */
  identify(client: ClientInfo): Promise<Identification>
  /** Identifies, resolves, decides; at least one attempt of the result has an egress address. Records a failure and
   *  rejects with it as a GatewayError, whose details name the rule and the egress address if they were decided. */
  decide(arrival: Arrival, options: OpenOptions): Promise<Decided>
  /** Connects by a dialler of the caller's choice, which gets the attempts in the order to try them. Fails as {@link
   *  decide} does. The caller ends the session. */
  connect<Out extends Upstream>(
    decided: Decided,
    dial: (attempts: readonly DialAttempt[]) => Promise<Out>,
  ): Promise<Session<Out>>
  /** Both for TCP: everything up to the established upstream connection. */
  open(arrival: Arrival, options: OpenOptions): Promise<Session>
  /** Records a connection that failed before the pipeline: malformed, unauthenticated, too slow. */
  refuse(client: ClientInfo | Arrival, error: GatewayError): void
}

/** A pipeline over these ports. */
export function createConnectionPipeline(ports: Ports, settings: PipelineSettings): ConnectionPipeline {
  const sessions = new LiveSessions()
  const counters = new ConnectionCounters()
  const datagrams = new DatagramCounters()

  async function decide(arrival: Arrival, { signal, identified: known }: OpenOptions): Promise<Decided> {
    const received = receive(arrival, arrival.target, known?.snapshot ?? ports.snapshots.current())
    let reached: Reached = received
    try {
      const identified = await identify(ports, received, arrival, known)
      reached = identified
      const named = await resolvePlaceholder(ports, identified)
      reached = named
      const resolved = await resolveTarget(ports, named, signal)
      reached = resolved
      const decided = decideFlows(ports, resolved)
      reached = decided
      requireEgress(decided)
      return decided
    } catch (thrown) {
      throw fail(reached, thrown)
    }
  }

  async function connect<Out extends Upstream>(
    decided: Decided,
    dial: (attempts: readonly DialAttempt[]) => Promise<Out>,
  ): Promise<Session<Out>> {
    const release = decided.placeholder?.hold()
    try {
      const upstream = await dial(decided.usable)
      const session = new Session({ ...decided, upstream }, release === undefined ? finish : finishAndRelease(release))
      counters.opened()
      sessions.add(session)
      return session
    } catch (thrown) {
      release?.()
      throw fail(decided, thrown)
    }
  }

  async function open(arrival: Arrival, options: OpenOptions): Promise<Session> {
    const decided = await decide(arrival, options)
    const dialOptions = { signal: options.signal, timeoutMs: settings.connectTimeoutMs }
    return connect(decided, (attempts) => ports.dial(attempts, dialOptions))
  }

  function finishAndRelease(release: () => void): typeof finish {
    return (session, end) => {
      release()
      finish(session, end)
    }
  }

  function finish(session: Session<Upstream>, end: SessionEnd): void {
    sessions.delete(session)
    counters.closed(end)
    record(session.connected, session.id, end, session)
  }

  function fail(reached: Reached, thrown: unknown): GatewayError {
    const id = newSessionId()
    const error = withDecision(asGatewayError(thrown), reached, id)
    counters.refused(error.code)
    record(reached, id, { reason: error.rendering.close, error, bytesReceived: 0, bytesSent: 0 }, NO_EXCHANGE)
    return error
  }

  function record(reached: Reached, id: string, end: SessionEnd, carried: Carried): void {
    const { requests, exchanges } = carried
    const facts = { id, end, requests, exchanges, endedAt: ports.now(), endedTick: performance.now() }
    ports.record(makeSessionRecord(reached, facts), decisionOf(reached))
  }

  return {
    settings,
    sessions,
    datagrams,
    snapshot: () => ports.snapshots.current(),
    now: ports.now,
    counts: () => counters.read(sessions.size),
    async identify(client) {
      const snapshot = ports.snapshots.current()
      return { snapshot, context: await ports.identify(client, snapshot) }
    },
    decide,
    connect,
    open,
    refuse(client, error) {
      fail(receive(client, 'target' in client ? client.target : undefined, ports.snapshots.current()), error)
    },
  }
}

type Carried = Pick<Session, 'requests' | 'exchanges'>
const NO_EXCHANGE: Carried = { requests: 0, exchanges: [] }

/** The error with what was decided before it happened, for replies: rule, outcome, egress address; at a listener that annotates,
 *  the session's id. */
function withDecision(error: GatewayError, { attempts, client }: Reached, session: string): GatewayError {
  const decision = attempts?.[0]?.decision
  const annotation = client.listener.annotate === true ? { session } : {}
  if (decision === undefined && client.listener.annotate !== true) return error
  return new GatewayError(error.code, error.message, {
    cause: error,
    logged: error.logged,
    details: {
      ...(decision === undefined
        ? {}
        : {
            outcome: decision.outcome,
            rule: decision.rule?.name ?? '',
            egress: decision.egress?.address.text ?? '',
          }),
      ...error.details,
      ...annotation,
    },
  })
}
