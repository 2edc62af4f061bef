// An established connection: counted among the live sessions until it ends, once. Knows no protocol; whoever relays its
// bytes reports how it ended.

import { randomFillSync } from 'node:crypto'
import type { CloseReason } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { annotationFields } from '../errors/to-http.ts'
import type { TcpInfo } from '../transport/byte-stream.ts'
import type { ListEntry } from '../transport/linked-list.ts'
import type { FirstBytes } from './protocol-detection.ts'
import type { Connected, TcpUpstream, Upstream } from './stage-values.ts'

/** Why and how a connection ended. `error` is set when it failed or was cut. */
export interface SessionEnd {
  readonly reason: CloseReason
  readonly error?: GatewayError
  /** origin → client */
  readonly bytesReceived: number
  /** client → origin */
  readonly bytesSent: number
  /** of the connection to the origin, where the system reports it */
  readonly tcp?: TcpInfo
  /** what the client of a tunnel sent first */
  readonly firstBytes?: FirstBytes
}

/** One HTTP request of a session and its response. */
export interface HttpExchange {
  /** lab time, RFC 3339 */
  readonly at: string
  readonly method: string
  /** without the query, which may hold secrets */
  readonly path: string
  /** 0: there was no response */
  readonly status: number
  readonly durationMs: number
}

/** What a record tells of a connection that is used again and again. */
const MOST_EXCHANGES = 100
const NONE: readonly never[] = []

export class Session<Out extends Upstream = TcpUpstream> {
  readonly id = newSessionId()
  readonly connected: Connected<Out>
  /** its entry in the list of live sessions */
  listEntry: ListEntry<Session<Upstream>> | undefined
  /** requests carried so far, for forwarded HTTP */
  requests = 0
  /** the last of them that are over */
  exchanges: readonly HttpExchange[] = NONE
  readonly #onEnd: (session: Session<Upstream>, end: SessionEnd) => void
  #ended = false
  #killedBy: GatewayError | undefined
  #cut: (error: GatewayError) => void = () => this.upstream.channel.reset()

  constructor(connected: Connected<Out>, onEnd: (session: Session<Upstream>, end: SessionEnd) => void) {
    this.connected = connected
    this.#onEnd = onEnd
  }

  get upstream(): Out {
    return this.connected.upstream
  }

  /** Fields that match an answer with this session, as a flat list; none where the listener does not annotate. */
  get annotation(): readonly string[] {
    const { client, upstream } = this.connected
    if (client.listener.annotate !== true) return NONE
    return annotationFields(this.id, upstream.publicEndpoint.ip.text, upstream.attempt.decision.rule?.name ?? '')
  }

  /** Takes note of a request that is over. */
  exchanged(exchange: HttpExchange): void {
    this.exchanges = [...this.exchanges.slice(1 - MOST_EXCHANGES), exchange]
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Ends the session and writes its record; every call after the first does nothing. The error of {@link kill} wins
   *  over what the sockets reported. Byte counts are the channel's own unless given. */
  end(how: { readonly reason: CloseReason; readonly error?: GatewayError } & Partial<SessionEnd>): void {
    if (this.#ended) return
    this.#ended = true
    const { channel } = this.upstream
    const error = this.#killedBy ?? how.error
    this.#onEnd(this, {
      reason: this.#killedBy?.rendering.close ?? how.reason,
      bytesReceived: how.bytesReceived ?? channel.bytesRead,
      bytesSent: how.bytesSent ?? channel.bytesWritten,
      ...(error === undefined ? {} : { error }),
      ...(how.tcp === undefined ? {} : { tcp: how.tcp }),
      ...(how.firstBytes === undefined ? {} : { firstBytes: how.firstBytes }),
    })
  }

  /** Sets what {@link kill} does; without it, a kill resets the upstream. */
  onKill(cut: (error: GatewayError) => void): void {
    this.#cut = cut
  }

  /** Cuts the session: both sides see a reset (TU-07), and whoever relays the bytes then ends the session with this
   *  error (`relay.killed` for a plain message). The first reason counts. */
  kill(why: string | GatewayError): void {
    if (this.#ended) return
    this.#killedBy ??= typeof why === 'string' ? new GatewayError('relay.killed', why) : why
    this.#cut(this.#killedBy)
  }
}

const ID_BYTES = 16
const drawn = new Uint8Array(256 * ID_BYTES)
let used = drawn.length

const HEX = Buffer.from('0123456789abcdef', 'latin1')
const VARIANT = Buffer.from('89ab', 'latin1')
const text = Buffer.from('xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx', 'latin1')
/** Where the random hexadecimal digits go: all but the version; the first of the fourth group is overwritten by the
 *  variant. */
const DIGITS = Array.from(text.keys()).filter((at) => text[at] === 0x78)
const VARIANT_AT = text.indexOf('y')

/** A new session id: a random UUID, version 4. Drawn 256 at a time. */
export function newSessionId(): string {
  if (used === drawn.length) {
    randomFillSync(drawn)
    used = 0
  }
  for (let digit = 0; digit < DIGITS.length; digit++) {
    const byte = drawn[used + (digit >> 1)] ?? 0
    text[DIGITS[digit] ?? 0] = HEX[digit & 1 ? byte & 15 : byte >> 4] ?? 0
  }
  text[VARIANT_AT] = VARIANT[(drawn[used + ID_BYTES - 1] ?? 0) & 3] ?? 0
  used += ID_BYTES
  return text.toString('latin1')
}
