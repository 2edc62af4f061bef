// Signing in by a page, for browsers at an identity endpoint. The proxy sends a browser to the page with a sealed note of where it wanted
// to go; the page, once it knows who it is, sends it back with a ticket; the proxy takes the ticket for a cookie of that one site. Every
// note is bound to the client's address and the listener, and ends. Checks no password and writes no page.

import { createHash, randomBytes } from 'node:crypto'
import { createSealer, KEY_BYTES } from './sealed-cookie.ts'

const STATE_MS = 10 * 60_000
const TICKET_MS = 60_000
/** how long a browser stays signed in */
export const SESSION_MS = 8 * 3_600_000
/** sign-outs are remembered per bucket of sessions; who shares one signs in again */
const BUCKETS = 4096
const MOST_URL = 2048
/** Where a browser comes back with its ticket, on the site it wanted; the proxy answers there and the site never hears of it. */
export const RETURN_PATH = '/.well-known/egresslab-sign-in'

/** What all threads of a lab share: the key, and when sessions were signed out. */
export function createSignInMemory(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(KEY_BYTES + BUCKETS * Float64Array.BYTES_PER_ELEMENT)
  new Uint8Array(memory, 0, KEY_BYTES).set(randomBytes(KEY_BYTES))
  return memory
}

/** A client at a door, on its way to a site. */
export interface SiteVisit {
  /** name of the listener */
  readonly listener: string
  /** the client's address */
  readonly peer: string
  /** the site's host, without port */
  readonly host: string
  /** what the browser holds to show that it is the one that was sent to the page */
  readonly nonce: string
}

export interface SignInOptions {
  readonly memory: SharedArrayBuffer
  /** the page's URL, for a client at this address */
  readonly page: (peer: string) => string
  /** lab time, epoch ms */
  readonly now: () => number
}

export interface SignIn {
  /** The address of the page, for a browser that wanted `url`. */
  begin(visit: SiteVisit, url: string): string
  /** A ticket for the site's cookie and the way back; undefined: not this browser's, or too late. */
  redeem(ticket: string, visit: SiteVisit): { readonly cookie: string; readonly url: string } | undefined
  /** Whose cookie this is: a mail address. */
  whose(cookie: string, visit: Omit<SiteVisit, 'nonce'>): string | undefined
  /** What the page is asked for: where the browser wanted to go. */
  read(state: string, peer: string): { readonly url: string } | undefined
  /** The page's own cookie for somebody who proved who they are. */
  enter(email: string, peer: string): string
  /** Who is signed in at the page. */
  signedIn(cookie: string, peer: string): string | undefined
  /** The way back to the site, with a ticket; undefined: `state` or `cookie` is not good. */
  onward(state: string, cookie: string, peer: string): string | undefined
  /** Signs out: every cookie of this session is worth nothing from now on. */
  leave(cookie: string, peer: string): void
}

interface SignInSession {
  readonly email: string
  readonly id: string
  readonly since: number
}

export function createSignIn({ memory, page, now }: SignInOptions): SignIn {
  const sealer = createSealer(Buffer.from(new Uint8Array(memory, 0, KEY_BYTES)))
  const signedOut = new Float64Array(memory, KEY_BYTES, BUCKETS)

  /** A note that is still good and this client's. */
  function open(purpose: string, text: string, bound: Readonly<Record<string, string>>) {
    const note = sealer.open(purpose, text)
    if (note === undefined || typeof note.until !== 'number' || now() >= note.until) return undefined
    return Object.entries(bound).every(([key, value]) => note[key] === value) ? note : undefined
  }

  function sessionOf(note: Readonly<Record<string, unknown>> | undefined): SignInSession | undefined {
    if (note === undefined) return undefined
    const { email, id, since } = note
    if (typeof email !== 'string' || typeof id !== 'string' || typeof since !== 'number') return undefined
    return since > (signedOut[bucketOf(id)] ?? 0) ? { email, id, since } : undefined
  }

  const pageSession = (cookie: string, peer: string) => sessionOf(open('page', cookie, { peer }))

  return {
    begin({ listener, peer, host, nonce }, url) {
      const note = { listener, peer, host, nonce, url: returnUrl(url), until: now() + STATE_MS }
      return `${page(peer)}?state=${sealer.seal('state', note)}`
    },
    redeem(ticket, { listener, peer, host, nonce }) {
      const note = open('ticket', ticket, { listener, peer, host, nonce })
      const session = sessionOf(note)
      if (note === undefined || session === undefined) return undefined
      const until = session.since + SESSION_MS
      return { cookie: sealer.seal('site', { ...session, listener, peer, host, until }), url: String(note.url) }
    },
    whose: (cookie, { listener, peer, host }) => sessionOf(open('site', cookie, { listener, peer, host }))?.email,
    read(state, peer) {
      const note = open('state', state, { peer })
      return note === undefined ? undefined : { url: String(note.url) }
    },
    enter(email, peer) {
      const since = now()
      const id = randomBytes(16).toString('base64url')
      return sealer.seal('page', { email, id, since, peer, until: since + SESSION_MS })
    },
    signedIn: (cookie, peer) => pageSession(cookie, peer)?.email,
    onward(state, cookie, peer) {
      const note = open('state', state, { peer })
      const session = pageSession(cookie, peer)
      if (note === undefined || session === undefined) return undefined
      const { listener, host, nonce, url } = note
      const bound = { listener: String(listener), host: String(host), nonce: String(nonce), url: String(url), peer }
      const ticket = sealer.seal('ticket', { ...session, ...bound, until: now() + TICKET_MS })
      return new URL(`${RETURN_PATH}?ticket=${ticket}`, bound.url).href
    },
    leave(cookie, peer) {
      const session = pageSession(cookie, peer)
      if (session !== undefined) signedOut[bucketOf(session.id)] = now()
    },
  }
}

function bucketOf(id: string): number {
  return createHash('sha256').update(id).digest().readUInt16LE(0) % BUCKETS
}

/** The page wanted, or the site's first page where its address is too long to carry. */
function returnUrl(url: string): string {
  const { href, origin } = new URL(url)
  return href.length > MOST_URL ? `${origin}/` : href
}
