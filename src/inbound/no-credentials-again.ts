// The one error that CONNECT and forwarded HTTP share after a 407 (see ClientConnection.mustLogIn).

import { GatewayError } from '../errors/gateway-error.ts'

/** Why the second request on a connection that a 407 left open is also the last. */
export function noCredentialsAgain(): GatewayError {
  return new GatewayError('identity.required', 'the request after a 407 has no credentials either')
}
