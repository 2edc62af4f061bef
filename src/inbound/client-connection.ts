// One accepted client while it says what it wants: reads its bytes for a handshake, however they are cut, within a deadline and a size,
// and then lets go of the stream with everything not used still in it. Knows no protocol.

import type { Socket } from 'node:net'
import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { ClientTls, InboundProtocol, Knock, Listener } from '../proxy/arrival.ts'
import type { ByteStream, StreamHandler } from '../transport/byte-stream.ts'
import type { Clock, Timer } from '../transport/timer-wheel.ts'

/** The opening bytes of one protocol. */
export interface Handshake {
  /** it waits for something other than bytes, and the client is not read meanwhile; {@link ClientConnection.offer} goes on */
  readonly isWaiting?: boolean
  /** Looks at everything that arrived and is not used up; answers how many bytes it used, 0 for "not enough yet". May start
   *  the next step with {@link ClientConnection.converse}. Throws GatewayError for nonsense. */
  take(bytes: Buffer): number
  /** Says no in the protocol's own words and closes. Also called when the client is too slow, too long or gone too early. */
  refuse(error: GatewayError): void
}

export interface HandshakeLimits {
  readonly timeoutMs: number
  readonly maxBytes: number
}

export interface ClientOrigin {
  readonly listener: Listener
  readonly peer: Endpoint
  /** lab time, epoch ms */
  readonly acceptedAt: number
  /** the round trip of the TCP handshake, ms; 0 where the system does not tell */
  readonly tcpHandshakeMs: number
  readonly clock: Clock
  readonly limits: HandshakeLimits
  /** for a client that speaks TLS: the facts of its handshake */
  readonly tls?: ClientTls
}

const INITIAL_BUFFER = 1024

export class ClientConnection implements StreamHandler {
  readonly stream: ByteStream
  readonly origin: ClientOrigin
  /** Set after a refused CONNECT whose connection stays open: what comes next may be what the client meant for the tunnel, so
   *  only a request with credentials is taken for its own (TU-04). */
  mustLogIn = false
  #handshake: Handshake | undefined
  #held: Buffer | undefined
  #length = 0
  /** is what is held the stream's own memory, good only until the next read */
  #isBorrowed = false
  #deadline: Timer | undefined
  #taking = false
  /** has the client said anything in this conversation */
  #begun = false

  constructor(stream: ByteStream, origin: ClientOrigin) {
    this.stream = stream
    this.origin = origin
  }

  /** The client's connection for those who need a socket of Node's; to be asked for once it is released. */
  get socket(): Socket {
    return this.stream.asSocket()
  }

  /** The knock of this visitor in a protocol. */
  knock(protocol: InboundProtocol): Knock {
    const { listener, peer, acceptedAt, tcpHandshakeMs, tls } = this.origin
    const knock = { protocol, transport: 'tcp', listener, peer, acceptedAt, tcpHandshakeMs } as const
    return tls === undefined ? knock : { ...knock, tls }
  }

  /** From now on this handshake gets the bytes. The deadline runs from the first call until {@link release}. */
  converse(handshake: Handshake): void {
    const starting = this.#handshake === undefined
    this.#handshake = handshake
    if (!starting) return
    this.#begun = false
    this.#deadline = this.origin.clock.after(this.origin.limits.timeoutMs, this.#expire)
    this.stream.setHandler(this)
  }

  /** The handshake is complete with these many bytes: the deadline stops, nobody handles the stream any more, and what was not used is
   *  back in it, unread. Answers how many bytes are buffered there. */
  release(used = 0): number {
    this.#stop()
    this.#consume(used)
    this.#own()
    const rest = this.#rest()
    this.#forget()
    if (rest.length > 0) this.stream.unread(rest)
    return this.stream.buffered
  }

  /** Reads as long as the handshake wants bytes. */
  onReadable(): void {
    while (this.#handshake !== undefined && this.#handshake.isWaiting !== true) {
      const chunk = this.stream.read()
      if (chunk === undefined) {
        if (this.stream.hasEnded) this.onClose()
        return
      }
      this.#begun = true
      this.#append(chunk)
      this.#take()
      this.#own()
    }
  }

  onWritable(): void {}

  /** Gone before the request was complete. */
  onClose(): void {
    this.#part(new GatewayError('request.malformed', 'the client left in the middle of its request'))
  }

  /** Says no on behalf of a handshake that found out later; nothing when the conversation is already over. */
  fail(error: GatewayError): void {
    this.#refuse(error)
  }

  /** Goes on after a handshake has waited for something other than bytes. */
  offer(): void {
    this.#take()
    this.onReadable()
  }

  /** Offers what is held until nobody takes anything; `take` may release the client or change the handshake. */
  #take(): void {
    if (this.#taking) return
    this.#taking = true
    try {
      while (this.#handshake !== undefined && this.#length > 0) {
        const handshake: Handshake = this.#handshake
        const used = handshake.take(this.#rest())
        if (used === 0 && this.#handshake === handshake) break
        this.#consume(used)
      }
    } catch (thrown) {
      this.#refuse(asGatewayError(thrown))
    } finally {
      this.#taking = false
    }
    if (this.#length > this.origin.limits.maxBytes && this.#handshake?.isWaiting !== true) {
      this.#refuse(new GatewayError('request.too_large', 'the opening bytes are longer than the proxy takes'))
    }
  }

  #rest(): Buffer {
    return this.#held === undefined ? Buffer.alloc(0) : this.#held.subarray(0, this.#length)
  }

  #consume(used: number): void {
    this.#length = Math.max(0, this.#length - used)
    this.#held = this.#length === 0 ? undefined : this.#held?.subarray(used)
  }

  #append(chunk: Buffer): void {
    if (this.#held === undefined) {
      this.#held = chunk
      this.#length = chunk.length
      this.#isBorrowed = true
      return
    }
    const needed = this.#length + chunk.length
    if (needed > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.max(INITIAL_BUFFER, needed * 2))
      this.#held.copy(grown, 0, 0, this.#length)
      this.#held = grown
    }
    chunk.copy(this.#held, this.#length)
    this.#length = needed
  }

  /** Makes a copy of what is borrowed. */
  #own(): void {
    if (this.#isBorrowed && this.#held !== undefined) this.#held = Buffer.from(this.#rest())
    this.#isBorrowed = false
  }

  #forget(): void {
    this.#held = undefined
    this.#length = 0
    this.#isBorrowed = false
  }

  readonly #expire = (): void => {
    this.#part(new GatewayError('request.timeout', 'the client did not say what it wants in time'))
  }

  /** Somebody who never said a word (a port check, a spare connection) is let go in silence and without a record. */
  #part(error: GatewayError): void {
    if (this.#begun) {
      this.#refuse(error)
      return
    }
    this.#stop()
    this.stream.destroy()
  }

  #refuse(error: GatewayError): void {
    const handshake = this.#handshake
    this.#stop()
    this.#forget()
    handshake?.refuse(error)
  }

  #stop(): void {
    this.#handshake = undefined
    this.#deadline?.cancel()
    this.#deadline = undefined
    this.stream.setHandler(undefined)
  }
}
