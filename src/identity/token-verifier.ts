// A token (JWT, RFC 7519) in, its user out. The library checks signature, issuer, audience and time; this selects the
// provider, with its keys and rules, by the issuer that the token names. A client only learns that the credentials are
// wrong; the reason is logged.

import { createHash } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import { lru } from 'tiny-lru'
import type { ConfiguredUser, IdentityProvider } from '../config/lab-config.ts'
import { stableUuid } from '../config/names.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { UserGroup } from '../policy/flow.ts'
import type { Directory } from './directory.ts'
import { wrongCredentials } from './password-verifier.ts'
import { shown } from './user-name.ts'

const MOST_REMEMBERED = 10_000
const MOST_CHARACTERS = 16 * 1024
/** Longest password of SOCKS5 (RFC 1929). */
const SOCKS_PASSWORD = 255
/** JSON that begins with `{"`, in base64url, followed by two more parts or the beginning of them. */
const TOKEN = /^eyJ[\w-]*(\.[\w-]*)*$/

export interface TokenVerifier {
  /** Whether this is a token rather than a password. Never without a configured provider. */
  takes(password: string): boolean
  /** The user of a token; synchronous if it was verified before and has not expired. `email`: the user the client
   *  claims to be; empty for none. Throws or rejects with `identity.rejected` or `identity.keys_unavailable`. */
  verify(token: string, email: string): ConfiguredUser | Promise<ConfiguredUser>
}

export interface TokenVerifierParts {
  readonly providers: readonly IdentityProvider[]
  readonly directory: Directory
  /** the keys of a provider */
  readonly keysOf: (provider: IdentityProvider) => JWTVerifyGetKey
  /** lab time, epoch ms */
  readonly now: () => number
}

interface VerifiedToken {
  readonly user: ConfiguredUser
  readonly notBefore: number
  readonly expires: number
}

/** Creates the verifier of tokens (JWT, RFC 7519) of these providers. */
export function createTokenVerifier({ providers, directory, keysOf, now }: TokenVerifierParts): TokenVerifier {
  const known = lru<VerifiedToken>(MOST_REMEMBERED)

  async function check(token: string): Promise<VerifiedToken> {
    const provider = providerOf(token, providers)
    const claims = await verified(token, provider, keysOf(provider), now())
    const user = userOfClaims(claims, provider, directory)
    if (user === undefined) throw refused(`it has no email in \`${provider.claims.email.join('`, `')}\``)
    const { nbf = 0, exp = 0 } = claims
    return { user, notBefore: nbf * 1000 - provider.clockSkewMs, expires: exp * 1000 + provider.clockSkewMs }
  }

  return {
    takes: (password) => providers.length > 0 && TOKEN.test(password),
    verify(token, email) {
      const hash = createHash('sha256').update(token).digest('base64')
      const before = known.get(hash)
      if (before !== undefined && now() >= before.notBefore && now() < before.expires) return own(before.user, email)
      if (!takesSize(token)) throw refused(`it is longer than ${MOST_CHARACTERS} characters`)
      return check(token).then((found) => {
        known.set(hash, found)
        return own(found.user, email)
      })
    },
  }
}

function takesSize(token: string): boolean {
  return token.length <= MOST_CHARACTERS
}

/** A token is valid for its own user only, whatever the user name says. */
function own(user: ConfiguredUser, email: string): ConfiguredUser {
  if (email === '' || email === user.identity.email) return user
  throw refused(`it is the token of ${shown(user.identity.email)} and not of ${shown(email)}`)
}

/** By issuer; among several with one issuer, the one whose audience the token names. Nothing in the token is
 *  verified yet. */
function providerOf(token: string, providers: readonly IdentityProvider[]): IdentityProvider {
  const { iss, aud } = claimed(token)
  const sameIssuer = providers.filter(({ issuer }) => issuer === iss)
  const named: unknown[] = [aud].flat()
  const found = sameIssuer.find(({ audiences }) => audiences.some((one) => named.includes(one))) ?? sameIssuer[0]
  if (found === undefined) throw refused(`its issuer, ${shown(String(iss))}, is not a configured identity provider`)
  return found
}

function claimed(token: string): JWTPayload {
  try {
    return decodeJwt(token)
  } catch {
    const isCut = token.length === SOCKS_PASSWORD
    const why = isCut
      ? `it is cut off: a SOCKS5 password holds ${SOCKS_PASSWORD} bytes at most`
      : 'it is not a signed JWT'
    throw refused(why)
  }
}

async function verified(
  token: string,
  { issuer, audiences, algorithms, clockSkewMs }: IdentityProvider,
  keys: JWTVerifyGetKey,
  now: number,
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience: [...audiences],
      algorithms: [...algorithms],
      clockTolerance: clockSkewMs / 1000,
      currentDate: new Date(now),
      requiredClaims: ['exp'],
    })
    return payload
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw thrown
    throw refused(reasonOf(thrown, token))
  }
}

function reasonOf(thrown: unknown, token: string): string {
  if (thrown instanceof errors.JWTExpired) return `it expired at ${instant(thrown.payload.exp)}`
  if (thrown instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason, payload } = thrown
    if (reason === 'missing') return `it has no claim \`${claim}\``
    if (claim === 'aud') return `its audience, ${shown(String(payload.aud))}, is not that of the identity provider`
    if (claim === 'nbf') return `it is not valid before ${instant(payload.nbf)}`
    return `its claim \`${claim}\` is invalid`
  }
  if (thrown instanceof errors.JOSEAlgNotAllowed) return `its algorithm, ${shown(header(token, 'alg'))}, is not allowed`
  if (thrown instanceof errors.JWSSignatureVerificationFailed) return 'its signature does not verify'
  if (thrown instanceof errors.JWKSNoMatchingKey) {
    return `the identity provider has no key ${shown(header(token, 'kid'))} for ${shown(header(token, 'alg'))}`
  }
  if (thrown instanceof errors.JWKSMultipleMatchingKeys) return 'it has no `kid`, and several keys fit'
  return `it cannot be verified (${thrown instanceof errors.JOSEError ? thrown.code : 'the key cannot be used'})`
}

function instant(seconds: unknown): string {
  const date = new Date(Number(seconds) * 1000)
  return Number.isNaN(date.getTime()) ? 'no time at all' : date.toISOString()
}

function header(token: string, name: 'alg' | 'kid'): string {
  try {
    return String(decodeProtectedHeader(token)[name])
  } catch {
    return ''
  }
}

function refused(why: string): GatewayError {
  return wrongCredentials(`the token was refused: ${why}`)
}

// Claims of a verified token as a user of the lab. The token takes precedence; what it lacks comes from the configured user
// with the same email, if there is one.

const MOST_GROUPS = 1000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const MAIL_ADDRESS = /^[^\s;:@]+@[^\s;:@]+$/

/** The user of a token; undefined if it has no email. */
function userOfClaims(
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
    const whole = ownValue(claims, path)
    const value = whole ?? path.split('.').reduce<unknown>((inside, step) => ownValue(inside, step), claims)
    if (value !== undefined && value !== null) return value
  }
  return undefined
}

function ownValue(value: unknown, key: string): unknown {
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
      const text = (key: string) =>
        typeof ownValue(entry, key) === 'string' ? String(ownValue(entry, key)) : undefined
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
