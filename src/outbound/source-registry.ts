// Who is behind an outgoing connection: test origins in this process see a stand-in as their peer, ask here, and show the
// public egress address. Holds live connections only; knows no socket.

import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import type { PublicSource, PublicSourceOf } from '../proxy/ports.ts'

/** Takes in who is behind an outgoing connection. */
export interface Sources {
  /** To be called before connecting, so that an origin that looks at once finds it. Answers how to take it back. */
  add(bound: Endpoint, dialled: Endpoint, source: PublicSource): () => void
}

export class SourceRegistry implements Sources {
  readonly #sources = new Map<string, PublicSource>()

  get size(): number {
    return this.#sources.size
  }

  add(bound: Endpoint, dialled: Endpoint, source: PublicSource): () => void {
    const key = keyOf(bound, dialled)
    this.#sources.set(key, source)
    return () => {
      if (this.#sources.get(key) === source) this.#sources.delete(key)
    }
  }

  /** `peer` and `local` as the origin's socket has them. */
  readonly publicSourceOf: PublicSourceOf = (peer, local) => this.#sources.get(keyOf(peer, local))
}

function keyOf(bound: Endpoint, dialled: Endpoint): string {
  return `${formatEndpoint(bound)} ${formatEndpoint(dialled)}`
}
