// Responses on an HTTP/1 client connection, framed for the client's version; each head leaves in one write with what
// follows at once.

import { formatHead, formatLastChunk } from '../../http1/fields.ts'
import { CHUNKED, UNTIL_CLOSE } from '../../http1/framing.ts'
import { isNamed } from '../../http1/grammar.ts'
import type { ByteStream } from '../../transport/byte-stream.ts'
import type { ResponseOutput } from './output.ts'
import type { AnswerHead, Responder } from './responder.ts'

/** What the request means for its response. */
export interface AnswerTo {
  readonly method: string
  readonly version: '1.0' | '1.1'
  /** the client wants to keep the connection */
  readonly keepsAlive: boolean
}

/** The response to one request, written to the client's {@link ResponseOutput}. */
export class Http1Responder implements Responder {
  /** when the head of the final response was given, by performance.now() */
  begunAt: number | undefined
  /** the connection stays open after this response */
  keepsAlive: boolean
  readonly #stream: ByteStream
  readonly #output: ResponseOutput
  readonly #to: AnswerTo
  #isChunked = false
  #writesBefore = 0

  constructor(stream: ByteStream, output: ResponseOutput, to: AnswerTo) {
    this.#stream = stream
    this.#output = output
    this.#to = to
    this.keepsAlive = to.keepsAlive
  }

  get hasBegun(): boolean {
    return this.begunAt !== undefined
  }

  interim({ status, reason, fields }: AnswerHead): void {
    if (this.hasBegun || this.#to.version === '1.0') return
    this.#output.text(formatHead(`HTTP/1.1 ${status} ${reason}`, fields))
  }

  head({ status, reason, fields, body }: AnswerHead): void {
    const isLegacy = this.#to.version === '1.0'
    const isOfUnknownLength = body === CHUNKED || body === UNTIL_CLOSE
    this.#isChunked = isOfUnknownLength && !isLegacy
    if (isOfUnknownLength && isLegacy) this.keepsAlive = false
    let text = `HTTP/1.1 ${status} ${reason}\r\n`
    let hasDate = false
    for (let at = 0; at < fields.length; at += 2) {
      const name = fields[at] ?? ''
      if (name.length === 4 && isNamed(name, 'date')) hasDate = true
      text += `${name}: ${fields[at + 1]}\r\n`
    }
    if (!hasDate) text += dateField()
    if (this.#isChunked) text += 'Transfer-Encoding: chunked\r\n'
    if (!this.keepsAlive) text += 'Connection: close\r\n'
    else if (isLegacy) text += 'Connection: keep-alive\r\n'
    this.begunAt = performance.now()
    this.#writesBefore = this.#output.writes
    this.#output.text(`${text}\r\n`)
  }

  body(bytes: Buffer): boolean {
    if (this.#isChunked) this.#output.chunk(bytes)
    else this.#output.bytes(bytes)
    return !this.#output.isBlocked
  }

  end(trailers: readonly string[]): void {
    if (this.#isChunked) this.#output.text(formatLastChunk(trailers))
    this.#output.flush()
  }

  flush(): boolean {
    return this.#output.flush()
  }

  cut(): boolean {
    if (this.hasBegun && this.#output.writes === this.#writesBefore && !this.#stream.isClosed) {
      this.#output.discard()
      this.begunAt = undefined
      this.#isChunked = false
      return false
    }
    this.keepsAlive = false
    this.#output.discard()
    this.#stream.reset()
    return true
  }

  closeAfter(): void {
    this.keepsAlive = false
  }
}

let dateSecond = 0
let dateText = ''

/** A response without Date gets the time it was forwarded (RFC 9110 section 6.6.1). */
function dateField(): string {
  const second = Math.trunc(Date.now() / 1000)
  if (second !== dateSecond) {
    dateSecond = second
    dateText = `Date: ${new Date(second * 1000).toUTCString()}\r\n`
  }
  return dateText
}
