// Browsers at an identity endpoint with a sign-in page: who comes back with a ticket gets a cookie, who holds the cookie is known by it,
// and a navigation of somebody unknown is sent to the page instead of being answered 407. Only plain HTTP: in a tunnel nothing can be said.

import { randomBytes } from 'node:crypto'
import { GatewayError } from '../errors/gateway-error.ts'
import { valuesOf } from '../http1/fields.ts'
import { unmapIp } from '../net/ip.ts'
import type { Arrival } from '../proxy/arrival.ts'
import type { ForwardRequest } from './http-forward/forward-request.ts'
import { answerEmpty, type Responder } from './http-forward/responder.ts'
import { isOwnHost, type OwnPages } from './own-pages.ts'
import { NONCE_COOKIE, USER_COOKIE } from './sign-in-cookies.ts'

interface Visit {
  readonly listener: string
  readonly peer: string
  readonly host: string
  readonly nonce: string
}

/** What the proxy needs of signing in. */
export interface SignInDoor {
  /** path, on every site, where browsers come back with a ticket */
  readonly returnPath: string
  /** how long a site's cookie lasts, seconds */
  readonly seconds: number
  /** The address of the page, for a browser that wanted `url`. */
  begin(visit: Visit, url: string): string
  /** A ticket for the site's cookie and the page wanted; undefined where it is not this browser's, or too late. */
  redeem(ticket: string, visit: Visit): { readonly cookie: string; readonly url: string } | undefined
  /** The mail address of whoever holds this cookie. */
  whose(cookie: string, visit: Omit<Visit, 'nonce'>): string | undefined
}

/** An answer of the proxy itself; `fields` without framing. */
export interface SignInAnswer {
  readonly location: string
  readonly cookie: string
}

const NONCE = /^[\w-]{22}$/
const NONCE_SECONDS = 600

/** The arrival with whoever its cookie says it is, or the answer to a browser that comes back with a ticket. Throws
 *  `identity.sign_in_failed` where the ticket is not good. */
export function enterBySignIn(
  door: SignInDoor | undefined,
  arrival: Arrival,
  request: ForwardRequest,
): { readonly arrival: Arrival } | { readonly answer: SignInAnswer } {
  if (door === undefined || !hasPage(arrival)) return { arrival }
  const visit = visitOf(arrival, request.signIn.nonce ?? '')
  const ticket = ticketOf(door, request)
  if (ticket !== undefined) {
    const redeemed = NONCE.test(visit.nonce) ? door.redeem(ticket, visit) : undefined
    if (redeemed === undefined) throw failed()
    return { answer: { location: redeemed.url, cookie: setCookie(USER_COOKIE, redeemed.cookie, door.seconds) } }
  }
  const { user } = request.signIn
  const email = user === undefined || arrival.credentials !== undefined ? undefined : door.whose(user, visit)
  return { arrival: email === undefined ? arrival : { ...arrival, signedInAs: email } }
}

/** absent: no listener has a sign-in page; there is no API whose pages could be asked for */
interface SignInSettings {
  readonly signIn?: SignInDoor | undefined
  readonly ownPages?: OwnPages | undefined
}

/** Where to send a browser that was refused because nobody knows who it is; undefined: it gets the refusal. */
export function offerSignIn(
  { signIn: door, ownPages }: SignInSettings,
  arrival: Arrival,
  request: ForwardRequest,
  error: GatewayError,
): SignInAnswer | undefined {
  if (door === undefined || error.code !== 'identity.required' || !hasPage(arrival)) return undefined
  if (isOwnHost(ownPages, request.target)) return undefined
  if (request.method !== 'GET' || request.upgrade !== undefined || !wantsPage(request)) return undefined
  const { nonce: held = '' } = request.signIn
  const nonce = NONCE.test(held) ? held : randomBytes(16).toString('base64url')
  const location = door.begin(visitOf(arrival, nonce), `http://${request.host}${request.path}`)
  return { location, cookie: setCookie(NONCE_COOKIE, nonce, NONCE_SECONDS) }
}

export function answerSignIn(responder: Responder, { location, cookie }: SignInAnswer): void {
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

function visitOf({ listener, peer, target }: Arrival, nonce: string): Visit {
  const host = target.kind === 'name' ? target.name : target.ip.text
  return { listener: listener.name, peer: unmapIp(peer.ip).text, host, nonce }
}

function ticketOf({ returnPath }: SignInDoor, { method, path }: ForwardRequest): string | undefined {
  const start = `${returnPath}?ticket=`
  return method === 'GET' && path.startsWith(start) ? path.slice(start.length) : undefined
}

/** Somebody looks at a page: a browser asks for HTML, and where it tells what for, for a document of its own. */
function wantsPage({ fields }: ForwardRequest): boolean {
  const takesHtml = valuesOf(fields, 'accept').some((value) => /\btext\/html\b/i.test(value))
  const [destination = 'document'] = valuesOf(fields, 'sec-fetch-dest')
  return takesHtml && destination === 'document'
}

function setCookie(name: string, value: string, seconds: number): string {
  return `${name}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax`
}

function failed(): GatewayError {
  const why =
    'the sign-in could not be completed: it took too long, or the browser keeps no cookies; open the page again'
  return new GatewayError('identity.sign_in_failed', why)
}
