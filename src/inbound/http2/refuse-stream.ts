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
  const headers = responseHeaders(status, [...fields, 'Content-Length', String(Buffer.byteLength(body))])
  if (stream.writableEnded) {
    // HEAD: Node has ended the stream ahead of the answer, and a reset in the same turn would take the head back
    stream.respond(headers, { endStream: true })
    return
  }
  stream.respond(headers)
  stream.end(body)
  stream.close(constants.NGHTTP2_NO_ERROR)
}
