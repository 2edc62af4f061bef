// The API's HTTP server: one path for every request (site, route, access, body, handler, answer) and limits of its own,
// so that it answers while the data path is busy (AP-09). Knows no resource.

import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { ChangeError } from '../errors/change-error.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { InputError } from '../errors/issue.ts'
import type { MetricFamily } from '../log/otlp.ts'
import { countedEgress } from '../policy/egress-address.ts'
import { oneAtATime } from '../proxy/request-turns.ts'
import { type AccessLimits, createAccessControl } from './access-control.ts'
import { ApiError, fromChangeError, invalidField, REQUEST_ERRORS, requestError } from './api-error.ts'
import { createAuditor } from './auditor.ts'
import { checkSingle, cookieOf, sessionCookieName } from './authentication.ts'
import { checkQuery } from './check-query.ts'
import { whyUnsupported } from './cloudflare/unsupported.ts'
import { metricFamilies } from './lab/metrics.ts'
import { createSessionTotals } from './lab/session-totals.ts'
import { createRateLimiter } from './lab/simulated-rate-limit.ts'
import type { ApiPorts, FleetWait } from './ports.ts'
import { answerProvider, PROVIDER_RETURN_PATH, PROVIDER_SIGN_IN_PATH } from './provider-pages.ts'
import { ClientLeft, readBytes, readJsonObject } from './read-body.ts'
import { checkSite, isVouched, pathBelow, type SiteRules, siteOf } from './request-site.ts'
import { type ApiResponse, failure, isNavigation, send, sendPage } from './response.ts'
import { createRouter, type Route, type RouteCall } from './router.ts'
import { ROUTES } from './routes.ts'
import { answerSignIn, refusalPage, SIGN_IN_PATH } from './sign-in-page.ts'
import { compileSchema, type Validate } from './validate.ts'

const MAX_CONNECTIONS = 256
const HEAD_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const KEEP_ALIVE_MS = 5_000
/** a connection without a byte in either direction, in the middle of an answer too; event streams have their heartbeat */
const STALL_MS = 60_000
const CLOSE_GRACE_MS = 250
/** requests of one connection that wait behind the one in progress; no client of an API pipelines */
const MAX_PIPELINED = 64
/** A client that has ended still gets the answer it asked for, if it takes it in this time. */
const END_GRACE_MS = 10_000

export interface ApiServer {
  readonly host: string
  /** the port really listening */
  readonly port: number
  /** What `/metrics` shows, as data. */
  metrics(): Promise<readonly MetricFamily[]>
  /** where the lab's own proxy asks, without TLS: here, or at a port of its own that serves nobody else */
  readonly forProxy: { readonly host: string; readonly port: number }
  /** Stops listening and ends what is open; resolves when all is closed. */
  close(): Promise<void>
}

export interface ApiAddress extends AccessLimits, Pick<SiteRules, 'publicUrl' | 'trustedProxies'> {
  readonly host: string
  readonly port: number
  /** host names beside loopback that clients may address it by: a container's, say */
  readonly names?: readonly string[]
  /** absent: plain HTTP */
  readonly tls?: ApiCertificate | undefined
}

/** Certificate and key (PEM), which may be replaced while it listens. */
export interface ApiCertificate {
  current(): { readonly certificate: string; readonly key: string }
  onChange(listener: (material: { readonly certificate: string; readonly key: string }) => void): void
}

/** Listens and serves. Rejects with the system's error where the address cannot be bound. */
export async function startApi(where: ApiAddress, ports: ApiPorts): Promise<ApiServer> {
  const { handle, metrics } = createHandler(where, ports)
  const inTurn = oneAtATime((request, response) => void handle(request, response), MAX_PIPELINED)
  const outside = serverFor(where.tls, inTurn)
  await listen(outside, where)
  const { port } = outside.address() as AddressInfo
  const { host } = where
  if (where.tls === undefined) return { host, port, metrics, forProxy: { host, port }, close: () => close(outside) }
  const inside = serverFor(undefined, (request, response) => {
    if (ports.voucher !== undefined && isVouched(request.headers, ports.voucher)) inTurn(request, response)
    else request.destroy()
  })
  const forProxy = { host: '127.0.0.1', port: 0 }
  await listen(inside, forProxy)
  const { port: proxyPort } = inside.address() as AddressInfo
  const closeAll = async () => void (await Promise.all([close(outside), close(inside)]))
  return { host, port, metrics, forProxy: { ...forProxy, port: proxyPort }, close: closeAll }
}

function serverFor(tls: ApiCertificate | undefined, onRequest: RequestListener): Server {
  const limits = {
    headersTimeout: HEAD_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  }
  const server = tls === undefined ? createServer(limits) : tlsServer(tls, limits)
  server.maxConnections = MAX_CONNECTIONS
  server.timeout = STALL_MS
  // a client that has said all it wants to say still gets its answer
  Object.assign(server, { httpAllowHalfOpen: true })
  // over TLS from the end of the handshake on: a socket that ends before it is not kept
  server.on('secureConnection', (socket) => Object.assign(socket, { allowHalfOpen: true }))
  server.on('request', onRequest)
  server.on(tls === undefined ? 'connection' : 'secureConnection', endWithClient)
  return server
}

function tlsServer(tls: ApiCertificate, limits: ServerOptions): Server {
  const { certificate: cert, key } = tls.current()
  const server = createTlsServer({ ...limits, cert, key, handshakeTimeout: HEAD_TIMEOUT_MS })
  // handshakes from then on; open connections go on
  tls.onChange((next) => server.setSecureContext({ cert: next.certificate, key: next.key }))
  return server
}

/** Event streams and answers that nobody takes go with the client that said FIN: HTTP's answers may still come, but not for ever. */
function endWithClient(socket: Socket): void {
  socket.once('end', () => {
    const patience = setTimeout(() => socket.destroy(), END_GRACE_MS)
    socket.once('close', () => clearTimeout(patience))
  })
}

function listen(server: Server, where: ApiAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(where.port, where.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Requests under way get a moment to be answered; event streams end with it. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS)
    server.close(() => {
      clearTimeout(cut)
      resolve()
    })
    server.closeIdleConnections()
  })
}

function createHandler(where: ApiAddress, ports: ApiPorts) {
  const names = new Set([where.host, ...(where.names ?? [])])
  const access = createAccessControl(ports, where)
  const router = createRouter(ROUTES)
  const tally = createSessionTotals((address) => countedEgress(ports.plane.current().account, address))
  const rateLimiter = createRateLimiter()
  const auditor = createAuditor(ports)
  ports.sessions.subscribe((record) => tally.add(record))
  const validators = new Map<Route, Validate>(
    ROUTES.flatMap((route) => (route.body === undefined ? [] : [[route, compileSchema(route.body)] as const])),
  )

  const answer = async (request: IncomingMessage): Promise<ApiResponse> => {
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '')
    checkSingle(request.rawHeaders)
    const { client, site } = siteOf(request, { ...where, names, voucher: ports.voucher })
    const { path: asked, query } = splitUrl(request.url ?? '/')
    const url = { path: pathBelow(site, asked), query }
    if (url.path === SIGN_IN_PATH && ports.signIn !== undefined) {
      return answerSignIn(request, client.address, url.query, { ...ports, signIn: ports.signIn, site })
    }
    if (ports.provider !== undefined && [PROVIDER_SIGN_IN_PATH, PROVIDER_RETURN_PATH].includes(url.path)) {
      const isPage = (path: string) => ports.page?.(path) !== undefined
      return answerProvider(request, url.path, {
        provider: ports.provider,
        site,
        query,
        isPage,
        onNotice: ports.notice,
      })
    }
    const page = method === 'GET' ? ports.page?.(url.path) : undefined
    if (page === undefined || !isNavigation(method, request.headers)) checkSite(method, request.headers, site)
    if (page !== undefined) return sendPage(page, request.headers)
    const found = router(method, url.path)
    const index = found.kind === 'none' && isNavigation(method, request.headers) ? ports.page?.('/') : undefined
    if (index !== undefined) return { ...sendPage(index, {}), status: 404 }
    const caller = await access.admit(request, found.kind === 'route' ? found.route : undefined, { client, site })
    // by the route: a path may be written in several ways
    const path = found.kind === 'route' ? found.route.path : url.path
    if (path.startsWith('/client/v4/')) rateLimiter.take(ports.plane.now())
    checkSupported(url.path)
    if (found.kind === 'none') throw noRoute(method, url.path)
    if (found.kind === 'method') throw wrongMethod(method, url.path, found.allow)
    const { route, params } = found
    if (params.account_id !== undefined) checkAccount(params.account_id, ports)
    const until = waitOf(route, url.query, ports)
    checkQuery(route, url.query)
    const isJson = route.method !== 'GET' && route.method !== 'DELETE' && route.takes === undefined
    const form = route.body?.type === 'array' ? 'array' : 'object'
    const body = isJson ? await readJsonObject(request, form) : {}
    const bytes = route.takes === undefined ? Buffer.alloc(0) : await readBytes(request, route.takes)
    const peer = client.address
    validators.get(route)?.(form === 'array' ? (body.items ?? []) : body)
    const expected = expectedRevision(request)
    const change: RouteCall['change'] = (edit) => ports.plane.change(edit, expected)
    const lastEventId = String(request.headers['last-event-id'] ?? '')
    const sessionCookie = cookieOf(request.headers, sessionCookieName(site))
    const said = { params, query: url.query, body, bytes, peer, site, lastEventId, sessionCookie, ...caller }
    const call = { ...said, ports, tally, rateLimiter, access, change }
    return handled(inFleet(route, ports, { expected, until }), call, url.path)
  }

  /** Whoever gets the answer of a change can count on it: the next connection is decided by it. */
  const handled = async (route: Route, call: Omit<RouteCall, 'noteChange'>, path: string): Promise<ApiResponse> => {
    const { plane, traffic } = ports
    const { revision } = plane.current()
    if (route.looksAtTraffic) await traffic?.refresh()
    const result = await auditor.run(route, call, path)
    if (plane.current().revision !== revision) await traffic?.inForce()
    return result.kind === 'stream' && call.principal !== undefined
      ? access.guardStream(result, call.principal)
      : result
  }

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let result: ApiResponse
    try {
      result = await answer(request)
    } catch (thrown) {
      if (thrown instanceof ClientLeft) {
        response.destroy()
        return
      }
      const error = toApiError(thrown, ports)
      result = refusalPage(request, error) ?? failure(error)
    }
    send(request, response, result, ports.plane.current().revision)
  }

  const metrics = async () => {
    await ports.traffic?.refresh()
    return metricFamilies({ ports, tally, access })
  }
  return { handle, metrics }
}

function checkAccount(id: string, ports: ApiPorts): void {
  const { account } = ports.plane.current()
  if (id.toLowerCase() === account.id) return
  const message = `Could not route to /accounts/${id}, perhaps your object identifier is invalid? This lab's one account is ${account.id}`
  throw requestError('wrongAccount', message)
}

/** What Cloudflare has and the lab leaves out is named with its reason. */
function checkSupported(path: string): void {
  const reason = whyUnsupported(path)
  if (reason === undefined) return
  throw requestError('unsupported', `\`${path}\` is not supported by this lab: ${reason} (docs/api.md)`)
}

function noRoute(method: string, path: string): ApiError {
  return requestError('noRoute', `No route for that URI: this lab has no \`${method} ${path}\` (docs/api.md)`)
}

function wrongMethod(method: string, path: string, allow: readonly string[]): ApiError {
  return requestError('wrongMethod', `Method ${method} not available for \`${path}\``, { allow: allow.join(', ') })
}

/** `If-Match: "12"` holds a change to revision 12. */
function expectedRevision(request: IncomingMessage): ExpectedRevision {
  const header = request.headers['if-match']
  if (header === undefined || header === '*') return {}
  const revision = /^"(\d{1,15})"$/.exec(header)?.[1]
  if (revision === undefined)
    throw requestError('invalidField', '`If-Match` must be a revision in quotes, such as `"12"`')
  return { expectRevision: Number(revision) }
}

interface ExpectedRevision {
  readonly expectRevision?: number
}

/** What a fleet understands beside what the route does: `wait=fleet` on every change. */
function waitOf(route: Route, query: URLSearchParams, { fleet }: ApiPorts): FleetWait {
  if (fleet === undefined || route.method === 'GET') return 'member'
  const wish = query.getAll('wait')
  query.delete('wait')
  if (wish.length === 0) return 'member'
  if (wish.length === 1 && (wish[0] === 'fleet' || wish[0] === 'member')) return wish[0]
  throw invalidField('wait', '`wait` must be `member` or `fleet`')
}

/** The route as a fleet has it: what it changes, it changes in a copy, and it is answered when the fleet has taken that. */
function inFleet(
  route: Route,
  { fleet }: ApiPorts,
  { expected, until }: { readonly expected: ExpectedRevision; readonly until: FleetWait },
): Route {
  if (fleet === undefined || route.method === 'GET') return route
  return {
    ...route,
    handle: (call) =>
      fleet.transact(
        (plane) =>
          route.handle({ ...call, ports: { ...call.ports, plane }, change: (edit) => plane.change(edit, expected) }),
        until,
      ),
  }
}

function splitUrl(url: string): { path: string; query: URLSearchParams } {
  const at = url.indexOf('?')
  return at < 0
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at + 1)) }
}

/** Anything thrown as an answer. What nobody expected says nothing of itself to the client. */
function toApiError(thrown: unknown, ports: ApiPorts): ApiError {
  if (thrown instanceof ApiError) return thrown
  if (thrown instanceof ChangeError) return fromChangeError(thrown)
  const { code } = REQUEST_ERRORS.invalidField
  if (thrown instanceof InputError) {
    return new ApiError(
      400,
      thrown.issues.map((issue) => ({ code, message: issue.message, details: { code: issue.code } })),
    )
  }
  if (thrown instanceof GatewayError)
    return new ApiError(400, [{ code, message: thrown.message, details: { code: thrown.code } }])
  ports.notice(`the API failed: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`)
  return requestError('internal')
}
