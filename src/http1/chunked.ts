// The chunked transfer coding (RFC 9112 section 7.1), decoded out of bytes that may be cut anywhere. Says where data is and copies none
// of it; extensions are bounded and dropped, trailers are kept for whoever wants them.

import { Defect } from './defect.ts'
import { parseFields, type Reading } from './fields.ts'
import { BLANK, byteName, CR, KINDS, LF, TEXT } from './grammar.ts'
import { HeadReader } from './head-reader.ts'

export interface ChunkedLimits {
  /** `response`: blanks behind a size, which are an origin's padding or the RFC's BWS ahead of an extension, are passed over; of a request
   *  they are refused, as nginx and Squid do */
  readonly reading: Exclude<Reading, 'interim'>
  /** all extensions of a message together */
  readonly maxExtensionBytes: number
  readonly maxTrailerBytes: number
  readonly maxTrailers: number
}

const SEMICOLON = 0x3b
const MAX_SIZE_DIGITS = 64

/** What comes next. */
const SIZE = 0
const BEHIND_SIZE = 1
const EXTENSION = 2
const SIZE_LF = 3
const DATA = 4
const DATA_CR = 5
const DATA_LF = 6
const TRAILERS = 7

/** Decodes one body. Throws {@link Defect} as soon as the bytes break the grammar or a limit. */
export class ChunkedDecoder {
  /** the last chunk and the trailers have been taken */
  isDone = false
  /** where the data starts in what {@link take} took last; it goes to where that ended. The same: there was none */
  dataFrom = 0
  trailers: readonly string[] = []
  readonly #limits: ChunkedLimits
  #next = SIZE
  #left = 0
  #digits = 0
  #extensionBytes = 0
  #trailerReader: HeadReader | undefined

  constructor(limits: ChunkedLimits) {
    this.#limits = limits
  }

  /** The size of the next data is known, and none of it has been taken. */
  get isAtData(): boolean {
    return this.#next === DATA
  }

  /** Takes framing and at most one run of data from `from` on; answers where it stopped. To be called until the bytes are used up or
   *  {@link isDone}. Throws {@link Defect}. */
  take(bytes: Buffer, from: number): number {
    return this.#advance(bytes, from, false)
  }

  /** Takes framing only, up to the next data or the end. Throws {@link Defect}. */
  takeFraming(bytes: Buffer, from: number): number {
    return this.#advance(bytes, from, true)
  }

  #advance(bytes: Buffer, from: number, stopsAtData: boolean): number {
    let at = from
    while (at < bytes.length && !this.isDone) {
      if (this.#next === DATA && stopsAtData) break
      if (this.#next === DATA) {
        const end = Math.min(bytes.length, at + this.#left)
        this.dataFrom = at
        this.#left -= end - at
        if (this.#left === 0) this.#next = DATA_CR
        return end
      }
      if (this.#next === TRAILERS) at = this.#takeTrailers(bytes, at)
      else this.#takeByte(bytes[at++] ?? 0)
    }
    this.dataFrom = at
    return at
  }

  #takeByte(byte: number): void {
    switch (this.#next) {
      case SIZE:
        this.#takeSize(byte)
        return
      case BEHIND_SIZE:
        this.#takeBehindSize(byte)
        return
      case EXTENSION:
        this.#takeExtension(byte)
        return
      case SIZE_LF:
        if (byte !== LF) throw new Defect('bare-cr', 'the line of a chunk size holds a CR without LF')
        this.#begin()
        return
      case DATA_CR:
        if (byte !== CR) throw behindData(byte)
        this.#next = DATA_LF
        return
      default:
        if (byte !== LF) throw behindData(byte)
        this.#next = SIZE
        this.#digits = 0
    }
  }

  #takeSize(byte: number): void {
    const digit = hexOf(byte)
    if (digit >= 0) {
      if (++this.#digits > MAX_SIZE_DIGITS) throw tooManyDigits()
      this.#left = this.#left * 16 + digit
      if (!Number.isSafeInteger(this.#left)) throw overflow()
      return
    }
    if (this.#digits === 0) throw badSize(byte)
    this.#next = BEHIND_SIZE
    this.#takeBehindSize(byte)
  }

  #takeBehindSize(byte: number): void {
    if (byte === SEMICOLON) {
      this.#next = EXTENSION
      this.#countExtension()
    } else if (byte === CR) {
      this.#next = SIZE_LF
    } else if (this.#limits.reading === 'response' && ((KINDS[byte] ?? 0) & BLANK) !== 0) {
      this.#countExtension()
    } else {
      throw badSize(byte)
    }
  }

  #takeExtension(byte: number): void {
    if (byte === CR) {
      this.#next = SIZE_LF
      return
    }
    if (((KINDS[byte] ?? 0) & TEXT) === 0) {
      const what = `a chunk extension holds the control character ${byteName(byte)}`
      throw new Defect('chunk-extension', what, { byte: byteName(byte) })
    }
    this.#countExtension()
  }

  #countExtension(): void {
    const limit = this.#limits.maxExtensionBytes
    if (++this.#extensionBytes > limit) {
      throw new Defect('chunk-extension-too-long', `the chunk extensions are longer than ${limit} bytes`, { limit })
    }
  }

  #begin(): void {
    this.#next = this.#left > 0 ? DATA : TRAILERS
  }

  #takeTrailers(bytes: Buffer, at: number): number {
    const { maxTrailerBytes, maxTrailers, reading } = this.#limits
    const limits = { maxHeadBytes: maxTrailerBytes, maxLineBytes: maxTrailerBytes, skipsEmptyLines: false }
    this.#trailerReader ??= new HeadReader(limits)
    let end: number
    try {
      end = this.#trailerReader.push(bytes, at)
    } catch (thrown) {
      if (!(thrown instanceof Defect)) throw thrown
      throw new Defect('trailers-too-long', `the trailers are longer than ${maxTrailerBytes} bytes`, thrown.details)
    }
    if (end < 0) return bytes.length
    this.trailers = parseFields(this.#trailerReader.text, 0, reading, maxTrailers)
    this.isDone = true
    return end
  }
}

function hexOf(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

function badSize(byte: number): Defect {
  return new Defect('chunk-size', `a chunk has no size in hexadecimal digits and CRLF (it has ${byteName(byte)})`, {
    byte: byteName(byte),
  })
}

/** Leading zeros change nothing (RFC 9112 section 7.1), but not without end. */
function tooManyDigits(): Defect {
  return new Defect('chunk-size-overflow', `a chunk size has more than ${MAX_SIZE_DIGITS} digits`)
}

function overflow(): Defect {
  return new Defect('chunk-size-overflow', 'a chunk size is too large')
}

function behindData(byte: number): Defect {
  return new Defect('chunk-end', `a chunk does not end where its size says (there is ${byteName(byte)})`, {
    byte: byteName(byte),
  })
}
