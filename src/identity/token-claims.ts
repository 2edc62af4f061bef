// Converts the claims of a verified token into a user of the lab. The token takes precedence; what it lacks comes from
// the configured user with the same email, if there is one. The token must have been verified.

import type { JWTPayload } from 'jose'
import type { ConfiguredUser, IdentityProvider } from '../config/lab-config.ts'
import { stableUuid } from '../config/stable-id.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { UserGroup } from '../policy/flow.ts'
import type { Directory } from './directory.ts'

const MOST_GROUPS = 1000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const MAIL_ADDRESS = /^[^\s;:@]+@[^\s;:@]+$/

/** The user of a token; undefined if it has no email. */
export function userOfClaims(
  claims: JWTPayload,
  { claims: paths }: Pick<IdentityProvider, 'claims'>,
  directory: Directory,
): ConfiguredUser | undefined {
  const claimed = textAt(claims, paths.email)
  if (claimed === undefined || !MAIL_ADDRESS.test(claimed)) return undefined
  const email = canonicalEmail(claimed)
  const known = directory.userOf(email)
  const groups = valueAt(claims, paths.groups)
  const attributes = valueAt(claims, paths.samlAttributes)
  return {
    ...known,
    identity: {
      id: canonicalId(textAt(claims, paths.id)) ?? known?.identity.id ?? stableUuid('user', email),
      email,
      name: textAt(claims, paths.name) ?? known?.identity.name ?? claimed.slice(0, claimed.indexOf('@')),
      groups: groups === undefined ? (known?.identity.groups ?? []) : groupsOf(groups, directory),
      samlAttributes: attributes === undefined ? (known?.identity.samlAttributes ?? new Map()) : mapOf(attributes),
      oidcClaims: new Map([...(known?.identity.oidcClaims ?? []), ...oidcClaimsOf(claims, paths.oidcClaims)]),
    },
  }
}

/** Claims that say something of the token and not of the user (RFC 7519, OpenID Connect Core 1.0, Cloudflare Access). */
const PROTOCOL_CLAIMS: ReadonlySet<string> = new Set(
  'iss aud exp nbf iat jti nonce azp auth_time acr amr at_hash c_hash s_hash sid type identity_nonce'.split(' '),
)

/** The object of claims, else the token's own. */
function oidcClaimsOf(claims: JWTPayload, paths: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const own = Object.fromEntries(Object.entries(claims).filter(([name]) => !PROTOCOL_CLAIMS.has(name)))
  return mapOf(valueAt(claims, paths) ?? own)
}

function valueAt(claims: JWTPayload, paths: readonly string[]): unknown {
  for (const path of paths) {
    // a claim's name may itself contain dots, as a URL does
    const whole = own(claims, path)
    const value = whole ?? path.split('.').reduce<unknown>((inside, step) => own(inside, step), claims)
    if (value !== undefined && value !== null) return value
  }
  return undefined
}

function own(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Object(value)[key] : undefined
}

function textAt(claims: JWTPayload, paths: readonly string[]): string | undefined {
  const value = valueAt(claims, paths)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Names, or objects with `id`, `name` and `email` as Cloudflare Access sends them. A name of a configured group
 *  means that group. */
function groupsOf(value: unknown, directory: Directory): UserGroup[] {
  return [value]
    .flat()
    .slice(0, MOST_GROUPS)
    .flatMap((entry: unknown): UserGroup[] => {
      const text = (key: string) => (typeof own(entry, key) === 'string' ? String(own(entry, key)) : undefined)
      const name = typeof entry === 'string' ? entry : (text('name') ?? text('id') ?? text('email'))
      if (name === undefined || name === '') return []
      const known = directory.groupOf(name)
      const id = canonicalId(text('id')) ?? known?.id ?? stableUuid('group', name.toLowerCase())
      return [{ id, name: known?.name ?? name, email: canonicalEmail(text('email') ?? known?.email ?? '') }]
    })
}

/** UUIDs are compared without letter case, as in the configuration; other ids are kept unchanged. */
function canonicalId(text: string | undefined): string | undefined {
  return text !== undefined && UUID.test(text) ? text.toLowerCase() : text
}

/** Texts, numbers and booleans, one or several; whatever has members of its own has no text to compare. */
function mapOf(value: unknown): ReadonlyMap<string, readonly string[]> {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return new Map(
    entries.flatMap(([name, values]) => {
      const texts = [values].flat().filter((one) => one !== null && typeof one !== 'object')
      return texts.length === 0 ? [] : [[name, texts.map(String)] as const]
    }),
  )
}
