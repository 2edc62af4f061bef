// Connects to an origin from exactly the address that was decided, or fails and says why (EG-01). Several attempts are
// raced as Happy Eyeballs (RFC 8305) with one source per family (EG-05); Node's own race ignores `localAddress`.
// Resolves nothing and decides nothing.

import type { Socket } from 'node:net'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { equalIp, type Ip, parseIp } from '../net/ip.ts'
import type { Egress } from '../policy/decision.ts'
import type { Clock, Deadline } from '../proxy/deadline.ts'
import { DirectSocket } from '../proxy/direct-socket.ts'
import type { DialAttempt, DialOptions, Ports, Upstream } from '../proxy/ports.ts'
import { bestOf } from './dial-errors.ts'
import { type DialledPair, describeDestination, dialError, isPortClash } from './errno.ts'
import type { PortLease, PortLeases } from './port-leases.ts'
import type { SourceRegistry } from './source-registry.ts'

/** RFC 8305 section 8, Connection Attempt Delay. */
const DEFAULT_STAGGER_MS = 250
/** Ports tried for one attempt before it counts as failed (EG-04). */
const MAX_PORTS_TRIED = 8
/** Finds dead peers of silent tunnels (TU-10). */
const KEEP_ALIVE_MS = 60_000

export interface TcpDialerSettings {
  readonly leases: PortLeases
  readonly sources: SourceRegistry
  readonly clock: Clock
  /** how long an attempt is alone before the next one joins it */
  readonly staggerMs?: number
}

/** The `dial` of the pipeline. A promise it returns rejects with GatewayError only: `egress.no_matching_family`,
 *  `.address_missing`, `.ports_exhausted`, `.not_bound`, `dial.*`, and when the signal is aborted its reason (where that is a
 *  GatewayError) or `relay.client_reset`. Port and registry entry live exactly as long as the socket. */
export function createTcpDialer(settings: TcpDialerSettings): Ports['dial'] {
  return (attempts, options) => new Promise((resolve, reject) => new Race(settings, attempts, options, resolve, reject))
}

/** The address to bind for reaching `dial` from this egress: a stand-in of that family, or the address itself where it is
 *  its own stand-in. */
export function sourceFor(egress: Egress, dial: Ip): Ip | undefined {
  if (egress.standIns.length === 0) return egress.address.family === dial.family ? egress.address : undefined
  return egress.standIns.find((standIn) => standIn.family === dial.family)
}

/** One dial: attempts start one after another, the first that connects wins, the rest are cancelled (EG-06). */
class Race {
  readonly #settings: TcpDialerSettings
  readonly #attempts: readonly DialAttempt[]
  readonly #signal: AbortSignal
  readonly #resolve: (upstream: Upstream) => void
  readonly #reject: (error: GatewayError) => void
  readonly #running = new Set<Attempt>()
  readonly #errors: GatewayError[] = []
  readonly #timeout: Deadline
  #stagger: Deadline | undefined
  #nextAttempt = 0
  #settled = false

  constructor(
    settings: TcpDialerSettings,
    attempts: readonly DialAttempt[],
    { signal, timeoutMs }: DialOptions,
    resolve: (upstream: Upstream) => void,
    reject: (error: GatewayError) => void,
  ) {
    this.#settings = settings
    this.#attempts = attempts
    this.#signal = signal
    this.#resolve = resolve
    this.#reject = reject
    this.#timeout = settings.clock.after(timeoutMs, () => this.#expire(timeoutMs))
    signal.addEventListener('abort', this.#abort)
    if (signal.aborted) this.#abort()
    else this.#startNext()
  }

  /** Starts the next attempt now and sets the time for the one after it. */
  readonly #startNext = (): void => {
    this.#stagger?.cancel()
    while (!this.#settled && this.#nextAttempt < this.#attempts.length) {
      const attempt = this.#attempts[this.#nextAttempt++]
      if (attempt !== undefined && this.#start(attempt)) break
    }
    if (this.#settled) return
    if (this.#running.size === 0) this.#finish(() => this.#reject(bestOf(this.#errors)))
    else if (this.#nextAttempt < this.#attempts.length) {
      this.#stagger = this.#settings.clock.after(this.#settings.staggerMs ?? DEFAULT_STAGGER_MS, this.#startNext)
    }
  }

  /** False when the attempt failed before a socket was made. */
  #start(dialAttempt: DialAttempt): boolean {
    const pair = pairOf(dialAttempt)
    if (pair instanceof GatewayError) {
      this.#errors.push(pair)
      return false
    }
    const attempt = new Attempt(this.#settings, dialAttempt, pair, this)
    this.#running.add(attempt)
    return attempt.connect()
  }

  succeeded(attempt: Attempt, upstream: Upstream): void {
    this.#running.delete(attempt)
    this.#finish(() => this.#resolve(upstream))
  }

  /** `isOver`: reported from outside of {@link Race.#start}, so the next attempt is due at once (RFC 8305 section 5). */
  failed(attempt: Attempt, error: GatewayError, isOver: boolean): void {
    this.#running.delete(attempt)
    this.#errors.push(error)
    if (isOver && !this.#settled) this.#startNext()
  }

  #expire(timeoutMs: number): void {
    for (const { pair } of this.#running) {
      const message = `${describeDestination(pair)} did not answer within ${timeoutMs / 1000} s`
      this.#errors.unshift(new GatewayError('dial.timeout', message))
    }
    this.#finish(() => this.#reject(bestOf(this.#errors)))
  }

  readonly #abort = (): void => {
    const { reason } = this.#signal
    const error =
      reason instanceof GatewayError
        ? reason
        : new GatewayError('relay.client_reset', 'the client went away while connecting', { cause: reason })
    this.#finish(() => this.#reject(error))
  }

  #finish(settle: () => void): void {
    if (this.#settled) return
    this.#settled = true
    this.#timeout.cancel()
    this.#stagger?.cancel()
    this.#signal.removeEventListener('abort', this.#abort)
    for (const attempt of this.#running) attempt.cancel()
    this.#running.clear()
    settle()
  }
}

/** One attempt: bind and connect, again with another port when the first is taken. */
class Attempt {
  readonly pair: DialledPair
  readonly #settings: TcpDialerSettings
  readonly #attempt: DialAttempt
  readonly #race: Race
  #portsTried = 0
  #socket: Socket | undefined

  constructor(settings: TcpDialerSettings, attempt: DialAttempt, pair: DialledPair, race: Race) {
    this.pair = pair
    this.#settings = settings
    this.#attempt = attempt
    this.#race = race
  }

  /** False when no port could be had; the race knows already. */
  connect(): boolean {
    const lease = this.#settings.leases.lease(this.pair)
    if (lease === undefined) {
      this.#race.failed(this, exhausted(this.pair), this.#portsTried > 0)
      return false
    }
    this.#portsTried++
    const { bind, dial, egress } = this.pair
    const local = { ip: bind, port: lease.port }
    const endpoint = { ip: egress, port: lease.port }
    const forget = this.#settings.sources.add(local, dial, { endpoint, attempt: this.#attempt })
    const socket = new DirectSocket({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
    })
    this.#socket = socket
    socket.once('close', () => {
      lease.release()
      forget()
    })
    // stays for good: a socket without an error listener ends the process (TU-08)
    socket.on('error', (cause) => {
      if (this.#socket === socket) this.#connectFailed(cause, lease)
    })
    socket.once('connect', () => this.#connected(socket, local, endpoint))
    socket.connect({ host: dial.ip.text, port: dial.port, localAddress: bind.text, localPort: lease.port })
    return true
  }

  cancel(): void {
    const socket = this.#socket
    this.#socket = undefined
    // a socket still connecting would put its reset off until it has connected
    if (socket?.connecting) socket.destroy()
    else socket?.resetAndDestroy()
  }

  #connected(socket: Socket, local: Endpoint, announced: Endpoint): void {
    if (this.#socket !== socket) return
    if (!isBoundTo(socket, local)) {
      const seen = socket.localAddress
      this.cancel()
      this.#race.failed(this, notBound(this.pair, seen), true)
      return
    }
    this.#socket = undefined
    this.#race.succeeded(this, { socket, attempt: this.#attempt, local, announced })
  }

  #connectFailed(cause: Error, lease: PortLease): void {
    this.#socket = undefined
    lease.release()
    if (isPortClash(cause) && this.#portsTried < MAX_PORTS_TRIED) this.connect()
    else this.#race.failed(this, dialError(cause, this.pair), true)
  }
}

/** Addresses of an attempt, or why it cannot be made. */
function pairOf({ candidate, decision }: DialAttempt): DialledPair | GatewayError {
  const { egress } = decision
  if (egress === null) return new GatewayError('egress.unroutable', `no egress address: ${decision.reason}`)
  const { dial, destination } = candidate
  const bind = sourceFor(egress, dial.ip)
  if (bind !== undefined) return { bind, egress: egress.address, dial, destination }
  return new GatewayError(
    'egress.no_matching_family',
    `egress address \`${egress.address.text}\` has no IPv${dial.ip.family} stand-in to reach ${describeDestination(candidate)}`,
  )
}

function isBoundTo(socket: Socket, local: Endpoint): boolean {
  if (socket.localPort !== local.port) return false
  if (socket.localAddress === local.ip.text) return true
  const address = parseIp(socket.localAddress ?? '')
  return address !== undefined && equalIp(address, local.ip)
}

function notBound({ bind, egress }: DialledPair, seen: string | undefined): GatewayError {
  return new GatewayError(
    'egress.not_bound',
    `egress address \`${egress.text}\` was decided and \`${bind.text}\` bound, but the connection came up from \`${seen ?? 'nowhere'}\``,
  )
}

function exhausted({ egress, destination }: DialledPair): GatewayError {
  const where = describeDestination({ destination, dial: destination })
  return new GatewayError(
    'egress.ports_exhausted',
    `egress address \`${egress.text}\` has no port left for ${where}: its limit of concurrent connections is reached`,
  )
}
