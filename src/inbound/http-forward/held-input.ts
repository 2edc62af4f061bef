// Bytes taken from a stream and not used yet, ahead of what the stream still has. Copies only what must outlive the
// read it came from.

import type { ByteStream } from '../../transport/byte-stream.ts'

export class HeldInput {
  readonly #stream: ByteStream
  #held: Buffer | undefined
  /** the bytes {@link take} returned last are this object's own */
  #isOwn = false

  constructor(stream: ByteStream) {
    this.#stream = stream
  }

  /** The peer has sent everything, and all of it was taken. */
  get hasEnded(): boolean {
    return this.#held === undefined && this.#stream.hasEnded
  }

  /** Reads up to about `limit` bytes into memory of its own: only a reader notices how the stream ended. */
  readAhead(limit: number): void {
    let held = this.#held ?? Buffer.alloc(0)
    while (held.length < limit) {
      const bytes = this.#stream.read()
      if (bytes === undefined) break
      held = Buffer.concat([held, bytes])
      this.#held = held
    }
  }

  /** The next bytes, valid until the next call for any stream; undefined when there are none now. */
  take(): Buffer | undefined {
    const held = this.#held
    this.#held = undefined
    this.#isOwn = held !== undefined
    return held ?? this.#stream.read()
  }

  /** Keeps the unused end of what {@link take} returned for its next call. */
  keep(rest: Buffer): void {
    if (rest.length > 0) this.#held = this.#isOwn ? rest : Buffer.from(rest)
  }

  /** Puts everything back into the stream for its next reader. */
  release(): void {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) this.#stream.unread(held)
  }
}
