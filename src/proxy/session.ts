// One connection that got through: its upstream is established and counted until somebody ends it, once.
// Knows no protocol; whoever carries the bytes says how it ended.

import { randomFillSync } from 'node:crypto'
import type { CloseReason } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Decision } from '../policy/decision.ts'
import type { Flow } from '../policy/flow.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { TcpInfo } from '../transport/byte-stream.ts'
import type { ListEntry } from '../transport/linked-list.ts'
import type { Knock } from './arrival.ts'
import type { FirstBytes } from './protocol-detection.ts'
import type { DialAttempt, Outlet, Persona, Placeholder, Upstream } from './stage-values.ts'

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

/** Every field is there from the beginning, so that all connections have one shape. */
export interface Progress {
  readonly knock: Knock
  /** the destination as asked for, `host:port`; empty where the client never got to say one */
  readonly target: string
  readonly snapshot: Snapshot
  /** lab time, epoch ms */
  readonly startedAt: number
  /** monotonic, ms (RS-09) */
  readonly startedTick: number
  persona: Persona | undefined
  /** what the destination turned out to stand for */
  placeholder: Placeholder | undefined
  /** gives the placeholder back */
  release: (() => void) | undefined
  attempts: readonly DialAttempt[] | undefined
  ruleEvaluationMs: number | undefined
  upstream: Outlet | undefined
  /** what the client of a tunnel began with */
  firstBytes: FirstBytes | undefined
}

export interface Decided {
  readonly flow: Flow
  readonly decision: Decision
  /** the policy in force then */
  readonly snapshot: Snapshot
}

/** The decision of the address that was connected to, else of the first one tried; undefined where it never came to one. */
export function decidedOf({ upstream, attempts, snapshot }: Progress): Decided | undefined {
  const attempt = upstream?.attempt ?? attempts?.[0]
  return attempt === undefined ? undefined : { flow: attempt.flow, decision: attempt.decision, snapshot }
}

const ID_BYTES = 16
const drawn = new Uint8Array(256 * ID_BYTES)
let used = drawn.length

const HEX = Buffer.from('0123456789abcdef', 'latin1')
const VARIANT = Buffer.from('89ab', 'latin1')
const text = Buffer.from('xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx', 'latin1')
/** Where the hexadecimal digits go; the one of the version is not drawn, the first of the fourth group only in part. */
const DIGITS = Array.from(text.keys()).filter((at) => text[at] === 0x78)
const VARIANT_AT = text.indexOf('y')

/** A new id. */
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
