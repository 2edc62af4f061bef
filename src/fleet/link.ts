// The link between two members: HTTP/2 over TLS in which both prove who they are, one CONNECT for each connection. Who asks names the
// address that was decided; who is asked binds it or says by name why not. Nobody else is served, and nothing but an address that is
// the asked member's own.

import { X509Certificate } from 'node:crypto'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { checkServerIdentity, TLSSocket } from 'node:tls'
import { CONNECTION_ERRORS, type ConnectionErrorCode } from '../errors/catalogue.ts'
import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import { messageOf } from '../errors/thrown.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { parseAuthority } from '../net/host.ts'
import { type MemberLink, type MemberListener, memberFailed } from '../outbound/member-attempt.ts'
import { relay } from '../proxy/relay.ts'
import type { DialAttempt, TcpUpstream } from '../proxy/stage-values.ts'
import type { Cancellation } from '../transport/cancellation.ts'
import { NodeStream } from '../transport/node/node-stream.ts'
import type { Clock } from '../transport/timer-wheel.ts'
import { type CarriedFacts, factsOf } from './carried-attempt.ts'
import { type FleetIdentity, memberHost } from './log-message.ts'

const STREAM_WINDOW = 1024 * 1024
const CONNECTION_WINDOW = 32 * 1024 * 1024
const MOST_STREAMS = 100_000
const PING_EVERY_MS = 1_000
const SILENT_MS = 3_000
const RETRY_MS = 500
const HANDSHAKE_MS = 5_000
/** of the facts of a connection, in a field of its request */
const MOST_HEAD = 64 * 1024

const EGRESS = 'egresslab-egress'
const FACTS = 'egresslab-facts'
const BOUND = 'egresslab-bound'
const ERROR = 'egresslab-error'

/** The client's end: keeps one connection to a member, and says when it comes and goes. */
export class LinkClient implements MemberLink {
  readonly member: string
  readonly #where: Endpoint
  readonly #identity: FleetIdentity
  readonly #onState: (state: 'up' | 'down', why: string) => void
  #session: ClientHttp2Session | undefined
  #isUp = false
  #why = 'it is not connected yet'
  #retry: NodeJS.Timeout | undefined
  #ping: NodeJS.Timeout | undefined
  #lastPong = 0
  #closed = false

  constructor(
    member: string,
    where: Endpoint,
    identity: FleetIdentity,
    onState: (state: 'up' | 'down', why: string) => void,
  ) {
    this.member = member
    this.#where = where
    this.#identity = identity
    this.#onState = onState
    this.#open()
  }

  get where(): string {
    return formatEndpoint(this.#where)
  }

  connect(attempt: DialAttempt, listener: MemberListener): () => void {
    const { candidate, decision } = attempt
    const session = this.#session
    let isOver = false
    const once = (tell: () => void) => {
      if (isOver) return
      isOver = true
      tell()
    }
    const fail = (error: GatewayError) => once(() => listener.onFailure(error))
    if (session === undefined || !this.#isUp || session.destroyed) {
      queueMicrotask(() => fail(memberFailed(this.member, this.#why)))
      return () => once(() => {})
    }
    const head = {
      ':method': 'CONNECT',
      ':authority': formatEndpoint(candidate.destination),
      [EGRESS]: decision.egress?.address.text ?? '',
      [FACTS]: Buffer.from(JSON.stringify(factsOf(attempt))).toString('base64url'),
    }
    const stream = session.request(head, { waitForTrailers: true })
    stream.once('response', (headers) => {
      stream.off('error', failed)
      stream.off('close', closed)
      once(() => this.#answered(stream, headers, listener))
    })
    const failed = (cause: Error) => fail(memberFailed(this.member, messageOf(cause), cause))
    const closed = () => fail(memberFailed(this.member, 'it closed the connection without an answer'))
    stream.once('error', failed)
    stream.once('close', closed)
    return () =>
      once(() => {
        stream.off('error', failed)
        stream.on('error', () => {})
        stream.close(constants.NGHTTP2_CANCEL)
      })
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#retry)
    clearInterval(this.#ping)
    this.#session?.destroy()
  }

  #answered(
    stream: ClientHttp2Stream,
    headers: IncomingHttpHeaders & { ':status'?: number | undefined },
    to: MemberListener,
  ): void {
    const [egress, bind] = String(headers[BOUND] ?? '')
      .split(' ')
      .map(endpointIn)
    if (headers[':status'] === 200 && egress !== undefined && bind !== undefined) {
      to.onConnect({ stream: streamOf(stream), egress, bind })
      return
    }
    stream.on('error', () => {})
    stream.close(constants.NGHTTP2_CANCEL)
    const { code, message } = errorIn(String(headers[ERROR] ?? ''))
    const isOurs = code !== undefined && !code.startsWith('internal.')
    to.onFailure(isOurs ? new GatewayError(code, message) : memberFailed(this.member, message || 'it gave no reason'))
  }

  #open(): void {
    const { fleet, authority, certificate, key } = this.#identity
    const host = memberHost(fleet, this.member)
    const session = connect(`https://${formatEndpoint(this.#where)}`, {
      ca: authority,
      cert: certificate,
      key,
      servername: host,
      checkServerIdentity: (_name, peer) => checkServerIdentity(host, peer),
      minVersion: 'TLSv1.3',
      settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
      timeout: HANDSHAKE_MS,
    })
    this.#session = session
    session.setMaxListeners(0)
    session.once('timeout', () => {
      if (!this.#isUp) session.destroy(new Error(`no handshake within ${HANDSHAKE_MS / 1000} s`))
    })
    session.once('connect', () => {
      session.setTimeout(0)
      session.setLocalWindowSize(CONNECTION_WINDOW)
      this.#lastPong = performance.now()
      this.#ping = setInterval(() => this.#check(session), PING_EVERY_MS)
      this.#ping.unref()
      this.#say('up', '')
    })
    let cause: Error | undefined
    session.on('error', (error: Error) => {
      cause ??= error
    })
    session.once('close', () => {
      clearInterval(this.#ping)
      if (this.#closed) return
      this.#say('down', cause === undefined ? 'it closed the link' : messageOf(cause))
      this.#retry = setTimeout(() => this.#open(), RETRY_MS)
      this.#retry.unref()
    })
  }

  #check(session: ClientHttp2Session): void {
    if (performance.now() - this.#lastPong > SILENT_MS) {
      session.destroy(new Error(`it has not answered for ${SILENT_MS / 1000} s`))
      return
    }
    session.ping((error) => {
      if (error === null) this.#lastPong = performance.now()
    })
  }

  #say(state: 'up' | 'down', why: string): void {
    const isNews = this.#isUp !== (state === 'up') || this.#why !== why
    this.#isUp = state === 'up'
    this.#why = why
    if (isNews) this.#onState(state, why)
  }
}

/** What the other members ask of this one. */
export interface LinkService {
  readonly identity: FleetIdentity
  readonly listen: Endpoint
  /** Is it a member of the fleet now? */
  readonly isMember: (name: string) => boolean
  /** Connects from this address of this member's own. Throws GatewayError. */
  readonly dial: (request: LinkRequest) => Promise<TcpUpstream>
  readonly idleMs: number
  readonly clock: Clock
  readonly onProblem: (message: string) => void
}

export interface LinkRequest {
  readonly egress: string
  readonly destination: Endpoint
  readonly facts: CarriedFacts
  /** the address of the member that asks */
  readonly peer: string
  readonly signal: Cancellation
}

export interface LinkServer {
  readonly address: Endpoint
  /** connections it carries for others */
  readonly carried: () => number
  close(): Promise<void>
}

/** Listens for the other members. Rejects with the system's error. */
export async function serveLinks(service: LinkService): Promise<LinkServer> {
  const { identity, listen, onProblem } = service
  const server = createSecureServer({
    ca: identity.authority,
    cert: identity.certificate,
    key: identity.key,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    handshakeTimeout: HANDSHAKE_MS,
    maxSessionMemory: 256,
    settings: { initialWindowSize: STREAM_WINDOW, maxConcurrentStreams: MOST_STREAMS, maxHeaderListSize: MOST_HEAD },
  })
  const sessions = new Map<ServerHttp2Session, string>()
  let carried = 0
  server.on('tlsClientError', (error) => onProblem(`a link was refused: ${messageOf(error)}`))
  server.on('sessionError', () => {})
  server.on('session', (session) => {
    const member = peerOf(session, identity)
    if (member === undefined) {
      onProblem('a link was refused: its certificate is of no member of this fleet')
      session.destroy()
      return
    }
    session.setMaxListeners(0)
    session.setLocalWindowSize(CONNECTION_WINDOW)
    sessions.set(session, member)
    session.on('error', () => {})
    session.once('close', () => sessions.delete(session))
  })
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {})
    const member = sessions.get(stream.session as ServerHttp2Session)
    carried++
    void serveStream(service, member, stream, headers).finally(() => carried--)
  })
  await listenAt(server, listen)
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : listen.port
  return {
    address: { ip: listen.ip, port },
    carried: () => carried,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const session of sessions.keys()) session.destroy()
      }),
  }
}

function listenAt(server: Http2SecureServer, { ip, port }: Endpoint): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, ip.text, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function peerOf(session: ServerHttp2Session, identity: FleetIdentity): string | undefined {
  const { socket } = session
  const peer = socket instanceof TLSSocket || 'getPeerCertificate' in socket ? (socket as TLSSocket) : undefined
  const raw = peer?.getPeerCertificate()?.raw
  return raw === undefined ? undefined : identity.memberOf(new X509Certificate(raw))
}

/** Carries one connection; resolves when it is over. */
async function serveStream(
  service: LinkService,
  member: string | undefined,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): Promise<void> {
  const gone = new AbortController()
  const leave = () => gone.abort(new GatewayError('relay.client_reset', 'the member that asked has gone'))
  stream.once('close', leave)
  try {
    if (member === undefined || !service.isMember(member)) {
      throw memberFailed(service.identity.member, `\`${member}\` is no member of the fleet`)
    }
    const destination = endpointIn(String(headers[':authority'] ?? ''))
    if (headers[':method'] !== 'CONNECT' || destination === undefined) {
      throw new GatewayError('request.malformed', 'a link takes CONNECT to an address and a port')
    }
    const facts = JSON.parse(Buffer.from(String(headers[FACTS] ?? ''), 'base64url').toString('utf8')) as CarriedFacts
    const peer = stream.session?.socket.remoteAddress ?? ''
    const request = { egress: String(headers[EGRESS]), destination, facts, peer, signal: gone.signal }
    const { channel, publicEndpoint, local } = await service.dial(request)
    stream.off('close', leave)
    if (stream.destroyed) {
      channel.reset()
      return
    }
    const head = { ':status': 200, [BOUND]: `${formatEndpoint(publicEndpoint)} ${formatEndpoint(local)}` }
    stream.respond(head, { waitForTrailers: true })
    await relay(streamOf(stream), channel, { idleMs: service.idleMs, clock: service.clock }).closed
  } catch (thrown) {
    if (stream.destroyed || stream.headersSent) return
    const { code, message, rendering } = asGatewayError(thrown)
    const said = Buffer.from(JSON.stringify({ code, message })).toString('base64url')
    stream.respond({ ':status': rendering.http, [ERROR]: said }, { endStream: true })
    stream.resume()
  }
}

/** Both ends wait for trailers: without them Node sends END_STREAM ahead of RST_STREAM, and a reset looks like a clean end. */
function streamOf(stream: ClientHttp2Stream | ServerHttp2Stream): NodeStream {
  let isOurs = false
  // Node lets a stream that the other end took back end like one that is complete, but says this first
  stream.once('aborted', () => {
    if (!isOurs) stream.destroy(new Error('the other member reset the stream'))
  })
  return new NodeStream(stream, {
    reset: () => {
      isOurs = true
      stream.close(constants.NGHTTP2_CONNECT_ERROR)
    },
  })
}

function endpointIn(text: string): Endpoint | undefined {
  const found = parseAuthority(text)
  return found?.kind === 'ip' && found.port !== undefined ? { ip: found.ip, port: found.port } : undefined
}

function errorIn(field: string): { readonly code?: ConnectionErrorCode; readonly message: string } {
  try {
    const { code, message } = JSON.parse(Buffer.from(field, 'base64url').toString('utf8')) as Record<string, unknown>
    if (typeof code === 'string' && Object.hasOwn(CONNECTION_ERRORS, code)) {
      return { code: code as ConnectionErrorCode, message: String(message) }
    }
    return { message: String(message ?? '') }
  } catch {
    return { message: '' }
  }
}
