// An origin's response head, checked before a client sees any of it: what two readers could understand differently, or what
// our own HTTP server could not say, becomes a 502 (FR-08, FR-10). Knows no sockets.

import { STATUS_CODES } from 'node:http'
import { GatewayError } from '../../errors/gateway-error.ts'
import { endToEnd, valuesOf } from './hop-by-hop.ts'

export interface ForwardResponse {
  readonly status: number
  /** the canonical phrase; the origin's own is dropped */
  readonly reason: string
  readonly fields: string[]
}

export interface ResponseRules {
  readonly pseudonym: string
  readonly maxFields: number
}

const CONTROL = /[^\t\x20-\x7e\x80-\xff]/
/** Via is rebuilt; Proxy-Status is ours to say, so an origin cannot speak in our name (HH-10). */
const NOT_FORWARDED = new Set(['proxy-status', 'via'])
const NEITHER_LENGTH = new Set([...NOT_FORWARDED, 'content-length'])

/** Throws `origin.malformed_response`. */
export function understandResponse(status: number, fields: readonly string[], rules: ResponseRules): ForwardResponse {
  if (!Number.isInteger(status) || status < 100 || status > 599) throw malformed(`its status is ${status}`)
  if (fields.length / 2 > rules.maxFields) throw malformed(`it has more than ${rules.maxFields} header fields`)
  for (let at = 1; at < fields.length; at += 2) {
    if (CONTROL.test(fields[at] ?? '')) throw malformed('a header field holds a control character')
  }
  const codings = valuesOf(fields, 'transfer-encoding')
  if (codings.length > 1 || (codings[0] !== undefined && codings[0].trim().toLowerCase() !== 'chunked')) {
    throw malformed('it uses a transfer coding other than `chunked`')
  }
  const kept = endToEnd(fields, status === 204 || status < 200 ? NEITHER_LENGTH : NOT_FORWARDED)
  kept.push('Via', [...valuesOf(fields, 'via'), `1.1 ${rules.pseudonym}`].join(', '))
  return { status, reason: STATUS_CODES[status] ?? '', fields: kept }
}

function malformed(why: string): GatewayError {
  return new GatewayError('origin.malformed_response', `the origin's response is not sound: ${why}`)
}
