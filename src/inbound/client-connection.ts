// A client connection during its handshake: feeds its bytes to the handshake, however they are split, within a deadline
// and a size limit, then releases the stream with all unused bytes still in it. Knows no protocol.

import type { Socket } from 'node:net'
import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { ClientInfo, ClientTls, InboundProtocol, Listener } from '../proxy/arrival.ts'
import type { ByteStream, StreamEnd, StreamHandler } from '../transport/byte-stream.ts'
import type { Clock, Timer } from '../transport/timer-wheel.ts'

/** The opening bytes of one protocol. */
export interface Handshake {
  /** true while it waits for something other than bytes; the client is not read until {@link
   *  ClientConnection.continueHandshake} */
  readonly isWaiting?: boolean
  /** Gets all bytes that arrived and are unused; returns how many it used, 0 for "not enough yet". May call
   *  {@link ClientConnection.startHandshake} for the next step. Throws GatewayError `request.*`. */
  take(bytes: Buffer): number
  /** Sends an error reply in the protocol and closes. Also called when the client times out, sends too much or closes
   *  early. */
  refuse(error: GatewayError): void
}

export interface HandshakeLimits {
  /** for the whole handshake */
  readonly timeoutMs: number
  readonly maxBytes: number
}

/** Where a client connection comes from, and the limits it is held to. */
export interface ClientOrigin {
  readonly listener: Listener
  readonly peer: Endpoint
  /** lab time, epoch ms */
  readonly acceptedAt: number
  /** the round trip of the TCP handshake, ms; 0 where the system does not report it */
  readonly tcpHandshakeMs: number
  readonly clock: Clock
  readonly limits: HandshakeLimits
  /** for a TLS client: the facts of its TLS handshake */
  readonly tls?: ClientTls
}

const INITIAL_BUFFER = 1024

/** One client until its handshake is done. Ends with `release`, which leaves unused bytes in the stream, or by
 *  closing. */
export class ClientConnection implements StreamHandler {
  readonly stream: ByteStream
  readonly origin: ClientOrigin
  /** Set after a 407 to a CONNECT whose connection stays open: the next bytes may be meant for the tunnel, so only a
   *  request with credentials is accepted (TU-04). */
  mustAuthenticate = false
  #handshake: Handshake | undefined
  #held: Buffer | undefined
  #length = 0
  /** the held bytes are the stream's memory, valid only until the next read */
  #isBorrowed = false
  #deadline: Timer | undefined
  #taking = false
  /** the client has sent at least one byte in this handshake */
  #begun = false

  constructor(stream: ByteStream, origin: ClientOrigin) {
    this.stream = stream
    this.origin = origin
  }

  /** The connection as a Node.js socket; only after {@link release}. */
  get socket(): Socket {
    return this.stream.asSocket()
  }

  /** This client as the pipeline takes it, in a protocol. */
  clientInfo(protocol: InboundProtocol): ClientInfo {
    const { listener, peer, acceptedAt, tcpHandshakeMs, tls } = this.origin
    const info = { protocol, transport: 'tcp', listener, peer, acceptedAt, tcpHandshakeMs } as const
    return tls === undefined ? info : { ...info, tls }
  }

  /** Gives the client's bytes to this handshake from now on. The deadline runs from the first call until {@link
   *  release}. */
  startHandshake(handshake: Handshake): void {
    const starting = this.#handshake === undefined
    this.#handshake = handshake
    if (!starting) return
    this.#begun = false
    this.#deadline = this.origin.clock.after(this.origin.limits.timeoutMs, this.#expire)
    this.stream.setHandler(this)
  }

  /** Ends the handshake, which used this many more bytes: stops the deadline, detaches from the stream, and puts unused
   *  bytes back into it. Returns how many bytes are buffered there. */
  release(used = 0): number {
    this.#stop()
    this.#consume(used)
    this.#own()
    const rest = this.#rest()
    this.#forget()
    if (rest.length > 0) this.stream.unread(rest)
    return this.stream.buffered
  }

  /** Reads while the handshake takes bytes. */
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

  /** Closed before the request was complete: by the client, or by a stop of the proxy. */
  onClose(end?: StreamEnd): void {
    this.#refuseIfBegun(incompleteRequest(end))
  }

  /** Refuses the client on behalf of a waiting handshake; does nothing once the handshake is over. */
  fail(error: GatewayError): void {
    this.#refuse(error)
  }

  /** Continues a handshake that has waited for something other than bytes. */
  continueHandshake(): void {
    this.#take()
    this.onReadable()
  }

  /** Passes the held bytes on until none is used; `take` may release the client or start another handshake. */
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
      this.#refuse(new GatewayError('request.too_large', 'the opening bytes exceed the size limit'))
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

  /** Copies borrowed bytes. */
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
    this.#refuseIfBegun(new GatewayError('request.timeout', 'timed out waiting for the request'))
  }

  /** A client that sent nothing (a port check, a spare connection) is closed without a reply and without a record. */
  #refuseIfBegun(error: GatewayError): void {
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

/** A request was cut off: by the client, or by the proxy, whose stop is nothing the client did. */
export function incompleteRequest(end?: StreamEnd): GatewayError {
  const how = 'closed the connection before'
  if (end?.by === 'us') return new GatewayError('relay.killed', `the proxy ${how} the request was complete`)
  return new GatewayError('request.malformed', `the client ${how} its request was complete`)
}
