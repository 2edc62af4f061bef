// Removes header fields that end at this proxy (RFC 9110 section 7.6.1), and the lab's own cookies, from flat lists of names
// and values; order and spelling stay.

import { valuesOf } from '../../http1/fields.ts'
import { tokensOf } from '../../http1/grammar.ts'

/** Fields of one connection, not of the message, in either direction (HH-01). */
const HOP_BY_HOP = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Fields a Connection field cannot remove: framing, host, authentication, the loop check (HH-02). */
const PROTECTED = new Set(['authorization', 'content-length', 'host', 'via', 'www-authenticate'])

/** Fields that are not accepted as trailers (RFC 9110 section 6.5.1). */
const NEVER_TRAILERS = new Set([
  ...HOP_BY_HOP,
  ...PROTECTED,
  'cache-control',
  'content-encoding',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'max-forwards',
  'range',
  'set-cookie',
])

/** The fields to forward, without those in `also` (lower-case names). */
export function endToEnd(fields: readonly string[], also: ReadonlySet<string>): string[] {
  const named = connectionOptions(fields)
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? ''
    const lower = name.toLowerCase()
    if (HOP_BY_HOP.has(lower) || also.has(lower) || named?.has(lower)) continue
    kept.push(name, fields[at + 1] ?? '')
  }
  return kept
}

/** The trailers to forward. */
export function allowedTrailers(fields: readonly string[]): string[] {
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? ''
    if (!NEVER_TRAILERS.has(name.toLowerCase())) kept.push(name, fields[at + 1] ?? '')
  }
  return kept
}

/** True when a comma-separated field contains this token (lower case). */
export function hasToken(values: readonly string[], token: string): boolean {
  return values.some((value) => tokensOf(value).includes(token))
}

/** The field names that Connection lists, without protected ones; undefined when it lists only keep-alive or close. */
function connectionOptions(fields: readonly string[]): ReadonlySet<string> | undefined {
  let named: Set<string> | undefined
  for (const value of valuesOf(fields, 'connection')) {
    const plain = value.toLowerCase()
    if (plain === 'keep-alive' || plain === 'close') continue
    named ??= new Set()
    for (const name of tokensOf(plain)) if (!PROTECTED.has(name)) named.add(name)
  }
  return named
}

// The two cookies the proxy sets on sites for browsers that sign in by a page. No cookie with the lab's prefix is
// forwarded, at any listener: cookies are not bound to ports, so a site on this machine would also receive those of the
// console.

/** Identifies the user, at one site. */
export const USER_COOKIE = 'egresslab_user'
/** Identifies the browser that was redirected to the sign-in page. */
export const NONCE_COOKIE = 'egresslab_nonce'

/** The lab's cookies of one request. */
export interface SignInCookies {
  readonly user?: string
  readonly nonce?: string
  /** all of the lab's cookies as one Cookie value, for the lab's own pages */
  readonly lab?: string
}

const NONE: SignInCookies = Object.freeze({})
const PREFIX = 'egresslab_'

/** Removes the lab's cookies from a flat list of field names and values, in place, and returns them. */
export function takeSignInCookies(fields: string[]): SignInCookies {
  let found: { user?: string; nonce?: string; lab?: string } | undefined
  for (let at = fields.length - 2; at >= 0; at -= 2) {
    const name = fields[at] ?? ''
    const value = fields[at + 1] ?? ''
    if (name.length !== 6 || name.toLowerCase() !== 'cookie' || !value.includes(PREFIX)) continue
    found ??= {}
    const kept: string[] = []
    for (const pair of value.split(';')) {
      const equals = pair.indexOf('=')
      const key = pair.slice(0, equals).trim()
      if (key === USER_COOKIE) found.user = pair.slice(equals + 1).trim()
      else if (key === NONCE_COOKIE) found.nonce = pair.slice(equals + 1).trim()
      if (!key.startsWith(PREFIX)) kept.push(pair)
      else found.lab = found.lab === undefined ? pair.trim() : `${found.lab}; ${pair.trim()}`
    }
    if (kept.length === 0) fields.splice(at, 2)
    else fields[at + 1] = kept.join(';').trimStart()
  }
  return found ?? NONE
}
