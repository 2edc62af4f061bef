// Which header fields end at this proxy (RFC 9110 section 7.6.1), on flat lists of names and values in their order and
// spelling. Knows no sockets.

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

/** What a Connection field cannot take away, whatever it names: framing, host, authentication, our loop check (HH-02). */
const PROTECTED = new Set(['authorization', 'content-length', 'host', 'via', 'www-authenticate'])

/** What a trailer section cannot bring in after the fact (RFC 9110 section 6.5.1). */
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

/** The fields of this message that go on to the next hop, without those in `also` (lower-case names). */
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

/** The trailer fields that may go on. */
export function allowedTrailers(fields: readonly string[]): string[] {
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? ''
    if (!NEVER_TRAILERS.has(name.toLowerCase())) kept.push(name, fields[at + 1] ?? '')
  }
  return kept
}

/** Does a comma-separated field hold this token? */
export function hasToken(values: readonly string[], token: string): boolean {
  return values.some((value) => tokensOf(value).includes(token))
}

/** The names a Connection field nominates, without protected ones; undefined where there is nothing beside the usual. */
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
