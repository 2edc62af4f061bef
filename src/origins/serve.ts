// The test origins at work: one HTTP or HTTPS server per door, requests routed by host name to their site, each site
// answering in its way. Listens on stand-in addresses only and calls nobody.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Destination, OriginSpec } from '../config/lab-config.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { oneAtATime } from '../proxy/request-turns.ts'
import { isWeb, type OriginListener, planOriginListeners, type Site, type WebKind } from './listen-plan.ts'
import { type OriginClient, type OriginContext, type OriginRequest, originRequestOf } from './origin-request.ts'
import { type Attribution, html, type OriginAnswer, send } from './page.ts'
import { directRequest, echo, saas, search, site } from './sites.ts'
import { runTool } from './test-endpoints.ts'
import { createWebSocketEcho, type WebSocketEcho } from './web-socket-echo.ts'

export interface OriginsOptions extends OriginContext {
  readonly specs: readonly OriginSpec[]
  readonly destinations: readonly Destination[]
  /** PEM; presented for every name */
  readonly certificate: { readonly key: string; readonly certificate: string }
  /** the lab's proxy as a URL, for people who come past it */
  readonly proxy: string
  /** whom pages thank for geolocation */
  readonly attribution: Attribution
}

export interface RunningOrigins {
  /** what is listened on, in the order of the configuration */
  readonly doors: readonly {
    readonly at: Endpoint
    readonly scheme: 'http' | 'https'
    readonly names: readonly string[]
  }[]
  /** Stops listening and drops every connection. */
  readonly close: () => Promise<void>
}

const KEEP_ALIVE_MS = 30_000
const BACKLOG = 4096
/** requests of one connection that wait behind the one in progress */
const MAX_PIPELINED = 1024

const KINDS: Readonly<Record<WebKind, (visit: OriginRequest, visitor: OriginClient) => OriginAnswer>> = {
  echo,
  saas,
  search,
  site,
}

/** Brings all test origins up; resolves when every one listens.
 *  Rejects with an InputError naming every address that cannot be listened on; nothing is left listening then. */
export async function startOrigins(options: OriginsOptions): Promise<RunningOrigins> {
  const doors = planOriginListeners(options.specs.filter(isWeb), options.destinations)
  const sockets = createWebSocketEcho()
  const servers = doors.map((door) => createDoorServer(door, options, sockets))
  const close = async () => {
    sockets.close()
    await Promise.all(servers.map(shut))
  }
  const outcomes = await Promise.allSettled(servers.map((server, at) => listen(server, doors[at])))
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
  if (failures.length > 0) {
    await close()
    throw new InputError(failures.flatMap(issuesOf))
  }
  return { doors: doors.map(({ at, scheme, sites }) => ({ at, scheme, names: [...sites.keys()] })), close }
}

function createDoorServer(door: OriginListener, options: OriginsOptions, sockets: WebSocketEcho): Server {
  const handle = oneAtATime(
    (request, response) => void answer(door, options, request, response).catch(() => response.destroy()),
    MAX_PIPELINED,
  )
  const settings = {
    keepAliveTimeout: KEEP_ALIVE_MS,
    shouldUpgradeCallback: (request: IncomingMessage) =>
      findSite(door, request)?.spec.kind === 'echo' && sockets.wants(request),
  }
  const { key, certificate: cert } = options.certificate
  const server =
    door.scheme === 'https' ? createTlsServer({ ...settings, key, cert }, handle) : createServer(settings, handle)
  server.on('upgrade', sockets.accept)
  return server
}

async function answer(
  door: OriginListener,
  options: OriginsOptions,
  request: IncomingMessage,
  response: ServerResponse,
) {
  const { attribution } = options
  if (hostFields(request) > 1) return send(TWO_HOSTS, request, response, attribution)
  const found = findSite(door, request)
  if (found === undefined) return send(misdirected(door, request), request, response, attribution)
  const visit = originRequestOf(request, found, options)
  if (found.spec.kind === 'echo' && (await runTool(visit.path, request, response))) return
  const { visitor } = visit
  const reply = visitor === undefined ? directRequest(visit, options.proxy) : KINDS[found.spec.kind](visit, visitor)
  send(reply, request, response, attribution)
}

/** The site named by the Host field; an address names the site when it is the only one here. */
function findSite(door: OriginListener, request: IncomingMessage): Site | undefined {
  const name = hostName(request)
  const [first] = door.sites.values()
  const isAddress = /^[\d.]+$|^\[/.test(name)
  return door.sites.get(name) ?? (isAddress && door.sites.size === 1 ? first : undefined)
}

function hostName(request: IncomingMessage): string {
  return (request.headers.host ?? '').toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
}

function hostFields({ rawHeaders }: IncomingMessage): number {
  return rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'host').length
}

/** RFC 9112 section 3.2. */
const TWO_HOSTS: OriginAnswer = {
  status: 400,
  text: 'the field Host comes twice\n',
  json: { error: 'two_hosts' },
  page: {
    title: 'egresslab',
    headline: 'The field Host comes twice',
    tone: 'bad',
    body: html`<p>A request names one host.</p>`,
  },
}

/** 421 (RFC 9110 section 15.5.20) for a name that is not served here. */
function misdirected(door: OriginListener, request: IncomingMessage): OriginAnswer {
  const asked = hostName(request)
  const names = [...door.sites.keys()]
  const headline = `No test origin called “${asked}” is here`
  return {
    status: 421,
    text: `no test origin called "${asked}" is here; ask for ${names.join(' or ')}\n`,
    json: { error: 'misdirected_request', asked, here: names },
    page: {
      title: 'egresslab',
      headline,
      tone: 'bad',
      body: html`<p>Here are:</p><ul>${names.map((name) => html`<li><code>${name}</code></li>`)}</ul>`,
    },
  }
}

function listen(server: Server, door: OriginListener | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (door === undefined) return resolve()
    server.on('error', (cause) => reject(new InputError([notBound(door, cause)])))
    server.listen({ host: door.at.ip.text, port: door.at.port, backlog: BACKLOG, exclusive: true }, resolve)
  })
}

function shut(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

function notBound(door: OriginListener, cause: Error): Issue {
  const code = 'code' in cause ? String(cause.code) : 'unknown'
  const names = [...door.sites.keys()].join(', ')
  const message = `the test origin ${names} cannot listen on \`${formatEndpoint(door.at)}\` (${code})`
  return {
    severity: 'error',
    code: 'origins.not_bound',
    message,
    hint: HINTS[code] ?? OTHERWISE,
    path: ['destinations'],
  }
}

const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'stop the program that holds the port (another lab?), or map the destination to a different real port',
  EADDRNOTAVAIL: 'use a stand-in this machine has, such as one in 127.0.0.0/8',
  EACCES: 'map the public port to a real port of 1024 or more',
}
const OTHERWISE = 'give the destination a stand-in address and port that can be listened on'

function issuesOf(failure: unknown): readonly Issue[] {
  if (failure instanceof InputError) return failure.issues
  throw failure
}
