// Who may come in (AP-01, AP-03): no field twice that is judged, and the token or a user's own credentials. Every refusal of
// credentials is the same answer, after the same comparison.

import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Role } from '../config/lab-state.ts'
import type { ProviderSignIn } from '../identity/provider-sign-in.ts'
import type { AccessToken, AccessTokens } from '../store/access-tokens.ts'
import { requestError } from './api-error.ts'
import type { TokenPort } from './ports.ts'
import type { LabSite } from './request-site.ts'

/** Name of the cookie that a browser on the lab's own pages may hold instead of the token. Cookies know no ports and few paths, labs on
 *  one host do: both are part of the name. Over TLS the browser itself sees to it that nobody else has set it (`__Host-`). */
export function sessionCookieName({ origin, base }: LabSite): string {
  const port = /:(\d+)$/.exec(origin)?.[1] ?? (isSecure(origin) ? '443' : '80')
  return `${isSecure(origin) ? '__Host-' : ''}egresslab_session_${port}${base.replaceAll('/', '_')}`
}

/** Is what the lab says there protected on its way? */
export function isSecure(origin: string): boolean {
  return origin.startsWith('https:')
}

/** What the gate and the body are judged by: of two such fields one would be judged and the other one meant. */
const SINGLE_FIELDS: ReadonlySet<string> = new Set([
  'host',
  'authorization',
  'x-auth-email',
  'x-auth-key',
  'origin',
  'sec-fetch-site',
  'content-type',
  'content-encoding',
  'if-match',
])

/** Throws ApiError where a field that must come once comes again (RFC 9112 section 3.2, RFC 9110 section 5.3). `rawHeaders`: names and
 *  values in turn, as they came. */
export function checkSingle(rawHeaders: readonly string[]): void {
  const seen = new Set<string>()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase()
    if (!SINGLE_FIELDS.has(name)) continue
    if (seen.has(name)) throw requestError('invalidField', `the field \`${name}\` is given twice`)
    seen.add(name)
  }
}

/** Whoever a token or a sign-in stands for. */
export interface Principal {
  readonly kind: 'token' | 'person'
  /** the token's, or the person's at the provider */
  readonly id: string
  /** of a person's sign-in */
  readonly session?: string
  readonly name: string
  readonly role: Role
  /** epoch ms of the machine; null: never */
  readonly expiresAt: number | null
}

/** The lab's own token, from its state folder or EGRESSLAB_API_TOKEN. */
export const OWNER: Principal = { kind: 'token', id: 'api-token', name: 'api-token', role: 'admin', expiresAt: null }

export interface Tokens {
  readonly token: TokenPort
  readonly tokens: AccessTokens
  readonly provider?: Pick<ProviderSignIn, 'find'>
}

/** Whose token the request carries, in any of the ways Cloudflare's clients send theirs; undefined: nobody's. */
export function principalOf(
  headers: IncomingHttpHeaders,
  cookieName: string,
  { token, tokens, provider }: Tokens,
): Principal | undefined {
  const expected = token.current()
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1] ?? ''
  const key = typeof headers['x-auth-key'] === 'string' && headers['x-auth-email'] ? headers['x-auth-key'] : ''
  const cookie = cookieOf(headers, cookieName)
  // all three are compared, whichever was sent, so that the time taken reveals nothing
  const byBearer = equalSecrets(bearer, expected)
  const byKey = equalSecrets(key, expected)
  const byCookie = equalSecrets(cookie, consoleSessionOf(expected))
  if (byBearer || byKey || byCookie) return OWNER
  const named = tokens.find({ text: bearer }) ?? tokens.find({ text: key }) ?? tokens.find({ cookie })
  if (named !== undefined) return principalFor(named)
  const person = provider?.find(cookie)
  return person === undefined ? undefined : { kind: 'person', ...person }
}

/** Whose token this is. */
export function ownerOf(text: string, { token, tokens }: Omit<Tokens, 'provider'>): Principal | undefined {
  return equalSecrets(text, token.current()) ? OWNER : principalFor(tokens.find({ text }))
}

function principalFor(found: AccessToken | undefined): Principal | undefined {
  if (found === undefined) return undefined
  const { id, name, role, expiresAt } = found
  return { kind: 'token', id, name, role, expiresAt }
}

/** What the session cookie holds for this token; a new token makes every old cookie worthless. */
export function consoleSessionOf(token: string): string {
  return createHash('sha256').update(`egresslab session ${token}`).digest('base64url')
}

/** User name and password of Basic credentials (RFC 7617), as sent: choices behind the name are whoever checks it's to judge. */
export function basicCredentials(headers: IncomingHttpHeaders): { user: string; password: string } | undefined {
  const encoded = /^Basic +([\w+/=-]+) *$/i.exec(headers.authorization ?? '')?.[1]
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) return undefined
  return { user: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** Constant time in the contents, whatever the lengths. */
export function equalSecrets(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

/** The value of a cookie of this name; '' where there is none. */
export function cookieOf({ cookie = '' }: IncomingHttpHeaders, wanted: string): string {
  for (const pair of cookie.split(';')) {
    const at = pair.indexOf('=')
    if (pair.slice(0, at).trim() === wanted) return pair.slice(at + 1).trim()
  }
  return ''
}
