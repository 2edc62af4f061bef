// Collects the head of a message out of bytes that may be cut anywhere, and finds its end: the first empty line. Reads nothing into
// it; a head that comes in one piece is not copied.

import { Defect } from './defect.ts'
import { CR, LF } from './grammar.ts'

export interface HeadLimits {
  /** start line and fields together */
  readonly maxHeadBytes: number
  /** the start line alone */
  readonly maxLineBytes: number
  /** Empty lines ahead of the start line are passed over (RFC 9112 section 2.2: requests). */
  readonly skipsEmptyLines: boolean
}

const INITIAL_BYTES = 1024

/** Takes the bytes of one head piece by piece; `text` is set once it is whole. Throws {@link Defect} beyond the
 *  limits. */
export class HeadReader {
  /** the whole head, Latin-1, its empty line included; empty until {@link push} found its end */
  text = ''
  readonly #limits: HeadLimits
  #held: Buffer | undefined
  #length = 0
  /** bytes of the line under way, and the last of them */
  #line = 0
  #last = 0
  /** of the start line with its line end; 0 while it is not complete */
  #startLine = 0
  /** empty lines passed over; they count, so that nobody sends them for ever */
  #skipped = 0

  constructor(limits: HeadLimits) {
    this.#limits = limits
  }

  /** Bytes of a head have come and it is not complete. */
  get hasBegun(): boolean {
    return this.#length > 0
  }

  /** The start line without its line end, as soon as it is complete; for an incomplete head only. */
  get startLine(): string | undefined {
    if (this.#startLine === 0 || this.#held === undefined) return undefined
    return this.#held.toString('latin1', 0, this.#startLine).replace(/\r?\n$/, '')
  }

  /** The first bytes of an incomplete head, as far as they have come. */
  beginning(length: number): string {
    return this.#held?.toString('latin1', 0, Math.min(length, this.#length)) ?? ''
  }

  /** Takes the bytes from `from` on. Answers where in them the head ends, or -1 when all were taken and it has not ended. Throws
   *  {@link Defect} `start-line-too-long`, `head-too-long`. */
  push(bytes: Buffer, from = 0): number {
    let start = from
    let line = this.#line
    let last = this.#last
    for (let at = from; at < bytes.length; at++) {
      const byte = bytes[at] ?? 0
      if (byte !== LF) {
        line++
        last = byte
        continue
      }
      const isEmpty = line === 0 || (line === 1 && last === CR)
      const size = this.#length + at + 1 - start
      if (isEmpty && this.#startLine === 0 && this.#limits.skipsEmptyLines) {
        this.#skip(size)
        start = at + 1
      } else if (isEmpty) {
        this.#finish(bytes, start, at + 1)
        return at + 1
      } else if (this.#startLine === 0) {
        if (size > this.#limits.maxLineBytes) throw this.#lineTooLong()
        this.#startLine = size
      }
      line = 0
    }
    this.#line = line
    this.#last = last
    this.#keep(bytes, start)
    return -1
  }

  /** Forgets everything, for the next head. */
  reset(): void {
    this.text = ''
    this.#held = undefined
    this.#length = 0
    this.#line = 0
    this.#last = 0
    this.#startLine = 0
    this.#skipped = 0
  }

  #skip(size: number): void {
    this.#skipped += size
    this.#length = 0
    if (this.#skipped > this.#limits.maxHeadBytes) throw this.#tooLong()
  }

  #finish(bytes: Buffer, start: number, end: number): void {
    const size = this.#length + end - start
    if (size > this.#limits.maxHeadBytes) throw this.#tooLong()
    if (this.#length === 0) {
      this.text = bytes.toString('latin1', start, end)
      return
    }
    this.#append(bytes, start, end)
    this.text = this.#held?.toString('latin1', 0, size) ?? ''
  }

  #keep(bytes: Buffer, start: number): void {
    const size = this.#length + bytes.length - start
    if (this.#startLine === 0 && size > this.#limits.maxLineBytes) throw this.#lineTooLong()
    if (size > this.#limits.maxHeadBytes) throw this.#tooLong()
    this.#append(bytes, start, bytes.length)
  }

  #append(bytes: Buffer, start: number, end: number): void {
    const needed = this.#length + end - start
    if (this.#held === undefined || this.#held.length < needed) {
      const grown = Buffer.allocUnsafe(Math.max(INITIAL_BYTES, 2 * needed))
      this.#held?.copy(grown, 0, 0, this.#length)
      this.#held = grown
    }
    bytes.copy(this.#held, this.#length, start, end)
    this.#length = needed
  }

  #lineTooLong(): Defect {
    const limit = this.#limits.maxLineBytes
    return new Defect('start-line-too-long', `the start line is longer than ${limit} bytes`, { limit })
  }

  #tooLong(): Defect {
    const limit = this.#limits.maxHeadBytes
    return new Defect('head-too-long', `the head is longer than ${limit} bytes`, { limit })
  }
}
