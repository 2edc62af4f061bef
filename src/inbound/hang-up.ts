// The last word to a client: written, then the connection goes, whether the client listens or not.

import type { ByteStream, StreamHandler } from '../transport/byte-stream.ts'
import type { Clock, Timer } from '../transport/timer-wheel.ts'

const LINGER_MS = 2000

/** Writes the words and FIN behind them. What the client still sends is thrown away for a moment, so that the words are not lost to a
 *  reset (RFC 9112 section 9.6); the stream closes when the client ends too, or is destroyed. */
export function hangUp(stream: ByteStream, clock: Clock, words: string | Uint8Array): void {
  if (stream.isClosed) return
  stream.write(typeof words === 'string' ? Buffer.from(words) : words)
  stream.end()
  stream.setHandler(new Lingering(stream, clock))
}

class Lingering implements StreamHandler {
  readonly #stream: ByteStream
  readonly #patience: Timer

  constructor(stream: ByteStream, clock: Clock) {
    this.#stream = stream
    this.#patience = clock.after(LINGER_MS, () => stream.destroy())
  }

  onReadable(): void {
    while (this.#stream.read() !== undefined);
  }

  onWritable(): void {}

  onClose(): void {
    this.#patience.cancel()
  }
}
