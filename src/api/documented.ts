// The API's tables as docs/api.md prints them, made from the routes; the documentation's test holds both equal.

import { UNSUPPORTED } from './cloudflare/unsupported.ts'
import type { Route } from './route.ts'
import { ROUTES } from './routes.ts'

const CLOUDFLARE = '/client/v4'
const ACCESS: Readonly<Record<Route['access'], string>> = { token: 'token', user: "user's own", open: 'none' }

/** Rows of the routes that are Cloudflare's, without `/client/v4`. */
export function supportedRows(): readonly string[] {
  const theirs = ROUTES.filter(({ path }) => path.startsWith(CLOUDFLARE))
  return theirs.map(({ method, path, summary }) => `| ${method} | \`${path.slice(CLOUDFLARE.length)}\` | ${summary} |`)
}

/** Rows of the lab's own routes. */
export function ownRows(): readonly string[] {
  const own = ROUTES.filter(({ path }) => !path.startsWith(CLOUDFLARE))
  return own.map(({ method, path, access, summary }) => `| ${method} | \`${path}\` | ${ACCESS[access]} | ${summary} |`)
}

/** Rows of what is known to be missing. */
export function unsupportedRows(): readonly string[] {
  return UNSUPPORTED.map(({ path, reason }) => `| \`${path}\` | ${reason} |`)
}
