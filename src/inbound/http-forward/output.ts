// Gathers what is written to a stream within one turn, so that heads, framing and small bodies leave in one write. All
// streams share one buffer: the next writer flushes what the previous one left in it.

import type { ByteStream } from '../../transport/byte-stream.ts'

/** bytes; room for what an engine reads at once, framed as a chunk */
const SIZE = 160 * 1024
/** bytes; above this a write of its own is cheaper than the copy */
const MAX_JOINED = 16 * 1024

const gathered = Buffer.allocUnsafeSlow(SIZE)
let used = 0
let owner: ResponseOutput | undefined

/** The writing half of one stream: what it gathers leaves with `flush`, or when another stream is written to. */
export class ResponseOutput {
  readonly #stream: ByteStream
  readonly #onFailure: (() => void) | undefined
  /** the stream's buffer is full, and it has not reported room since */
  isBlocked = false
  /** writes so far */
  writes = 0

  /** `onFailure` is called within a write that failed, possibly several times. */
  constructor(stream: ByteStream, onFailure?: () => void) {
    this.#stream = stream
    this.#onFailure = onFailure
  }

  /** Writes Latin-1 text. */
  text(text: string): void {
    this.#own()
    if (text.length > SIZE - used) this.flush()
    if (text.length > SIZE) this.#write(Buffer.from(text, 'latin1'))
    else used += gathered.write(text, used, 'latin1')
  }

  /** Writes bytes; they may be reused once this returns. */
  bytes(bytes: Buffer): void {
    this.#own()
    if (bytes.length <= MAX_JOINED && bytes.length <= SIZE - used) {
      used += bytes.copy(gathered, used)
      return
    }
    this.flush()
    this.#write(bytes)
  }

  /** Writes bytes, at least one, as one chunk of the chunked coding. */
  chunk(bytes: Buffer): void {
    this.text(`${bytes.length.toString(16)}\r\n`)
    if (bytes.length <= SIZE - used) used += bytes.copy(gathered, used)
    else this.bytes(bytes)
    this.text('\r\n')
  }

  /** Sends what was gathered. False: pause until the stream is writable. */
  flush(): boolean {
    if (owner === this && used > 0) {
      const length = used
      used = 0
      owner = undefined
      this.#write(gathered.subarray(0, length))
    }
    return !this.isBlocked
  }

  /** Discards what was gathered and not sent. */
  discard(): void {
    if (owner === this) used = 0
  }

  #own(): void {
    if (owner === this) return
    owner?.flush()
    owner = this
  }

  #write(bytes: Buffer): void {
    this.writes++
    if (!this.#stream.write(bytes) && !this.#stream.isClosed) this.isBlocked = true
    if (this.#stream.hasWriteFailed) this.#onFailure?.()
  }
}
