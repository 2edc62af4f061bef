// SOCKS4 and 4a in, tunnel out. The user id may say who it is but proves nothing, so it is no credential: these clients get
// in where the door asks for none.

import type { GatewayError } from '../../errors/gateway-error.ts'
import { socks4Reply } from '../../errors/to-socks.ts'
import type { ConnectionPipeline } from '../../proxy/connection.ts'
import { openTunnel } from '../../proxy/tunnel.ts'
import type { ClientConnection, Handshake } from '../client-connection.ts'
import { hangUp } from '../hang-up.ts'
import { formatSocks4Reply, readSocks4Request } from './messages.ts'

const GRANTED = 0x5a

export class Socks4Handshake implements Handshake {
  readonly #visitor: ClientConnection
  readonly #pipeline: ConnectionPipeline

  constructor(visitor: ClientConnection, pipeline: ConnectionPipeline) {
    this.#visitor = visitor
    this.#pipeline = pipeline
  }

  take(bytes: Buffer): number {
    const request = readSocks4Request(bytes)
    if (request === undefined) return 0
    this.#visitor.release(request.length)
    const { stream } = this.#visitor
    const arrival = { ...this.#visitor.knock('socks4'), target: request.target }
    void openTunnel(this.#pipeline, arrival, {
      stream,
      accept: ({ announced }) => void stream.write(formatSocks4Reply(GRANTED, announced)),
      refuse: (error) => this.#sayNo(error),
    })
    return 0
  }

  refuse(error: GatewayError): void {
    this.#pipeline.refuse(this.#visitor.knock('socks4'), error)
    this.#sayNo(error)
  }

  #sayNo(error: GatewayError): void {
    hangUp(this.#visitor.stream, this.#visitor.origin.clock, formatSocks4Reply(socks4Reply(error)))
  }
}
