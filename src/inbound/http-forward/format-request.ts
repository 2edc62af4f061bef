// Formats a request head for the origin: new framing and connection options (FR-03), the other fields unchanged.

import { formatHead } from '../../http1/fields.ts'
import { CHUNKED } from '../../http1/framing.ts'
import type { ForwardRequest } from './forward-request.ts'

export function formatRequestHead(request: ForwardRequest): string {
  const fields = ['Host', request.host, ...request.fields]
  if (request.bodyLength === CHUNKED) fields.push('Transfer-Encoding', 'chunked')
  else if (request.contentLength !== undefined) fields.push('Content-Length', request.contentLength)
  if (request.expectsContinue) fields.push('Expect', '100-continue')
  if (request.takesTrailers) fields.push('TE', 'trailers')
  if (request.upgrade !== undefined) fields.push('Connection', 'Upgrade', 'Upgrade', request.upgrade)
  else if (request.takesTrailers) fields.push('Connection', 'TE')
  return formatHead(`${request.method} ${request.path} HTTP/1.1`, fields)
}
