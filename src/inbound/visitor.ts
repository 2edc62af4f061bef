// One accepted client while it says what it wants: feeds its bytes to a handshake, however they are cut, within a
// deadline and a size, and then gives the socket back with everything not used still in it. Knows no protocol.

import type { Socket } from 'node:net'
import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { ClientTls, InboundProtocol, Knock, Listener } from '../proxy/arrival.ts'
import type { Clock, Deadline } from '../proxy/deadline.ts'
import { DirectSocket } from '../proxy/direct-socket.ts'
import { resetStream } from '../proxy/relay.ts'

/** The opening bytes of one protocol. */
export interface Handshake {
  /** Looks at everything that arrived and is not used up; answers how many bytes it used, 0 for "not enough yet". May start
   *  the next step with {@link Visitor.converse}. Throws GatewayError for nonsense. */
  take(bytes: Buffer): number
  /** Says no in the protocol's own words and closes. Also called when the client is too slow, too long or gone too early. */
  refuse(error: GatewayError): void
}

export interface HandshakeLimits {
  readonly timeoutMs: number
  readonly maxBytes: number
}

export interface VisitorOrigin {
  readonly listener: Listener
  readonly peer: Endpoint
  /** lab time, epoch ms */
  readonly acceptedAt: number
  readonly clock: Clock
  readonly limits: HandshakeLimits
  /** for a client that speaks TLS: the facts of its handshake, and the TCP connection below */
  readonly secured?: { readonly tls: ClientTls; readonly carrier: Socket }
}

const INITIAL_BUFFER = 1024

export class Visitor {
  readonly socket: Socket
  readonly origin: VisitorOrigin
  /** Set after a refused CONNECT whose connection stays open: what comes next may be what the client meant for the tunnel, so
   *  only a request with credentials is taken for its own (TU-04). */
  mustLogIn = false
  #handshake: Handshake | undefined
  #held: Buffer | undefined
  #length = 0
  #deadline: Deadline | undefined
  #taking = false
  /** has the client said anything in this conversation */
  #begun = false

  constructor(socket: Socket, origin: VisitorOrigin) {
    this.socket = socket
    this.origin = origin
  }

  /** The knock of this visitor in a protocol. */
  knock(protocol: InboundProtocol): Knock {
    const { listener, peer, acceptedAt, secured } = this.origin
    const knock = { protocol, transport: 'tcp', listener, peer, acceptedAt } as const
    return secured === undefined ? knock : { ...knock, tls: secured.tls }
  }

  /** Closes so that the client sees a reset on the wire, through TLS too (TU-07). */
  readonly reset = (): void => {
    resetStream(this.origin.secured?.carrier ?? this.socket)
  }

  /** From now on this handshake gets the bytes. The deadline runs from the first call until {@link release}. */
  converse(handshake: Handshake): void {
    const starting = this.#handshake === undefined
    this.#handshake = handshake
    if (!starting) return
    this.#begun = false
    this.#deadline = this.origin.clock.after(this.origin.limits.timeoutMs, this.#expire)
    if (this.socket instanceof DirectSocket) this.socket.tap(this.#arrive)
    else this.socket.on('readable', this.#read)
    this.socket.on('end', this.#leave)
    this.socket.on('close', this.#leave)
    if (this.socket.readableLength > 0) this.#read()
  }

  /** The handshake is complete with these many bytes: the deadline stops, listeners go, what was not used is back in the socket, unread. Backed-up
   *  bytes stay bounded by the socket's own high-water mark (TU-04). Answers how many bytes are waiting. */
  release(used = 0): number {
    this.#stop()
    this.#consume(used)
    const rest = this.#rest()
    this.#held = undefined
    this.#length = 0
    if (rest.length > 0) this.socket.unshift(rest)
    return this.socket.readableLength
  }

  readonly #read = (): void => {
    for (;;) {
      const chunk: Buffer | null = this.socket.read()
      if (chunk === null) return
      this.#arrive(chunk)
      if (this.#handshake === undefined) return
    }
  }

  readonly #arrive = (chunk: Buffer): void => {
    this.#begun = true
    this.#append(chunk)
    this.offer()
  }

  /** Says no on behalf of a handshake that found out later; nothing when the conversation is already over. */
  fail(error: GatewayError): void {
    this.#refuse(error)
  }

  /** Offers what is held until nobody takes anything; `take` may release the visitor or change the handshake. For handshakes
   *  that had to wait for something other than bytes. */
  offer(): void {
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
    if (this.#length > this.origin.limits.maxBytes) {
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

  readonly #expire = (): void => {
    this.#part(new GatewayError('request.timeout', 'the client did not say what it wants in time'))
  }

  /** Gone before the request was complete. */
  readonly #leave = (): void => {
    this.#part(new GatewayError('request.malformed', 'the client left in the middle of its request'))
  }

  /** Somebody who never said a word (a port check, a spare connection) is let go in silence and without a record. */
  #part(error: GatewayError): void {
    if (this.#begun) {
      this.#refuse(error)
      return
    }
    this.#stop()
    this.socket.destroy()
  }

  #refuse(error: GatewayError): void {
    const handshake = this.#handshake
    this.#stop()
    this.#held = undefined
    this.#length = 0
    handshake?.refuse(error)
  }

  #stop(): void {
    this.#handshake = undefined
    this.#deadline?.cancel()
    this.#deadline = undefined
    if (this.socket instanceof DirectSocket) this.socket.untap()
    else this.socket.off('readable', this.#read)
    this.socket.off('end', this.#leave)
    this.socket.off('close', this.#leave)
  }
}
