// Carries the bytes of a tunnel between a client and its upstream until both are done:
//
//   client ──► upstream      FIN as FIN (half-close), reset as reset, back-pressure both ways,
//   client ◄── upstream      one idle clock for both directions
//
// Looks at no byte, and shows the client's first ones to whoever asks. Everything that happens before (replies, policy) and after (the record) is somebody else's.

import { Socket } from 'node:net'
import type { Duplex, Readable, Writable } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { CloseReason } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Clock, Deadline } from './deadline.ts'
import { DirectSocket } from './direct-socket.ts'

export interface RelayOptions {
  /** both directions silent for so long: the tunnel is cut (TU-10) */
  readonly idleMs: number
  readonly clock: Clock
  /** what the client sent right behind its request (TU-04); goes first */
  readonly early?: Uint8Array
  /** how to show the client a reset, where its stream is not a plain TCP socket (an HTTP/2 stream: RST_STREAM) */
  readonly resetClient?: () => void
  /** is shown the first bytes of the client, once; they are valid during the call only */
  readonly onFirstBytes?: (bytes: Buffer) => void
}

/** How a tunnel ended. Byte counts are those of the upstream socket while it was relayed. */
export interface RelayEnd {
  readonly reason: CloseReason
  readonly error?: GatewayError
  /** origin → client */
  readonly bytesReceived: number
  /** client → origin */
  readonly bytesSent: number
}

export interface Relay {
  /** Resolves once both sockets are closed; never rejects. */
  readonly closed: Promise<RelayEnd>
  /** Cuts the tunnel with a reset on both sides; `reason` ends up in the record. */
  kill(reason: GatewayError): void
}

/** Starts relaying. Both streams must allow half-open; nobody else may read from them or destroy them from here on, except
 *  that destroying the upstream cuts the tunnel. */
export function relay(client: Duplex, upstream: Socket, options: RelayOptions): Relay {
  return new Tunnel(client, upstream, options)
}

class Tunnel implements Relay {
  readonly closed: Promise<RelayEnd>
  readonly #client: Duplex
  readonly #upstream: Socket
  readonly #options: RelayOptions
  readonly #readBefore: number
  readonly #writtenBefore: number
  #resolve: (end: RelayEnd) => void = () => {}
  #open = 2
  #firstSeen = false
  #reason: CloseReason | undefined
  #error: GatewayError | undefined
  #lastActive: number
  #deadline: Deadline

  constructor(client: Duplex, upstream: Socket, options: RelayOptions) {
    this.#client = client
    this.#upstream = upstream
    this.#options = options
    this.#readBefore = upstream.bytesRead
    this.#writtenBefore = upstream.bytesWritten
    this.#lastActive = options.clock.now
    this.#deadline = options.clock.after(options.idleMs, this.#checkIdle)
    this.closed = new Promise((resolve) => {
      this.#resolve = resolve
    })
    const { early } = options
    if (early !== undefined && early.length > 0) {
      this.#touchFirst(Buffer.from(early.buffer, early.byteOffset, early.byteLength))
      upstream.write(early)
    }
    this.#listen()
    pump(client, upstream, options.onFirstBytes === undefined ? this.#touch : this.#touchFirst)
    pump(upstream, client, this.#touch)
  }

  kill(reason: GatewayError): void {
    this.#conclude(reason.rendering.close, reason)
    this.#reset()
  }

  #listen(): void {
    const client = this.#client
    const upstream = this.#upstream
    client.on('end', () => this.#ended('CLIENT_CLOSED', upstream))
    upstream.on('end', () => this.#ended('ORIGIN_CLOSED', client))
    client.on('error', (cause) => this.#fail('relay.client_reset', 'the client reset the connection', cause))
    upstream.on('error', (cause) => this.#fail('relay.origin_reset', 'the origin reset the connection', cause))
    client.once('close', () => this.#closedOne('CLIENT_CLOSED'))
    upstream.once('close', () => this.#closedOne('ORIGIN_CLOSED'))
    // a side that finished or went away while the tunnel was being set up has no event left to tell
    if (client.readableEnded) this.#ended('CLIENT_CLOSED', upstream)
    if (upstream.readableEnded) this.#ended('ORIGIN_CLOSED', client)
    if (client.closed) this.#closedOne('CLIENT_CLOSED')
    if (upstream.closed) this.#closedOne('ORIGIN_CLOSED')
  }

  #ended(reason: CloseReason, otherSide: Duplex): void {
    this.#conclude(reason)
    if (isSpent(otherSide)) otherSide.destroy()
    else otherSide.end()
  }

  /** The first thing that happened is why the tunnel ended. */
  #conclude(reason: CloseReason, error?: GatewayError): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    this.#error = error
  }

  #fail(code: 'relay.client_reset' | 'relay.origin_reset', message: string, cause: Error): void {
    const error = new GatewayError(code, message, { cause })
    this.#conclude(error.rendering.close, error)
    this.#reset()
  }

  /** A side that closes before both directions ended was reset or destroyed: the other side sees a reset (TU-07). */
  #closedOne(reason: CloseReason): void {
    this.#conclude(reason)
    this.#open--
    if (this.#open > 0) {
      if (!this.#client.readableEnded || !this.#upstream.readableEnded) this.#reset()
      return
    }
    this.#deadline.cancel()
    this.#resolve({
      reason: this.#reason ?? reason,
      bytesReceived: this.#upstream.bytesRead - this.#readBefore,
      bytesSent: this.#upstream.bytesWritten - this.#writtenBefore,
      ...(this.#error === undefined ? {} : { error: this.#error }),
    })
  }

  #reset(): void {
    resetStream(this.#upstream)
    if (this.#options.resetClient !== undefined && !this.#client.destroyed) this.#options.resetClient()
    resetStream(this.#client)
  }

  readonly #touch = (): void => {
    this.#lastActive = this.#options.clock.now
  }

  readonly #touchFirst = (bytes: Buffer): void => {
    this.#lastActive = this.#options.clock.now
    if (this.#firstSeen) return
    this.#firstSeen = true
    this.#options.onFirstBytes?.(bytes)
  }

  /** Activity only notes the time; the deadline is moved when it fires, not with every read. */
  readonly #checkIdle = (): void => {
    const { clock, idleMs } = this.#options
    const silentMs = clock.now - this.#lastActive
    if (silentMs < idleMs) this.#deadline = clock.after(idleMs - silentMs, this.#checkIdle)
    else this.kill(new GatewayError('relay.idle', `no byte in either direction for ${idleMs / 1000} s`))
  }
}

/** Has this TCP connection been read to its end, and all that was to be written taken by the kernel? Then closing it says FIN as well as
 *  a shutdown before it would, which costs a short tunnel 10 µs. */
function isSpent(side: Duplex): boolean {
  return side instanceof DirectSocket && side.readableEnded && side.writableLength === 0
}

function pump(source: Duplex, sink: Duplex, onBytes: (bytes: Buffer) => void): void {
  if (source instanceof DirectSocket) source.pumpTo(sink, onBytes)
  else pumpStream(source, sink, onBytes)
}

function pumpStream(source: Readable, sink: Writable, onBytes: (bytes: Buffer) => void): void {
  source.on('data', (chunk: Buffer) => {
    onBytes(chunk)
    if (!sink.write(chunk)) source.pause()
  })
  sink.on('drain', () => source.resume())
}

/** Closes a stream so that its peer sees a reset where the transport has one; `destroy` would show a clean end on TCP. While a
 *  FIN is on its way out a reset is refused by libuv, and Node then neither closes the socket nor says so: it is destroyed. */
export function resetStream(stream: Pick<Duplex, 'destroyed'> & { destroy(): unknown }): void {
  if (stream.destroyed) return
  const isTcp = stream instanceof Socket && !(stream instanceof TLSSocket)
  if (isTcp && !(stream.writableEnded && !stream.writableFinished)) stream.resetAndDestroy()
  else stream.destroy()
}
