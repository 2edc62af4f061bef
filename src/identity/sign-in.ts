// Sign-in by a page, for browsers at an identity endpoint. The proxy redirects a browser to the page with a sealed note
// of its destination; once the user is known, the page redirects it back with a ticket; the proxy exchanges the ticket
// for a cookie for that site. Every note is bound to the client's address and the listener, and expires. Checks no
// password and renders no page.

import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'

const STATE_MS = 10 * 60_000
const TICKET_MS = 60_000
/** how long a browser stays signed in */
export const SESSION_MS = 8 * 3_600_000
/** sign-outs are recorded per bucket of sessions; other sessions in the bucket must sign in again */
const BUCKETS = 4096
const MOST_URL = 2048
/** The path to which a browser returns with its ticket, on the site it requested; the proxy answers there, and the
 *  site is not involved. */
export const RETURN_PATH = '/.well-known/egresslab-sign-in'

/** Memory shared by all threads of a lab: the key, and when sessions were signed out. */
export function createSignInMemory(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(KEY_BYTES + BUCKETS * Float64Array.BYTES_PER_ELEMENT)
  new Uint8Array(memory, 0, KEY_BYTES).set(randomBytes(KEY_BYTES))
  return memory
}

/** A client of a listener with the site it requests. */
export interface SiteRequest {
  /** name of the listener */
  readonly listener: string
  /** the client's address */
  readonly peer: string
  /** the site's host, without port */
  readonly host: string
  /** the browser's proof that it is the one that was redirected to the page */
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
  /** The URL of the page, for a browser that requested `url`. */
  begin(request: SiteRequest, url: string): string
  /** Exchanges a ticket for the site's cookie and the URL to return to; undefined: issued to another browser, or
   *  expired. */
  redeem(ticket: string, request: SiteRequest): { readonly cookie: string; readonly url: string } | undefined
  /** The email of a cookie's user. */
  whose(cookie: string, request: Omit<SiteRequest, 'nonce'>): string | undefined
  /** The destination in the page's request. */
  read(state: string, peer: string): { readonly url: string } | undefined
  /** The page's own cookie for an authenticated user. */
  enter(email: string, peer: string): string
  /** The user signed in at the page. */
  signedIn(cookie: string, peer: string): string | undefined
  /** The redirect back to the site, with a ticket; undefined if `state` or `cookie` is invalid. */
  onward(state: string, cookie: string, peer: string): string | undefined
  /** Signs out: invalidates every cookie of this session. */
  leave(cookie: string, peer: string): void
}

interface SignInSession {
  readonly email: string
  readonly id: string
  readonly since: number
}

/** Creates the sign-in of one thread; threads that share `memory` accept each other's notes. */
export function createSignIn({ memory, page, now }: SignInOptions): SignIn {
  const sealer = createSealer(Buffer.from(new Uint8Array(memory, 0, KEY_BYTES)))
  const signedOut = new Float64Array(memory, KEY_BYTES, BUCKETS)

  /** A note that has not expired and belongs to this client. */
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

/** The requested page, or the site's first page if its URL is too long to carry. */
function returnUrl(url: string): string {
  const { href, origin } = new URL(url)
  return href.length > MOST_URL ? `${origin}/` : href
}

// Sealed values that travel through a browser: only this process can read, change or create one (AES-256-GCM), and one
// sealed for one purpose is invalid for another. Does not limit how long a value is valid.

export const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const MOST_CHARACTERS = 8192

export interface Sealer {
  /** as base64url */
  seal(purpose: string, note: Readonly<Record<string, string | number>>): string
  /** The value; undefined for anything not sealed for this purpose with this key. */
  open(purpose: string, text: string): Readonly<Record<string, unknown>> | undefined
}

/** A sealer with this key of {@link KEY_BYTES} bytes. */
export function createSealer(key: Uint8Array): Sealer {
  return {
    seal(purpose, note) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(purpose))
      const sealed = Buffer.concat([cipher.update(JSON.stringify(note), 'utf8'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url')
    },
    open(purpose, text) {
      if (text.length > MOST_CHARACTERS || !/^[\w-]+$/.test(text)) return undefined
      const bytes = Buffer.from(text, 'base64url')
      if (bytes.length <= NONCE_BYTES + TAG_BYTES) return undefined
      const [nonce, tag, sealed] = [bytes.subarray(0, 12), bytes.subarray(12, 28), bytes.subarray(28)]
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
      decipher.setAAD(Buffer.from(purpose)).setAuthTag(tag)
      try {
        const note: unknown = JSON.parse(Buffer.concat([decipher.update(sealed), decipher.final()]).toString('utf8'))
        return Object(note)
      } catch {
        return undefined
      }
    },
  }
}
