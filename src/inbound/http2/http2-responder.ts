// Answers on one stream of HTTP/2, for the forwarding that speaks HTTP/1.1 to origins (RFC 9113 section 8.3.2), and the
// refusal of a stream that gets nothing else.

import {
  constants,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  type ServerStreamResponseOptions,
} from 'node:http2'
import { GatewayError } from '../../errors/gateway-error.ts'
import { httpErrorAnswer } from '../../errors/http-error-answer.ts'
import type { Clock } from '../../transport/timer-wheel.ts'
import type { AnswerHead, Responder } from '../http-forward/responder.ts'

/** The response on one stream; what cannot be answered any more is reset. */
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

/** A client that leaves no room for the answer, or for RST_STREAM, has so long to make some. */
const LINGER_MS = 2_000

/** Answers with the error and ends the stream; what the client still sends on it is not wanted (RFC 9113 section 8.1). Where an
 *  answer has begun already, the stream is reset. A HEAD gets no body (RFC 9110 section 9.3.2). */
export function refuseStream(
  stream: ServerHttp2Stream,
  error: GatewayError,
  { clock, method }: { readonly clock: Clock; readonly method: string | undefined },
): void {
  if (stream.destroyed || stream.closed) return
  const patience = clock.after(LINGER_MS, () => stream.destroy())
  stream.once('close', () => patience.cancel())
  if (stream.headersSent) {
    stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    return
  }
  const { status, fields, body } = httpErrorAnswer(error)
  const headers = responseHeaders(status, [...fields, 'Content-Length', String(Buffer.byteLength(body))])
  if (method === 'HEAD' || stream.writableEnded) {
    stream.respond(headers, { endStream: true })
    // no reset: Node would send it ahead of a head that has no body
    stream.resume()
    return
  }
  stream.respond(headers)
  stream.end(body)
  stream.close(constants.NGHTTP2_NO_ERROR)
}

/** Names in lower case (RFC 9113 section 8.2.1); a name that comes several times keeps all its values, in order. */
export function responseHeaders(status: number, fields: readonly string[]): OutgoingHttpHeaders {
  const headers: Record<string, string | string[] | number> = Object.create(null)
  for (let at = 0; at < fields.length; at += 2) {
    const name = (fields[at] ?? '').toLowerCase()
    const value = fields[at + 1] ?? ''
    const before = headers[name]
    if (before === undefined) headers[name] = value
    else headers[name] = Array.isArray(before) ? [...before, value] : [String(before), value]
  }
  headers[':status'] = status
  return headers
}
