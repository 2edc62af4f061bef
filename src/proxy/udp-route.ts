// One UDP flow of an association: datagrams between its client and one destination from one egress address, with one session
// and so one record. Decides nothing and looks at no byte.

import { GatewayError } from '../errors/gateway-error.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { Clock } from '../transport/timer-wheel.ts'
import type { DatagramCounters } from './counters.ts'
import type { Session } from './session.ts'
import type { DialAttempt, UdpListener, UdpUpstream } from './stage-values.ts'

export interface UdpRouteOptions {
  readonly clock: Clock
  readonly counters: DatagramCounters
  /** hands a datagram that came back to the client; `from` is the public address of the destination */
  readonly deliver: (from: Endpoint, payload: Buffer) => void
}

export class UdpRoute implements UdpListener {
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
