// A deadline that moves with every message and every read: moving it only stores the time; a timer that fires too soon
// is set again. Never fires early.

import type { Clock, Timer } from '../../transport/timer-wheel.ts'

/** the coarsest available clock */
const TICK_MS = 50

/** Calls `expire` once nothing has moved it for the time given last, ms. */
export class IdleTimer {
  readonly #clock: Clock
  readonly #expire: () => void
  #due = Number.POSITIVE_INFINITY
  #armedFor = Number.POSITIVE_INFINITY
  #timer: Timer | undefined

  constructor(clock: Clock, expire: () => void) {
    this.#clock = clock
    this.#expire = expire
  }

  /** Fires once, `ms` from now; replaces the deadline set before. */
  set(ms: number): void {
    // the clock's time is cheap, and at most a tick old
    const now = this.#timer === undefined ? performance.now() : this.#clock.now + TICK_MS
    this.#due = now + ms
    if (this.#due < this.#armedFor) this.#arm(ms)
  }

  /** Does not fire until it is set again. */
  clear(): void {
    this.#due = Number.POSITIVE_INFINITY
  }

  close(): void {
    this.clear()
    this.#timer?.cancel()
    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
  }

  #arm(ms: number): void {
    this.#timer?.cancel()
    this.#armedFor = this.#due
    this.#timer = this.#clock.after(ms, this.#onTimer)
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
    if (this.#due === Number.POSITIVE_INFINITY) return
    const left = this.#due - performance.now()
    if (left > 0) {
      this.#arm(left)
      return
    }
    this.#due = Number.POSITIVE_INFINITY
    this.#expire()
  }
}
