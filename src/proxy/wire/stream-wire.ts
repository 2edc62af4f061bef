// A wire over a stream of Node's: TLS, an HTTP/2 stream, a socket that HTTP is spoken on, and every socket where Node shows us
// nothing below it.

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Endpoint } from '../../net/endpoint.ts'
import { endpointOf } from './endpoint-of.ts'
import { resetStream } from './reset-stream.ts'
import { KEEP_ALIVE_S, type Wire, type WireListener } from './wire.ts'

export interface StreamWireOptions {
  /** how to show the peer a reset, where the stream is not a plain TCP socket (an HTTP/2 stream: RST_STREAM) */
  readonly reset?: () => void
}

export class StreamWire implements Wire {
  readonly #stream: Duplex
  readonly #resetBy: (() => void) | undefined
  readonly #closeListeners: (() => void)[] = []
  #listener: WireListener | undefined
  #isGone: boolean
  #paused = false
  #endTold = false
  #written = 0
  #read = 0

  constructor(stream: Duplex, { reset }: StreamWireOptions = {}) {
    this.#stream = stream
    this.#resetBy = reset
    this.#isGone = stream.closed
    stream.on('end', this.#ended)
    stream.on('error', this.#failed)
    stream.on('close', this.#closed)
    stream.on('drain', this.#drained)
  }

  get destroyed(): boolean {
    return this.#stream.destroyed
  }

  get hasEnded(): boolean {
    return this.#stream.readableEnded
  }

  get waiting(): number {
    return this.#stream.readableLength
  }

  get unsent(): number {
    return this.#stream.writableLength
  }

  get bytesRead(): number {
    return this.#stream instanceof Socket ? this.#stream.bytesRead : this.#read
  }

  get bytesWritten(): number {
    return this.#stream instanceof Socket ? this.#stream.bytesWritten : this.#written
  }

  attend(listener: WireListener | undefined): void {
    if (this.#listener === listener) return
    if (this.#listener !== undefined) this.#stream.off('readable', this.#readable)
    this.#listener = listener
    if (listener === undefined) return
    this.#paused = false
    this.#endTold = false
    if (this.#isGone) {
      listener.onClose()
      return
    }
    this.#stream.on('readable', this.#readable)
    this.#readable()
    if (this.#stream.readableEnded && this.#listener === listener) this.#ended()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#readable()
  }

  unread(bytes: Buffer): void {
    this.#stream.unshift(bytes)
  }

  write(bytes: Uint8Array): boolean {
    if (!this.#stream.writable) return true
    this.#written += bytes.length
    return this.#stream.write(bytes)
  }

  forward(bytes: Buffer): boolean {
    return this.write(Buffer.from(bytes))
  }

  end(): void {
    this.#stream.end()
  }

  destroy(): void {
    this.#stream.destroy()
  }

  reset(): void {
    if (this.#stream.destroyed) return
    this.#resetBy?.()
    resetStream(this.#stream)
  }

  onceClosed(listener: () => void): void {
    if (this.#isGone) listener()
    else this.#closeListeners.push(listener)
  }

  offClose(listener: () => void): void {
    const at = this.#closeListeners.indexOf(listener)
    if (at >= 0) this.#closeListeners.splice(at, 1)
  }

  localEndpoint(): Endpoint | undefined {
    return this.#stream instanceof Socket ? endpointOf(this.#stream.localAddress, this.#stream.localPort) : undefined
  }

  remoteEndpoint(): Endpoint | undefined {
    return this.#stream instanceof Socket ? endpointOf(this.#stream.remoteAddress, this.#stream.remotePort) : undefined
  }

  keepAlive(): void {
    if (this.#stream instanceof Socket) this.#stream.setKeepAlive(true, KEEP_ALIVE_S * 1000)
  }

  /** Throws for a stream that runs over no connection of its own. */
  asSocket(): Socket {
    if (!(this.#stream instanceof Socket)) throw new TypeError('this stream is no socket')
    this.attend(undefined)
    return this.#stream
  }

  readonly #readable = (): void => {
    while (this.#listener !== undefined && !this.#paused) {
      const chunk: Buffer | null = this.#stream.read()
      if (chunk === null) return
      this.#read += chunk.length
      this.#listener.onBytes(chunk)
    }
  }

  readonly #ended = (): void => {
    if (this.#listener === undefined || this.#endTold) return
    this.#endTold = true
    this.#listener.onEnd()
  }

  readonly #failed = (cause: Error): void => {
    this.#listener?.onError(cause)
  }

  readonly #drained = (): void => {
    this.#listener?.onDrain()
  }

  readonly #closed = (): void => {
    if (this.#isGone) return
    this.#isGone = true
    const listener = this.#listener
    this.#listener = undefined
    for (const tell of this.#closeListeners.splice(0)) tell()
    listener?.onClose()
  }
}
