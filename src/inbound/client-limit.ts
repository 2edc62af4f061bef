// Counts connected clients against a limit (RS-03), for one thread or for several together.

export interface ClientCount {
  /** Counts one more client; false, and nothing counted, when the limit is reached. */
  enter(): boolean
  leave(): void
  /** the share of the limit in use, 0…1 */
  share(): number
}

/** A count for one thread. */
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

/** A count over several threads, in shared memory. {@link forget} subtracts what a dead thread had counted. */
export class SharedClients {
  readonly buffer: SharedArrayBuffer
  /** the sum, then each thread's own */
  readonly #words: Int32Array

  constructor(threads: number, buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer((threads + 1) * Int32Array.BYTES_PER_ELEMENT)
    this.#words = new Int32Array(this.buffer)
  }

  /** The count as one thread (0-based) uses it. */
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

  /** Subtracts what a thread had counted; returns how many. Only after the thread has ended. */
  forget(thread: number): number {
    const clients = Atomics.exchange(this.#words, thread + 1, 0)
    Atomics.sub(this.#words, 0, clients)
    return clients
  }
}
