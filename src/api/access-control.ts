// Who may do what, how often and how long: the one place where roles, rate limits, sign-ins and event streams are judged, for the
// API, the console and its streams alike. Timed by the machine's clock, which nobody moves from here.

import type { IncomingMessage } from 'node:http'
import { ROLES, type Role } from '../config/lab-state.ts'
import { counted } from '../errors/counted.ts'
import { parseIp, unmapIp } from '../net/ip.ts'
import { ApiError, requestError, WORDED_CODES } from './api-error.ts'
import { basicCredentials, OWNER, ownerOf, type Principal, principalOf, sessionCookieName } from './authentication.ts'
import { createRateLimiter } from './lab/simulated-rate-limit.ts'
import type { ApiPorts } from './ports.ts'
import type { Client, LabSite } from './request-site.ts'
import type { SendEvent, StreamResponse } from './response.ts'
import type { RateLimiter, Route } from './router.ts'

export interface AccessLimits {
  /** of one named token; 0: no limit */
  readonly requestsPerMinute?: number
  /** event streams that one token may have open at one time */
  readonly streamsPerToken?: number
}

/** Where a request came from, and by which address. */
export interface RequestOrigin {
  readonly client: Client
  readonly site: LabSite
}

/** Who called. */
export interface Caller {
  /** on routes for tokens */
  readonly principal?: Principal
  /** the email, on routes for users; '' elsewhere */
  readonly user: string
  /** what stood behind the user name: choices for connections */
  readonly choices: string
  /** they proved it with; '' elsewhere. Never to be shown or logged. */
  readonly password: string
}

export interface AccessControl {
  /** Who calls this route (undefined: one that does not exist). Throws ApiError: 401 for nobody, 403 for a role that may not, 429. */
  admit(request: IncomingMessage, route: Route | undefined, from: RequestOrigin): Promise<Caller>
  /** Whose token a sign-in form gave. Throws ApiError 401, and 429 after many wrong ones from this address. */
  signIn(text: string, peer: string): Principal
  /** The same stream for as long as its token is good. Throws ApiError 429 when this token has too many open. */
  guardStream(stream: StreamResponse, principal: Principal): StreamResponse
  counts(): AccessCounts
}

export interface AccessCounts {
  /** open event streams by the name of their token */
  readonly streams: ReadonlyMap<string, number>
  /** refused so far, by reason */
  readonly refused: Readonly<Record<Refusal, number>>
}

type Refusal = 'credentials' | 'role' | 'rate' | 'streams' | 'sign_in'

const REQUESTS_PER_MINUTE = 6000
const STREAMS_PER_TOKEN = 32
/** wrong tokens in the sign-in form, from one address in a minute */
const WRONG_SIGN_INS = 10
const MINUTE_MS = 60_000
/** addresses whose wrong sign-ins are remembered */
const MOST_ADDRESSES = 10_000
/** what a timer can hold */
const LONGEST_TIMER_MS = 2 ** 31 - 1

function whoIs({ kind, name }: Principal): string {
  return kind === 'token' ? `the token \`${name}\`` : name
}

const NOBODY: Caller = { user: '', choices: '', password: '' }

interface OpenStream {
  readonly principal: Principal
  readonly end: (reason: string) => void
}

/** The role a route needs, where it needs a token: viewers read, admins change, unless the route says otherwise. */
export function roleFor({ method, role }: Pick<Route, 'method' | 'role'>): Role {
  return role ?? (method === 'GET' ? 'viewer' : 'admin')
}

/** May somebody of this role do what needs that one? */
export function isAllowed(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed)
}

/** Decides who may call which route, by token, console session or proxy password, and keeps each token to its
 *  requests a minute and open streams. What it makes throws ApiError 401, 403 or 429. */
export function createAccessControl(ports: ApiPorts, limits: AccessLimits = {}): AccessControl {
  const { requestsPerMinute = REQUESTS_PER_MINUTE, streamsPerToken = STREAMS_PER_TOKEN } = limits
  const refused: Record<Refusal, number> = { credentials: 0, role: 0, rate: 0, streams: 0, sign_in: 0 }
  const limiters = new Map<string, RateLimiter>()
  const wrong = new Map<string, { since: number; count: number }>()
  const streams = new Set<OpenStream>()
  const isLive = ({ id, session }: Principal) =>
    session === undefined ? id === OWNER.id || ports.tokens.isLive(id) : ports.provider?.isLive(session) === true

  const endStreamsOf = (id: string, reason = 'the token was revoked') => {
    for (const { principal, end } of [...streams]) if ((principal.session ?? principal.id) === id) end(reason)
  }
  ports.tokens.onRevoked((id) => {
    limiters.delete(id)
    endStreamsOf(id)
  })
  ports.token.onRotated(() => endStreamsOf(OWNER.id))
  ports.provider?.onChanged((session) => endStreamsOf(session, 'the sign-in has ended, or its role has changed'))

  const refuse = (reason: Refusal, error: ApiError): never => {
    refused[reason]++
    throw error
  }
  const takeTurn = ({ kind, id }: Principal) => {
    // a person's id is the provider's, and may be anything
    if ((kind === 'token' && id === OWNER.id) || requestsPerMinute === 0) return
    const limiter = limiters.get(id) ?? createRateLimiter()
    limiter.limit = { requests: requestsPerMinute, seconds: 60 }
    limiters.set(id, limiter)
    try {
      limiter.take(Date.now())
    } catch (thrown) {
      refused.rate++
      throw thrown
    }
  }

  return {
    async admit(request, route, { client, site }) {
      const access = route?.access ?? 'token'
      if (access === 'open') return NOBODY
      if (access === 'local' && client.isLocal) return NOBODY
      if (access === 'user') {
        const { user, password } = basicCredentials(request.headers) ?? NOBODY
        const email = await ports.checkUser(user, password, client.address)
        if (email === undefined) return refuse('credentials', requestError('authentication'))
        return { user: email, choices: user.split(';').slice(1).join(';'), password }
      }
      const principal = principalOf(request.headers, sessionCookieName(site), ports)
      if (principal === undefined) return refuse('credentials', requestError('authentication'))
      takeTurn(principal)
      const needed = route === undefined ? 'viewer' : roleFor(route)
      if (!isAllowed(principal.role, needed)) {
        const message = `${whoIs(principal)} has the role ${principal.role}, and this needs ${needed}`
        return refuse('role', requestError('role', message))
      }
      return { ...NOBODY, principal }
    },

    signIn(text, client) {
      const now = Date.now()
      const peer = networkOf(client)
      const before = wrong.get(peer)
      const known = before !== undefined && now - before.since < MINUTE_MS && now >= before.since ? before : undefined
      if (known !== undefined && known.count >= WRONG_SIGN_INS) {
        const wait = Math.ceil((known.since + MINUTE_MS - now) / 1000)
        return refuse('sign_in', tooMany(`too many wrong tokens from this address; try again in ${wait} s`, wait))
      }
      const principal = ownerOf(text, ports)
      if (principal !== undefined) return principal
      wrong.delete(peer)
      if (wrong.size >= MOST_ADDRESSES) wrong.delete(wrong.keys().next().value ?? '')
      wrong.set(peer, { since: known?.since ?? now, count: (known?.count ?? 0) + 1 })
      return refuse('credentials', requestError('authentication'))
    },

    guardStream({ kind, start }, principal) {
      const open = [...streams].filter(
        (stream) => stream.principal.id === principal.id && stream.principal.kind === principal.kind,
      ).length
      if (open >= streamsPerToken) {
        const have = `${whoIs(principal)} has ${counted(open, 'event stream')} open, and ${streamsPerToken} are allowed`
        return refuse('streams', tooMany(`${have}; close one`, 1))
      }
      return {
        kind,
        start: (send, end) => {
          const finish = (reason: string) => {
            send('ended', { reason })
            end()
          }
          const stream = { principal, end: finish }
          streams.add(stream)
          const checked: SendEvent = (event, data, id) => {
            if (isLive(principal)) return send(event, data, id)
            finish(`the ${principal.kind === 'token' ? 'token' : 'sign-in'} is no longer valid`)
            return false
          }
          const stop = start(checked, end)
          const left = principal.expiresAt === null ? Number.POSITIVE_INFINITY : principal.expiresAt - Date.now()
          const expiry =
            left > LONGEST_TIMER_MS
              ? undefined
              : setTimeout(
                  () => finish(`the ${principal.kind === 'token' ? 'token' : 'sign-in'} has expired`),
                  Math.max(0, left),
                ).unref()
          return () => {
            clearTimeout(expiry)
            streams.delete(stream)
            stop()
          }
        },
      }
    },

    counts() {
      const byName = new Map<string, number>()
      for (const { principal } of streams) byName.set(principal.name, (byName.get(principal.name) ?? 0) + 1)
      return { streams: byName, refused: { ...refused } }
    },
  }
}

/** Whom an address stands for: of IPv6 a person has a whole network. */
function networkOf(address: string): string {
  const parsed = parseIp(address)
  if (parsed === undefined) return address
  const { family, words, text } = unmapIp(parsed)
  return family === 4
    ? text
    : words
        .slice(0, 2)
        .map((word) => word.toString(16))
        .join(':')
}

function tooMany(message: string, seconds: number): ApiError {
  return new ApiError(429, [{ code: WORDED_CODES.tooManyRequests, message }], {
    'retry-after': String(seconds),
    'x-should-retry': 'true',
  })
}
