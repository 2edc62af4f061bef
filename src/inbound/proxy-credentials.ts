// Parses Proxy-Authorization: Basic (RFC 7617) or Bearer (RFC 6750). Decides nothing about access.

import { isUtf8 } from 'node:buffer'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Credentials } from '../proxy/arrival.ts'

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/
/** `;src=2001`, of `;src=2001:db8::7:password`: the first colon ends the user name (RFC 7617 section 2) */
const CUT_ADDRESS = /;src=\[?[0-9a-f]{0,4}$/i
const COLONS =
  'the user name ends in the middle of an IPv6 address: write its colons `%3A`, and `%253A` where the client decodes once, as curl does'
const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/

/** The user name and password in a Proxy-Authorization value, as UTF-8; the password may contain colons (AU-03). A
 *  Bearer token is a password with an empty user name. Throws GatewayError `identity.rejected` for another scheme or a
 *  malformed value, without quoting it. */
export function parseProxyCredentials(value: string): Credentials {
  const trimmed = value.trim()
  const blank = trimmed.indexOf(' ')
  const scheme = trimmed.slice(0, Math.max(0, blank)).toLowerCase()
  if (scheme !== 'basic' && scheme !== 'bearer') throw rejected('only the Basic and Bearer schemes are accepted')
  const text = trimmed.slice(blank).trimStart()
  if (scheme === 'bearer') {
    if (!TOKEN68.test(text)) throw rejected('the Bearer token contains invalid characters')
    return { username: '', password: text, scheme }
  }
  if (!BASE64.test(text)) throw rejected('the credentials are not base64')
  const pair = decode(Buffer.from(text, 'base64'))
  const colon = pair.indexOf(':')
  if (colon < 0) throw rejected('the credentials have no colon between user name and password')
  const username = pair.slice(0, colon)
  if (CUT_ADDRESS.test(username)) throw rejected(COLONS)
  return { username, password: pair.slice(colon + 1) }
}

/** UTF-8, or Latin-1 where the bytes are not UTF-8 (older clients). */
function decode(bytes: Buffer): string {
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')
}

function rejected(why: string): GatewayError {
  return new GatewayError('identity.rejected', `the proxy credentials are malformed: ${why}`)
}

/** The error for a request without credentials on a connection that a 407 left open; it closes the connection. */
export function credentialsStillMissing(): GatewayError {
  return new GatewayError('identity.required', 'no credentials after 407')
}

const MAX_SHOWN = 120

/** An authority for error messages: `user:password@host:80` as `***@host:80`; truncated to 120 characters. */
export function showAuthority(authority: string): string {
  const at = authority.lastIndexOf('@')
  return (at < 0 ? authority : `***${authority.slice(at)}`).slice(0, MAX_SHOWN)
}
