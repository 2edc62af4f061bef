// One tunnel in the relay thread: two descriptors, a pipe each way. What a side sent before it broke is delivered before the flow is over.

import type { SideEnd } from './loan.ts'
import { PIPE_BYTES, type Pipe, type SpliceCalls } from './splice-calls.ts'
import { EAGAIN, EINTR, EPIPE, type SystemCalls } from './system-calls.ts'

/** Moves of one direction in a turn, before other flows get theirs. */
const MOVES_PER_TURN = 8

/** Bytes of one direction. */
class Way {
  readonly from: number
  readonly to: number
  readonly pipe: Pipe
  held = 0
  hasEnded = false
  saidFin = false
  /** where these bytes go there is nobody any more */
  isGone = false
  /** what reading `from` or writing `to` failed with, as a negative errno */
  readError = 0
  writeError = 0

  constructor(from: number, to: number, pipe: Pipe) {
    this.from = from
    this.to = to
    this.pipe = pipe
  }

  get isDrained(): boolean {
    return this.held === 0 || this.writeError !== 0
  }
}

/** One tunnel: moves bytes both ways with splice(2) until both sides have ended or one broke. */
export class RelayFlow {
  readonly slot: number
  readonly one: number
  readonly other: number
  readonly #calls: SystemCalls
  readonly #splices: SpliceCalls
  /** bytes, by slot: from `one`, to `other`, from `other`, to `one` */
  readonly #counts: Float64Array
  readonly #there: Way
  readonly #back: Way
  #first: Way | undefined

  constructor(
    shared: { readonly calls: SystemCalls; readonly splices: SpliceCalls; readonly counts: Float64Array },
    join: { readonly slot: number; readonly one: number; readonly other: number },
    pipes: readonly [Pipe, Pipe],
  ) {
    this.#calls = shared.calls
    this.#splices = shared.splices
    this.#counts = shared.counts
    this.slot = join.slot
    this.one = join.one
    this.other = join.other
    this.#there = new Way(join.one, join.other, pipes[0])
    this.#back = new Way(join.other, join.one, pipes[1])
  }

  /** Moves what can be moved. True: there may be more, and the turn's share is used up. */
  move(): boolean {
    const there = this.#moveOne(this.#there, this.#back, this.slot * 4)
    const back = this.#moveOne(this.#back, this.#there, this.slot * 4 + 2)
    this.#noteGone(this.#there, this.#back)
    this.#noteGone(this.#back, this.#there)
    return there || back
  }

  /** This side's connection has failed, or both its directions have ended. */
  sawGone(fd: number): void {
    this.#waysOf(fd)[1].isGone = true
  }

  /** Both sides have ended, or one has broken and everything it sent is delivered. */
  get isOver(): boolean {
    const [there, back] = [this.#there, this.#back]
    if (there.saidFin && back.saidFin) return true
    return [there, back].some(
      (way) => way.isDrained && (way.readError !== 0 || (way.hasEnded && this.#brokeAt(way.from))),
    )
  }

  /** The pipes, those that are empty first in line to be used again. */
  pipes(): readonly { readonly pipe: Pipe; readonly isEmpty: boolean }[] {
    return [this.#there, this.#back].map(({ pipe, held }) => ({ pipe, isEmpty: held === 0 }))
  }

  endOf(fd: number): SideEnd {
    const [incoming, outgoing] = this.#waysOf(fd)
    return {
      hasEnded: incoming.hasEnded && incoming.isDrained,
      saidFin: outgoing.saidFin,
      endedFirst: this.#first === incoming,
      status: incoming.readError || outgoing.writeError,
    }
  }

  /** what comes from this side, and what goes to it */
  #waysOf(fd: number): readonly [Way, Way] {
    return fd === this.one ? [this.#there, this.#back] : [this.#back, this.#there]
  }

  #brokeAt(fd: number): boolean {
    return this.#waysOf(fd)[1].writeError !== 0
  }

  /** Once a peer has said FIN, no read tells that it is gone, and no write before there is something for it. */
  #noteGone(incoming: Way, outgoing: Way): void {
    if (!outgoing.isGone || !incoming.hasEnded || outgoing.saidFin) return
    outgoing.writeError ||= this.#calls.takeError(outgoing.to) || EPIPE
  }

  #moveOne(way: Way, opposite: Way, count: number): boolean {
    for (let moves = 0; moves < MOVES_PER_TURN; moves++) {
      const filled = this.#fill(way, opposite, count)
      const emptied = this.#empty(way, count + 1)
      if (!filled && !emptied) return false
    }
    return true
  }

  #fill(way: Way, opposite: Way, count: number): boolean {
    if (way.hasEnded || way.readError !== 0 || way.writeError !== 0 || way.held >= PIPE_BYTES) return false
    const n = this.#splices.splice(way.from, way.pipe.writeEnd, PIPE_BYTES - way.held)
    if (n > 0) {
      way.held += n
      this.#counts[count] = (this.#counts[count] ?? 0) + n
    } else if (n === 0) {
      way.hasEnded = true
      // a failed write has taken the error of the socket: this is no FIN of the peer's
      if (opposite.writeError === 0) this.#first ??= way
    } else if (n !== EAGAIN && n !== EINTR) way.readError = n
    return n > 0 || n === EINTR
  }

  #empty(way: Way, count: number): boolean {
    if (way.writeError !== 0) return false
    if (way.held === 0) {
      if (way.hasEnded && !way.saidFin && !this.#brokeAt(way.from)) {
        way.saidFin = true
        this.#calls.shutdown(way.to)
      }
      return false
    }
    const n = this.#splices.splice(way.pipe.readEnd, way.to, way.held)
    if (n > 0) {
      way.held -= n
      this.#counts[count] = (this.#counts[count] ?? 0) + n
    } else if (n !== EAGAIN && n !== EINTR) way.writeError = n
    return n > 0 || n === EINTR
  }
}
