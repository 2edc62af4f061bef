// Sends a last reply to a client and closes the connection, whether the client reads or not.

import type { ByteStream, StreamHandler } from '../transport/byte-stream.ts'
import type { Clock, Timer } from '../transport/timer-wheel.ts'

const LINGER_MS = 2000
/** A client that sends this much more does not read the reply. */
const LINGER_BYTES = 4 * 1024 * 1024
const HEAD = Buffer.from('HEAD ')

/** Writes the reply and FIN. What the client still sends is discarded for up to 2 s, so that the reply is not lost to a
 *  reset (RFC 9112 section 9.6); the stream closes when the client ends too. After 2 s or 4 MiB it is destroyed, even
 *  if the client has ended: one that does not read would otherwise keep the connection forever. */
export function closeAfterReply(stream: ByteStream, clock: Clock, reply: string | Uint8Array): void {
  if (stream.isClosed) return
  if (reply.length > 0) stream.write(typeof reply === 'string' ? Buffer.from(reply) : reply)
  stream.end()
  stream.setHandler(new Lingering(stream, clock))
}

class Lingering implements StreamHandler {
  readonly #stream: ByteStream
  readonly #timeout: Timer
  readonly #bytesBefore: number

  constructor(stream: ByteStream, clock: Clock) {
    this.#stream = stream
    this.#bytesBefore = stream.bytesRead
    this.#timeout = clock.after(LINGER_MS, () => stream.destroy())
  }

  onReadable(): void {
    while (this.#stream.read() !== undefined);
    if (this.#stream.bytesRead - this.#bytesBefore > LINGER_BYTES) this.#stream.destroy()
  }

  onWritable(): void {}

  onClose(): void {
    this.#timeout.cancel()
  }
}

/** `HEAD` when the bytes of a request that have arrived begin with it, since such a reply has no body. Consumes these
 *  bytes. */
export function openingMethod(stream: ByteStream): 'HEAD' | undefined {
  const opening = stream.read()
  return opening?.subarray(0, HEAD.length).equals(HEAD) ? 'HEAD' : undefined
}
