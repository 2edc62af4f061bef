// Answers on one stream of HTTP/2, for the forwarding that speaks HTTP/1.1 to origins (RFC 9113 section 8.3.2).

import {
  constants,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  type ServerStreamResponseOptions,
} from 'node:http2'
import { GatewayError } from '../../errors/gateway-error.ts'
import type { AnswerHead } from '../http-forward/forward-response.ts'
import type { Responder } from '../http-forward/responder.ts'
import { responseHeaders } from './stream-answer.ts'

export class Http2Responder implements Responder {
  readonly #stream: ServerHttp2Stream
  #trailers: readonly string[] = []

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream
  }

  get hasBegun(): boolean {
    return this.#stream.headersSent
  }

  get #isGone(): boolean {
    return this.#stream.destroyed || this.#stream.closed
  }

  interim({ status, fields }: AnswerHead): void {
    if (!this.#isGone && !this.hasBegun) this.#stream.additionalHeaders(responseHeaders(status, fields))
  }

  /** The reason phrase is not sent: HTTP/2 has none. */
  head({ status, fields, body }: AnswerHead): void {
    if (this.#isGone) return
    // trailers or not: without waiting for them Node would end the stream cleanly ahead of a reset (FR-09)
    this.#respond(responseHeaders(status, fields), body === 0 ? { endStream: true } : { waitForTrailers: true })
    if (body === 0) return
    this.#stream.once('wantTrailers', () => this.#stream.sendTrailers(trailerFields(this.#trailers)))
  }

  /** Throws `origin.malformed_response` for what Node does not say in HTTP/2: several values of a field that has one. */
  #respond(headers: OutgoingHttpHeaders, options: ServerStreamResponseOptions): void {
    try {
      this.#stream.respond(headers, options)
    } catch (cause) {
      const why = 'the response cannot be said in HTTP/2: a field that has one value comes several times'
      throw new GatewayError('origin.malformed_response', why, { cause })
    }
  }

  body(bytes: Buffer): boolean {
    if (this.#isGone || !this.#stream.writable) return true
    return this.#stream.write(Buffer.from(bytes))
  }

  end(trailers: readonly string[]): void {
    this.#trailers = trailers
    if (!this.#isGone && this.#stream.writable) this.#stream.end()
  }

  flush(): boolean {
    return this.#isGone || !this.#stream.writableNeedDrain
  }

  cut(): boolean {
    if (!this.#isGone) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    return true
  }

  closeAfter(): void {}
}

/** Names in lower case (RFC 9113 section 8.2.1). */
function trailerFields(trailers: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = Object.create(null)
  for (let at = 0; at < trailers.length; at += 2) fields[(trailers[at] ?? '').toLowerCase()] = trailers[at + 1] ?? ''
  return fields
}
