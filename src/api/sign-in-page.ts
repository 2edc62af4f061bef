// The sign-in page of identity endpoints: HTML without scripts, for browsers that the proxy sent here. Knows where somebody goes on to only
// by the proxy's own sealed note, so that no address a stranger makes up is ever followed; takes its form from itself alone (CSRF).

import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { parseIp, unmapIp } from '../net/ip.ts'
import { type ApiError, REQUEST_ERRORS, requestError } from './api-error.ts'
import { cookieOf, isSecure } from './authentication.ts'
import type { ApiPorts, SignInPort } from './ports.ts'
import { readBytes } from './read-body.ts'
import { checkSite, type LabSite } from './request-site.ts'
import { isNavigation, type TextResponse } from './response.ts'

export const SIGN_IN_PATH = '/authorize'

const FORM = { mediaType: 'application/x-www-form-urlencoded', maxBytes: 16 * 1024 }
const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:24rem;margin:4rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}' +
  'label{display:block;margin:1rem 0}input{display:block;width:100%;box-sizing:border-box;font:inherit;padding:.5rem}' +
  'button{font:inherit;padding:.5rem 1rem}.wrong{color:#a40000}' +
  '@media(prefers-color-scheme:dark){body{color:#eee;background:#181818}.wrong{color:#ff9b9b}a{color:#9cf}}'
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

type SignInAccess = Pick<ApiPorts, 'checkUser' | 'users'> & { readonly signIn: SignInPort; readonly site: LabSite }

interface SignInClient {
  readonly peer: string
  /** what the browser holds of an earlier sign-in; '' for nothing */
  readonly cookie: string
  readonly cookieName: string
  readonly site: LabSite
}

/** Answers GET and POST of {@link SIGN_IN_PATH}. `peer`: the address the request came from. Throws ApiError for other methods and other sites' forms. */
export async function answerSignIn(
  request: IncomingMessage,
  peer: string,
  query: URLSearchParams,
  access: SignInAccess,
): Promise<TextResponse> {
  const { method = '', headers } = request
  if (!isNavigation(method, headers)) checkSite(method, headers, access.site)
  const client = clientOf(request, peer, access.site)
  if (method === 'GET' || method === 'HEAD') return arrive(query.get('state') ?? '', client, access)
  if (method !== 'POST') throw requestError('wrongMethod', undefined, { allow: 'GET, POST' })
  const form = new URLSearchParams((await readBytes(request, FORM)).toString('utf8'))
  if (form.get('action') === 'sign-out') return signOut(client, access)
  return signIn(form, client, access)
}

/** Somebody known goes straight on; somebody unknown is asked. */
function arrive(state: string, client: SignInClient, { signIn }: SignInAccess): TextResponse {
  const { peer, cookie, site } = client
  const email = signIn.signedIn(cookie, peer)
  if (state === '')
    return email === undefined ? page('Not signed in', NOBODY) : page('Signed in', signedIn(site, email))
  const wanted = signIn.read(state, peer)
  if (wanted === undefined) return page('Sign in', STALE, { status: 400 })
  const onward = email === undefined ? undefined : signIn.onward(state, cookie, peer)
  if (onward === undefined) return page('Sign in', form(site, state, wanted.url))
  return page('Signed in', '', { status: 302, headers: { location: onward } })
}

async function signIn(form_: URLSearchParams, client: SignInClient, access: SignInAccess): Promise<TextResponse> {
  const { peer, site } = client
  const state = form_.get('state') ?? ''
  const wanted = access.signIn.read(state, peer)
  if (wanted === undefined) return page('Sign in', STALE, { status: 400 })
  const given = form_.get('email') ?? ''
  if (given.includes(';')) {
    const refused = '<p class="wrong" role="alert">Enter only the email address, without parameters.</p>'
    return page('Sign in', refused + form(site, state, wanted.url, given), { status: 400 })
  }
  const email = await access.checkUser(given, form_.get('password') ?? '', peer)
  // a token may be somebody's who is not in the configuration, and a cookie says no more than a mail address
  if (email === undefined || !access.users().some((user) => user.email === email)) {
    const wrong = '<p class="wrong" role="alert">The email address or the password is wrong.</p>'
    return page('Sign in', wrong + form(site, state, wanted.url, given), { status: 403 })
  }
  const cookie = access.signIn.enter(email, peer)
  const onward = access.signIn.onward(state, cookie, peer) ?? wanted.url
  // by a page and not by a redirect: what a form may lead to would have to allow every site the next one redirects to
  const body = `<meta http-equiv="refresh" content="0;url=${escaped(onward)}"><p>Signed in as ${escaped(email)}.</p>
<p><a href="${escaped(onward)}">Continue to ${escaped(siteOf(wanted.url))}</a></p>`
  return page('Signed in', body, { headers: setCookie(client, cookie, access.signIn.seconds) })
}

function signOut(client: SignInClient, { signIn }: SignInAccess): TextResponse {
  signIn.leave(client.cookie, client.peer)
  return page('Signed out', '<p>Signed out. Sites no longer recognize this browser.</p>', {
    headers: setCookie(client, '', 0),
  })
}

const NOBODY = '<p>Nobody is signed in. Open a page through the proxy to sign in.</p>'
const STALE = '<p>This sign-in has expired or belongs to another browser. Open the page again.</p>'

function signedIn({ base }: LabSite, email: string): string {
  return `<p>Signed in as ${escaped(email)}.</p>
<form method="post" action="${base}${SIGN_IN_PATH}"><input type="hidden" name="action" value="sign-out"><button>Sign out</button></form>`
}

function form({ base }: LabSite, state: string, url: string, email = ''): string {
  return `<p>To continue to <strong>${escaped(siteOf(url))}</strong> through the lab’s proxy.</p>
<form method="post" action="${base}${SIGN_IN_PATH}"><input type="hidden" name="state" value="${escaped(state)}">
<label>Email address <input name="email" type="email" autocomplete="username" required value="${escaped(email)}"></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in</button></form>`
}

interface PageOptions {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** to be set, with their attributes */
  readonly cookies?: readonly string[]
}

/** A page without scripts; `body` is HTML. */
export function page(
  title: string,
  body: string,
  { status = 200, headers = {}, cookies = [] }: PageOptions = {},
): TextResponse {
  return {
    kind: 'text',
    status,
    contentType: 'text/html; charset=utf-8',
    body: `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>${title} – egresslab</title>
<style>${STYLE}</style><h1>${title}</h1>${body}</html>`,
    // without it browsers would call the form's own origin `null`
    headers: {
      'content-security-policy': CONTENT_SECURITY_POLICY,
      'referrer-policy': 'same-origin',
      ...(cookies.length === 0 ? {} : { 'set-cookie': cookies }),
      ...headers,
    },
  }
}

/** A refusal for people, where one of them came here by the address bar and would else see JSON. Undefined: it is not for people. */
export function refusalPage({ method, headers }: IncomingMessage, error: ApiError): TextResponse | undefined {
  const [problem] = error.problems
  const mode = headers['sec-fetch-mode'] ?? 'navigate'
  const isPerson = method === 'GET' && mode === 'navigate' && (headers.accept ?? '').includes('text/html')
  const isTheirs = problem !== undefined && PEOPLES.some((name) => REQUEST_ERRORS[name].code === problem.code)
  if (!isPerson || !isTheirs) return undefined
  const body = `<p class="wrong" role="alert">${escaped(problem.message)}</p>`
  return page('This address does not work', body, { status: error.status })
}

/** What is wrong with the address, or with the proxy in front. */
const PEOPLES = ['foreignHost', 'foreignOrigin', 'misfronted'] as const

function setCookie(
  { cookieName, site }: SignInClient,
  value: string,
  seconds: number,
): Readonly<Record<string, string>> {
  const path = `Path=${site.base}${SIGN_IN_PATH}${isSecure(site.origin) ? '; Secure' : ''}`
  return { 'set-cookie': `${cookieName}=${value}; ${path}; Max-Age=${seconds}; HttpOnly; SameSite=Lax` }
}

/** Cookies know no ports, so that of another lab on this host has another name. */
function clientOf({ headers, socket }: IncomingMessage, client: string, site: LabSite): SignInClient {
  const address = parseIp(client)
  const cookieName = `egresslab_page_${socket.localPort}`
  const cookie = cookieOf(headers, cookieName)
  return { peer: address === undefined ? '' : unmapIp(address).text, cookie, cookieName, site }
}

function siteOf(url: string): string {
  return URL.parse(url)?.host ?? ''
}

/** Text as HTML. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
