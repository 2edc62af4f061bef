// Dials an upstream connection: races the attempts as Happy Eyeballs (RFC 8305) with one source address per family
// (EG-05), because Node's own race ignores `localAddress`. Resolves nothing and decides nothing.

import { GatewayError } from '../errors/gateway-error.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { Egress } from '../policy/decision.ts'
import type { DialOptions, Ports } from '../proxy/pipeline-ports.ts'
import type { DialAttempt, TcpUpstream } from '../proxy/stage-values.ts'
import type { Cancellation } from '../transport/cancellation.ts'
import type { Clock, Timer } from '../transport/timer-wheel.ts'
import { Attempt, type AttemptNeeds, type AttemptWatcher, pairOf, type Try } from './attempt.ts'
import { bestOf, dialError } from './errno.ts'
import { ExitAttempt } from './exit-attempt.ts'
import { MemberAttempt } from './member-attempt.ts'

/** The system error for binding an address the machine does not have. */
const NO_SUCH_ADDRESS = Object.freeze({ code: 'EADDRNOTAVAIL', syscall: 'bind' })

/** RFC 8305 section 8, Connection Attempt Delay. */
const DEFAULT_STAGGER_MS = 250

export interface TcpDialerSettings extends AttemptNeeds {
  readonly clock: Clock
  /** time before the next attempt starts in parallel; default 250 */
  readonly staggerMs?: number
  /** simulates an outage: true for egress addresses to treat as missing on this machine */
  readonly isLost?: (egress: Egress) => boolean
}

/** The `dial` of the pipeline. Rejects with GatewayError only: `egress.no_matching_family`, `.address_missing`,
 *  `.ports_exhausted`, `.not_bound`, `.exit_failed`, `.exit_refused`, `dial.*`; when the signal is aborted, with its
 *  reason if that is a GatewayError, else `relay.client_reset`. Port and registry entry live exactly as long as the
 *  connection. */
export function createTcpDialer(settings: TcpDialerSettings): Ports['dial'] {
  return (attempts, options) => new Promise((resolve, reject) => new Race(settings, attempts, options, resolve, reject))
}

/** One dial: attempts start one after another, the first that connects wins, the rest are cancelled (EG-06). */
class Race implements AttemptWatcher {
  readonly #settings: TcpDialerSettings
  readonly #attempts: readonly DialAttempt[]
  readonly #signal: Cancellation
  readonly #resolve: (upstream: TcpUpstream) => void
  readonly #reject: (error: GatewayError) => void
  readonly #running = new Map<Try, DialAttempt>()
  readonly #errors: GatewayError[] = []
  readonly #timeout: Timer
  #stagger: Timer | undefined
  #nextAttempt = 0
  #settled = false

  constructor(
    settings: TcpDialerSettings,
    attempts: readonly DialAttempt[],
    { signal, timeoutMs }: DialOptions,
    resolve: (upstream: TcpUpstream) => void,
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

  /** Starts the next attempt now and the timer for the one after it. */
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

  /** False when the attempt failed before a connection was tried. */
  #start(dialAttempt: DialAttempt): boolean {
    const attempt = this.#tryOf(dialAttempt)
    if (attempt instanceof GatewayError) {
      this.#errors.push(attempt)
      this.#report(dialAttempt, attempt)
      return false
    }
    this.#running.set(attempt, dialAttempt)
    return attempt.connect()
  }

  #tryOf(attempt: DialAttempt): Try | GatewayError {
    const member = this.#settings.memberOf?.(attempt)
    if (member instanceof GatewayError) return member
    if (member !== undefined) return new MemberAttempt(attempt, member, this)
    const { egress } = attempt.decision
    const exit = egress === null ? undefined : this.#settings.exitOf(egress, attempt.candidate.tunnel)
    if (exit !== undefined && egress !== null) {
      const pair = { ...attempt.candidate, egress: egress.address }
      return new ExitAttempt(this.#settings, { attempt, exit, pair }, this)
    }
    const pair = pairOf(attempt, this.#settings)
    if (pair instanceof GatewayError) return pair
    if (egress !== null && this.#settings.isLost?.(egress) === true) return dialError(NO_SUCH_ADDRESS, pair)
    return new Attempt(this.#settings, attempt, pair, this)
  }

  succeeded(attempt: Try, upstream: TcpUpstream): void {
    this.#running.delete(attempt)
    this.#report(upstream.attempt)
    const { proxyProtocol, destination } = upstream.attempt.candidate
    if (proxyProtocol) upstream.channel.write(formatProxyHeader(upstream.publicEndpoint, destination))
    this.#finish(() => this.#resolve(upstream))
  }

  /** `isOver`: reported from outside of {@link Race.#start}, so the next attempt is due at once (RFC 8305 section 5).
   *   */
  failed(attempt: Try, error: GatewayError, isOver: boolean): void {
    const dialAttempt = this.#running.get(attempt)
    this.#running.delete(attempt)
    this.#errors.push(error)
    if (dialAttempt !== undefined) this.#report(dialAttempt, error)
    if (isOver && !this.#settled) this.#startNext()
  }

  #report({ decision: { egress } }: DialAttempt, error?: GatewayError): void {
    if (egress !== null) this.#settings.onAttempt(egress, error)
  }

  #expire(timeoutMs: number): void {
    for (const attempt of this.#running.keys()) this.#errors.unshift(attempt.timedOut(timeoutMs / 1000))
    this.#finish(() => this.#reject(bestOf(this.#errors)))
  }

  readonly #abort = (): void => {
    const { reason } = this.#signal
    const error =
      reason instanceof GatewayError
        ? reason
        : new GatewayError('relay.client_reset', 'the client disconnected before the connection was established', {
            cause: reason,
          })
    this.#finish(() => this.#reject(error))
  }

  #finish(settle: () => void): void {
    if (this.#settled) return
    this.#settled = true
    this.#timeout.cancel()
    this.#stagger?.cancel()
    this.#signal.removeEventListener('abort', this.#abort)
    for (const attempt of this.#running.keys()) attempt.cancel()
    this.#running.clear()
    settle()
  }
}

// The PROXY protocol header, version 2, for destinations that expect one before the first byte: it names the public source
// of the connection (HAProxy's proxy-protocol.txt, section 2.2).

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** version 2, command PROXY */
const PROXY = 0x21
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21

/** The header of a TCP connection: 28 bytes for IPv4, 52 for IPv6. Both ends are of one family. */
export function formatProxyHeader(source: Endpoint, destination: Endpoint): Buffer {
  const words = [...source.ip.words, ...destination.ip.words]
  const head = SIGNATURE.length + 4
  const header = Buffer.alloc(head + words.length * 4 + 4)
  SIGNATURE.copy(header)
  header[12] = PROXY
  header[13] = source.ip.family === 4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6
  header.writeUInt16BE(header.length - head, 14)
  for (const [at, word] of words.entries()) header.writeUInt32BE(word, head + at * 4)
  header.writeUInt16BE(source.port, header.length - 4)
  header.writeUInt16BE(destination.port, header.length - 2)
  return header
}
