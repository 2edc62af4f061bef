// Who is behind an outgoing connection: test origins in this process see a stand-in as their peer, ask here, and show the
// public egress address. Holds live connections only; knows no socket.

import type { Endpoint } from '../net/endpoint.ts'
import type { PublicSource, PublicSourceOf } from '../proxy/stage-values.ts'

/** Takes in who is behind an outgoing connection. */
export interface Sources {
  /** To be called before connecting, so that an origin that looks at once finds it. Answers how to take it back. */
  add(bound: Endpoint, dialled: Endpoint, source: PublicSource): () => void
}

/** Emptied when it is taken back: a Map refers to what was in it for longer than it should (transport/linked-list.ts). */
class Entry {
  source: PublicSource | undefined

  constructor(source: PublicSource) {
    this.source = source
  }
}

export class SourceRegistry implements Sources {
  readonly #entries = new Map<string, Entry>()

  get size(): number {
    return this.#entries.size
  }

  add(bound: Endpoint, dialled: Endpoint, source: PublicSource): () => void {
    const key = keyOf(bound, dialled)
    const entry = new Entry(source)
    this.#entries.set(key, entry)
    return () => {
      entry.source = undefined
      if (this.#entries.get(key) === entry) this.#entries.delete(key)
    }
  }

  /** `peer` and `local` as the origin's socket has them. */
  readonly publicSourceOf: PublicSourceOf = (peer, local) => this.#entries.get(keyOf(peer, local))?.source
}

function keyOf(bound: Endpoint, dialled: Endpoint): string {
  return [bound.ip.text, bound.port, dialled.ip.text, dialled.port].join(' ')
}
