// CONNECT: reads the head, opens the tunnel, and answers 200 (without fields, unless the listener annotates) or an error. After a 407 the connection
// stays open for a second try, unless the client has already sent bytes behind its request (TU-04).

import { asGatewayError, type GatewayError } from '../../errors/gateway-error.ts'
import { httpErrorText } from '../../errors/to-http.ts'
import { formatHead } from '../../http1/serialize.ts'
import type { Target } from '../../net/endpoint.ts'
import type { Arrival } from '../../proxy/arrival.ts'
import type { ConnectionPipeline } from '../../proxy/pipeline.ts'
import { openTunnel, type TunnelClient } from '../../proxy/tunnel.ts'
import type { ByteStream } from '../../transport/byte-stream.ts'
import type { ClientConnection, Handshake } from '../client-connection.ts'
import { closeAfterReply } from '../close-after-reply.ts'
import { credentialsStillMissing, parseProxyCredentials } from '../proxy-credentials.ts'
import { readConnectHead } from './connect-head.ts'

const ESTABLISHED_LINE = 'HTTP/1.1 200 Connection established'
const ESTABLISHED = Buffer.from(formatHead(ESTABLISHED_LINE, []))

/** A CONNECT request, whichever reader parsed it. */
export interface ConnectRequest {
  readonly target: Target
  readonly authorization?: string
}

export class ConnectHandshake implements Handshake {
  readonly #client: ClientConnection
  readonly #pipeline: ConnectionPipeline
  readonly #awaitRetry: (client: ClientConnection) => void

  /** `awaitRetry`: takes a client that may try again after a 407 */
  constructor(client: ClientConnection, pipeline: ConnectionPipeline, awaitRetry: (client: ClientConnection) => void) {
    this.#client = client
    this.#pipeline = pipeline
    this.#awaitRetry = awaitRetry
  }

  take(bytes: Buffer): number {
    const head = readConnectHead(bytes)
    if (head === undefined) return 0
    if (this.#client.mustAuthenticate && head.authorization === undefined) throw credentialsStillMissing()
    const early = this.#client.release(head.length) > 0
    openConnect(this.#client, this.#pipeline, head, { early, awaitRetry: this.#awaitRetry })
    return 0
  }

  refuse(error: GatewayError): void {
    this.#pipeline.refuse(this.#client.clientInfo('http-connect'), error)
    closeAfterReply(this.#client.stream, this.#client.origin.clock, httpErrorText(error, 'close'))
  }
}

/** Opens the tunnel a CONNECT asks for, answers the client and relays; failures are recorded. `early`: bytes followed
 *  the head, so a refusal closes the connection without reading them. `awaitRetry`: takes the client after a 407 that
 *  keeps the connection open. */
export function openConnect(
  client: ClientConnection,
  pipeline: ConnectionPipeline,
  request: ConnectRequest,
  options: { readonly early: boolean; readonly awaitRetry: (client: ClientConnection) => void },
): void {
  const { stream } = client
  const clientInfo = client.clientInfo('http-connect')
  const tunnelClient: TunnelClient = {
    stream,
    accept: ({ annotation }) =>
      void stream.write(annotation.length === 0 ? ESTABLISHED : Buffer.from(formatHead(ESTABLISHED_LINE, annotation))),
    refuse: (error) => {
      if (error.rendering.http !== 407 || options.early || hasSentMore(stream)) {
        closeAfterReply(stream, client.origin.clock, httpErrorText(error, 'close'))
        return
      }
      stream.write(Buffer.from(httpErrorText(error, 'keep-alive')))
      client.mustAuthenticate = true
      options.awaitRetry(client)
    },
  }
  let arrival: Arrival = { ...clientInfo, target: request.target }
  if (request.authorization !== undefined) {
    try {
      arrival = { ...arrival, credentials: parseProxyCredentials(request.authorization) }
    } catch (thrown) {
      const error = asGatewayError(thrown)
      pipeline.refuse(clientInfo, error)
      tunnelClient.refuse(error)
      return
    }
  }
  void openTunnel(pipeline, arrival, tunnelClient)
}

/** True when the client has sent anything since its request, or has closed. What it sent stays in the stream. */
function hasSentMore(stream: ByteStream): boolean {
  const bytes = stream.read()
  if (bytes === undefined) return stream.isClosed || stream.hasEnded
  stream.unread(Buffer.from(bytes))
  return true
}
