// Who is behind an outgoing connection: test origins in this process see a stand-in as their peer, look it up here, and
// show the public egress address. Holds open connections only; knows no sockets.

import type { Endpoint } from '../net/endpoint.ts'
import type { PublicSource, PublicSourceOf } from '../proxy/stage-values.ts'

/** Registers who is behind an outgoing connection. */
export interface Sources {
  /** To be called before connecting, so that an origin finds it at once. Returns a function that removes the entry. */
  add(bound: Endpoint, dialled: Endpoint, source: PublicSource): () => void
}

/** Emptied on removal, because a Map keeps references to deleted entries for a while (transport/linked-list.ts). */
class Entry {
  source: PublicSource | undefined

  constructor(source: PublicSource) {
    this.source = source
  }
}

/** The open connections of this thread, by both endpoints. */
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

  /** Looks a connection up by the origin's `peer` and `local` endpoints. */
  readonly publicSourceOf: PublicSourceOf = (peer, local) => this.#entries.get(keyOf(peer, local))?.source
}

function keyOf(bound: Endpoint, dialled: Endpoint): string {
  return [bound.ip.text, bound.port, dialled.ip.text, dialled.port].join(' ')
}
