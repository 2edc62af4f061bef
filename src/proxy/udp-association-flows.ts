// The datagrams of one association, each destination decided on its own by the stages every connection takes (UD-04): resolved
// and decided once per version of the policy, then remembered. Knows no SOCKS; says nothing to the client about failures.

import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import { type Endpoint, formatEndpoint, type Target } from '../net/endpoint.ts'
import type { Clock, Timer } from '../transport/timer-wheel.ts'
import type { ClientInfo } from './arrival.ts'
import type { DatagramCounters } from './counters.ts'
import type { ConnectionPipeline } from './pipeline.ts'
import type { Session, SessionEnd } from './session.ts'
import type {
  ClientContext,
  Decided,
  DialAttempt,
  OpenUdpUpstreams,
  UdpListener,
  UdpUpstream,
  UdpUpstreams,
} from './stage-values.ts'

export interface UdpLimits {
  /** a flow without a datagram in either direction ends (RFC 4787 REQ-5: at least two minutes) */
  readonly idleMs: number
  /** destinations of one association at one time */
  readonly maxDestinations: number
  /** of one association, in each direction */
  readonly packetsPerSecond: number
  readonly bytesPerSecond: number
}

export interface UdpFlowsOptions {
  readonly pipeline: ConnectionPipeline
  readonly openOutlets: OpenUdpUpstreams
  readonly limits: UdpLimits
  /** of protocol `socks5-udp` */
  readonly client: ClientInfo
  readonly context: ClientContext
  /** is this one of the relay's own sockets */
  readonly isOwnRelay: (dial: Endpoint) => boolean
  /** a datagram for the client, from the public address of its sender; the bytes are valid during the call only */
  readonly deliver: (from: Endpoint, payload: Buffer) => void
}

/** Datagrams held while their destination is being decided (UD-09). */
const MAX_WAITING = 16
/** How long a destination that was refused is not tried again under the same policy: one record, not one per datagram. */
const REFUSED_MS = 5_000

/** What is known of a destination as the client spells it. */
interface Way {
  /** of the policy it was decided by; `undefined` while it is being decided */
  revision: number | undefined
  route?: UdpRoute
  refusedUntil: number
  waiting: Buffer[]
}

/** The flows of one association, by destination; one that was refused stays so for a while. */
export class UdpFlows {
  readonly #options: UdpFlowsOptions
  readonly #outlets: UdpUpstreams
  readonly #ways = new Map<string, Way>()
  /** by egress address and dialled endpoint: what several spellings of a destination share */
  readonly #routes = new Map<string, UdpRoute>()
  readonly #opening = new Map<string, Promise<UdpRoute>>()
  readonly #departure = new AbortController()
  #sweeping: Timer

  constructor(options: UdpFlowsOptions) {
    const { datagrams } = options.pipeline
    this.#options = options
    this.#outlets = options.openOutlets(() => datagrams.dropped('unsolicited'))
    this.#sweeping = this.#sweepLater()
  }

  /** Sends a datagram on its way; `payload` may be reused afterwards. `key` names the destination as the client spells it; `targetOf` reads it, where it has to be
   *  decided. False when that is no destination; what else becomes of the datagram is counted. */
  send(key: string, targetOf: () => Target | undefined, payload: Buffer): boolean {
    const { pipeline, limits } = this.#options
    const revision = pipeline.snapshot().revision
    const way = this.#ways.get(key)
    if (way?.revision === undefined && way !== undefined) this.#hold(way, payload)
    else if (way?.route?.ended === false && way.revision === revision) way.route.send(payload)
    else if (way?.revision === revision && pipeline.settings.clock.now < way.refusedUntil) {
      pipeline.datagrams.dropped('unrouted')
    } else if (way === undefined && this.#ways.size >= limits.maxDestinations) {
      pipeline.datagrams.dropped('too_many_destinations')
    } else return this.#sendAnew(key, way, targetOf(), payload)
    return true
  }

  #sendAnew(key: string, known: Way | undefined, target: Target | undefined, payload: Buffer): boolean {
    if (target === undefined) return false
    const way: Way = known ?? { revision: undefined, refusedUntil: 0, waiting: [] }
    way.revision = undefined
    way.waiting.push(Buffer.from(payload))
    this.#ways.set(key, way)
    void this.#decide(way, target)
    return true
  }

  /** Ends every flow. */
  close(how: Omit<SessionEnd, 'bytesReceived' | 'bytesSent'>): void {
    this.#sweeping.cancel()
    this.#departure.abort()
    for (const route of this.#routes.values()) route.close(how)
    this.#routes.clear()
    this.#ways.clear()
  }

  #hold(way: Way, payload: Buffer): void {
    if (way.waiting.length < MAX_WAITING) way.waiting.push(Buffer.from(payload))
    else this.#options.pipeline.datagrams.dropped('queue_full')
  }

  /** Decides under the policy in force, then sends what has waited. A failure is in the session log already. */
  async #decide(way: Way, target: Target): Promise<void> {
    const { pipeline, context, client } = this.#options
    const { signal } = this.#departure
    const snapshot = pipeline.snapshot()
    const before = way.route
    try {
      const arrival = { ...client, target, acceptedAt: pipeline.now() }
      const decided = await pipeline.decide(arrival, { signal, identified: { snapshot, context } })
      way.route = await this.#routeFor(decided, before)
    } catch (thrown) {
      const error = asGatewayError(thrown)
      before?.close({ reason: error.rendering.close, error })
      way.refusedUntil = pipeline.settings.clock.now + REFUSED_MS
    }
    way.revision = snapshot.revision
    const { waiting } = way
    way.waiting = []
    for (const payload of waiting) {
      if (way.route?.ended === false) way.route.send(payload)
      else pipeline.datagrams.dropped('unrouted')
    }
  }

  /** The flow that goes on as decided anew, else one that leaves by the same address to the same place, else a new one. */
  async #routeFor(decided: Decided, before: UdpRoute | undefined): Promise<UdpRoute> {
    const [first] = decided.usable
    if (first === undefined) throw new GatewayError('internal.invariant', 'a plan has at least one attempt')
    const key = keyOf(first, decided)
    const known = this.#routes.get(key)
    if (known?.ended === false && (known !== before || decidedAlike(known.attempt, first))) {
      if (before !== known) moveOn(before, decided)
      return known
    }
    moveOn(before, decided)
    const opening = this.#opening.get(key) ?? this.#open(key, decided, first).finally(() => this.#opening.delete(key))
    this.#opening.set(key, opening)
    return opening
  }

  async #open(key: string, decided: Decided, first: DialAttempt): Promise<UdpRoute> {
    const { pipeline, deliver } = this.#options
    const route = new UdpRoute({ clock: pipeline.settings.clock, counters: pipeline.datagrams, deliver })
    const session = await pipeline.connect(decided, (attempts) => {
      const open = attempts.filter(({ candidate }) => !this.#options.isOwnRelay(candidate.dial))
      if (open.length === 0) throw ownRelay(first)
      return this.#outlets.connect(open, route)
    })
    route.carry(session)
    if (this.#departure.signal.aborted) route.close({ reason: 'CLIENT_CLOSED' })
    else this.#routes.set(key, route)
    return route
  }

  #sweepLater(): Timer {
    const { pipeline, limits } = this.#options
    return pipeline.settings.clock.after(Math.max(limits.idleMs / 4, 50), () => this.#sweep())
  }

  readonly #sweep = (): void => {
    const { pipeline, limits } = this.#options
    for (const [key, route] of this.#routes) {
      route.endIfIdle(limits.idleMs)
      if (route.ended) this.#routes.delete(key)
    }
    const { now } = pipeline.settings.clock
    for (const [key, way] of this.#ways) {
      const gone = way.route === undefined || way.route.ended
      if (gone && way.revision !== undefined && now >= way.refusedUntil) this.#ways.delete(key)
    }
    this.#sweeping = this.#sweepLater()
  }
}

/** Answers come back from where the client sent to, so what it reaches by a placeholder is a flow of its own. */
function keyOf({ candidate, decision }: DialAttempt, { placeholder }: Decided): string {
  return `${decision.egress?.address.text} ${formatEndpoint(candidate.dial)} ${placeholder?.initial.text ?? ''}`
}

/** Would the record of a flow still tell the truth under this decision? */
function decidedAlike(before: DialAttempt | undefined, now: DialAttempt): boolean {
  return before?.decision.outcome === now.decision.outcome && before.decision.rule?.id === now.decision.rule?.id
}

function moveOn(before: UdpRoute | undefined, { snapshot, usable }: Decided): void {
  if (before === undefined || before.ended) return
  const address = usable[0]?.decision.egress?.address.text ?? 'nowhere'
  const message = `decided anew under policy revision ${snapshot.revision}: it leaves from ${address} now`
  const error = new GatewayError('relay.killed', message)
  before.close({ reason: error.rendering.close, error })
}

function ownRelay({ candidate }: DialAttempt): GatewayError {
  const where = formatEndpoint(candidate.dial)
  return new GatewayError('guard.own_listener', `\`${where}\` is a UDP port of the proxy itself`)
}

export interface UdpRouteOptions {
  readonly clock: Clock
  readonly counters: DatagramCounters
  /** hands a datagram that came back to the client; `from` is the public address of the destination */
  readonly deliver: (from: Endpoint, payload: Buffer) => void
}

/** One flow: datagrams between its client and one destination from one egress address, with one session and so one record. Decides
 *  nothing and looks at no byte. */
class UdpRoute implements UdpListener {
  readonly #options: UdpRouteOptions
  #session: Session<UdpUpstream> | undefined
  #from: Endpoint | undefined
  #lastActive: number
  /** what ICMP said, where nothing has come back since */
  #unreachable: GatewayError | undefined

  constructor(options: UdpRouteOptions) {
    this.#options = options
    this.#lastActive = options.clock.now
  }

  /** Takes the session over; a kill closes its path. */
  carry(session: Session<UdpUpstream>): void {
    this.#session = session
    const { destination } = session.upstream.attempt.candidate
    const { placeholder } = session.connected
    // a client that sent to a placeholder waits for answers from there
    this.#from = placeholder === undefined ? destination : { ip: placeholder.initial, port: destination.port }
    session.onKill((error) => this.close({ reason: error.rendering.close, error }))
  }

  get ended(): boolean {
    return this.#session === undefined || this.#session.ended
  }

  /** what it was decided by */
  get attempt(): DialAttempt | undefined {
    return this.#session?.upstream.attempt
  }

  send(payload: Uint8Array): void {
    if (this.#session === undefined) return
    this.#lastActive = this.#options.clock.now
    this.#options.counters.sent++
    this.#session.upstream.channel.send(payload)
  }

  received(payload: Buffer): void {
    if (this.#from === undefined) return
    this.#unreachable = undefined
    this.#lastActive = this.#options.clock.now
    this.#options.deliver(this.#from, payload)
  }

  dropped(reason: 'too_large' | 'congested'): void {
    this.#options.counters.dropped(reason)
  }

  unreachable(error: GatewayError): void {
    this.#unreachable = error
    this.#options.counters.dropped('unreachable')
  }

  failed(error: GatewayError): void {
    this.close({ reason: error.rendering.close, error })
  }

  /** Ends a flow that was silent in both directions for so long; its record says if the destination could not be reached. */
  endIfIdle(idleMs: number): void {
    if (this.ended || this.#options.clock.now - this.#lastActive < idleMs) return
    const message = `no datagram in either direction for ${idleMs / 1000} s`
    this.failed(this.#unreachable ?? new GatewayError('relay.idle', message))
  }

  /** Ends the session, then gives the path back. */
  close(how: Parameters<Session['end']>[0]): void {
    this.#session?.end(how)
    this.#session?.upstream.channel.destroy()
  }
}
