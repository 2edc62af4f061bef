// What the codec makes of the bytes of one message, however they are cut: its parts, or the name of the defect.

import { ChunkedDecoder } from '../../src/http1/chunked.ts'
import { Defect } from '../../src/http1/defect.ts'
import { CHUNKED, requestFraming, responseFraming, UNTIL_CLOSE } from '../../src/http1/framing.ts'
import { HeadReader } from '../../src/http1/head-reader.ts'
import { parseRequestHead, parseResponseHead } from '../../src/http1/message-head.ts'

/** One message, or why there is none. `rest`: bytes behind it. */
export type Reading =
  | {
      readonly kind: 'message'
      readonly line: readonly [string, string, string]
      readonly fields: readonly string[]
      readonly body: string
      readonly trailers: readonly string[]
      readonly rest: number
    }
  | { readonly kind: 'refused' }
  | { readonly kind: 'incomplete' }

export type Side = 'request' | 'response'

export const LIMITS = { maxHeadBytes: 8192, maxLineBytes: 4096, maxFields: 100, maxTrailerBytes: 8192 }

/** Reads the pieces in turn, as one stream of bytes that ends behind them. `method`: of the request a response answers. */
export function readByCodec(side: Side, pieces: readonly Buffer[], method = 'GET'): Reading {
  try {
    return new CodecRun(side, method).read(pieces)
  } catch (thrown) {
    if (thrown instanceof Defect) return { kind: 'refused' }
    throw thrown
  }
}

/** The name of the defect; undefined: there is none so far. */
export function defectOf(side: Side, text: string, method = 'GET'): string | undefined {
  try {
    new CodecRun(side, method).read([Buffer.from(text, 'latin1')])
    return undefined
  } catch (thrown) {
    if (thrown instanceof Defect) return thrown.defect
    throw thrown
  }
}

class CodecRun {
  readonly #side: Side
  readonly #method: string
  readonly #reader: HeadReader
  #line: readonly [string, string, string] | undefined
  #fields: readonly string[] = []
  #left = 0
  #decoder: ChunkedDecoder | undefined
  #body = ''

  constructor(side: Side, method: string) {
    this.#side = side
    this.#method = method
    this.#reader = new HeadReader({ ...LIMITS, skipsEmptyLines: side === 'request' })
  }

  read(pieces: readonly Buffer[]): Reading {
    const total = pieces.reduce((sum, piece) => sum + piece.length, 0)
    let used = 0
    for (const piece of pieces) {
      const taken = this.#take(piece)
      used += taken
      if (this.#isComplete) return this.#message(total - used)
    }
    return this.#left === UNTIL_CLOSE ? this.#message(0) : { kind: 'incomplete' }
  }

  get #isComplete(): boolean {
    return this.#line !== undefined && (this.#decoder === undefined ? this.#left === 0 : this.#decoder.isDone)
  }

  #message(rest: number): Reading {
    return {
      kind: 'message',
      line: this.#line ?? ['', '', ''],
      fields: this.#fields,
      body: this.#body,
      trailers: this.#decoder?.trailers ?? [],
      rest,
    }
  }

  #take(piece: Buffer): number {
    let at = 0
    if (this.#line === undefined) {
      at = this.#reader.push(piece)
      if (at < 0) return piece.length
      this.#takeHead(this.#reader.text)
    }
    if (this.#decoder !== undefined) return this.#takeChunks(this.#decoder, piece, at)
    const end = this.#left === UNTIL_CLOSE ? piece.length : Math.min(piece.length, at + this.#left)
    if (this.#left !== UNTIL_CLOSE) this.#left -= end - at
    this.#body += piece.toString('latin1', at, end)
    return end
  }

  #takeHead(text: string): void {
    if (this.#side === 'request') {
      const { method, target, version, fields } = parseRequestHead(text, LIMITS.maxFields)
      this.#left = requestFraming(version, fields)
      this.#line = [method, target, version]
      this.#fields = fields
    } else {
      const head = parseResponseHead(text, LIMITS.maxFields)
      this.#left = responseFraming(this.#method, head).body
      this.#line = [head.version, String(head.status), head.reason]
      this.#fields = head.fields
    }
    if (this.#left !== CHUNKED) return
    this.#decoder = new ChunkedDecoder({
      reading: this.#side,
      maxExtensionBytes: 1024,
      maxTrailerBytes: LIMITS.maxTrailerBytes,
      maxTrailers: LIMITS.maxFields,
    })
  }

  #takeChunks(decoder: ChunkedDecoder, piece: Buffer, from: number): number {
    let at = from
    while (at < piece.length && !decoder.isDone) {
      at = decoder.take(piece, at)
      this.#body += piece.toString('latin1', decoder.dataFrom, at)
    }
    return at
  }
}

/** Every way to cut the bytes in two, and one by one. */
export function* cuts(bytes: Buffer): Generator<Buffer[]> {
  yield Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
  for (let at = 1; at < bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)]
}
