// Tells those who work for a client that it has gone. Does what the pipeline needs of an AbortController, which takes 6 µs of
// each short tunnel's 200 to make, to listen to and to clear; the stages take either.

/** What stages use of an AbortSignal. */
export interface Cancellation {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** One client's going away, at most once. */
export class Departure implements Cancellation {
  aborted = false
  reason: unknown
  #listeners: (() => void)[] = []

  /** Listeners are called at once, in their order; every call after the first does nothing. */
  readonly abort = (reason?: unknown): void => {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener()
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.push(listener)
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener)
    if (at >= 0) this.#listeners.splice(at, 1)
  }
}
