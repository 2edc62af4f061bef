// How a stream of HTTP/2 is answered: heads as Node takes them, and the answer to one stream that gets nothing else.

import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { GatewayError } from '../../errors/gateway-error.ts'
import { httpErrorAnswer } from '../../errors/to-http.ts'
import type { Clock } from '../../transport/timer-wheel.ts'

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
