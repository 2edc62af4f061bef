// The two cookies the proxy sets on sites for browsers that sign in by a page. No cookie with the lab's prefix is
// forwarded, at any listener: cookies are not bound to ports, so a site on this machine would also receive those of the
// console.

/** Identifies the user, at one site. */
export const USER_COOKIE = 'egresslab_user'
/** Identifies the browser that was redirected to the sign-in page. */
export const NONCE_COOKIE = 'egresslab_nonce'

/** The lab's cookies of one request. */
export interface SignInCookies {
  readonly user?: string
  readonly nonce?: string
  /** all of the lab's cookies as one Cookie value, for the lab's own pages */
  readonly lab?: string
}

const NONE: SignInCookies = Object.freeze({})
const PREFIX = 'egresslab_'

/** Removes the lab's cookies from a flat list of field names and values, in place, and returns them. */
export function takeSignInCookies(fields: string[]): SignInCookies {
  let found: { user?: string; nonce?: string; lab?: string } | undefined
  for (let at = fields.length - 2; at >= 0; at -= 2) {
    const name = fields[at] ?? ''
    const value = fields[at + 1] ?? ''
    if (name.length !== 6 || name.toLowerCase() !== 'cookie' || !value.includes(PREFIX)) continue
    found ??= {}
    const kept: string[] = []
    for (const pair of value.split(';')) {
      const equals = pair.indexOf('=')
      const key = pair.slice(0, equals).trim()
      if (key === USER_COOKIE) found.user = pair.slice(equals + 1).trim()
      else if (key === NONCE_COOKIE) found.nonce = pair.slice(equals + 1).trim()
      if (!key.startsWith(PREFIX)) kept.push(pair)
      else found.lab = found.lab === undefined ? pair.trim() : `${found.lab}; ${pair.trim()}`
    }
    if (kept.length === 0) fields.splice(at, 2)
    else fields[at + 1] = kept.join(';').trimStart()
  }
  return found ?? NONE
}
