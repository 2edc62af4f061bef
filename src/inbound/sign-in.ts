// Sign-in by page at an identity endpoint: a browser that returns with a ticket gets a cookie, the cookie identifies it
// from then on, and a page request without one is redirected to the sign-in page instead of getting a 407. For plain
// HTTP only: the proxy cannot reply inside a tunnel.

import { randomBytes } from 'node:crypto'
import { GatewayError } from '../errors/gateway-error.ts'
import { valuesOf } from '../http1/fields.ts'
import { unmapIp } from '../net/ip.ts'
import type { Arrival } from '../proxy/arrival.ts'
import type { ForwardRequest } from './http-forward/forward-request.ts'
import { NONCE_COOKIE, USER_COOKIE } from './http-forward/hop-by-hop.ts'
import { answerEmpty, type Responder } from './http-forward/responder.ts'
import { isOwnHost, type OwnPages } from './own-pages.ts'

interface SignInContext {
  readonly listener: string
  readonly peer: string
  readonly host: string
  readonly nonce: string
}

/** The part of signing in that the lab implements. */
export interface SignInService {
  /** the path, on every site, where browsers return with a ticket */
  readonly returnPath: string
  /** how long a site's cookie lasts, seconds */
  readonly seconds: number
  /** The URL of the sign-in page, for a browser that requested `url`. */
  begin(context: SignInContext, url: string): string
  /** Exchanges a ticket for the site's cookie and the URL first requested; undefined when it is another browser's, or
   *  expired. */
  redeem(ticket: string, context: SignInContext): { readonly cookie: string; readonly url: string } | undefined
  /** The email address in a cookie; undefined when the cookie is not valid here. */
  whose(cookie: string, context: Omit<SignInContext, 'nonce'>): string | undefined
}

/** A redirect of the proxy's own, with the cookie it sets. */
export interface SignInResponse {
  readonly location: string
  readonly cookie: string
}

const NONCE = /^[\w-]{22}$/
const NONCE_SECONDS = 600

/** The arrival, signed in by its cookie if it has a valid one; or the response for a browser that returns with a
 *  ticket. Throws GatewayError `identity.sign_in_failed` for an invalid ticket. */
export function applySignIn(
  service: SignInService | undefined,
  arrival: Arrival,
  request: ForwardRequest,
): { readonly arrival: Arrival } | { readonly answer: SignInResponse } {
  if (service === undefined || !hasPage(arrival)) return { arrival }
  const context = contextOf(arrival, request.signIn.nonce ?? '')
  const ticket = ticketOf(service, request)
  if (ticket !== undefined) {
    const redeemed = NONCE.test(context.nonce) ? service.redeem(ticket, context) : undefined
    if (redeemed === undefined) throw failed()
    return { answer: { location: redeemed.url, cookie: setCookie(USER_COOKIE, redeemed.cookie, service.seconds) } }
  }
  const { user } = request.signIn
  const email = user === undefined || arrival.credentials !== undefined ? undefined : service.whose(user, context)
  return { arrival: email === undefined ? arrival : { ...arrival, signedInAs: email } }
}

/** absent: no listener has a sign-in page; the lab has no API */
interface SignInSettings {
  readonly signIn?: SignInService | undefined
  readonly ownPages?: OwnPages | undefined
}

/** The redirect to the sign-in page for a browser that was refused with `identity.required`; undefined: it gets the
 *  refusal. */
export function offerSignIn(
  { signIn: service, ownPages }: SignInSettings,
  arrival: Arrival,
  request: ForwardRequest,
  error: GatewayError,
): SignInResponse | undefined {
  if (service === undefined || error.code !== 'identity.required' || !hasPage(arrival)) return undefined
  if (isOwnHost(ownPages, request.target)) return undefined
  if (request.method !== 'GET' || request.upgrade !== undefined || !wantsPage(request)) return undefined
  const { nonce: held = '' } = request.signIn
  const nonce = NONCE.test(held) ? held : randomBytes(16).toString('base64url')
  const location = service.begin(contextOf(arrival, nonce), `http://${request.host}${request.path}`)
  return { location, cookie: setCookie(NONCE_COOKIE, nonce, NONCE_SECONDS) }
}

/** Sends a redirect of {@link applySignIn} or {@link offerSignIn}. */
export function respondSignIn(responder: Responder, { location, cookie }: SignInResponse): void {
  const fields = [
    'Location',
    location,
    'Set-Cookie',
    cookie,
    'Cache-Control',
    'no-store',
    'Referrer-Policy',
    'no-referrer',
  ]
  answerEmpty(responder, 302, 'Found', fields)
}

function hasPage({ listener }: Arrival): boolean {
  return listener.endpoint?.signIn === 'page'
}

function contextOf({ listener, peer, target }: Arrival, nonce: string): SignInContext {
  const host = target.kind === 'name' ? target.name : target.ip.text
  return { listener: listener.name, peer: unmapIp(peer.ip).text, host, nonce }
}

function ticketOf({ returnPath }: SignInService, { method, path }: ForwardRequest): string | undefined {
  const start = `${returnPath}?ticket=`
  return method === 'GET' && path.startsWith(start) ? path.slice(start.length) : undefined
}

/** True for a page navigation: the browser accepts HTML, and Sec-Fetch-Dest, if sent, is `document`. */
function wantsPage({ fields }: ForwardRequest): boolean {
  const takesHtml = valuesOf(fields, 'accept').some((value) => /\btext\/html\b/i.test(value))
  const [destination = 'document'] = valuesOf(fields, 'sec-fetch-dest')
  return takesHtml && destination === 'document'
}

function setCookie(name: string, value: string, seconds: number): string {
  return `${name}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax`
}

function failed(): GatewayError {
  const why = 'the sign-in could not be completed: it took too long, or the browser blocks cookies; open the page again'
  return new GatewayError('identity.sign_in_failed', why)
}
