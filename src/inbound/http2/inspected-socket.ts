// A client's connection as Node's HTTP/2 gets it: every byte the client sends is seen by the inspector of frames first. What is
// sent to the client goes through as it is.

import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { asGatewayError } from '../../errors/gateway-error.ts'
import { type AnnouncedSizes, type InspectorEvents, RequestInspector } from '../../http2/request-inspector.ts'

type Done = (cause?: Error | null) => void

/** A duplex stream to give to Node's HTTP/2 server in place of the socket. */
export class InspectedSocket extends Duplex {
  readonly #socket: Socket
  readonly #inspector: RequestInspector

  /** Takes the socket over: it ends, breaks and closes together with this stream. */
  constructor(socket: Socket, sizes: AnnouncedSizes, events: InspectorEvents) {
    super({ allowHalfOpen: false })
    this.#socket = socket
    this.#inspector = new RequestInspector(sizes, events)
    socket.setNoDelay(true)
    // the HTTP/2 session tells of it, as long as there is one
    this.on('error', ignore)
    socket.on('data', this.#received)
    socket.once('end', () => this.push(null))
    socket.once('error', (cause) => this.destroy(cause))
    socket.once('close', () => this.destroy())
  }

  /** The stream is closed: nothing of it is counted any more. */
  forget(streamId: number): void {
    this.#inspector.forget(streamId)
  }

  /** Node's wrapper of a stream (JSStreamSocket) ends the process by an assertion if its HTTP/2 session writes while an end is under way, as
   *  it does to answer a client that goes on talking. So to the wrapper the end is done at once, and what it writes behind it goes nowhere. */
  override end(done?: unknown): this {
    super.end()
    if (typeof done === 'function') done()
    return this
  }

  override write(chunk: unknown, ...rest: unknown[]): boolean {
    if (!this.writableEnded) return Reflect.apply(super.write, this, [chunk, ...rest])
    const done = rest.at(-1)
    if (typeof done === 'function') done()
    return true
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#socket.write(chunk, done)
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: Done): void {
    this.#socket.cork()
    for (const [at, { chunk }] of chunks.entries()) {
      if (at < chunks.length - 1) this.#socket.write(chunk)
      else this.#socket.write(chunk, done)
    }
    this.#socket.uncork()
  }

  override _final(done: Done): void {
    this.#socket.end(done)
  }

  override _destroy(cause: Error | null, done: Done): void {
    this.#socket.destroy()
    done(cause)
  }

  readonly #received = (chunk: Buffer): void => {
    let hasRoom = true
    try {
      for (const bytes of this.#inspector.inspect(chunk)) hasRoom = this.push(bytes)
    } catch (thrown) {
      this.destroy(asGatewayError(thrown))
      return
    }
    if (!hasRoom) this.#socket.pause()
  }
}

function ignore(): void {}
