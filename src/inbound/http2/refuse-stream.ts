// The answer to one stream that gets nothing else.

import { constants, type ServerHttp2Stream } from 'node:http2'
import type { GatewayError } from '../../errors/gateway-error.ts'
import { httpErrorAnswer } from '../../errors/to-http.ts'
import { responseHeaders } from './response-headers.ts'

/** Answers with the error and ends the stream; what the client still sends on it is not wanted (RFC 9113 section 8.1). Where an
 *  answer has begun already, the stream is reset. */
export function refuseStream(stream: ServerHttp2Stream, error: GatewayError): void {
  if (stream.destroyed || stream.closed) return
  if (stream.headersSent) {
    stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    return
  }
  const { status, fields, body } = httpErrorAnswer(error)
  stream.respond(responseHeaders(status, [...fields, 'Content-Length', String(body.length)]))
  stream.end(body)
  stream.close(constants.NGHTTP2_NO_ERROR)
}
