// TLS between client and proxy (RFC 8446): takes over a client whose first bytes are a TLS record, and hands on a
// decrypted client connection with the facts of the handshake. Decides nothing about access, and reads no files.

import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { GatewayError } from '../../errors/gateway-error.ts'
import type { AlpnProtocol, ClientCertificate } from '../../proxy/arrival.ts'
import { NodeStream } from '../../transport/node/node-stream.ts'
import { ClientConnection } from '../client-connection.ts'

/** The certificate of a listener and its key, as PEM. */
export interface TlsMaterial {
  readonly certificate: string
  readonly key: string
  /** the authority for client certificates, as PEM; absent: none is requested */
  readonly clientAuthority?: string
}

/** Where a listener's certificate comes from. It may change while clients are connected. */
export interface TlsSource {
  current(): TlsMaterial
  /** Calls the listener with new material, for handshakes from then on; open connections go on. */
  onChange(listener: (material: TlsMaterial) => void): void
  /** Checks a client certificate. `problem`: why its signature was not accepted; undefined when it was. */
  readonly examine?: (certificate: X509Certificate, problem: string | undefined) => ClientCertificate
}

export interface TlsTerminationSettings {
  readonly source: TlsSource
  /** offered by ALPN; default: HTTP/2 and HTTP/1.1 */
  readonly alpn?: readonly AlpnProtocol[] | undefined
  readonly handshakeTimeoutMs: number
  /** Called after a handshake; `protocol` was negotiated by ALPN, http/1.1 when the client offered none. */
  readonly onSecured: (client: ClientConnection, protocol: AlpnProtocol) => void
  /** Called after a failed handshake; the connection is closed. */
  readonly onFailed: (client: ClientConnection, error: GatewayError) => void
}

interface PendingHandshake {
  readonly client: ClientConnection
  readonly since: number
  failure?: GatewayError
}

/** Terminates TLS on the connections of one listener. */
export class TlsTermination {
  readonly #settings: TlsTerminationSettings
  readonly #server: Server
  /** clients in the middle of a handshake, by their endpoint: Node's server reports them by sockets of its own */
  readonly #pending = new Map<string, PendingHandshake>()

  constructor(settings: TlsTerminationSettings) {
    this.#settings = settings
    const { source, alpn = ['h2', 'http/1.1'], handshakeTimeoutMs } = settings
    this.#server = createServer({
      ...contextOf(source.current()),
      requestCert: source.examine !== undefined,
      // a bad certificate is refused at the first request, with a reason an alert could not give
      rejectUnauthorized: false,
      ALPNProtocols: [...alpn],
      handshakeTimeout: handshakeTimeoutMs,
    })
    this.#server.on('secureConnection', this.#secured)
    this.#server.on('tlsClientError', this.#failed)
    source.onChange((material) => this.#server.setSecureContext(contextOf(material)))
  }

  /** Takes over a client whose first bytes are still in its stream. */
  receive(client: ClientConnection): void {
    client.release()
    const { socket } = client
    const name = nameOf(socket)
    if (name === undefined) {
      socket.destroy()
      this.#settings.onFailed(client, left())
      return
    }
    this.#pending.set(name, { client, since: performance.now() })
    socket.once('close', () => this.#leave(name))
    // a handshake cannot be half-closed: FIN in the middle of one ends it
    socket.allowHalfOpen = false
    this.#server.emit('connection', socket)
  }

  readonly #secured = (socket: TLSSocket): void => {
    socket.on('error', ignore)
    const name = nameOf(socket)
    const pending = name === undefined ? undefined : this.#pending.get(name)
    if (name === undefined || pending === undefined) {
      socket.destroy()
      return
    }
    this.#pending.delete(name)
    const { client, since } = pending
    const isHttp2 = socket.alpnProtocol === 'h2'
    // HTTP/2 connections cannot be half-closed
    socket.allowHalfOpen = !isHttp2
    const certificate = this.#examine(socket)
    const tls = {
      version: socket.getProtocol() ?? '',
      cipher: socket.getCipher().name,
      handshakeMs: performance.now() - since,
      ...(certificate === undefined ? {} : { certificate }),
    }
    const plainStream = client.stream
    const stream = new NodeStream(socket, { reset: () => plainStream.reset() })
    const secured = new ClientConnection(stream, { ...client.origin, tls })
    this.#settings.onSecured(secured, isHttp2 ? 'h2' : 'http/1.1')
  }

  #examine(socket: TLSSocket): ClientCertificate | undefined {
    const { examine } = this.#settings.source
    const certificate = examine === undefined ? undefined : socket.getPeerX509Certificate()
    if (examine === undefined || certificate === undefined) return undefined
    return examine(certificate, socket.authorized ? undefined : String(socket.authorizationError))
  }

  /** Remembers the reason; the close follows. */
  readonly #failed = (cause: Error, socket: TLSSocket): void => {
    const pending = this.#pending.get(nameOf(socket) ?? '')
    if (pending !== undefined) pending.failure ??= failureOf(cause)
    socket.destroy()
  }

  #leave(name: string): void {
    const pending = this.#pending.get(name)
    if (pending === undefined) return
    this.#pending.delete(name)
    this.#settings.onFailed(pending.client, pending.failure ?? left())
  }
}

/** No version below 1.2, no early data (Node's servers accept none), session tickets under this context's keys. */
function contextOf({ certificate, key, clientAuthority }: TlsMaterial) {
  return {
    cert: certificate,
    key,
    minVersion: 'TLSv1.2',
    ...(clientAuthority === undefined ? {} : { ca: clientAuthority }),
  } as const
}

function nameOf({ localAddress, remoteAddress, remotePort }: Socket): string | undefined {
  return remoteAddress === undefined ? undefined : `${localAddress} ${remoteAddress} ${remotePort}`
}

function left(cause?: Error): GatewayError {
  return new GatewayError('request.tls_failed', 'the client closed the connection during the TLS handshake', { cause })
}

function failureOf(cause: Error): GatewayError {
  const code = 'code' in cause ? String(cause.code) : 'unknown'
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') {
    return new GatewayError('request.timeout', 'the TLS handshake timed out', { cause })
  }
  if (code === 'ECONNRESET') {
    return left(cause)
  }
  const why = code
    .replace(/^ERR_SSL_/, '')
    .replaceAll('_', ' ')
    .toLowerCase()
  return new GatewayError('request.tls_failed', `the TLS handshake with the client failed: ${why}`, { cause })
}

function ignore(): void {}
