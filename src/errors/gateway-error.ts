// The one error class of connections. Message text is for people and never matched; `code` is for programs.

import { CONNECTION_ERRORS, type ConnectionErrorCode, type Rendering } from './catalogue.ts'

/** A named failure of one connection. `message` is one lower-case clause with the user's own text in backticks;
 *  `details` are facts a log line or an API response may carry, without secrets. */
export class GatewayError extends Error {
  override readonly name = 'GatewayError'
  readonly code: ConnectionErrorCode
  readonly details: Readonly<Record<string, string | number | boolean>>
  /** logged instead of `message` where the client must not see the cause; without secrets */
  readonly logged: string | undefined

  constructor(
    code: ConnectionErrorCode,
    message: string,
    options: {
      cause?: unknown
      details?: Readonly<Record<string, string | number | boolean>>
      logged?: string | undefined
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
    this.logged = options.logged
  }

  get rendering(): Rendering {
    return CONNECTION_ERRORS[this.code]
  }
}

/** Any thrown value as a GatewayError: itself, or `internal.invariant` with it as the cause. */
export function asGatewayError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown
  return new GatewayError('internal.invariant', 'an unexpected error inside the proxy', { cause: thrown })
}
