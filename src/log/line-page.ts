// Log lines as the bytes they are written as. A line is encoded when it arrives: as text it would stay on V8's heap
// until its batch is written, be copied by garbage collections meanwhile, and again into the batch and its bytes.

const LINE_FEED = 0x0a
/** Most UTF-8 bytes for one UTF-16 unit. */
const MOST_BYTES = 3

/** A buffer of log lines as UTF-8. */
export class LinePage {
  readonly #bytes: Buffer
  #length = 0
  #lines = 0

  /** A page of this many bytes. */
  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafeSlow(size)
  }

  /** in bytes, including line feeds */
  get length(): number {
    return this.#length
  }

  get lines(): number {
    return this.#lines
  }

  get size(): number {
    return this.#bytes.length
  }

  /** Appends a line and its line feed; returns false, without appending, if it does not fit. */
  add(line: string): boolean {
    const room = this.#bytes.length - this.#length - 1
    if (line.length * MOST_BYTES > room && Buffer.byteLength(line) > room) return false
    const end = this.#length + this.#bytes.write(line, this.#length)
    this.#bytes[end] = LINE_FEED
    this.#length = end + 1
    this.#lines++
    return true
  }

  /** The contents; a view of the same memory, valid until {@link clear}. */
  contents(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Empties the page for reuse. */
  clear(): void {
    this.#length = 0
    this.#lines = 0
  }
}
