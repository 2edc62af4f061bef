// Runs the test origins: one HTTP or HTTPS server per listener, requests routed by host name to their site. Listens on
// stand-in addresses only and connects to nothing.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Destination, OriginSpec } from '../config/lab-config.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { oneAtATime } from '../proxy/request-turns.ts'
import { isWeb, type OriginListener, planOriginListeners, type Site, type WebKind } from './listen-plan.ts'
import {
  type OnOriginRequest,
  type OriginClient,
  type OriginContext,
  type OriginRequest,
  originRequestOf,
} from './origin-request.ts'
import { type Attribution, html, type OriginAnswer, send } from './page.ts'
import { runTool } from './response-tools.ts'
import { directRequest, echo, saas, search, site, trace } from './sites.ts'

export interface OriginsOptions extends OriginContext {
  readonly specs: readonly OriginSpec[]
  readonly destinations: readonly Destination[]
  /** PEM; presented for every name */
  readonly certificate: { readonly key: string; readonly certificate: string }
  /** the lab's proxy as a URL, shown to clients that bypass it */
  readonly proxy: string
  /** the attribution on pages, for geolocation */
  readonly attribution: Attribution
  readonly onRequest?: OnOriginRequest | undefined
}

export interface RunningOrigins {
  /** the listeners, in the order of the configuration */
  readonly listeners: readonly {
    readonly at: Endpoint
    readonly scheme: 'http' | 'https'
    readonly names: readonly string[]
  }[]
  /** Stops listening and drops every connection. */
  readonly close: () => Promise<void>
}

const KEEP_ALIVE_MS = 30_000
const BACKLOG = 4096
/** most requests of one connection that wait for the one in progress */
const MAX_PIPELINED = 1024

const KINDS: Readonly<Record<WebKind, (originRequest: OriginRequest, client: OriginClient) => OriginAnswer>> = {
  echo,
  saas,
  search,
  site,
}

/** On every site, whatever its kind. */
const TRACE = '/cdn-cgi/trace'

/** Starts all test origins; resolves when every one listens. Rejects with an InputError that names every address
 *  that cannot be listened on; then nothing is left listening. */
export async function startOrigins(options: OriginsOptions): Promise<RunningOrigins> {
  const listeners = planOriginListeners(options.specs.filter(isWeb), options.destinations)
  const sockets = createWebSocketEcho()
  const servers = listeners.map((listener) => createOriginServer(listener, options, sockets))
  const close = async () => {
    sockets.close()
    await Promise.all(servers.map(shut))
  }
  const outcomes = await Promise.allSettled(servers.map((server, at) => listen(server, listeners[at])))
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
  if (failures.length > 0) {
    await close()
    throw new InputError(failures.flatMap(issuesOf))
  }
  return { listeners: listeners.map(({ at, scheme, sites }) => ({ at, scheme, names: [...sites.keys()] })), close }
}

function createOriginServer(listener: OriginListener, options: OriginsOptions, sockets: WebSocketEcho): Server {
  const handle = oneAtATime(
    (request, response) => void answer(listener, options, request, response).catch(() => response.destroy()),
    MAX_PIPELINED,
  )
  const settings = {
    keepAliveTimeout: KEEP_ALIVE_MS,
    shouldUpgradeCallback: (request: IncomingMessage) =>
      findSite(listener, request)?.spec.kind === 'echo' && sockets.wants(request),
  }
  const { key, certificate: cert } = options.certificate
  const server =
    listener.scheme === 'https' ? createTlsServer({ ...settings, key, cert }, handle) : createServer(settings, handle)
  // a client that has said all it wants to say still gets its answer
  Object.assign(server, { httpAllowHalfOpen: true })
  // over TLS from the end of the handshake on: a socket that ends before it is not kept
  server.on('secureConnection', (socket) => Object.assign(socket, { allowHalfOpen: true }))
  server.on('upgrade', sockets.accept)
  return server
}

async function answer(
  listener: OriginListener,
  options: OriginsOptions,
  request: IncomingMessage,
  response: ServerResponse,
) {
  const { attribution } = options
  if (hostFields(request) > 1) return send(TWO_HOSTS, request, response, attribution)
  const found = findSite(listener, request)
  if (found === undefined) return send(misdirected(listener, request), request, response, attribution)
  const originRequest = originRequestOf(request, found, options)
  const isTool = found.spec.kind === 'echo' && (await runTool(originRequest.path, request, response))
  if (!isTool) send(replyTo(originRequest, options), request, response, attribution)
  options.onRequest?.(originRequest, response.statusCode)
}

function replyTo(request: OriginRequest, { proxy }: OriginsOptions): OriginAnswer {
  const { client, site } = request
  if (client === undefined) return directRequest(request, proxy)
  return request.path === TRACE ? trace(request, client) : KINDS[site.spec.kind](request, client)
}

/** The site named by the Host field; an address means the only site of the listener. */
function findSite(listener: OriginListener, request: IncomingMessage): Site | undefined {
  const name = hostName(request)
  const [first] = listener.sites.values()
  const isAddress = /^[\d.]+$|^\[/.test(name)
  return listener.sites.get(name) ?? (isAddress && listener.sites.size === 1 ? first : undefined)
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
  text: 'the request has two Host fields\n',
  json: { error: 'two_hosts' },
  page: {
    title: 'egresslab',
    headline: 'The request has two Host fields',
    tone: 'bad',
    body: html`<p>A request must name one host.</p>`,
  },
}

/** 421 (RFC 9110 section 15.5.20) for a name that is not served here. */
function misdirected(listener: OriginListener, request: IncomingMessage): OriginAnswer {
  const asked = hostName(request)
  const names = [...listener.sites.keys()]
  const headline = `No test origin called “${asked}” is served here`
  return {
    status: 421,
    text: `no test origin called "${asked}" is served here; request ${names.join(' or ')}\n`,
    json: { error: 'misdirected_request', asked, here: names },
    page: {
      title: 'egresslab',
      headline,
      tone: 'bad',
      body: html`<p>Here are:</p><ul>${names.map((name) => html`<li><code>${name}</code></li>`)}</ul>`,
    },
  }
}

function listen(server: Server, listener: OriginListener | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (listener === undefined) return resolve()
    server.on('error', (cause) => reject(new InputError([notBound(listener, cause)])))
    server.listen({ host: listener.at.ip.text, port: listener.at.port, backlog: BACKLOG, exclusive: true }, resolve)
  })
}

function shut(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

function notBound(listener: OriginListener, cause: Error): Issue {
  const code = 'code' in cause ? String(cause.code) : 'unknown'
  const names = [...listener.sites.keys()].join(', ')
  const message = `the test origin ${names} cannot listen on \`${formatEndpoint(listener.at)}\` (${code})`
  return {
    severity: 'error',
    code: 'origins.not_bound',
    message,
    hint: HINTS[code] ?? OTHERWISE,
    path: ['destinations'],
  }
}

const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'stop the program that holds the port, map the destination to a different real port, or, beside another lab, `start --parallel`',
  EADDRNOTAVAIL: 'use a stand-in address of this machine, such as one in 127.0.0.0/8',
  EACCES: 'map the public port to a real port of 1024 or more',
}
const OTHERWISE = 'give the destination a stand-in address and port that can be listened on'

function issuesOf(failure: unknown): readonly Issue[] {
  if (failure instanceof InputError) return failure.issues
  throw failure
}

// WebSocket (RFC 6455) for the echo sites: every message is returned unchanged. Any other upgrade is ignored, and the
// request answered as if it had not asked for one (RFC 9110 section 7.8).

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

interface WebSocketEcho {
  /** whether this request is one for `accept` */
  readonly wants: (request: IncomingMessage) => boolean
  readonly accept: (request: IncomingMessage, socket: Duplex, early: Buffer) => void
  readonly close: () => void
}

/** An echo for requests to `/ws`. */
function createWebSocketEcho(): WebSocketEcho {
  const server = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false })
  return {
    wants: (request) =>
      request.headers.upgrade?.toLowerCase() === 'websocket' && /^\/ws(?:\?|$)/.test(request.url ?? ''),
    accept: (request, socket, early) => server.handleUpgrade(request, socket, early, echoTo),
    close: () => {
      for (const client of server.clients) client.terminate()
      server.close()
    },
  }
}

function echoTo(socket: WebSocket): void {
  socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }))
  socket.on('error', () => socket.terminate())
}
