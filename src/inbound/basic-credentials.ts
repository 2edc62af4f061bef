// Proxy-Authorization: Basic, decoded (RFC 7617). Decides nothing about who may come in.

import { GatewayError } from '../errors/gateway-error.ts'
import type { Credentials } from '../proxy/arrival.ts'

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

/** The user name and password in a Proxy-Authorization value, as UTF-8; the password may hold colons (AU-03).
 *  Throws `identity.rejected` for another scheme or anything that does not decode, without repeating it. */
export function parseBasicCredentials(value: string): Credentials {
  const match = /^basic +(\S+)$/i.exec(value.trim())
  const token = match?.[1]
  if (token === undefined) throw rejected('only the Basic scheme is accepted')
  if (!BASE64.test(token)) throw rejected('the credentials are not base64')
  const text = decode(Buffer.from(token, 'base64'))
  const colon = text.indexOf(':')
  if (colon < 0) throw rejected('the credentials have no colon between user name and password')
  return { username: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** UTF-8, or Latin-1 where the bytes are not UTF-8 (older clients). */
function decode(bytes: Buffer): string {
  try {
    return UTF8.decode(bytes)
  } catch {
    return bytes.toString('latin1')
  }
}

function rejected(why: string): GatewayError {
  return new GatewayError('identity.rejected', `the proxy credentials were not understood: ${why}`)
}
