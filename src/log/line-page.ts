// Lines of a log as the bytes they will be written as. A line is turned into bytes when it comes: as text it would wait for its batch
// on the heap of V8, be copied by the collections of that time, and once more into a batch and its bytes.

const LINE_FEED = 0x0a
/** UTF-8 takes at most so many bytes for one UTF-16 unit. */
const MOST_BYTES = 3

export class LinePage {
  readonly #bytes: Buffer
  #length = 0
  #lines = 0

  /** A page of so many bytes. */
  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafeSlow(size)
  }

  /** in bytes, line feeds included */
  get length(): number {
    return this.#length
  }

  get lines(): number {
    return this.#lines
  }

  get size(): number {
    return this.#bytes.length
  }

  /** Takes a line and adds its line feed; false, and nothing taken, where it does not fit. */
  add(line: string): boolean {
    const room = this.#bytes.length - this.#length - 1
    if (line.length * MOST_BYTES > room && Buffer.byteLength(line) > room) return false
    const end = this.#length + this.#bytes.write(line, this.#length)
    this.#bytes[end] = LINE_FEED
    this.#length = end + 1
    this.#lines++
    return true
  }

  /** What was taken so far; the same memory, until {@link clear}. */
  contents(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Empties the page, to be filled anew. */
  clear(): void {
    this.#length = 0
    this.#lines = 0
  }
}
