// One thing after the other on one client connection: a turn begins when the one before it is done, and while too many wait
// the client is not read (FR-06, FR-07).

import type { Socket } from 'node:net'

/** A client that has this many requests waiting got them past the pause, which is worth no answer. One read cannot bring as many. */
const MOST_WAITING = 8_192

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
    if (this.#waiting.length > MOST_WAITING) this.#socket.destroy()
    if (this.#paused || this.#waiting.length < this.#maxWaiting) return
    this.#paused = true
    // behind the server's own listener, which begins to read
    this.#socket.on('resume', this.#resumed)
    this.#socket.pause()
  }

  /** Forgets what waits and takes nothing more. */
  close(): void {
    this.#closed = true
    this.#waiting.length = 0
    this.#socket.off('resume', this.#resumed)
  }

  /** Node's HTTP server resumes the socket behind every message it has parsed, and resuming takes effect a tick later, behind our pause.
   *  Where that pause came first, the stream has no news of it: the server, which reads below the stream, is told by the event. */
  readonly #resumed = (): void => {
    this.#socket.pause()
    this.#socket.emit('pause')
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
      this.#socket.off('resume', this.#resumed)
      this.#socket.resume()
    }
    if (turn === undefined) this.#onIdle()
    else this.#runLater(turn)
  }

  /** Refusals are over at once, and a client that pipelines them would keep everybody else waiting. */
  #runLater(turn: Turn): void {
    this.#busy = true
    setImmediate(() => {
      if (!this.#closed) this.#run(turn)
    })
  }
}
