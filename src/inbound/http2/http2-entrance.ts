// HTTP/2 between client and proxy (RFC 9113), for clients that chose it in the TLS handshake: every stream is a request of its own,
// with its own credentials, decision and record (AU-05). Bounds what one connection may ask for; carries nothing itself.

import { performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { GatewayError } from '../../errors/gateway-error.ts'
import type { ConnectionPipeline } from '../../proxy/pipeline.ts'
import { LinkedList } from '../../transport/linked-list.ts'
import type { Timer } from '../../transport/timer-wheel.ts'
import type { ClientConnection } from '../client-connection.ts'
import type { ForwardSettings } from '../http-forward/forward.ts'
import { openConnectStream } from './connect-stream.ts'
import { ForwardStreams } from './forward-stream.ts'

export interface Http2Settings extends ForwardSettings {
  readonly pipeline: ConnectionPipeline
  /** a connection without a stream */
  readonly keepAliveMs: number
}

const MAX_STREAMS = 100
/** Streams a client may take back at once, and per second after that, before its connection goes (CVE-2023-44487). A browser
 *  that leaves a page takes back all it has open. */
const RESET_BURST = 3 * MAX_STREAMS
const RESETS_PER_SECOND = 50
/** nghttp2's and Node's memory for one connection, MB: streams, header tables, frames that wait */
const MAX_SESSION_MB = 10
/** A client that was told to go has so long to close its side. */
const GRACE_MS = 2_000

export class Http2Entrance {
  readonly #settings: Http2Settings
  readonly #connections = new LinkedList<Connection>()

  constructor(settings: Http2Settings) {
    this.#settings = settings
  }

  /** Takes over a client that speaks HTTP/2 from its first byte. */
  receive(client: ClientConnection): void {
    const connection = new Connection(client, this.#settings, () => this.#connections.leave(place))
    const place = this.#connections.enter(connection)
  }

  /** Tells every client to ask for nothing more here; streams that are open go on (LC-01). */
  drain(): void {
    for (const connection of this.#connections.list()) connection.drain()
  }
}

class Connection {
  readonly #client: ClientConnection
  readonly #settings: Http2Settings
  readonly #session: ServerHttp2Session
  readonly #forwarding: ForwardStreams
  #open = 0
  /** the client said so itself, and why: nothing that we find out later */
  #isLeaving = false
  #deadline: Timer

  constructor(client: ClientConnection, settings: Http2Settings, onClose: () => void) {
    this.#client = client
    this.#settings = settings
    this.#forwarding = new ForwardStreams(settings)
    this.#session = performServerHandshake(client.socket, {
      maxSessionMemory: MAX_SESSION_MB,
      maxHeaderListPairs: settings.maxFields,
      streamResetBurst: RESET_BURST,
      streamResetRate: RESETS_PER_SECOND,
      settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: settings.maxHeadBytes },
    })
    this.#deadline = this.#closeIn(client.origin.limits.timeoutMs)
    this.#session.on('stream', this.#serve)
    this.#session.on('error', this.#broken)
    this.#session.once('goaway', () => {
      this.#isLeaving = true
      this.#settle()
    })
    // HTTP/2 knows no half-closed connection: with the client's FIN, or its close_notify, every stream is over
    client.socket.once('end', () => client.stream.destroy())
    this.#session.once('close', () => {
      this.#deadline.cancel()
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
    const clientInfo = {
      ...this.#client.clientInfo(isConnect ? 'h2-connect' : 'h2-forward'),
      acceptedAt: pipeline.now(),
    }
    if (isConnect) {
      openConnectStream(pipeline, clientInfo, stream, { authority: pseudo[':authority'] ?? '', fields: plain(fields) })
    } else {
      this.#forwarding.serve(clientInfo, stream, { pseudo, fields: plain(fields) })
    }
  }

  #opened(stream: ServerHttp2Stream): void {
    this.#open++
    this.#deadline.cancel()
    stream.once('close', () => {
      this.#open--
      if (this.#open === 0) this.#deadline = this.#closeIn(this.#settings.keepAliveMs)
      this.#settle()
    })
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
    this.#deadline.cancel()
    this.#deadline = this.#settings.pipeline.settings.clock.after(GRACE_MS, () => this.#client.stream.destroy())
  }

  /** A client that breaks the protocol, or asks and takes back without end, loses its connection. That it went away is no news. */
  readonly #broken = (cause: Error): void => {
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
