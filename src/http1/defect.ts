// What can be wrong with a message of HTTP/1.1: one name per defect, whichever side sent it and however the bytes were cut;
// and the error of the connection it becomes, the client's or the origin's.

import type { ConnectionErrorCode } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'

type DefectName =
  | 'bare-cr'
  | 'bare-lf'
  | 'blank-before-colon'
  | 'body-cut-short'
  | 'chunk-end'
  | 'chunk-extension'
  | 'chunk-extension-too-long'
  | 'chunk-size'
  | 'chunk-size-overflow'
  | 'coding-in-http-1.0'
  | 'control-character'
  | 'field-name'
  | 'folded-field'
  | 'head-cut-short'
  | 'head-too-long'
  | 'length'
  | 'length-and-coding'
  | 'length-overflow'
  | 'lengths'
  | 'method'
  | 'no-colon'
  | 'request-line'
  | 'start-line-too-long'
  | 'status'
  | 'status-line'
  | 'target-character'
  | 'too-many-fields'
  | 'trailers-too-long'
  | 'transfer-coding'
  | 'version'
  | 'version-missing'

/** A message that is not sound. `message` is one lower-case clause without any text of the sender's. */
export class Defect extends Error {
  readonly defect: DefectName
  readonly details: Readonly<Record<string, string | number>>

  constructor(defect: DefectName, message: string, details: Readonly<Record<string, string | number>> = {}) {
    super(message)
    this.defect = defect
    this.details = details
  }
}

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
