// One attempt to connect to an origin from exactly the decided address; any other source address is an error (EG-01).

import { GatewayError } from '../errors/gateway-error.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { equalIp, type Ip } from '../net/ip.ts'
import type { Egress } from '../policy/decision.ts'
import type { DialAttempt, TcpUpstream, Tunnel } from '../proxy/stage-values.ts'
import type { ByteStream } from '../transport/byte-stream.ts'
import type { DialListener, Engine, PendingDial, SocketBinding } from '../transport/engine.ts'
import type { BindingOf, ExitOf } from './configured-egress.ts'
import { type DialledPair, describeDestination, dialError, isLoopback, isPortClash } from './errno.ts'
import type { MemberOf } from './member-attempt.ts'
import type { PortLeases } from './port-leases.ts'
import type { Sources } from './source-registry.ts'

/** Ports tried per attempt before it fails (EG-04). A try costs a bind; where other processes hold half of all ports
 *  (in TIME_WAIT, say), 8 tries failed once in 256 dials. */
export const MAX_PORTS_TRIED = 32

/** The system error of a connection that was reset before its address could be read. */
const CLOSED_AT_ONCE = Object.freeze({ code: 'ECONNRESET', syscall: 'connect' })

export interface AttemptNeeds {
  readonly leases: PortLeases
  readonly sources: Sources
  /** the upstream proxy that realises an egress address; undefined: it is bound on this machine */
  readonly exitOf: ExitOf
  /** absent: every address is bound as it is */
  readonly bindingOf?: BindingOf
  /** absent: there is no fleet, and everything leaves here */
  readonly memberOf?: MemberOf
  /** called with the result of each attempt from an egress address */
  readonly onAttempt: (egress: Egress, error?: GatewayError) => void
  readonly engine: Engine
  /** of connections, once they are made; see `DialRequest` */
  readonly userTimeoutMs?: number | undefined
}

/** An attempt in progress, direct or through an upstream proxy. */
export interface Try {
  /** False when it failed before connecting; it has reported that to the race already. */
  connect(): boolean
  cancel(): void
  /** the error for when its time is over */
  timedOut(seconds: number): GatewayError
}

/** Gets the result of an attempt, once. `isOver`: a connection was tried, and the next attempt may start at once. */
export interface AttemptWatcher {
  succeeded(attempt: Try, upstream: TcpUpstream): void
  failed(attempt: Try, error: GatewayError, isOver: boolean): void
}

/** One attempt: bind and connect, and retry with another port when the first is taken. An established connection keeps
 *  only what releases its port: thousands of them stay open for hours. */
export class Attempt implements Try, DialListener {
  readonly pair: DialledPair
  readonly #needs: AttemptNeeds
  readonly #attempt: DialAttempt
  readonly #race: AttemptWatcher
  #portsTried = 0
  #held: Held | undefined
  #dialling: PendingDial | undefined

  constructor(needs: AttemptNeeds, attempt: DialAttempt, pair: DialledPair, race: AttemptWatcher) {
    this.pair = pair
    this.#needs = needs
    this.#attempt = attempt
    this.#race = race
  }

  /** False when no port was free; the race knows already. */
  connect(): boolean {
    const { engine } = this.#needs
    const begun = engine.sharesPorts ? this.#connectFromAnyPort(engine) : this.#connectFromLease(engine)
    if (begun) return true
    this.#race.failed(this, exhausted(this.pair), this.#portsTried > 0)
    return false
  }

  /** Connects from a leased port. */
  #connectFromLease(engine: Engine): boolean {
    const { bind, dial, binding } = this.pair
    const lease = this.#needs.leases.lease(this.pair)
    if (lease === undefined) return false
    this.#portsTried++
    this.#held = new Held(() => lease.release())
    this.#register(lease.port)
    const from = { ip: bind, port: lease.port }
    this.#dialling = engine.dial({ to: dial, from, binding, userTimeoutMs: this.#needs.userTimeoutMs }, this)
    return true
  }

  /** Connects from a port the system chooses; it is known as soon as the dial begins, before the origin can look it up.
   *   */
  #connectFromAnyPort(engine: Engine): boolean {
    const { bind, dial, binding } = this.pair
    const leave = this.#needs.leases.leaseOfSystem(this.pair)
    if (leave === undefined) return false
    // no retry: the system has chosen the port
    this.#portsTried = MAX_PORTS_TRIED
    this.#held = new Held(leave)
    const from = { ip: bind, port: 0 }
    this.#dialling = engine.dial({ to: dial, from, binding, userTimeoutMs: this.#needs.userTimeoutMs }, this)
    const { localPort } = this.#dialling
    if (localPort !== undefined) this.#register(localPort)
    return true
  }

  /** Lets test origins look up who connects from this port. */
  #register(port: number): void {
    const { bind, dial, egress } = this.pair
    const source = { endpoint: { ip: egress, port }, attempt: this.#attempt }
    this.#held?.holdPort(port, this.#needs.sources.add({ ip: bind, port }, dial, source))
  }

  cancel(): void {
    this.#dialling?.cancel()
    this.#takeHeld()?.release()
  }

  timedOut(seconds: number): GatewayError {
    return new GatewayError('dial.timeout', `${describeDestination(this.pair)} did not answer within ${seconds} s`)
  }

  onConnect(stream: ByteStream): void {
    const held = this.#takeHeld()
    if (held === undefined) {
      stream.destroy()
      return
    }
    stream.onceClosed(held.release)
    const { bind, egress } = this.pair
    const { port } = held
    const seen = stream.localEndpoint()
    if (seen === undefined || port === undefined) {
      stream.reset()
      this.#race.failed(this, dialError(CLOSED_AT_ONCE, this.pair), true)
      return
    }
    if (seen.port !== port || !equalIp(seen.ip, bind)) {
      stream.reset()
      this.#race.failed(this, notBound(this.pair, seen.ip.text), true)
      return
    }
    this.#race.succeeded(this, {
      channel: stream,
      attempt: this.#attempt,
      local: { ip: bind, port },
      publicEndpoint: { ip: egress, port },
    })
  }

  onFailure(cause: Error): void {
    this.#takeHeld()?.release()
    if (isPortClash(cause) && this.#portsTried < MAX_PORTS_TRIED) this.connect()
    else this.#race.failed(this, dialError(cause, this.pair), true)
  }

  #takeHeld(): Held | undefined {
    const held = this.#held
    this.#held = undefined
    return held
  }
}

/** What a connection holds until it closes: its port, and its entry in the source registry. */
class Held {
  /** undefined: not known yet */
  port: number | undefined
  readonly #release: () => void
  #forget: (() => void) | undefined

  constructor(release: () => void) {
    this.#release = release
  }

  holdPort(port: number, forget: () => void): void {
    this.port = port
    this.#forget = forget
  }

  readonly release = (): void => {
    this.#release()
    this.#forget?.()
  }
}

/** The addresses of an attempt, or the error why it cannot be made: `egress.unroutable`, `egress.tunnel_leads_nowhere`,
 *  `egress.no_matching_family`. */
export function pairOf(
  { candidate, decision }: DialAttempt,
  { bindingOf }: Pick<AttemptNeeds, 'bindingOf'>,
): DialledPair | GatewayError {
  const { egress } = decision
  if (egress === null) return new GatewayError('egress.unroutable', `no egress address: ${decision.reason}`)
  const { dial, destination, tunnel } = candidate
  if (tunnel?.by === 'nothing') return unreachableTunnel(tunnel, destination)
  const bind = sourceFor(egress, dial.ip)
  if (bind !== undefined) {
    const binding = tunnel === undefined ? bindingFor(bindingOf?.(egress), dial.ip) : undefined
    return { bind, egress: egress.address, dial, destination, ...(binding === undefined ? {} : { binding }) }
  }
  return new GatewayError(
    'egress.no_matching_family',
    `egress address \`${egress.address.text}\` has no IPv${dial.ip.family} stand-in to reach ${describeDestination(candidate)}`,
  )
}

/** What stands in for a destination on this machine's loopback interface is reached by no other device. */
function bindingFor(binding: SocketBinding | undefined, dial: Ip): SocketBinding | undefined {
  if (binding?.device === undefined || !isLoopback(dial)) return binding
  const { device: _, ...rest } = binding
  return rest
}

function unreachableTunnel({ name }: Tunnel, destination: Endpoint): GatewayError {
  const where = formatEndpoint(destination)
  return new GatewayError(
    'egress.tunnel_leads_nowhere',
    `\`${where}\` is behind tunnel \`${name}\`, which has no route in the configuration: give the tunnel \`networks\` or an \`upstream\``,
  )
}

function notBound({ bind, egress }: DialledPair, seen: string): GatewayError {
  return new GatewayError(
    'egress.not_bound',
    `egress address \`${egress.text}\` was decided and \`${bind.text}\` bound, but the connection came up from \`${seen}\``,
  )
}

/** The error when the limit of [E7] is reached, or every port is in use. */
export function exhausted({ egress, destination }: Pick<DialledPair, 'egress' | 'destination'>): GatewayError {
  const where = describeDestination({ destination, dial: destination })
  return new GatewayError(
    'egress.ports_exhausted',
    `egress address \`${egress.text}\` has no port left for ${where}: its limit of concurrent connections is reached`,
  )
}

/** The address to bind for this egress when dialling `dial`: a stand-in of its family, or the egress address itself
 *  where it is bound directly. */
function sourceFor(egress: Egress, dial: Ip): Ip | undefined {
  if (egress.standIns.length === 0) return egress.address.family === dial.family ? egress.address : undefined
  return egress.standIns.find((standIn) => standIn.family === dial.family)
}
