// An outgoing socket that starts as an ordinary stream and can hand its bytes straight to another stream, without an
// allocation per read (docs/decisions/0005-reading-from-sockets.md has the measurements). All sockets share one read buffer, so an idle
// tunnel owns none.

import { Socket, type SocketConstructorOpts } from 'node:net'
import type { Writable } from 'node:stream'

/** One read at most; also what a tunnel holds in this process while its sink is stalled (TU-09). */
const BUFFER_BYTES = 256 * 1024
const MAX_SPARE_BUFFERS = 16

/** Every read of every DirectSocket lands here and is copied out before the next one. A socket cannot keep what it read
 *  into: Node fixes the buffer of a socket's next read right after the previous one. */
const readBuffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
const spareBuffers: Buffer[] = []

export class DirectSocket extends Socket {
  readonly #reader: Reader

  constructor(options: Omit<SocketConstructorOpts, 'onread' | 'fd' | 'handle'> & { readonly handle?: object } = {}) {
    const reader = new Reader()
    super({
      ...options,
      onread: { buffer: () => readBuffer, callback: (bytes) => reader.deliver(bytes) },
    } as SocketConstructorOpts)
    this.#reader = reader
    reader.socket = this
  }

  /** From now on everything that arrives goes to `take` alone, past the stream: its events cost 8 µs per handshake. What is in the
   *  stream already stays there, and the end of the stream is told as ever. */
  tap(take: (chunk: Buffer) => void): void {
    this.#reader.take = take
    this.read(0)
  }

  /** What arrives goes to the stream again. */
  untap(): void {
    this.#reader.take = undefined
  }

  /** From now on every byte read, starting with those already buffered, is written to `sink`; nothing more is read while a
   *  write is pending. `onBytes` is called after each read with what was read, which stays valid during the call only. Events `end`, `error` and `close` stay as they are; ending the
   *  sink is the caller's business. */
  pumpTo(sink: Writable, onBytes: (bytes: Buffer) => void): void {
    for (let chunk: Buffer | null = this.read(); chunk !== null; chunk = this.read()) {
      onBytes(chunk)
      sink.write(chunk)
    }
    this.#reader.onBytes = onBytes
    this.#reader.sink = sink
    this.resume()
  }
}

/** The connection a server has just accepted as a DirectSocket; to be called within the `connection` event, and the given
 *  socket must not be touched again. Node lets a server's sockets have no `onread` of their own, so this moves the handle by
 *  names that are not documented; where they are not what we know, the given socket comes back and is relayed as a stream. */
export function adoptAccepted(accepted: Socket): Socket {
  const inner = accepted as unknown as AcceptedInternals
  const handle = inner._handle
  if (handle === null || typeof handle !== 'object' || !('useUserBuffer' in handle) || !('_server' in inner))
    return accepted
  inner._handle = null
  const adopted = new DirectSocket({ handle, allowHalfOpen: accepted.allowHalfOpen })
  // the server counts its connections through this and closes with the last one
  ;(adopted as unknown as AcceptedInternals)._server = inner._server
  return adopted
}

interface AcceptedInternals {
  _handle: unknown
  _server: unknown
}

class Reader {
  socket: Socket | undefined
  take: ((chunk: Buffer) => void) | undefined
  sink: Writable | undefined
  onBytes: (bytes: Buffer) => void = () => {}
  #pending: Buffer | undefined

  /** Answers whether to go on reading. */
  deliver(bytes: number): boolean {
    const { sink, take } = this
    if (sink === undefined) {
      const copy = Buffer.allocUnsafe(bytes)
      readBuffer.copy(copy, 0, 0, bytes)
      if (take === undefined) return this.socket?.push(copy) ?? false
      take(copy)
      return true
    }
    const chunk = spareBuffers.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)
    readBuffer.copy(chunk, 0, 0, bytes)
    const read = chunk.subarray(0, bytes)
    this.onBytes(read)
    sink.write(read, this.#written)
    // nothing queued means that the kernel has taken all of it
    if (sink.writableLength === 0) {
      giveBack(chunk)
      return true
    }
    this.#pending = chunk
    return false
  }

  /** Called by the sink for each chunk. After an error the chunk is left to the garbage collector. */
  readonly #written = (error?: Error | null): void => {
    if (error || this.#pending === undefined || this.sink?.writableLength !== 0) return
    giveBack(this.#pending)
    this.#pending = undefined
    this.socket?.resume()
  }
}

function giveBack(buffer: Buffer): void {
  if (spareBuffers.length < MAX_SPARE_BUFFERS) spareBuffers.push(buffer)
}
