// Who is behind an outgoing connection: test origins in this process see a stand-in as their peer, ask here, and show the
// public egress address. Holds live connections only; knows no socket.

import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import type { DialAttempt } from '../proxy/ports.ts'

export interface PublicSource {
  /** the public egress address with the port really bound */
  readonly endpoint: Endpoint
  /** flow (user, device, vnet) and decision behind the connection */
  readonly attempt: DialAttempt
}

export class SourceRegistry {
  readonly #sources = new Map<string, PublicSource>()

  get size(): number {
    return this.#sources.size
  }

  /** To be called before connecting, so that an origin that looks at once finds it. Answers how to take it back. */
  add(bound: Endpoint, dialled: Endpoint, source: PublicSource): () => void {
    const key = keyOf(bound, dialled)
    this.#sources.set(key, source)
    return () => {
      if (this.#sources.get(key) === source) this.#sources.delete(key)
    }
  }

  /** The public source of a connection that an origin accepted: `peer` and `local` as the origin's socket has them.
   *  `undefined` for a connection that did not come through this proxy. */
  publicSourceOf(peer: Endpoint, local: Endpoint): PublicSource | undefined {
    return this.#sources.get(keyOf(peer, local))
  }
}

function keyOf(bound: Endpoint, dialled: Endpoint): string {
  return `${formatEndpoint(bound)} ${formatEndpoint(dialled)}`
}
