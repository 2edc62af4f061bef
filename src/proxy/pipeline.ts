// The pipeline every connection takes, whatever protocol it arrived by:
//
//   accept ─► identify ─► resolve ─► decide ─► dial ─► relay ─► record
//
// One snapshot and exactly one record per connection, one catch around all stages. Reads no bytes and writes none:
// inbound protocols turn bytes into an Arrival and the outcome into a reply.

import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import { formatTarget, type Target } from '../net/endpoint.ts'
import { decide } from '../policy/decide.ts'
import type { Flow } from '../policy/flow.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { Cancellation } from '../transport/cancellation.ts'
import type { Engine } from '../transport/engine.ts'
import type { Clock } from '../transport/timer-wheel.ts'
import type { Arrival, Knock } from './arrival.ts'
import { ConnectionCounters, type ConnectionCounts, DatagramCounters } from './counters.ts'
import { LiveSessions } from './live-sessions.ts'
import { decidedOf, newSessionId, type Progress, Session, type SessionEnd } from './session.ts'
import { makeSessionRecord } from './session-record.ts'
import type { Candidate, DialAttempt, Outlet, Persona, Placeholder, Ports, ResolveOptions } from './stage-values.ts'

export interface PipelineSettings {
  /** from the first attempt to the established connection, all addresses included */
  readonly connectTimeoutMs: number
  /** both directions of a tunnel silent */
  readonly idleTimeoutMs: number
  /** the one coarse timer of all deadlines */
  readonly clock: Clock
  /** takes bulky tunnels over; absent: all stay in this thread */
  readonly passOn?: Engine['passOn']
}

/** Who knocked, and the one version of the policy this connection is decided by. */
export interface Identified {
  readonly snapshot: Snapshot
  readonly persona: Persona
}

export interface OpenOptions {
  /** aborted when the client goes away */
  readonly signal: Cancellation
  /** given when the protocol had to identify before it knew the target */
  readonly identified?: Identified
}

/** A connection decided and not yet made: the attempts that have an egress, in the order to try them. */
export interface Planned {
  readonly progress: Progress
  readonly persona: Persona
  readonly attempts: readonly DialAttempt[]
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
  /** Identifies ahead of the target, for protocols that answer credentials first. Records nothing: a failure is to be
   *  passed to {@link refuse}. Throws GatewayError `identity.*`. */
  identify(knock: Knock): Identified | Promise<Identified>
  /** Identifies, resolves, decides. A failure is recorded here and thrown as a GatewayError whose details name rule and egress
   *  address as far as they were decided. */
  plan(arrival: Arrival, options: OpenOptions): Promise<Planned>
  /** Makes a session of a plan by a way out of the caller's choice; failures as in {@link plan}. The caller ends the session. */
  connect<Out extends Outlet>(
    planned: Planned,
    reach: (attempts: readonly DialAttempt[]) => Promise<Out>,
  ): Promise<Session<Out>>
  /** Both for TCP: everything up to the established upstream connection. */
  open(arrival: Arrival, options: OpenOptions): Promise<Session>
  /** Records a connection that never got to the pipeline: malformed, unauthenticated, too slow. */
  refuse(knock: Knock | Arrival, error: GatewayError): void
}

/** Wires the stages together over these ports. */
export function createConnectionPipeline(ports: Ports, settings: PipelineSettings): ConnectionPipeline {
  const sessions = new LiveSessions()
  const counters = new ConnectionCounters()
  const datagrams = new DatagramCounters()

  function begin(knock: Knock, target: string, snapshot: Snapshot): Progress {
    return {
      knock,
      target,
      snapshot,
      startedAt: knock.acceptedAt,
      startedTick: performance.now(),
      persona: undefined,
      placeholder: undefined,
      release: undefined,
      attempts: undefined,
      ruleEvaluationMs: undefined,
      upstream: undefined,
      firstBytes: undefined,
    }
  }

  function record(progress: Progress, id: string, end: SessionEnd, requests: number): void {
    const facts = { id, end, requests, endedAt: ports.now(), endedTick: performance.now() }
    progress.release?.()
    ports.record(makeSessionRecord(progress, facts), decidedOf(progress))
  }

  function recordFailure(progress: Progress, error: GatewayError): void {
    counters.refused(error.code)
    record(progress, newSessionId(), { reason: error.rendering.close, error, bytesReceived: 0, bytesSent: 0 }, 0)
  }

  function finish(session: Session<Outlet>, end: SessionEnd): void {
    sessions.delete(session)
    counters.closed(end)
    record(session.progress, session.id, end, session.requests)
  }

  function identify(knock: Knock): Identified | Promise<Identified> {
    const snapshot = ports.snapshots.current()
    const persona = ports.identify(knock, snapshot)
    if (persona instanceof Promise) return persona.then((found) => ({ snapshot, persona: found }))
    return { snapshot, persona }
  }

  async function plan(arrival: Arrival, { signal, identified }: OpenOptions): Promise<Planned> {
    const snapshot = identified?.snapshot ?? ports.snapshots.current()
    const progress = begin(arrival, formatTarget(arrival.target), snapshot)
    try {
      const who = identified?.persona ?? ports.identify(arrival, snapshot)
      const persona = who instanceof Promise ? await who : who
      progress.persona = persona
      const settled = settleTarget(ports, arrival.target)
      const { placeholder, target } = settled instanceof Promise ? await settled : settled
      progress.placeholder = placeholder
      const found = ports.resolve(target, resolveOptions(arrival, persona, { signal, placeholder, snapshot }))
      const candidates = found instanceof Promise ? await found : found
      progress.attempts = decideAll(progress, flowsOf(ports, withTarget(arrival, target), persona, candidates))
      return { progress, persona, attempts: routable(progress.attempts) }
    } catch (thrown) {
      throw failed(progress, thrown)
    }
  }

  async function connect<Out extends Outlet>(
    { progress, persona, attempts }: Planned,
    reach: (attempts: readonly DialAttempt[]) => Promise<Out>,
  ): Promise<Session<Out>> {
    try {
      if (progress.placeholder !== undefined) progress.release = progress.placeholder.hold()
      const upstream = await reach(attempts)
      progress.upstream = upstream
      const session = new Session(progress, { persona, upstream }, finish)
      counters.opened()
      sessions.add(session)
      return session
    } catch (thrown) {
      throw failed(progress, thrown)
    }
  }

  function failed(progress: Progress, thrown: unknown): GatewayError {
    const error = withDecision(asGatewayError(thrown), progress)
    recordFailure(progress, error)
    return error
  }

  async function open(arrival: Arrival, options: OpenOptions): Promise<Session> {
    const planned = await plan(arrival, options)
    const how = { signal: options.signal, timeoutMs: settings.connectTimeoutMs }
    return connect(planned, (attempts) => ports.dial(attempts, how))
  }

  function decideAll(progress: Progress, pairs: readonly FlowPair[]): readonly DialAttempt[] {
    const before = performance.now()
    const attempts = pairs.map(({ flow, candidate }) => ({
      flow,
      candidate,
      decision: decide(progress.snapshot, flow),
    }))
    progress.ruleEvaluationMs = performance.now() - before
    return attempts
  }

  return {
    settings,
    sessions,
    datagrams,
    snapshot: () => ports.snapshots.current(),
    now: ports.now,
    counts: () => counters.read(sessions.size),
    identify,
    plan,
    connect,
    open,
    refuse: (knock, error) => {
      const target = 'target' in knock ? formatTarget(knock.target) : ''
      recordFailure(begin(knock, target, ports.snapshots.current()), error)
    },
  }
}

export interface FlowPair {
  readonly flow: Flow
  readonly candidate: Candidate
}

export interface ResolveNeeds {
  readonly signal: Cancellation
  readonly placeholder: Placeholder | undefined
  readonly snapshot: Snapshot
}

/** What resolving needs to know beside the target. */
export function resolveOptions(
  arrival: Arrival,
  persona: Persona,
  { signal, placeholder, snapshot }: ResolveNeeds,
): ResolveOptions {
  const options: { -readonly [Name in keyof ResolveOptions]: ResolveOptions[Name] } = {
    transport: arrival.transport,
    peer: arrival.peer,
    virtualNetworkId: persona.virtualNetworkId,
    routes: snapshot.tables.routes,
    signal,
  }
  if (persona.family !== undefined) options.family = persona.family
  if (placeholder !== undefined) options.settled = placeholder.address
  return options
}

function withTarget(arrival: Arrival, target: Target): Arrival {
  return arrival.target === target ? arrival : { ...arrival, target }
}

/** The facts of the connection, once per candidate address ([E3]): destination and its place differ, the rest is shared. One literal,
 *  whatever is absent: spreads of optional parts cost 1 µs of every connection. */
export function flowsOf(
  ports: Pick<Ports, 'placeOf' | 'categoriesOf'>,
  { target, transport, listener }: Arrival,
  persona: Persona,
  candidates: readonly Candidate[],
): FlowPair[] {
  const sourcePlace = ports.placeOf(persona.source.ip)
  return candidates.map((candidate) => {
    const { contentCategories, applications } = ports.categoriesOf(target, candidate.destination.ip)
    const flow: Flow = {
      transport,
      source: persona.source,
      virtualNetworkId: persona.virtualNetworkId,
      host: target.kind === 'name' ? target.name : undefined,
      identity: persona.identity,
      device: persona.device,
      internalSource: persona.internalSource,
      userPlace: persona.userPlace,
      sourcePlace,
      proxyEndpoint: listener.endpoint?.host,
      contentCategories,
      applications,
      destination: candidate.destination,
      proxiedByCloudflare: candidate.proxiedByCloudflare,
      gatewayDns: candidate.gatewayDns,
      destinationPlace: candidate.place,
    }
    return { candidate, flow }
  })
}

/** The attempts that have an egress. Throws `egress.unroutable` with the reason in words when there is none. */
function routable(attempts: readonly DialAttempt[]): readonly DialAttempt[] {
  if (attempts.length > 0 && attempts.every(hasEgress)) return attempts
  const usable = attempts.filter(hasEgress)
  if (usable.length > 0) return usable
  const reason = attempts[0]?.decision.reason ?? 'the destination has no address'
  throw new GatewayError('egress.unroutable', `no egress address can be used: ${reason}`)
}

function hasEgress({ decision }: DialAttempt): boolean {
  return decision.egress !== null
}

/** The error with what was decided before it happened, for replies: rule, outcome, egress address. */
function withDecision(error: GatewayError, progress: Progress): GatewayError {
  const decision = progress.attempts?.[0]?.decision
  if (decision === undefined) return error
  return new GatewayError(error.code, error.message, {
    cause: error,
    logged: error.logged,
    details: {
      outcome: decision.outcome,
      rule: decision.rule?.name ?? '',
      egress: decision.egress?.address.text ?? '',
      ...error.details,
    },
  })
}

/** `target` is what facts are made of and what gets resolved. */
export interface SettledTarget {
  readonly target: Target
  readonly placeholder: Placeholder | undefined
}

/** Answers at once unless it has to be asked elsewhere. Throws or rejects with GatewayError `name.unknown_placeholder`. */
export function settleTarget(
  { placeholderAt }: Pick<Ports, 'placeholderAt'>,
  target: Target,
): SettledTarget | Promise<SettledTarget> {
  const placeholder = placeholderAt?.(target)
  if (placeholder instanceof Promise) return placeholder.then((found) => settledBy(found, target))
  return settledBy(placeholder, target)
}

function settledBy(placeholder: Placeholder | undefined, target: Target): SettledTarget {
  if (placeholder === undefined) return { target, placeholder }
  return { target: { kind: 'name', name: placeholder.name, port: target.port }, placeholder }
}
