// One thing after the other on one client connection: a turn begins when the one before it is done, and while too many wait
// the client is not read (FR-06, FR-07).

import type { Socket } from 'node:net'

/** Something to do; calls `done` when the next may begin. */
export type Turn = (done: () => void) => void

export class TurnQueue {
  readonly #socket: Socket
  readonly #maxWaiting: number
  readonly #onIdle: () => void
  readonly #waiting: Turn[] = []
  #busy = false
  #closed = false
  #paused = false

  /** `onIdle` is called each time a turn is done and none waits. */
  constructor(socket: Socket, maxWaiting: number, onIdle: () => void) {
    this.#socket = socket
    this.#maxWaiting = maxWaiting
    this.#onIdle = onIdle
  }

  get isBusy(): boolean {
    return this.#busy
  }

  push(turn: Turn): void {
    if (this.#closed) return
    if (!this.#busy) {
      this.#run(turn)
      return
    }
    this.#waiting.push(turn)
    if (this.#waiting.length < this.#maxWaiting) return
    this.#paused = true
    this.#socket.pause()
  }

  /** Forgets what waits and takes nothing more. */
  close(): void {
    this.#closed = true
    this.#waiting.length = 0
  }

  #run(turn: Turn): void {
    this.#busy = true
    turn(this.#next)
  }

  readonly #next = (): void => {
    this.#busy = false
    if (this.#closed) return
    const turn = this.#waiting.shift()
    if (this.#paused && this.#waiting.length < this.#maxWaiting) {
      this.#paused = false
      this.#socket.resume()
    }
    if (turn === undefined) this.#onIdle()
    else this.#run(turn)
  }
}
