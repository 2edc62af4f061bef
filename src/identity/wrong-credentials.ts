// The one answer to credentials that are wrong, whatever is wrong with them (AU-01).

import { GatewayError } from '../errors/gateway-error.ts'

/** `logged`: what the log is told beside; free of secrets. */
export function wrongCredentials(logged?: string): GatewayError {
  return new GatewayError('identity.rejected', 'the user name or the password is wrong', { logged })
}
