// What has been taken from a stream and not been used, ahead of what the stream still has. Copies only what must outlive the read that
// brought it.

import type { ByteStream } from '../../transport/byte-stream.ts'

export class HeldInput {
  readonly #stream: ByteStream
  #held: Buffer | undefined
  /** are the bytes that {@link take} gave last this object's own */
  #isOwn = false

  constructor(stream: ByteStream) {
    this.#stream = stream
  }

  /** The peer has said all it has to say, and all of it was taken. */
  get hasEnded(): boolean {
    return this.#held === undefined && this.#stream.hasEnded
  }

  /** Takes what the stream has into memory of its own, up to about `limit` bytes in all: whoever reads learns how the stream ended. */
  readAhead(limit: number): void {
    let held = this.#held ?? Buffer.alloc(0)
    while (held.length < limit) {
      const bytes = this.#stream.read()
      if (bytes === undefined) break
      held = Buffer.concat([held, bytes])
      this.#held = held
    }
  }

  /** The next bytes, valid until the next call for any stream; undefined: none for now. */
  take(): Buffer | undefined {
    const held = this.#held
    this.#held = undefined
    this.#isOwn = held !== undefined
    return held ?? this.#stream.read()
  }

  /** Keeps the last part of what {@link take} gave last for its next call. */
  keep(rest: Buffer): void {
    if (rest.length > 0) this.#held = this.#isOwn ? rest : Buffer.from(rest)
  }

  /** Puts everything back into the stream, for somebody else to read. */
  release(): void {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) this.#stream.unread(held)
  }
}
