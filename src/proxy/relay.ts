// Carries the bytes of a tunnel between a client and its upstream until both are done:
//
//   client ──► upstream      FIN as FIN (half-close), reset as reset, back-pressure both ways,
//   client ◄── upstream      one idle clock for both directions
//
// Looks at no byte, and shows the client's first ones to whoever asks. Everything that happens before (replies, policy) and after (the record) is somebody else's.

import type { CloseReason } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Clock, Timer } from '../transport/timer-wheel.ts'
import type { Wire, WireListener } from './wire/wire.ts'

/** A tunnel that lives for so long has its origin looked after (TU-10); short ones are spared the calls. */
const KEEP_ALIVE_AFTER_MS = 30_000

export interface RelayOptions {
  /** both directions silent for so long: the tunnel is cut (TU-10) */
  readonly idleMs: number
  readonly clock: Clock
  /** is shown the first bytes of the client, once; they are valid during the call only */
  readonly onFirstBytes?: (bytes: Buffer) => void
}

/** How a tunnel ended. Byte counts are those of the upstream wire while it was relayed. */
export interface RelayEnd {
  readonly reason: CloseReason
  readonly error?: GatewayError
  /** origin → client */
  readonly bytesReceived: number
  /** client → origin */
  readonly bytesSent: number
}

export interface Relay {
  /** Resolves once both sides are closed; never rejects. */
  readonly closed: Promise<RelayEnd>
  /** Cuts the tunnel with a reset on both sides; `reason` ends up in the record. */
  kill(reason: GatewayError): void
}

/** Starts relaying. Nobody else may attend to these wires or close them from here on, except that destroying the upstream cuts the
 *  tunnel. */
export function relay(client: Wire, upstream: Wire, options: RelayOptions): Relay {
  return new Tunnel(client, upstream, options)
}

class Tunnel implements Relay {
  readonly closed: Promise<RelayEnd>
  readonly #client: Wire
  readonly #upstream: Wire
  readonly #options: RelayOptions
  readonly #readBefore: number
  readonly #writtenBefore: number
  #resolve: (end: RelayEnd) => void = () => {}
  #open = 2
  #reason: CloseReason | undefined
  #error: GatewayError | undefined
  #lastActive: number
  #deadline: Timer

  constructor(client: Wire, upstream: Wire, options: RelayOptions) {
    const { clock, idleMs, onFirstBytes } = options
    this.#client = client
    this.#upstream = upstream
    this.#options = options
    this.#readBefore = upstream.bytesRead
    this.#writtenBefore = upstream.bytesWritten
    this.#lastActive = clock.now
    this.#deadline = clock.after(Math.min(idleMs, KEEP_ALIVE_AFTER_MS), this.#checkIdle)
    this.closed = new Promise((resolve) => {
      this.#resolve = resolve
    })
    // a side that finished or went away while the tunnel was being set up says so at once
    client.attend(new Direction(this, client, upstream, CLIENT, onFirstBytes))
    upstream.attend(new Direction(this, upstream, client, ORIGIN))
  }

  kill(reason: GatewayError): void {
    this.#conclude(reason.rendering.close, reason)
    this.#reset()
  }

  /** Bytes went through. */
  touch(): void {
    this.#lastActive = this.#options.clock.now
  }

  /** One side has said all it has to say. */
  ended(side: Side): void {
    this.#conclude(side.closeReason)
  }

  failed(side: Side, cause: Error): void {
    const error = new GatewayError(side.resetCode, side.resetMessage, { cause })
    this.#conclude(error.rendering.close, error)
    this.#reset()
  }

  /** A side that closes before both directions ended was reset or destroyed: the other side sees a reset (TU-07). */
  closedOne(side: Side): void {
    this.#conclude(side.closeReason)
    this.#open--
    if (this.#open > 0) {
      if (!this.#client.hasEnded || !this.#upstream.hasEnded) this.#reset()
      return
    }
    this.#deadline.cancel()
    const counts = {
      bytesReceived: this.#upstream.bytesRead - this.#readBefore,
      bytesSent: this.#upstream.bytesWritten - this.#writtenBefore,
    }
    const reason = this.#reason ?? side.closeReason
    this.#resolve(this.#error === undefined ? { reason, ...counts } : { reason, error: this.#error, ...counts })
  }

  /** The first thing that happened is why the tunnel ended. */
  #conclude(reason: CloseReason, error?: GatewayError): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#error = error
  }

  #reset(): void {
    this.#upstream.reset()
    this.#client.reset()
  }

  /** Activity only notes the time; the deadline is moved when it fires, not with every read. */
  readonly #checkIdle = (): void => {
    const { clock, idleMs } = this.#options
    const silentMs = clock.now - this.#lastActive
    this.#upstream.keepAlive()
    if (silentMs < idleMs) this.#deadline = clock.after(idleMs - silentMs, this.#checkIdle)
    else this.kill(new GatewayError('relay.idle', `no byte in either direction for ${idleMs / 1000} s`))
  }
}

interface Side {
  readonly closeReason: CloseReason
  readonly resetCode: 'relay.client_reset' | 'relay.origin_reset'
  readonly resetMessage: string
}

const CLIENT: Side = {
  closeReason: 'CLIENT_CLOSED',
  resetCode: 'relay.client_reset',
  resetMessage: 'the client reset the connection',
}
const ORIGIN: Side = {
  closeReason: 'ORIGIN_CLOSED',
  resetCode: 'relay.origin_reset',
  resetMessage: 'the origin reset the connection',
}

/** What comes in on one wire goes out on the other. */
class Direction implements WireListener {
  readonly #tunnel: Tunnel
  readonly #source: Wire
  readonly #sink: Wire
  readonly #side: Side
  #onFirstBytes: ((bytes: Buffer) => void) | undefined

  constructor(tunnel: Tunnel, source: Wire, sink: Wire, side: Side, onFirstBytes?: (bytes: Buffer) => void) {
    this.#tunnel = tunnel
    this.#source = source
    this.#sink = sink
    this.#side = side
    this.#onFirstBytes = onFirstBytes
  }

  onBytes(bytes: Buffer): void {
    this.#tunnel.touch()
    if (this.#onFirstBytes !== undefined) {
      this.#onFirstBytes(bytes)
      this.#onFirstBytes = undefined
    }
    if (!this.#sink.forward(bytes)) this.#source.pause()
  }

  onEnd(): void {
    this.#tunnel.ended(this.#side)
    this.#sink.end()
  }

  onError(cause: Error): void {
    this.#tunnel.failed(this.#side, cause)
  }

  onClose(): void {
    this.#tunnel.closedOne(this.#side)
  }

  /** The source has taken all that the other direction wrote to it: that one's source may go on. */
  onDrain(): void {
    this.#sink.resume()
  }
}
