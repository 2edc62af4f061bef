// Carries the bytes of a tunnel between a client and its upstream until both are done:
//
//   client ──► upstream      FIN as FIN (half-close), reset as reset, one idle clock for both directions;
//   client ◄── upstream      a side is read only while the other has taken everything
//
// Bytes that are many go through a thread of their own where the engine has one, and the tunnel comes back for its end. Looks at no byte, and shows the client's first ones to whoever asks. What happens before (replies, policy) and after (the record) is
// done elsewhere.

import type { CloseReason } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { ByteStream, StreamEnd, StreamHandler, TcpInfo } from '../transport/byte-stream.ts'
import type { Engine } from '../transport/engine.ts'
import type { Clock, Timer } from '../transport/timer-wheel.ts'

/** A tunnel that lives for so long has its origin checked for life when it is silent (TU-10); short ones are spared the calls. */
const KEEP_ALIVE_AFTER_MS = 30_000
const KEEP_ALIVE_S = 60
/** What was written so recently may still be on its way, and a reset discards it. */
const RECENT_MS = 1_000
/** How long the other side of one that was reset has for the last bytes: once the system has taken them, and before that. */
const DELIVERY_MS = 500
const MAX_DELIVERY_MS = 10_000
/** So much within so long, both directions together, makes a tunnel bulky (docs/decisions/0013-system-calls-on-linux.md). */
const BULKY_BYTES = 2 * 1024 * 1024
const BULKY_WITHIN_MS = 1_000

export interface RelayOptions {
  /** both directions silent for so long: the tunnel is cut (TU-10) */
  readonly idleMs: number
  readonly clock: Clock
  /** is shown the first bytes of the client, once; they are valid during the call only */
  readonly onFirstBytes?: (bytes: Buffer) => void
  /** takes bulky tunnels over; absent: all stay in this thread */
  readonly passOn?: Engine['passOn']
}

/** How a tunnel ended. Byte counts are those of the upstream while it was relayed. */
export interface RelayEnd {
  readonly reason: CloseReason
  readonly error?: GatewayError
  /** origin → client */
  readonly bytesReceived: number
  /** client → origin */
  readonly bytesSent: number
  /** what the system knew of the connection to the origin towards its end, where it tells */
  readonly tcp?: TcpInfo
}

export interface Relay {
  /** Resolves once both sides are closed; never rejects. */
  readonly closed: Promise<RelayEnd>
  /** Cuts the tunnel with a reset on both sides; `reason` ends up in the record. */
  kill(reason: GatewayError): void
}

/** Starts relaying. Nobody else may read these streams or close them from here on, except that destroying the upstream cuts the
 *  tunnel. */
export function relay(client: ByteStream, upstream: ByteStream, options: RelayOptions): Relay {
  return new Tunnel(client, upstream, options)
}

class Tunnel implements Relay {
  readonly closed: Promise<RelayEnd>
  readonly #client: End
  readonly #upstream: End
  readonly #options: RelayOptions
  readonly #readBefore: number
  readonly #writtenBefore: number
  #resolve: (end: RelayEnd) => void = () => {}
  #open = 2
  #reason: CloseReason | undefined
  #error: GatewayError | undefined
  #tcp: TcpInfo | undefined
  #lastActive: number
  #timer: Timer
  #delivery: Timer | undefined
  /** bytes carried since {@link #burstSince} */
  #burst = 0
  #burstSince: number
  /** set while another thread carries the bytes: looks from time to time at what it has moved */
  #watch: Timer | undefined
  /** what it had moved at the last look, from each end */
  #seenFromClient = 0
  #seenFromUpstream = 0

  constructor(client: ByteStream, upstream: ByteStream, options: RelayOptions) {
    const { clock, idleMs, onFirstBytes } = options
    this.#options = options
    this.#readBefore = upstream.bytesRead
    this.#writtenBefore = upstream.bytesWritten
    this.#lastActive = clock.now
    this.#burstSince = clock.now
    this.#timer = clock.after(Math.min(idleMs, KEEP_ALIVE_AFTER_MS), this.#checkIdle)
    this.closed = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#client = new End(this, client, CLIENT, onFirstBytes)
    this.#upstream = new End(this, upstream, ORIGIN)
    // a side that finished or went away while the tunnel was being set up says so at once
    client.setHandler(this.#client)
    upstream.setHandler(this.#upstream)
  }

  get now(): number {
    return this.#options.clock.now
  }

  kill(reason: GatewayError): void {
    this.#conclude(reason.rendering.close, reason)
    this.#resetBoth()
  }

  /** So many bytes went through. */
  touch(bytes: number): void {
    const { now } = this.#options.clock
    this.#lastActive = now
    if (now - this.#burstSince > BULKY_WITHIN_MS) {
      this.#burstSince = now
      this.#burst = 0
    }
    this.#burst += bytes
  }

  /** Hands a bulky tunnel over to the thread for such. True: neither side is to be read here for now. */
  passOnBulk(): boolean {
    if (this.#burst < BULKY_BYTES) return false
    const { passOn, clock } = this.#options
    this.#burst = 0
    if (passOn === undefined || !this.#client.hasShown || this.#open < 2 || this.#reason !== undefined) return false
    const [client, upstream] = [this.#client.stream, this.#upstream.stream]
    if (!passOn(client, upstream, this.#takeBack)) return false
    this.#seenFromClient = client.bytesRead
    this.#seenFromUpstream = upstream.bytesRead
    this.#watch = clock.after(RECENT_MS, this.#lookAfterBulk)
    return true
  }

  /** One side has said FIN. */
  ended(side: Side): void {
    this.#conclude(side.closeReason)
  }

  /** One side is gone. What the peer broke, the other side sees as a reset, behind what was still on its way to it. */
  closedOne(gone: End, { by, how, cause }: StreamEnd): void {
    const { side, stream } = gone
    if (by === 'peer' && how !== 'fin' && !stream.hasEnded) {
      const message = how === 'timeout' ? side.timeoutMessage : side.resetMessage
      // whoever carries the stream may know better what became of it
      const error = cause instanceof GatewayError ? cause : new GatewayError(side.errorCode, message, { cause })
      this.#conclude(error.rendering.close, error)
    } else gone.passOnEnd()
    this.#conclude(side.closeReason)
    this.#open--
    if (this.#open === 0) this.#settle(side)
    else if (how !== 'fin') this.#resetAfterDelivery(this.otherOf(gone), by)
  }

  /** Everything written to this side has been taken. */
  drained({ stream }: End): void {
    if (this.#delivery === undefined) return
    this.#delivery.cancel()
    this.#delivery = this.#options.clock.after(DELIVERY_MS, () => stream.reset())
  }

  otherOf(end: End): End {
    return end === this.#client ? this.#upstream : this.#client
  }

  /** The first thing that happened is why the tunnel ended. */
  #conclude(reason: CloseReason, error?: GatewayError): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#error = error
    this.#tcp = this.#upstream.stream.tcpInfo()
  }

  #resetAfterDelivery({ stream, lastWritten }: End, by: StreamEnd['by']): void {
    const { clock } = this.#options
    const isUnderWay = stream.unsent > 0 || (lastWritten !== undefined && clock.now - lastWritten < RECENT_MS)
    if (by === 'us' || !isUnderWay) stream.reset()
    else this.#delivery = clock.after(stream.unsent > 0 ? MAX_DELIVERY_MS : DELIVERY_MS, () => stream.reset())
  }

  #resetBoth(): void {
    this.#upstream.stream.reset()
    this.#client.stream.reset()
  }

  readonly #lookAfterBulk = (): void => {
    this.#noteMoved()
    this.#watch = this.#options.clock.after(RECENT_MS, this.#lookAfterBulk)
  }

  /** What another thread has moved since the last look counts as moved now. */
  #noteMoved(): void {
    if (this.#watch === undefined) return
    const { now } = this.#options.clock
    const [fromClient, fromUpstream] = [this.#client.stream.bytesRead, this.#upstream.stream.bytesRead]
    if (fromClient > this.#seenFromClient) this.#lastActive = this.#upstream.lastWritten = now
    if (fromUpstream > this.#seenFromUpstream) this.#lastActive = this.#client.lastWritten = now
    this.#seenFromClient = fromClient
    this.#seenFromUpstream = fromUpstream
  }

  /** The other thread has let go; what became of each side is told behind this. */
  readonly #takeBack = (endedFirst: ByteStream | undefined): void => {
    this.#noteMoved()
    this.#watch?.cancel()
    this.#watch = undefined
    if (endedFirst === this.#client.stream) this.#conclude(CLIENT.closeReason)
    else if (endedFirst !== undefined) this.#conclude(ORIGIN.closeReason)
    if (this.#open === 0) this.#settle(ORIGIN)
  }

  #settle(side: Side): void {
    // the counts are final once the other thread has let go
    if (this.#watch !== undefined) return
    this.#timer.cancel()
    this.#delivery?.cancel()
    const { stream } = this.#upstream
    this.#resolve({
      reason: this.#reason ?? side.closeReason,
      bytesReceived: stream.bytesRead - this.#readBefore,
      bytesSent: stream.bytesWritten - this.#writtenBefore,
      ...(this.#error === undefined ? {} : { error: this.#error }),
      ...(this.#tcp === undefined ? {} : { tcp: this.#tcp }),
    })
  }

  /** Activity only notes the time; the timer is moved when it fires, not with every read. */
  readonly #checkIdle = (): void => {
    const { clock, idleMs } = this.#options
    this.#noteMoved()
    const silentMs = clock.now - this.#lastActive
    this.#upstream.stream.keepAlive(KEEP_ALIVE_S)
    if (silentMs < idleMs) this.#timer = clock.after(idleMs - silentMs, this.#checkIdle)
    else this.kill(new GatewayError('relay.idle', `no byte in either direction for ${idleMs / 1000} s`))
  }
}

interface Side {
  readonly closeReason: CloseReason
  readonly errorCode: 'relay.client_reset' | 'relay.origin_reset'
  readonly resetMessage: string
  readonly timeoutMessage: string
}

const CLIENT: Side = {
  closeReason: 'CLIENT_CLOSED',
  errorCode: 'relay.client_reset',
  resetMessage: 'the client reset the connection',
  timeoutMessage: 'the client does not answer any more',
}
const ORIGIN: Side = {
  closeReason: 'ORIGIN_CLOSED',
  errorCode: 'relay.origin_reset',
  resetMessage: 'the origin reset the connection',
  timeoutMessage: 'the origin does not answer any more',
}

/** One end of the tunnel: what comes in here goes out at the other one. */
class End implements StreamHandler {
  readonly stream: ByteStream
  readonly side: Side
  /** when bytes were last written here, by the clock; undefined: never */
  lastWritten: number | undefined
  readonly #tunnel: Tunnel
  #onFirstBytes: ((bytes: Buffer) => void) | undefined
  #isEndTold = false

  constructor(tunnel: Tunnel, stream: ByteStream, side: Side, onFirstBytes?: (bytes: Buffer) => void) {
    this.#tunnel = tunnel
    this.stream = stream
    this.side = side
    this.#onFirstBytes = onFirstBytes
  }

  /** The first bytes of this side have been shown to whoever asked for them. */
  get hasShown(): boolean {
    return this.#onFirstBytes === undefined
  }

  /** Reads while the other side takes what it is given, and passes FIN on behind the last byte. */
  onReadable(): void {
    const other = this.#tunnel.otherOf(this)
    while (other.stream.unsent === 0 && !this.#tunnel.passOnBulk()) {
      const bytes = this.stream.read()
      if (bytes === undefined) {
        this.passOnEnd()
        return
      }
      this.#carry(bytes, other)
    }
  }

  /** This side has taken everything: the other one may be read again. */
  onWritable(): void {
    this.#tunnel.drained(this)
    this.#tunnel.otherOf(this).onReadable()
  }

  onClose(end: StreamEnd): void {
    this.#tunnel.closedOne(this, end)
  }

  /** Nothing comes from this side any more, where that is so. */
  passOnEnd(): void {
    if (!this.stream.hasEnded || this.#isEndTold) return
    this.#isEndTold = true
    this.#tunnel.ended(this.side)
    this.#tunnel.otherOf(this).stream.end()
  }

  #carry(bytes: Buffer, other: End): void {
    this.#tunnel.touch(bytes.length)
    if (this.#onFirstBytes !== undefined) {
      this.#onFirstBytes(bytes)
      this.#onFirstBytes = undefined
    }
    other.lastWritten = this.#tunnel.now
    other.stream.write(bytes)
  }
}
