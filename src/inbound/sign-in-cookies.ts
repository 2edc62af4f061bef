// The two cookies the proxy sets on sites in its own name, for browsers that sign in by a page. They are the lab's, as every cookie of that
// prefix (cookies know no ports, so a site on this machine would be told the console's): none goes on, at whatever listener.

/** Whose browser this is, at one site. */
export const USER_COOKIE = 'egresslab_user'
/** Which browser was sent to the sign-in page. */
export const NONCE_COOKIE = 'egresslab_nonce'

/** What a request had of them. */
export interface SignInCookies {
  readonly user?: string
  readonly nonce?: string
  /** all of the lab's cookies as one field, for the lab's own pages */
  readonly lab?: string
}

const NONE: SignInCookies = Object.freeze({})
const PREFIX = 'egresslab_'

/** Takes the lab's cookies out of a flat list of names and values, in place; answers what they were. */
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
