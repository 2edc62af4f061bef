// One thing after the other on one client connection: a turn begins when the one before it is done, and while too many wait
// the client is not read (FR-06, FR-07).

import type { Socket } from 'node:net'
import type { Clock } from '../../transport/timer-wheel.ts'

/** A client that has this many requests waiting got them past the pause, which is worth no answer. One read cannot bring as many. */
const MOST_WAITING = 8_192

/** Something to do; calls `done` when the next may begin. */
export type Turn = (done: () => void) => void

export interface TurnLimits {
  /** turns that wait before the client is not read */
  readonly maxWaiting: number
  /** a client that takes none of its answers for so long is let go, ms */
  readonly stallMs: number
  readonly clock: Clock
}

export class TurnQueue {
  readonly #socket: Socket
  readonly #limits: TurnLimits
  readonly #onIdle: () => void
  readonly #waiting: Turn[] = []
  #busy = false
  #closed = false
  #paused = false

  /** `onIdle` is called each time a turn is done and none waits. */
  constructor(socket: Socket, limits: TurnLimits, onIdle: () => void) {
    this.#socket = socket
    this.#limits = limits
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
    if (this.#paused || this.#waiting.length < this.#limits.maxWaiting) return
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

  /** The next turn never begins in the same turn of the event loop: refusals are over at once, and a client that pipelines them would
   *  keep everybody else waiting. */
  readonly #next = (): void => {
    if (!this.#closed) setImmediate(this.#goOn)
  }

  readonly #goOn = (): void => {
    this.#busy = false
    if (this.#closed) return
    const turn = this.#waiting.shift()
    if (this.#paused && this.#waiting.length < this.#limits.maxWaiting) {
      this.#paused = false
      this.#socket.off('resume', this.#resumed)
      this.#socket.resume()
    }
    if (turn === undefined) this.#onIdle()
    else this.#runOnceRead(turn)
  }

  /** Answers of a client that does not read must not pile up. */
  #runOnceRead(turn: Turn): void {
    if (!this.#socket.writableNeedDrain) {
      this.#run(turn)
      return
    }
    this.#busy = true
    const { clock, stallMs } = this.#limits
    const patience = clock.after(stallMs, () => this.#socket.destroy())
    this.#socket.once('close', () => patience.cancel())
    this.#socket.once('drain', () => {
      patience.cancel()
      if (!this.#closed) this.#run(turn)
    })
  }
}
