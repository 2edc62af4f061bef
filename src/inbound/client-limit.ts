// How many clients are connected, held to a limit (RS-03); for one thread, or together for several.

export interface ClientCount {
  /** Counts one in; false when there are as many as may be. */
  enter(): boolean
  leave(): void
  /** how much of the limit is taken, 0…1 */
  share(): number
}

/** A count of one thread's own. */
export function localClients(limit: number): ClientCount {
  let clients = 0
  return {
    enter: () => {
      if (clients >= limit) return false
      clients++
      return true
    },
    leave: () => {
      clients--
    },
    share: () => clients / limit,
  }
}

/** A count over threads, in shared memory. What a dead thread had counted is taken back by {@link forget}. */
export class SharedClients {
  readonly buffer: SharedArrayBuffer
  /** the sum, then each thread's own */
  readonly #words: Int32Array

  constructor(threads: number, buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer((threads + 1) * Int32Array.BYTES_PER_ELEMENT)
    this.#words = new Int32Array(this.buffer)
  }

  /** As one thread (0-based) counts. */
  countOf(thread: number, limit: number): ClientCount {
    return {
      enter: () => {
        if (Atomics.add(this.#words, 0, 1) >= limit) {
          Atomics.sub(this.#words, 0, 1)
          return false
        }
        Atomics.add(this.#words, thread + 1, 1)
        return true
      },
      leave: () => {
        Atomics.sub(this.#words, 0, 1)
        Atomics.sub(this.#words, thread + 1, 1)
      },
      share: () => Atomics.load(this.#words, 0) / limit,
    }
  }

  /** Takes back what a thread had counted; answers how many. Not while it lives. */
  forget(thread: number): number {
    const clients = Atomics.exchange(this.#words, thread + 1, 0)
    Atomics.sub(this.#words, 0, clients)
    return clients
  }
}
