// Maps defects of HTTP/1.1 messages to errors of the connection: the client's or the origin's.

import type { ConnectionErrorCode } from '../../errors/catalogue.ts'
import { GatewayError } from '../../errors/gateway-error.ts'
import { Defect, type DefectName } from '../../http1/defect.ts'

const REQUEST_CODES: Partial<Record<DefectName, ConnectionErrorCode>> = {
  'head-too-long': 'request.too_large',
  'start-line-too-long': 'request.uri_too_long',
  'too-many-fields': 'request.too_large',
  'transfer-coding': 'request.unsupported_coding',
  version: 'request.version_not_supported',
}

/** Runs a parsing step of a request. Throws GatewayError `request.*` for a defect. */
export function soundRequest<T>(read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    throw requestError(thrown)
  }
}

/** A defect of a request as `request.*`, its name in the details; anything else as it is. */
export function requestError(thrown: unknown): unknown {
  if (!(thrown instanceof Defect)) return thrown
  return new GatewayError(REQUEST_CODES[thrown.defect] ?? 'request.malformed', thrown.message, {
    details: { ...thrown.details, defect: thrown.defect },
  })
}

/** A defect of a response as `origin.malformed_response`, its name in the details; anything else as it is. */
export function responseError(thrown: unknown): unknown {
  if (!(thrown instanceof Defect)) return thrown
  const message = `the origin sent a malformed HTTP response: ${thrown.message}`
  return new GatewayError('origin.malformed_response', message, {
    details: { ...thrown.details, defect: thrown.defect },
  })
}
