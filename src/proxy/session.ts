// One connection that got through: its upstream is established and counted until somebody ends it, once.
// Knows no protocol; whoever carries the bytes says how it ended.

import type { CloseReason } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { TcpInfo } from '../transport/byte-stream.ts'
import type { ListEntry } from '../transport/linked-list.ts'
import type { Outlet, Persona, Upstream } from './ports.ts'
import type { Progress } from './progress.ts'
import { newSessionId } from './session-id.ts'

/** Why and how a connection is over. `error` is set when it failed or was cut. */
export interface SessionEnd {
  readonly reason: CloseReason
  readonly error?: GatewayError
  /** origin → client */
  readonly bytesReceived: number
  /** client → origin */
  readonly bytesSent: number
  /** of the connection to the origin, where the system tells */
  readonly tcp?: TcpInfo
}

export class Session<Out extends Outlet = Upstream> {
  readonly id = newSessionId()
  readonly progress: Progress
  readonly persona: Persona
  readonly upstream: Out
  /** among the live sessions */
  place: ListEntry<Session<Outlet>> | undefined
  /** requests carried, for forwarded HTTP */
  requests = 0
  readonly #onEnd: (session: Session<Outlet>, end: SessionEnd) => void
  #ended = false
  #killedBy: GatewayError | undefined
  #cut: (error: GatewayError) => void = () => this.upstream.carrier.reset()

  constructor(
    progress: Progress,
    carried: { readonly persona: Persona; readonly upstream: Out },
    onEnd: (session: Session<Outlet>, end: SessionEnd) => void,
  ) {
    this.progress = progress
    this.persona = carried.persona
    this.upstream = carried.upstream
    this.#onEnd = onEnd
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Ends the session and writes its record; every call after the first does nothing. A session that was killed says so,
   *  whatever its sockets reported. Byte counts are the carrier's own unless given. */
  end(how: { readonly reason: CloseReason; readonly error?: GatewayError } & Partial<SessionEnd>): void {
    if (this.#ended) return
    this.#ended = true
    const { carrier } = this.upstream
    const error = this.#killedBy ?? how.error
    this.#onEnd(this, {
      reason: this.#killedBy?.rendering.close ?? how.reason,
      bytesReceived: how.bytesReceived ?? carrier.bytesRead,
      bytesSent: how.bytesSent ?? carrier.bytesWritten,
      ...(error === undefined ? {} : { error }),
      ...(how.tcp === undefined ? {} : { tcp: how.tcp }),
    })
  }

  /** Whoever carries the bytes says how to cut them off; without that, a kill resets the upstream. */
  cutBy(cut: (error: GatewayError) => void): void {
    this.#cut = cut
  }

  /** Cuts the session: both sides see a reset (TU-07), and whoever carries the bytes then ends the session with this error, or
   *  with `relay.killed` for a mere message. The first reason counts. */
  kill(why: string | GatewayError): void {
    if (this.#ended) return
    this.#killedBy ??= typeof why === 'string' ? new GatewayError('relay.killed', why) : why
    this.#cut(this.#killedBy)
  }
}
