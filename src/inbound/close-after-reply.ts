// The last word to a client: written, then the connection goes, whether the client listens or not.

import type { ByteStream, StreamHandler } from '../transport/byte-stream.ts'
import type { Clock, Timer } from '../transport/timer-wheel.ts'

const LINGER_MS = 2000
/** A client that goes on sending so much does not listen. */
const LINGER_BYTES = 4 * 1024 * 1024
const HEAD = Buffer.from('HEAD ')

/** Writes the words and FIN behind them. What the client still sends is thrown away for a moment, so that the words are not lost to a
 *  reset (RFC 9112 section 9.6); the stream closes when the client ends too. After a moment, or {@link LINGER_BYTES}, it is destroyed,
 *  also where the client has ended: one that does not read would keep words and connection for ever. */
export function hangUp(stream: ByteStream, clock: Clock, words: string | Uint8Array): void {
  if (stream.isClosed) return
  stream.write(typeof words === 'string' ? Buffer.from(words) : words)
  stream.end()
  stream.setHandler(new Lingering(stream, clock))
}

class Lingering implements StreamHandler {
  readonly #stream: ByteStream
  readonly #patience: Timer
  readonly #already: number

  constructor(stream: ByteStream, clock: Clock) {
    this.#stream = stream
    this.#already = stream.bytesRead
    this.#patience = clock.after(LINGER_MS, () => stream.destroy())
  }

  onReadable(): void {
    while (this.#stream.read() !== undefined);
    if (this.#stream.bytesRead - this.#already > LINGER_BYTES) this.#stream.destroy()
  }

  onWritable(): void {}

  onClose(): void {
    this.#patience.cancel()
  }
}

/** The method that what has arrived of a request begins with, as far as it matters: `HEAD` is answered without a body. Takes the bytes
 *  out of the stream. */
export function openingMethod(stream: ByteStream): 'HEAD' | undefined {
  const opening = stream.read()
  return opening?.subarray(0, HEAD.length).equals(HEAD) ? 'HEAD' : undefined
}
