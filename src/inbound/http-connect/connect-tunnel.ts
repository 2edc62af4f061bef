// CONNECT in, tunnel out. Reads the head, answers 200 with nothing in it or an error that says why, and after a 407 keeps the
// connection for a second try, unless the client had already sent what follows (TU-04).

import { asGatewayError, type GatewayError } from '../../errors/gateway-error.ts'
import { httpErrorText } from '../../errors/to-http.ts'
import type { Target } from '../../net/endpoint.ts'
import type { Arrival } from '../../proxy/arrival.ts'
import type { ConnectionPipeline } from '../../proxy/pipeline.ts'
import { openTunnel, type TunnelClient } from '../../proxy/tunnel.ts'
import type { ByteStream } from '../../transport/byte-stream.ts'
import type { ClientConnection, Handshake } from '../client-connection.ts'
import { hangUp } from '../close-after-reply.ts'
import { noCredentialsAgain, parseProxyCredentials } from '../proxy-credentials.ts'
import { readConnectHead } from './connect-head.ts'

const ESTABLISHED = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n')

/** What was understood of a CONNECT request, however it was read. */
export interface ConnectRequest {
  readonly target: Target
  readonly authorization?: string
}

export class ConnectHandshake implements Handshake {
  readonly #visitor: ClientConnection
  readonly #pipeline: ConnectionPipeline
  /** what to do with a client that may ask again after a 407 */
  readonly #askAgain: (visitor: ClientConnection) => void

  constructor(visitor: ClientConnection, pipeline: ConnectionPipeline, askAgain: (visitor: ClientConnection) => void) {
    this.#visitor = visitor
    this.#pipeline = pipeline
    this.#askAgain = askAgain
  }

  take(bytes: Buffer): number {
    const head = readConnectHead(bytes)
    if (head === undefined) return 0
    if (this.#visitor.mustLogIn && head.authorization === undefined) throw noCredentialsAgain()
    const early = this.#visitor.release(head.length) > 0
    openConnect(this.#visitor, this.#pipeline, head, { early, askAgain: this.#askAgain })
    return 0
  }

  refuse(error: GatewayError): void {
    this.#pipeline.refuse(this.#visitor.knock('http-connect'), error)
    hangUp(this.#visitor.stream, this.#visitor.origin.clock, httpErrorText(error, 'close'))
  }
}

/** Opens the tunnel a CONNECT asked for. `early`: bytes followed the head, so a refusal closes without reading them. */
export function openConnect(
  visitor: ClientConnection,
  pipeline: ConnectionPipeline,
  request: ConnectRequest,
  options: { readonly early: boolean; readonly askAgain: (visitor: ClientConnection) => void },
): void {
  const { stream } = visitor
  const knock = visitor.knock('http-connect')
  const client: TunnelClient = {
    stream,
    accept: () => void stream.write(ESTABLISHED),
    refuse: (error) => {
      if (error.rendering.http !== 407 || options.early || hasSaidMore(stream)) {
        hangUp(stream, visitor.origin.clock, httpErrorText(error, 'close'))
        return
      }
      stream.write(Buffer.from(httpErrorText(error, 'keep-alive')))
      visitor.mustLogIn = true
      options.askAgain(visitor)
    },
  }
  let arrival: Arrival = { ...knock, target: request.target }
  if (request.authorization !== undefined) {
    try {
      arrival = { ...arrival, credentials: parseProxyCredentials(request.authorization) }
    } catch (thrown) {
      const error = asGatewayError(thrown)
      pipeline.refuse(knock, error)
      client.refuse(error)
      return
    }
  }
  void openTunnel(pipeline, arrival, client)
}

/** Has the client sent anything, or left, since its request? What it sent stays in the stream. */
function hasSaidMore(stream: ByteStream): boolean {
  const bytes = stream.read()
  if (bytes === undefined) return stream.isClosed || stream.hasEnded
  stream.unread(Buffer.from(bytes))
  return true
}
