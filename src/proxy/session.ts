// An established connection: counted among the live sessions until it ends, once. Knows no protocol; whoever relays its
// bytes reports how it ended.

import { randomFillSync } from 'node:crypto'
import type { CloseReason } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { annotationFields } from '../errors/http-error-answer.ts'
import type { TcpInfo } from '../transport/byte-stream.ts'
import type { ListEntry } from '../transport/linked-list.ts'
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
  /** the trace it belongs to, by its client (W3C Trace Context) */
  readonly traceparent?: string
}

/** What a record tells of a connection that is used again and again. */
const MOST_EXCHANGES = 100
const NONE: readonly never[] = []

/** One session from its connection to its record, which it makes exactly once. */
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

// The protocol inside a tunnel, by the client's first bytes, for the record only: nothing waits for it and nothing is
// decided on it (TU-11). Only the first chunk is looked at.

/** `protocol` is one of `http`, `http2`, `tls`, `ssh`, or '' where it is none of these; `sni` is '' unless a TLS client
 *  names a host. */
export interface FirstBytes {
  readonly protocol: string
  readonly sni: string
}

const UNKNOWN: FirstBytes = Object.freeze({ protocol: '', sni: '' })
const HTTP: FirstBytes = Object.freeze({ protocol: 'http', sni: '' })
const HTTP2: FirstBytes = Object.freeze({ protocol: 'http2', sni: '' })
const SSH: FirstBytes = Object.freeze({ protocol: 'ssh', sni: '' })

/** RFC 9113 section 3.4 */
const PREFACE = 'PRI * HTTP/2.0\r\n'
/** a method, a target: the beginning of a request line */
const REQUEST_LINE = /^[A-Z]{3,16} (?:\/|\*|http)/
const LONGEST_START = 24

/** A TLS record that holds a handshake, and in it a ClientHello (RFC 8446 sections 5.1 and 4). */
const HANDSHAKE = 0x16
const CLIENT_HELLO = 0x01
/** extension server_name and its name type host_name (RFC 6066 section 3) */
const SERVER_NAME = 0
const HOST_NAME = 0
const HOST = /^[\w.-]{1,253}$/

/** The protocol and SNI in the first bytes of a client. Never throws: unknown or truncated bytes give ''. */
export function understandFirstBytes(bytes: Buffer): FirstBytes {
  if (bytes[0] === HANDSHAKE) return bytes[1] === 3 ? { protocol: 'tls', sni: serverName(bytes) } : UNKNOWN
  const start = bytes.toString('latin1', 0, LONGEST_START)
  if (start.startsWith('SSH-')) return SSH
  if (start.startsWith(PREFACE)) return HTTP2
  return REQUEST_LINE.test(start) ? HTTP : UNKNOWN
}

/** The host in the server_name extension of a ClientHello; '' where the bytes end early or are malformed. */
function serverName(bytes: Buffer): string {
  if (bytes[5] !== CLIENT_HELLO) return ''
  // record header 5, handshake header 4, version 2, random 32
  let at = 43
  at += 1 + (bytes[at] ?? 0)
  at += 2 + word(bytes, at)
  at += 1 + (bytes[at] ?? 0)
  const end = Math.min(bytes.length, at + 2 + word(bytes, at))
  at += 2
  while (at + 4 <= end) {
    const length = word(bytes, at + 2)
    if (word(bytes, at) === SERVER_NAME) return hostIn(bytes.subarray(at + 4, Math.min(end, at + 4 + length)))
    at += 4 + length
  }
  return ''
}

/** The first host name of a server_name extension. */
function hostIn(extension: Buffer): string {
  if (extension[2] !== HOST_NAME) return ''
  const length = word(extension, 3)
  const name = extension.toString('latin1', 5, 5 + length)
  return name.length === length && HOST.test(name) ? name.toLowerCase() : ''
}

function word(bytes: Buffer, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}
