// The PROXY protocol before everything else on a connection (PP-01): where a listener trusts the sender to say who the client
// is, the header has to come; from anybody else it is nonsense like any other.

import { GatewayError } from '../../errors/gateway-error.ts'
import { containsIp } from '../../net/cidr.ts'
import type { ProxyProtocolRules } from '../../proxy/arrival.ts'
import type { ConnectionPipeline } from '../../proxy/connection.ts'
import { ClientConnection, type Handshake } from '../client-connection.ts'
import { readProxyHeader } from './read-header.ts'

/** Meets the visitor under the address its header gives. */
export function takeProxyHeader(
  visitor: ClientConnection,
  { from }: ProxyProtocolRules,
  pipeline: ConnectionPipeline,
  meet: (visitor: ClientConnection) => void,
): void {
  const { ip } = visitor.origin.peer
  if (from.some((network) => containsIp(network, ip))) visitor.converse(new HeaderHandshake(visitor, pipeline, meet))
  else meet(visitor)
}

class HeaderHandshake implements Handshake {
  readonly #visitor: ClientConnection
  readonly #pipeline: ConnectionPipeline
  readonly #meet: (visitor: ClientConnection) => void

  constructor(visitor: ClientConnection, pipeline: ConnectionPipeline, meet: (visitor: ClientConnection) => void) {
    this.#visitor = visitor
    this.#pipeline = pipeline
    this.#meet = meet
  }

  take(bytes: Buffer): number {
    const header = readProxyHeader(bytes)
    if (header === undefined) return 0
    const { stream, origin } = this.#visitor
    this.#visitor.release(header.length)
    this.#meet(new ClientConnection(stream, { ...origin, peer: header.source ?? origin.peer }))
    return 0
  }

  /** Without a word: whoever cannot say its header does not wait for one of ours. */
  refuse(error: GatewayError): void {
    const { stream, origin } = this.#visitor
    const message = `${error.message}; the listener \`${origin.listener.name}\` requires one from ${origin.peer.ip.text}`
    this.#pipeline.refuse(this.#visitor.knock('http-connect'), new GatewayError(error.code, message, { cause: error }))
    stream.destroy()
  }
}
