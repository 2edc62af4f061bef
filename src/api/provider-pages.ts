// Signing in to the console by an OpenID provider: the way there and the way back. Goes on to the console's own pages alone; everything that
// goes wrong is a page that says what.

import type { IncomingMessage } from 'node:http'
import { type ProviderSignIn, SignInError } from '../identity/provider-sign-in.ts'
import { requestError } from './api-error.ts'
import { cookieOf, isSecure, sessionCookieName } from './authentication.ts'
import { checkSite, type LabSite } from './request-site.ts'
import { isNavigation, type TextResponse } from './response.ts'
import { escaped, page } from './sign-in-page.ts'

/** Where people begin. */
export const PROVIDER_SIGN_IN_PATH = '/lab/v1/sign-in'
/** Where the provider sends them back to. */
export const PROVIDER_RETURN_PATH = `${PROVIDER_SIGN_IN_PATH}/callback`

interface ProviderPages {
  readonly provider: ProviderSignIn
  readonly site: LabSite
  readonly query: URLSearchParams
  /** Is there a page of the console? */
  readonly isPage: (path: string) => boolean
  readonly onNotice: (message: string) => void
}

/** Answers both paths. Throws ApiError for other methods, and for what other sites let a browser do. */
export async function answerProvider(
  request: IncomingMessage,
  path: string,
  parts: ProviderPages,
): Promise<TextResponse> {
  const { site } = parts
  if (request.method !== 'GET') throw requestError('wrongMethod', undefined, { allow: 'GET' })
  const isReturn = path === PROVIDER_RETURN_PATH
  // the provider is another site; nothing but a navigation of the whole page comes from there
  if (!(isReturn && isNavigation('GET', request.headers))) checkSite('GET', request.headers, site)
  if (site.origin !== new URL(site.url).origin) {
    return problem(parts, `sign-in works at ${site.url}/ alone`, 400)
  }
  try {
    return isReturn ? await comeBack(request, parts) : await setOut(parts)
  } catch (thrown) {
    if (!(thrown instanceof SignInError)) throw thrown
    if (thrown.kind === 'provider') parts.onNotice(thrown.message)
    return problem(parts, thrown.message, { stale: 400, refused: 403, 'no-role': 403, provider: 502 }[thrown.kind])
  }
}

async function setOut({ provider, site, query, isPage }: ProviderPages): Promise<TextResponse> {
  const { url, secret } = await provider.begin(ownPath(query.get('to') ?? '/', site, isPage))
  return away(url, `${awayCookie(site)}=${secret}${attributes(site, 'Lax')}; Max-Age=600`)
}

async function comeBack(request: IncomingMessage, { provider, site, query }: ProviderPages): Promise<TextResponse> {
  const { cookie, to } = await provider.finish(query, cookieOf(request.headers, awayCookie(site)))
  // what this browser held before is nobody's any more (session fixation)
  provider.leave(cookieOf(request.headers, sessionCookieName(site)))
  return away(
    `${site.url}${to}`,
    `${sessionCookieName(site)}=${cookie}${attributes(site, 'Strict')}`,
    `${awayCookie(site)}=${attributes(site, 'Lax')}; Max-Age=0`,
  )
}

/** By a page: what browsers redirect to from another site would come without the new cookie, which is for this site alone. */
function away(url: string, ...cookies: readonly string[]): TextResponse {
  const body = `<meta http-equiv="refresh" content="0;url=${escaped(url)}"><p><a href="${escaped(url)}">Go on</a></p>`
  return page('Signing in', body, { cookies })
}

/** A view of the console with its query; anything else that the address may ask for is the first page (open redirect). */
function ownPath(wanted: string, site: LabSite, isPage: (path: string) => boolean): string {
  const url = /^\/(?![/\\])/.test(wanted) ? URL.parse(wanted, site.origin) : null
  return url !== null && url.origin === site.origin && isPage(url.pathname) ? url.pathname + url.search : '/'
}

function problem({ site }: ProviderPages, message: string, status: number): TextResponse {
  const again = `${site.url}${PROVIDER_SIGN_IN_PATH}`
  const body = `<p class="wrong" role="alert">${escaped(message)}</p>
<p><a href="${escaped(again)}">Sign in again</a> or <a href="${escaped(site.url)}/">use a token</a></p>`
  return page('Not signed in', body, { status })
}

function awayCookie(site: LabSite): string {
  return sessionCookieName(site).replace('_session_', '_away_')
}

function attributes({ origin }: LabSite, sameSite: 'Lax' | 'Strict'): string {
  return `; HttpOnly; SameSite=${sameSite}; Path=/${isSecure(origin) ? '; Secure' : ''}`
}
