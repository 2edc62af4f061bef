// Running the lab: is it alive, is it ready, what differs from the file, and the token.

import { KINDS, type Kind } from '../../config/lab-state.ts'
import { ApiError, invalidField, REQUEST_ERRORS } from '../api-error.ts'
import { consoleSessionOf, isSecure, sessionCookieName } from '../authentication.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import {
  HEALTH,
  LAB_ACCOUNT,
  LISTENER,
  LIVE,
  LOGGED_IN,
  OVERRIDE,
  READY,
  REVERTED,
  REVERTED_ONE,
  TOKEN,
  WAYS_IN,
} from '../shapes/lab.ts'
import { TOKEN_ROUTES } from './tokens.ts'

const EMPTY = { type: 'object', additionalProperties: false } as const

export const OPERATION_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/lab/v1/health/live',
    summary: 'answers while the process is alive; needs no token',
    access: 'open',
    answers: { kind: 'result', schema: LIVE },
    handle: () => ok({ live: true }),
  },
  {
    method: 'GET',
    path: '/lab/v1/health/ready',
    summary: '200 if connections are accepted and changes and sessions can be written (all tested); else 503',
    access: 'local',
    answers: { kind: 'result', schema: READY },
    handle: ready,
  },
  {
    method: 'GET',
    path: '/lab/v1/health',
    summary: 'version, engine, revision, uptime and current problems',
    access: 'token',
    answers: { kind: 'result', schema: HEALTH },
    handle: health,
  },
  {
    method: 'GET',
    path: '/lab/v1/account',
    summary: 'the account: dedicated egress IPs, settings, data centers that are down',
    access: 'token',
    answers: { kind: 'result', schema: LAB_ACCOUNT },
    handle: account,
  },
  {
    method: 'GET',
    path: '/lab/v1/listeners',
    summary: 'the listeners that are open, with their real ports',
    access: 'token',
    answers: { kind: 'list', schema: LISTENER },
    handle: ({ ports }) =>
      listOf(
        ports.listeners().map(({ name, host, port, authentication, fixedUser, virtualNetwork, tls, endpoint }) => ({
          name,
          host,
          port,
          authentication,
          fixed_user: fixedUser ?? null,
          virtual_network: virtualNetwork ?? null,
          tls: tls?.mode ?? 'optional',
          sign_in_page: endpoint?.signIn === 'page',
        })),
      ),
  },
  {
    method: 'GET',
    path: '/lab/v1/overrides',
    summary: 'run-time changes that differ from the configuration file',
    access: 'token',
    answers: { kind: 'list', schema: OVERRIDE },
    handle: (call) =>
      listOf(
        call.ports.plane
          .overrides()
          .map(({ kind, id, change, fileMovedOn }) => ({ kind, id, change, file_moved_on: fileMovedOn })),
      ),
  },
  {
    method: 'DELETE',
    path: '/lab/v1/overrides',
    summary: 'reverts all run-time changes to the configuration file',
    access: 'token',
    answers: { kind: 'result', schema: REVERTED },
    handle: (call) => {
      const reverted = call.ports.plane.overrides().length
      call.ports.plane.revert('all')
      return ok({ reverted })
    },
  },
  {
    method: 'DELETE',
    path: '/lab/v1/overrides/{kind}/{id}',
    summary: 'reverts one object to the configuration file',
    access: 'token',
    answers: { kind: 'result', schema: REVERTED_ONE },
    handle: (call) => {
      const [kind, id] = [kindOf(call.params.kind ?? ''), call.params.id ?? '']
      call.ports.plane.revert({ kind, id })
      return ok({ kind, id })
    },
  },
  ...TOKEN_ROUTES,
  {
    method: 'POST',
    path: '/lab/v1/token/rotate',
    summary: 'creates a new API token and shows it only once; the old one is rejected from then on',
    access: 'token',
    answers: { kind: 'result', schema: TOKEN },
    body: EMPTY,
    handle: (call) => ok({ token: call.ports.token.rotate() }),
  },
  {
    method: 'GET',
    path: '/lab/v1/login',
    summary: 'how people sign in: the host of the OpenID provider, or null',
    access: 'open',
    answers: { kind: 'result', schema: WAYS_IN },
    handle: ({ ports }) => ok({ provider: ports.provider?.provider ?? null }),
  },
  {
    method: 'POST',
    path: '/lab/v1/login',
    summary: 'exchanges the token for a session cookie (HttpOnly, SameSite)',
    access: 'open',
    answers: { kind: 'result', schema: LOGGED_IN },
    body: {
      type: 'object',
      additionalProperties: false,
      required: ['token'],
      properties: { token: { type: 'string' } },
    },
    handle: logIn,
  },
  {
    method: 'POST',
    path: '/lab/v1/logout',
    summary: 'ends the cookie session',
    access: 'open',
    answers: { kind: 'result', schema: LOGGED_IN },
    body: EMPTY,
    handle: (call) => {
      call.ports.provider?.leave(call.sessionCookie)
      return { ...ok({ logged_in: false }), headers: { 'set-cookie': cookie(call, '', 0) } }
    },
  },
]

async function ready(call: RouteCall) {
  const reasons = await call.ports.status.unready()
  if (reasons.length === 0) return ok({ ready: true })
  throw new ApiError(
    503,
    reasons.map((message) => ({ code: REQUEST_ERRORS.internal.code, message })),
  )
}

async function health({ ports, access }: RouteCall) {
  const { status, plane } = ports
  const troubles = await status.troubles()
  return ok({
    healthy: troubles.length === 0,
    troubles,
    geo_databases: status.geoDatabases(),
    version: status.version,
    engine: status.engine,
    revision: plane.current().revision,
    time: new Date(plane.now()).toISOString(),
    started_at: new Date(status.startedAt).toISOString(),
    rules_from: plane.rulesFromFile ? 'file' : 'api',
    dns: ports.dns?.endpoints().map(({ ip, port }) => ({ host: ip.text, port })) ?? [],
    access: accessNow(ports, access),
  })
}

function accessNow({ tokens, provider }: RouteCall['ports'], access: RouteCall['access']) {
  const { streams, refused } = access.counts()
  return {
    tokens: tokens.list().length,
    people: provider?.count() ?? 0,
    streams: [...streams.values()].reduce((sum, n) => sum + n, 0),
    refused,
  }
}

function account({ ports }: RouteCall) {
  const { account: of } = ports.plane.current()
  const { settings } = of
  return ok({
    id: of.id,
    name: of.name,
    colos_down: [...of.colosDown],
    dedicated_ips: of.dedicatedIps.map(({ colo, ipv4, ipv6, geolocation, geolocationUpdatedAt }) => ({
      colo,
      ipv4: ipv4?.address.text ?? null,
      ipv6: ipv6?.range.text ?? null,
      geolocation,
      geolocation_updated_at: geolocationUpdatedAt === undefined ? null : new Date(geolocationUpdatedAt).toISOString(),
    })),
    settings: {
      tcp_proxying: settings.tcpProxying,
      udp_proxying: settings.udpProxying,
      host_selector: settings.hostSelector,
      no_rule_matched: settings.noRuleMatched,
      expressions: settings.expressions,
      max_connections_per_destination: settings.maxConnectionsPerDestination,
      home_country: settings.homeCountry,
      home_colo: settings.homeColo,
    },
  })
}

function logIn(call: RouteCall) {
  const token = String(call.body.token)
  call.access.signIn(token, call.peer)
  return { ...ok({ logged_in: true }), headers: { 'set-cookie': cookie(call, consoleSessionOf(token)) } }
}

function cookie({ site }: RouteCall, value: string, maxAge?: number): string {
  const age = maxAge === undefined ? '' : `; Max-Age=${maxAge}`
  const secure = isSecure(site.origin) ? '; Secure' : ''
  return `${sessionCookieName(site)}=${value}; HttpOnly; SameSite=Strict; Path=/${secure}${age}`
}

function kindOf(text: string): Kind {
  const kind = KINDS.find((candidate) => candidate === text)
  if (kind === undefined) throw invalidField('kind', `unknown kind \`${text}\`; known are ${KINDS.join(', ')}`)
  return kind
}
