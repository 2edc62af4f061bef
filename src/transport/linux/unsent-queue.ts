// Bytes that were written and the kernel has not taken yet, in order.

/** The unsent bytes of one stream. */
export class UnsentQueue {
  readonly #chunks: Buffer[] = []
  #length = 0

  /** in bytes */
  get length(): number {
    return this.#length
  }

  /** Copies `bytes` from there on. */
  add(bytes: Uint8Array, from: number): void {
    const copy = Buffer.allocUnsafeSlow(bytes.length - from)
    copy.set(from === 0 ? bytes : bytes.subarray(from))
    this.#chunks.push(copy)
    this.#length += copy.length
  }

  /** Writes until `write` takes less than it is given or fails. Answers its error (negative), or 0. */
  flush(write: (bytes: Buffer) => number): number {
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      const n = write(chunk)
      if (n < 0) return n
      this.#length -= n
      if (n < chunk.length) {
        this.#chunks[0] = chunk.subarray(n)
        return 0
      }
      this.#chunks.shift()
    }
    return 0
  }

  chunks(): readonly Buffer[] {
    return this.#chunks
  }
}
