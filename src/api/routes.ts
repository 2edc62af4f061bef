// Every route there is.

import { ROLES } from '../config/lab-state.ts'
import { isAllowed, roleFor } from './access-control.ts'
import { ACCOUNT_ROUTES } from './cloudflare/accounts.ts'
import { CONFIGURATION_ROUTES } from './cloudflare/configuration.ts'
import { KEPT_ROUTES } from './cloudflare/kept-routes.ts'
import { LIST_ROUTES } from './cloudflare/lists.ts'
import { LOGPUSH_ROUTES } from './cloudflare/logpush.ts'
import { PAC_FILE_ROUTES } from './cloudflare/pac-files.ts'
import { PLACEHOLDER_SUBNET_ROUTES } from './cloudflare/placeholder-subnets.ts'
import { PROXY_ENDPOINT_ROUTES } from './cloudflare/proxy-endpoints.ts'
import { RULE_ROUTES } from './cloudflare/rules.ts'
import { TUNNEL_ROUTE_ROUTES } from './cloudflare/tunnel-routes.ts'
import { TUNNEL_ROUTES } from './cloudflare/tunnels.ts'
import { UNSUPPORTED } from './cloudflare/unsupported.ts'
import { VIRTUAL_NETWORK_ROUTES } from './cloudflare/virtual-networks.ts'
import { AUDIT_ROUTES } from './lab/audit.ts'
import { CHECK_ROUTES } from './lab/checks.ts'
import { CLIENT_FILE_ROUTES } from './lab/client-files.ts'
import { CLOCK_ROUTES } from './lab/clock.ts'
import { COLO_ROUTES } from './lab/colos.ts'
import { DNS_ROUTES } from './lab/dns-query.ts'
import { EXPLAIN_ROUTES } from './lab/explain.ts'
import { FLEET_ROUTES } from './lab/fleet.ts'
import { METRIC_ROUTES } from './lab/metrics.ts'
import { openApiDocument } from './lab/openapi.ts'
import { OPERATION_ROUTES } from './lab/operations.ts'
import { RULE_PREVIEW_ROUTES } from './lab/rule-preview.ts'
import { RULE_REVISION_ROUTES } from './lab/rule-revisions.ts'
import { SESSION_DETAIL_ROUTES } from './lab/session-detail.ts'
import { SESSION_ROUTES } from './lab/sessions.ts'
import { RATE_LIMIT_ROUTES } from './lab/simulated-rate-limit.ts'
import { TRAFFIC_ROUTES } from './lab/traffic.ts'
import { USER_ROUTES } from './lab/users.ts'
import { VERIFICATION_ROUTES } from './lab/verification.ts'
import { ok } from './response.ts'
import type { Route } from './router.ts'

const OPENAPI_ROUTE: Route = {
  method: 'GET',
  path: '/lab/v1/openapi.json',
  summary: 'the OpenAPI document of this API',
  access: 'token',
  answers: { kind: 'json', schema: { type: 'object', description: 'an OpenAPI 3.1 document' } },
  handle: ({ ports }) => ({
    ...ok(null),
    body: openApiDocument(ROUTES, { version: ports.status.version, accountId: ports.plane.current().account.id }),
  }),
}

export const ROUTES: readonly Route[] = [
  ...ACCOUNT_ROUTES,
  ...RULE_ROUTES,
  ...LIST_ROUTES,
  ...CONFIGURATION_ROUTES,
  ...PROXY_ENDPOINT_ROUTES,
  ...PAC_FILE_ROUTES,
  ...VIRTUAL_NETWORK_ROUTES,
  ...TUNNEL_ROUTE_ROUTES,
  ...PLACEHOLDER_SUBNET_ROUTES,
  ...TUNNEL_ROUTES,
  ...KEPT_ROUTES,
  ...LOGPUSH_ROUTES,
  ...COLO_ROUTES,
  ...CLOCK_ROUTES,
  ...SESSION_ROUTES,
  ...SESSION_DETAIL_ROUTES,
  ...TRAFFIC_ROUTES,
  ...RULE_PREVIEW_ROUTES,
  ...RULE_REVISION_ROUTES,
  ...CHECK_ROUTES,
  ...VERIFICATION_ROUTES,
  ...EXPLAIN_ROUTES,
  ...DNS_ROUTES,
  ...USER_ROUTES,
  ...OPERATION_ROUTES,
  ...FLEET_ROUTES,
  ...AUDIT_ROUTES,
  ...CLIENT_FILE_ROUTES,
  ...RATE_LIMIT_ROUTES,
  ...METRIC_ROUTES,
  OPENAPI_ROUTE,
]

const CLOUDFLARE = '/client/v4'
const ACCESS: Readonly<Record<Route['access'], string>> = {
  token: 'token',
  user: "user's own",
  open: 'none',
  local: 'token; none on loopback',
}

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

/** A row for each route that needs a token: may a viewer, an operator, an admin? */
export function roleRows(): readonly string[] {
  const mark = (route: Route) => ROLES.map((role) => (isAllowed(role, roleFor(route)) ? 'yes' : '–')).join(' | ')
  return ROUTES.filter(({ access }) => access === 'token').map(
    (route) => `| ${route.method} | \`${route.path}\` | ${mark(route)} |`,
  )
}

/** Rows of what is known to be missing. */
export function unsupportedRows(): readonly string[] {
  return UNSUPPORTED.map(({ path, reason }) => `| \`${path}\` | ${reason} |`)
}
