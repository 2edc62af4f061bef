// HTTP/2 between client and proxy (RFC 9113), for clients that chose it in the TLS handshake: every stream is a request of its
// own, with its own credentials, decision and record (AU-05). Bounds what one connection may ask for. A CONNECT is carried
// here; plain requests are carried by forward-stream.ts.

import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import type { MalformedStream } from '../../http2/request-inspector.ts'
import type { ClientInfo } from '../../proxy/arrival.ts'
import type { ConnectionPipeline } from '../../proxy/pipeline.ts'
import { openTunnel, type TunnelClient } from '../../proxy/tunnel.ts'
import { LinkedList } from '../../transport/linked-list.ts'
import { NodeStream } from '../../transport/node/node-stream.ts'
import type { Timer } from '../../transport/timer-wheel.ts'
import type { ClientConnection } from '../client-connection.ts'
import { understandConnect } from '../http-connect/connect-tunnel.ts'
import type { ForwardSettings } from '../http-forward/forward.ts'
import { parseProxyCredentials } from '../proxy-credentials.ts'
import { ForwardStreams } from './forward-stream.ts'
import { refuseStream, responseHeaders } from './http2-responder.ts'
import { InspectedSocket } from './inspected-socket.ts'

export interface Http2Settings extends ForwardSettings {
  readonly pipeline: ConnectionPipeline
  /** a connection without a stream */
  readonly keepAliveMs: number
}

const MAX_STREAMS = 100
/** RFC 9113 section 6.5.2, the initial values: said again, because the inspector of frames goes by them. */
const SIZES = { headerTableSize: 4096, maxFrameSize: 16_384 }
/** What a client may send ahead, bytes: on a stream whose origin does not take it, and of what Node has not read yet. Twice the initial
 *  64 KB, since every WINDOW_UPDATE is a write that reading waits for. */
const STREAM_WINDOW = 128 * 1024
const CONNECTION_WINDOW = 1024 * 1024
/** Streams a client may take back at once, and per second after that, before its connection goes (CVE-2023-44487). A browser
 *  that leaves a page takes back all it has open. */
const RESET_BURST = 3 * MAX_STREAMS
const RESETS_PER_SECOND = 50
/** nghttp2's and Node's memory for one connection, MB: streams, header tables, frames that wait */
const MAX_SESSION_MB = 10
/** A client that was told to go has so long to close its side. */
const GRACE_MS = 2_000

/** Every HTTP/2 connection of the proxy, so that a stop can end them (GOAWAY, RFC 9113 section 6.8). */
export class Http2Connections {
  readonly #settings: Http2Settings
  readonly #connections = new LinkedList<Http2Connection>()

  constructor(settings: Http2Settings) {
    this.#settings = settings
  }

  /** Takes over a client that speaks HTTP/2 from its first byte. */
  receive(client: ClientConnection): void {
    const connection = new Http2Connection(client, this.#settings, () => this.#connections.leave(place))
    const place = this.#connections.enter(connection)
  }

  /** Tells every client to ask for nothing more here; streams that are open go on (LC-01). */
  drain(): void {
    for (const connection of this.#connections.list()) connection.drain()
  }
}

class Http2Connection {
  readonly #client: ClientConnection
  readonly #settings: Http2Settings
  readonly #inspected: InspectedSocket
  readonly #session: ServerHttp2Session
  readonly #forwarding: ForwardStreams
  /** how to give up a stream, by its identifier */
  readonly #streams = new Map<number, (error: GatewayError) => void>()
  /** found malformed before Node has told of them */
  readonly #condemned = new Map<number, GatewayError>()
  #open = 0
  /** the client said so itself, and why: nothing that we find out later */
  #isLeaving = false
  #deadline: Timer
  #cut: Timer | undefined

  constructor(client: ClientConnection, settings: Http2Settings, onClose: () => void) {
    this.#client = client
    this.#settings = settings
    this.#forwarding = new ForwardStreams(settings)
    const { socket } = client
    this.#inspected = new InspectedSocket(socket, SIZES, {
      onMalformed: this.#malformed,
      onBroken: () => this.#cutSoon(),
    })
    this.#session = performServerHandshake(this.#inspected, {
      maxSessionMemory: MAX_SESSION_MB,
      maxHeaderListPairs: settings.maxFields,
      streamResetBurst: RESET_BURST,
      streamResetRate: RESETS_PER_SECOND,
      settings: {
        ...SIZES,
        initialWindowSize: STREAM_WINDOW,
        maxConcurrentStreams: MAX_STREAMS,
        maxHeaderListSize: settings.maxHeadBytes,
      },
    })
    if (!this.#session.destroyed) this.#session.setLocalWindowSize(CONNECTION_WINDOW)
    this.#deadline = this.#closeIn(client.origin.limits.timeoutMs)
    this.#session.on('stream', this.#serve)
    this.#session.on('error', this.#broken)
    this.#session.once('goaway', () => {
      this.#isLeaving = true
      this.#settle()
    })
    // HTTP/2 knows no half-closed connection: with the client's FIN, or its close_notify, every stream is over
    socket.once('end', () => client.stream.destroy())
    this.#session.once('close', () => {
      this.#deadline.cancel()
      this.#cut?.cancel()
      this.#forwarding.close()
      onClose()
    })
  }

  drain(): void {
    this.#session.close()
    this.#settle()
  }

  /** `fields` is the flat list as received, pseudo-header fields first. */
  readonly #serve = (
    stream: ServerHttp2Stream,
    pseudo: { readonly ':method'?: string; readonly ':authority'?: string },
    _flags: number,
    fields: readonly string[],
  ): void => {
    stream.on('error', ignore)
    this.#opened(stream)
    const { pipeline } = this.#settings
    const isConnect = pseudo[':method'] === 'CONNECT'
    const client = this.#clientInfo(isConnect)
    const condemned = this.#condemned.get(stream.id ?? 0)
    if (condemned !== undefined) {
      pipeline.refuse(client, condemned)
      return
    }
    const giveUp = isConnect
      ? openConnectStream(pipeline, client, stream, { authority: pseudo[':authority'] ?? '', fields: plain(fields) })
      : this.#forwarding.serve(client, stream, { pseudo, fields: plain(fields) })
    this.#streams.set(stream.id ?? 0, giveUp)
  }

  #clientInfo(isConnect: boolean): ClientInfo {
    const client = this.#client.clientInfo(isConnect ? 'h2-connect' : 'h2-forward')
    return { ...client, acceptedAt: this.#settings.pipeline.now() }
  }

  #opened(stream: ServerHttp2Stream): void {
    const id = stream.id ?? 0
    this.#open++
    this.#deadline.cancel()
    stream.once('close', () => {
      this.#inspected.forget(id)
      this.#streams.delete(id)
      this.#condemned.delete(id)
      this.#open--
      if (this.#open === 0) this.#deadline = this.#closeIn(this.#settings.keepAliveMs)
      this.#settle()
    })
  }

  /** The client hears of it by RST_STREAM with PROTOCOL_ERROR, whatever is done here. */
  readonly #malformed = ({ streamId, isNew, isConnect, defect }: MalformedStream): void => {
    const { message, defect: name, field } = defect
    const error = new GatewayError('request.malformed', `the request is malformed: ${message}`, {
      details: { defect: name, ...(field === undefined ? {} : { field }) },
    })
    const giveUp = this.#streams.get(streamId)
    if (isNew) this.#settings.pipeline.refuse(this.#clientInfo(isConnect), error)
    else if (giveUp !== undefined) giveUp(error)
    else this.#condemn(streamId, error)
  }

  /** Nobody may ever hear of the stream, nghttp2 having refused it for another reason: the newest few are kept. */
  #condemn(streamId: number, error: GatewayError): void {
    for (const oldest of this.#condemned.keys()) {
      if (this.#condemned.size < MAX_STREAMS) break
      this.#condemned.delete(oldest)
    }
    this.#condemned.set(streamId, error)
  }

  #closeIn(idleMs: number): Timer {
    return this.#settings.pipeline.settings.clock.after(idleMs, () => {
      this.#session.close()
      this.#settle()
    })
  }

  /** Node ends a closed session politely and then waits for the client without limit: after a grace the connection goes. */
  readonly #settle = (): void => {
    const { closed, destroyed } = this.#session
    if (this.#open > 0 || !(closed || destroyed)) return
    this.#cutSoon()
  }

  /** Whatever Node and the client make of it: after a grace the connection is gone. */
  #cutSoon(): void {
    this.#cut ??= this.#settings.pipeline.settings.clock.after(GRACE_MS, () => this.#client.stream.destroy())
  }

  /** A client that breaks the protocol, or asks and takes back without end, loses its connection. That it went away is no news. */
  readonly #broken = (cause: Error): void => {
    if (cause instanceof GatewayError) {
      this.#settings.pipeline.refuse(this.#client.clientInfo('h2-connect'), cause)
      return
    }
    const code = 'code' in cause ? String(cause.code) : ''
    if (this.#isLeaving || !code.startsWith('ERR_HTTP2_')) return
    const why = isOtherProtocol(cause) ? SPEAKS_SOMETHING_ELSE : 'the client broke the rules of HTTP/2'
    const error = new GatewayError('request.malformed', why, { cause })
    this.#settings.pipeline.refuse(this.#client.clientInfo('h2-connect'), error)
  }
}

/** nghttp2's number for a connection that does not begin with the preface of RFC 9113 section 3.4 */
const BAD_CLIENT_MAGIC = -903
const SPEAKS_SOMETHING_ELSE =
  'the client chose h2 in the TLS handshake and then spoke another protocol, such as HTTP/1.1 (Go programs do, golang/go#26479);' +
  ' offer it HTTP/1.1 alone with `tls: { alpn: [http/1.1] }` at the listener'

function isOtherProtocol(cause: Error): boolean {
  return 'errno' in cause && cause.errno === BAD_CLIENT_MAGIC
}

function plain(fields: readonly string[]): string[] {
  const kept: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? ''
    if (!name.startsWith(':')) kept.push(name, fields[at + 1] ?? '')
  }
  return kept
}

function ignore(): void {}

/** Opens the tunnel a stream asks for. `fields`: names and values without pseudo-header fields. Answers how to give the stream up as
 *  malformed. */
function openConnectStream(
  pipeline: ConnectionPipeline,
  clientInfo: ClientInfo,
  stream: ServerHttp2Stream,
  { authority, fields }: { readonly authority: string; readonly fields: readonly string[] },
): (error: GatewayError) => void {
  let isOurs = false
  // Node lets a stream that the client took back end like one that is complete, but says this first
  stream.once('aborted', () => {
    if (!isOurs) stream.destroy(new Error('the client reset the stream'))
  })
  const client: TunnelClient = {
    stream: new NodeStream(stream, {
      reset: () => {
        isOurs = true
        stream.close(constants.NGHTTP2_CONNECT_ERROR)
      },
    }),
    // with trailers to wait for, Node sends no END_STREAM ahead of RST_STREAM, which a client would take for a clean end
    accept: ({ annotation }) => stream.respond(responseHeaders(200, annotation), { waitForTrailers: true }),
    refuse: (error) => {
      isOurs = true
      refuseStream(stream, error, { clock: pipeline.settings.clock, method: 'CONNECT' })
    },
  }
  try {
    const { authorization, ...asked } = understandConnect(authority, fields)
    const credentials = authorization === undefined ? undefined : parseProxyCredentials(authorization)
    const arrival = { ...clientInfo, ...asked, ...(credentials === undefined ? {} : { credentials }) }
    void openTunnel(pipeline, arrival, client)
  } catch (thrown) {
    const error = asGatewayError(thrown)
    pipeline.refuse(clientInfo, error)
    client.refuse(error)
  }
  return (error) => {
    isOurs = true
    stream.close(constants.NGHTTP2_PROTOCOL_ERROR)
    stream.destroy(error)
  }
}
