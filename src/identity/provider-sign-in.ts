// Sign-in by an OpenID provider (OpenID Connect Core 1.0, RFC 7636), and whoever is signed in: their role by the groups the provider
// names, asked for anew while they stay. What a browser holds between leaving and coming back is sealed and its own alone; what
// it holds afterwards is random. Renders no page.

import { createHash, randomBytes } from 'node:crypto'
import type { Configuration } from 'openid-client'
import { ROLES, type Role } from '../config/lab-state.ts'
import { isInTheClear, type OidcSettings } from '../config/read-api.ts'
import { messageOf } from '../errors/thrown.ts'
import { createSealer, KEY_BYTES } from './sign-in.ts'

/** how long somebody may take at the provider */
const AWAY_MS = 10 * 60_000
const TIMEOUT_S = 10
/** how far the provider's clock may be from this machine's, seconds */
const CLOCK_TOLERANCE_S = 30
/** a provider that does not answer vouches for nobody after so many times `recheck` */
const MISSED_CHECKS = 3
const MOST_SESSIONS = 1000
const MOST_OF_ONE = 20

/** Somebody who is signed in. Times are epoch ms of the machine. */
export interface SignedInPerson {
  /** of this sign-in */
  readonly session: string
  /** of the person, whatever their sign-in: the provider's `sub` */
  readonly id: string
  /** the email, else the name or the id at the provider */
  readonly name: string
  readonly role: Role
  readonly expiresAt: number
}

export interface ProviderSignIn {
  /** the provider's host, for people */
  readonly provider: string
  /** Where a browser is to go, and what it is to hold meanwhile. Rejects with a SignInError. */
  begin(to: string): Promise<{ readonly url: string; readonly secret: string }>
  /** Ends what {@link begin} began, with the query the provider sent the browser back with. Rejects with a SignInError. */
  finish(query: URLSearchParams, secret: string): Promise<{ readonly cookie: string; readonly to: string }>
  /** whose cookie this is */
  find(cookie: string): SignedInPerson | undefined
  isLive(session: string): boolean
  leave(cookie: string): void
  /** Calls back when somebody's sign-in is over, or their role another: what was allowed before may not be any more. */
  onChanged(listener: (session: string) => void): void
  /** people who are signed in */
  count(): number
  close(): void
}

/** Why somebody could not sign in; the message is a clause for them. */
export class SignInError extends Error {
  override readonly name = 'SignInError'
  readonly kind: 'stale' | 'refused' | 'no-role' | 'provider'

  constructor(kind: SignInError['kind'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.kind = kind
  }
}

export interface ProviderSignInOptions {
  readonly settings: OidcSettings
  /** where the provider sends browsers back to */
  readonly redirectUri: string
  readonly onNotice: (message: string) => void
  /** machine time, epoch ms */
  readonly now?: () => number
}

interface Session extends SignedInPerson {
  readonly subject: string
  readonly accessToken: string
  readonly refreshToken: string | undefined
  /** when the provider last vouched for them */
  readonly checkedAt: number
}

type Claims = Readonly<Record<string, unknown>>
type Client = typeof import('openid-client')

/** Talks to the provider when somebody wants in, and from then on. */
export function createProviderSignIn(options: ProviderSignInOptions): ProviderSignIn {
  const { settings, redirectUri, onNotice, now = Date.now } = options
  const provider = new URL(settings.issuer).host
  const sealer = createSealer(randomBytes(KEY_BYTES))
  const sessions = new Map<string, Session>()
  const listeners = new Set<(session: string) => void>()
  let known: Promise<{ client: Client; config: Configuration }> | undefined

  const reach = () => {
    known ??= discover(settings)
    // one that was down may be up the next time
    known.catch(() => {
      known = undefined
    })
    return known
  }
  const changed = (session: string) => {
    for (const tell of [...listeners]) tell(session)
  }
  const drop = (key: string) => {
    const session = sessions.get(key)
    sessions.delete(key)
    if (session !== undefined) changed(session.session)
  }
  const live = (key: string): Session | undefined => {
    const session = sessions.get(key)
    if (session === undefined || now() < session.expiresAt) return session
    drop(key)
    return undefined
  }
  const keep = (session: Session): string => {
    const ofOne = [...sessions].filter(([, { id }]) => id === session.id).map(([key]) => key)
    if (ofOne.length >= MOST_OF_ONE) drop(ofOne[0] ?? '')
    if (sessions.size >= MOST_SESSIONS) drop(sessions.keys().next().value ?? '')
    const cookie = randomBytes(32).toString('base64url')
    sessions.set(digest(cookie), session)
    return cookie
  }

  const recheck = async (key: string, session: Session): Promise<void> => {
    const outcome = await askAgain(await reach(), session, settings)
    if (sessions.get(key) !== session) return
    if (outcome.kind === 'gone') {
      onNotice(`${session.name} is signed out: ${outcome.why}`)
      drop(key)
      return
    }
    sessions.set(key, { ...session, ...outcome.tokens, role: outcome.role, checkedAt: now() })
    if (outcome.role !== session.role) {
      onNotice(`${session.name} is ${outcome.role} now, and was ${session.role}`)
      changed(session.session)
    }
  }
  const sweep = async (): Promise<void> => {
    for (const [key] of [...sessions]) {
      const session = live(key)
      if (session === undefined) continue
      try {
        await recheck(key, session)
      } catch (thrown) {
        if (now() - session.checkedAt < MISSED_CHECKS * settings.recheckMs || sessions.get(key) !== session) continue
        onNotice(`${session.name} is signed out: ${provider} does not answer (${messageOf(thrown)})`)
        drop(key)
      }
    }
  }
  let sweeping = Promise.resolve()
  const timer = setInterval(() => {
    sweeping = sweeping.then(sweep)
  }, settings.recheckMs).unref()

  return {
    provider,
    async begin(to) {
      const { client, config } = await reach().catch((thrown: unknown) => {
        throw unreachable(provider, thrown)
      })
      const [verifier, state, nonce] = [client.randomPKCECodeVerifier(), client.randomState(), client.randomNonce()]
      const url = client.buildAuthorizationUrl(config, {
        redirect_uri: redirectUri,
        scope: settings.scopes.join(' '),
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state,
        nonce,
        ...(settings.scopes.includes('offline_access') ? { prompt: 'consent' } : {}),
      })
      const secret = sealer.seal('provider', { verifier, state, nonce, to, until: now() + AWAY_MS })
      return { url: url.href, secret }
    },
    async finish(query, secret) {
      const note = sealer.open('provider', secret)
      if (note === undefined || Number(note.until) <= now() || query.get('state') !== note.state) {
        throw new SignInError('stale', 'this sign-in has expired or was begun in another browser or tab')
      }
      const said = query.get('error')
      if (said !== null) {
        const why = query.get('error_description') ?? said
        throw new SignInError('refused', `${provider} refused the sign-in: ${why.slice(0, 200)}`)
      }
      // anew: its keys may have changed since
      known = undefined
      const reached = await reach().catch((thrown: unknown) => {
        throw unreachable(provider, thrown)
      })
      const { subject, claims, ...tokens } = await exchange(reached, { note, query, redirectUri, provider })
      const role = roleOf(claims, settings)
      const name = nameOf(claims, subject)
      if (role === undefined) {
        throw new SignInError(
          'no-role',
          `${provider} knows you as ${name}, and none of your groups has a role in this lab`,
        )
      }
      const times = { checkedAt: now(), expiresAt: now() + settings.sessionMs }
      const session = randomBytes(16).toString('base64url')
      const cookie = keep({ session, id: subject, subject, name, role, ...tokens, ...times })
      return { cookie, to: String(note.to) }
    },
    find(cookie) {
      const found = cookie === '' ? undefined : live(digest(cookie))
      if (found === undefined) return undefined
      const { session, id, name, role, expiresAt } = found
      return { session, id, name, role, expiresAt }
    },
    isLive: (id) => [...sessions].some(([key, { session }]) => session === id && live(key) !== undefined),
    leave: (cookie) => drop(digest(cookie)),
    onChanged: (listener) => void listeners.add(listener),
    count: () => new Set([...sessions.values()].map(({ id }) => id)).size,
    close: () => {
      clearInterval(timer)
      sessions.clear()
    },
  }
}

/** Reads what the provider says of itself. */
async function discover({ issuer, clientId, clientSecret }: OidcSettings) {
  const client = await import('openid-client')
  const isPlain = issuer.startsWith('http:') && !isInTheClear(issuer)
  const config = await client.discovery(
    new URL(issuer),
    clientId,
    {
      [client.clockTolerance]: CLOCK_TOLERANCE_S,
      ...(clientSecret === undefined ? {} : { client_secret: clientSecret.reveal() }),
    },
    clientSecret === undefined ? client.None() : undefined,
    {
      timeout: TIMEOUT_S,
      // signatures are checked, though TLS vouches for the provider: keys that changed are noticed
      execute: [client.enableNonRepudiationChecks, ...(isPlain ? [client.allowInsecureRequests] : [])],
    },
  )
  return { client, config }
}

interface Coming {
  readonly note: Readonly<Record<string, unknown>>
  readonly query: URLSearchParams
  readonly redirectUri: string
  readonly provider: string
}

async function exchange(
  { client, config }: { client: Client; config: Configuration },
  { note, query, redirectUri, provider }: Coming,
) {
  const current = new URL(redirectUri)
  current.search = query.toString()
  try {
    const tokens = await client.authorizationCodeGrant(config, current, {
      pkceCodeVerifier: String(note.verifier),
      expectedState: String(note.state),
      expectedNonce: String(note.nonce),
      idTokenExpected: true,
    })
    const { sub: subject = '', ...own } = tokens.claims() ?? {}
    const more = await userInfo({ client, config }, tokens.access_token, subject)
    const [accessToken, refreshToken] = [tokens.access_token, tokens.refresh_token]
    return { subject, claims: { ...own, ...more } as Claims, accessToken, refreshToken }
  } catch (thrown) {
    if (isAnswer(client, thrown)) {
      throw new SignInError('refused', `${provider} refused the sign-in (${thrown.error})`, { cause: thrown })
    }
    throw unreachable(provider, thrown)
  }
}

async function userInfo(
  { client, config }: { client: Client; config: Configuration },
  token: string,
  subject: string,
): Promise<Claims> {
  if (config.serverMetadata().userinfo_endpoint === undefined) return {}
  return { ...(await client.fetchUserInfo(config, token, subject)) }
}

type CheckOutcome =
  | { readonly kind: 'gone'; readonly why: string }
  | { readonly kind: 'role'; readonly role: Role; readonly tokens: Pick<Session, 'accessToken' | 'refreshToken'> }

/** What the provider says of somebody now. Rejects where it does not answer. */
async function askAgain(
  { client, config }: { client: Client; config: Configuration },
  { accessToken, refreshToken, subject }: Session,
  settings: OidcSettings,
): Promise<CheckOutcome> {
  try {
    let tokens = { accessToken, refreshToken }
    let own: Claims = {}
    if (refreshToken !== undefined) {
      const fresh = await client.refreshTokenGrant(config, refreshToken)
      tokens = { accessToken: fresh.access_token, refreshToken: fresh.refresh_token ?? refreshToken }
      own = fresh.claims() ?? {}
    }
    const role = roleOf({ ...own, ...(await userInfo({ client, config }, tokens.accessToken, subject)) }, settings)
    return role === undefined
      ? { kind: 'gone', why: 'none of their groups has a role any more' }
      : { kind: 'role', role, tokens }
  } catch (thrown) {
    const isOver =
      thrown instanceof client.WWWAuthenticateChallengeError ||
      (isAnswer(client, thrown) && thrown.error === 'invalid_grant')
    if (!isOver) throw thrown
    return { kind: 'gone', why: 'the provider no longer vouches for them' }
  }
}

function isAnswer(client: Client, thrown: unknown): thrown is InstanceType<Client['ResponseBodyError']> {
  return thrown instanceof client.ResponseBodyError || thrown instanceof client.AuthorizationResponseError
}

/** The highest role of any of their groups. */
function roleOf(claims: Claims, { groupsClaim, roles }: OidcSettings): Role | undefined {
  const claimed = claims[groupsClaim]
  const groups = new Set(Array.isArray(claimed) ? claimed : [claimed])
  return ROLES.findLast((role) => roles[role].some((group) => group === '*' || groups.has(group)))
}

/** An address counts where the provider has seen to it that it is theirs. */
function nameOf(
  { email, email_verified: isVerified, preferred_username: user, name }: Claims,
  subject: string,
): string {
  const found = [isVerified === false ? undefined : email, user, name].find(
    (text) => typeof text === 'string' && text !== '',
  )
  // the provider's people may choose their names themselves, and terminals show them
  return (typeof found === 'string' ? found : subject).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\u{FFFD}').slice(0, 200)
}

function unreachable(provider: string, thrown: unknown): SignInError {
  const all = causesOf(thrown)
  const words = all.map(messageOf).join(': ')
  const isClock = /"(exp|iat|nbf)"|timestamp|expired|future/i.test(words)
  const why = isClock ? `its token is not valid at this machine's time; compare the clocks` : words.slice(0, 300)
  return new SignInError('provider', `${provider} cannot be used for signing in: ${why}`, { cause: thrown })
}

function causesOf(thrown: unknown): unknown[] {
  return thrown instanceof Error && thrown.cause instanceof Error ? [thrown, ...causesOf(thrown.cause)] : [thrown]
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
