// How a failed connection looks to a SOCKS client: one reply code. There is no room for words; those go to the log.

import type { GatewayError } from './gateway-error.ts'

/** The reply code of SOCKS5 (RFC 1928 section 6). */
export function socks5Reply(error: GatewayError): number {
  return error.rendering.socks
}

/** The reply code of SOCKS4: 93 when it is about who the client is, 91 for everything else. */
export function socks4Reply(error: GatewayError): number {
  return error.code.startsWith('identity.') ? 0x5d : 0x5b
}
