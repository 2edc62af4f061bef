// TLS between client and proxy (RFC 8446): takes over a client whose first bytes are a TLS record, and hands on a visitor that
// speaks in the clear, with what the handshake said of it. Decides nothing about who may come in, and reads no files.

import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { GatewayError } from '../../errors/gateway-error.ts'
import type { ClientCertificate } from '../../proxy/arrival.ts'
import { NodeStream } from '../../transport/node/node-stream.ts'
import { ClientConnection } from '../client-connection.ts'

/** What a door presents, as PEM. */
export interface TlsMaterial {
  readonly certificate: string
  readonly key: string
  /** signers of client certificates; without them none is asked for */
  readonly clientAuthority?: string
}

/** Where a door's certificate comes from. It may change while clients are connected. */
export interface TlsSource {
  current(): TlsMaterial
  /** Tells of new material; handshakes from then on use it, connections that are open go on. */
  onChange(listener: (material: TlsMaterial) => void): void
  /** What a client's certificate says of who it is. `problem`: why it is not signed by the authority. */
  readonly examine?: (certificate: X509Certificate, problem: string | undefined) => ClientCertificate
}

export interface TlsEntranceSettings {
  readonly source: TlsSource
  readonly handshakeTimeoutMs: number
  /** The handshake is done; `protocol` is what both agreed on by ALPN, http/1.1 where the client offered nothing. */
  readonly onSecured: (visitor: ClientConnection, protocol: 'h2' | 'http/1.1') => void
  /** It failed; the connection is gone. */
  readonly onFailed: (visitor: ClientConnection, error: GatewayError) => void
}

interface Guest {
  readonly visitor: ClientConnection
  readonly since: number
  failure?: GatewayError
}

export class TlsEntrance {
  readonly #settings: TlsEntranceSettings
  readonly #server: Server
  /** clients in the middle of a handshake, by their end of the connection: the server makes the sockets it tells us of */
  readonly #guests = new Map<string, Guest>()

  constructor(settings: TlsEntranceSettings) {
    this.#settings = settings
    const { source, handshakeTimeoutMs } = settings
    this.#server = createServer({
      ...contextOf(source.current()),
      requestCert: source.examine !== undefined,
      // a bad certificate is refused in words, at the first request, where an alert could not say why
      rejectUnauthorized: false,
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout: handshakeTimeoutMs,
    })
    this.#server.on('secureConnection', this.#welcome)
    this.#server.on('tlsClientError', this.#note)
    source.onChange((material) => this.#server.setSecureContext(contextOf(material)))
  }

  /** Takes over a client; its bytes are still in its socket. */
  receive(visitor: ClientConnection): void {
    visitor.release()
    const { socket } = visitor
    const name = nameOf(socket)
    if (name === undefined) {
      socket.destroy()
      this.#settings.onFailed(visitor, left())
      return
    }
    this.#guests.set(name, { visitor, since: performance.now() })
    socket.once('close', () => this.#leave(name))
    this.#server.emit('connection', socket)
  }

  readonly #welcome = (socket: TLSSocket): void => {
    socket.on('error', ignore)
    const name = nameOf(socket)
    const guest = name === undefined ? undefined : this.#guests.get(name)
    if (name === undefined || guest === undefined) {
      socket.destroy()
      return
    }
    this.#guests.delete(name)
    const { visitor, since } = guest
    const certificate = this.#examine(socket)
    const tls = {
      version: socket.getProtocol() ?? '',
      cipher: socket.getCipher().name,
      handshakeMs: performance.now() - since,
      ...(certificate === undefined ? {} : { certificate }),
    }
    const carrier = visitor.stream
    const stream = new NodeStream(socket, { reset: () => carrier.reset() })
    const secured = new ClientConnection(stream, { ...visitor.origin, tls })
    this.#settings.onSecured(secured, socket.alpnProtocol === 'h2' ? 'h2' : 'http/1.1')
  }

  #examine(socket: TLSSocket): ClientCertificate | undefined {
    const { examine } = this.#settings.source
    const certificate = examine === undefined ? undefined : socket.getPeerX509Certificate()
    if (examine === undefined || certificate === undefined) return undefined
    return examine(certificate, socket.authorized ? undefined : String(socket.authorizationError))
  }

  /** The reason comes before the end, or not at all. */
  readonly #note = (cause: Error, socket: TLSSocket): void => {
    const guest = this.#guests.get(nameOf(socket) ?? '')
    if (guest !== undefined) guest.failure ??= failureOf(cause)
    socket.destroy()
  }

  #leave(name: string): void {
    const guest = this.#guests.get(name)
    if (guest === undefined) return
    this.#guests.delete(name)
    this.#settings.onFailed(guest.visitor, guest.failure ?? left())
  }
}

/** No version below 1.2, no early data (Node's servers take none), session tickets under keys of this context's own. */
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
  return new GatewayError('request.tls_failed', 'the client left in the middle of the TLS handshake', { cause })
}

function failureOf(cause: Error): GatewayError {
  const code = 'code' in cause ? String(cause.code) : 'unknown'
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') {
    return new GatewayError('request.timeout', 'the client did not complete the TLS handshake in time', { cause })
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
