// One epoll descriptor among those Node's event loop waits for: whenever the loop wakes up, an immediate looks for events and tells each
// watcher. No native code calls JavaScript. What a watcher throws keeps no other watcher from its event.

import { clearImmediate, setImmediate } from 'node:timers'
import { systemError } from '../system-error.ts'
import { EPOLLET, READ_BYTES, type SystemCalls, type WakeUp } from './system-calls.ts'

/** Who is told what happens on a descriptor. */
export interface Watcher {
  /** `mask`: EPOLLIN and its like */
  onEvents(mask: number): void
  /** A turn after {@link EventLoop.carry} was asked for. */
  onCarried?(): void
  /** The loop is about to be closed: gives the descriptor back. */
  destroy(): void
}

/** Bytes all streams together may read in a turn by large reads; then each gets {@link SMALL_READ_BYTES}, enough for whoever chats. */
const TURN_BYTES = 2 * 1024 * 1024
export const SMALL_READ_BYTES = 16 * 1024

const EBADF = -9

/** A process that is out of descriptors tries again after so long. */
export const OUT_OF_DESCRIPTORS_PAUSE_MS = 50

/** One thread's epoll: watchers are added by descriptor and told their events; work can be put off to the end of
 *  the turn. */
export class EventLoop {
  readonly calls: SystemCalls
  /** counts turns: what is shared per turn starts again with each */
  turn = 0
  readonly #epoll: number
  readonly #wakeUp: WakeUp
  /** by descriptor. The generation is in the event as well: an event for an earlier owner of the same number is not for this one. */
  readonly #watchers: (Watcher | undefined)[] = []
  readonly #generations: number[] = []
  #nextGeneration = 1
  #watched = 0
  #carried: Watcher[] = []
  #isInTurn = false
  #bytesLeft = TURN_BYTES
  #endings: (() => void)[] = []
  /** the next turn; unreferenced, it runs whenever the loop wakes up and keeps nothing awake */
  #next: NodeJS.Immediate
  #isClosed = false

  /** Throws the system's error where there is no epoll descriptor or libuv refuses it. */
  constructor(calls: SystemCalls) {
    this.calls = calls
    this.#epoll = calls.epollCreate()
    if (this.#epoll < 0) throw systemError(this.#epoll, 'epoll_create1')
    const wakeUp = calls.wakeFor(this.#epoll)
    if (wakeUp === undefined) {
      calls.close(this.#epoll)
      throw new Error('libuv does not take an epoll descriptor')
    }
    this.#wakeUp = wakeUp
    wakeUp.unref()
    this.#next = setImmediate(this.#runTurn).unref()
  }

  /** The epoll descriptor: `reclaim` closes what it watches when the thread that made it is gone. */
  get descriptor(): number {
    return this.#epoll
  }

  /** Descriptors being watched. The process stays alive while there are any. */
  get watched(): number {
    return this.#watched
  }

  /** Answers 0 or a negative errno. */
  add(fd: number, watcher: Watcher, mask: number): number {
    if (this.#isClosed) return EBADF
    const status = this.calls.epollAdd(this.#epoll, fd, mask, this.#nextGeneration)
    if (status === 0) this.#enter(fd, watcher)
    return status
  }

  modify(fd: number, mask: number): number {
    return this.calls.epollModify(this.#epoll, fd, mask, this.#generations[fd] ?? 0)
  }

  /** Another watcher for the same descriptor, under the same mask. */
  replace(fd: number, watcher: Watcher): void {
    this.#watchers[fd] = watcher
  }

  /** The descriptor is about to be closed, which takes it out of epoll. */
  forget(fd: number): void {
    if (this.#watchers[fd] === undefined) return
    this.#watchers[fd] = undefined
    if (--this.#watched === 0) this.#wakeUp.unref()
  }

  /** Takes a descriptor out that stays open. */
  remove(fd: number): void {
    if (this.#watchers[fd] === undefined) return
    this.calls.epollRemove(this.#epoll, fd)
    this.forget(fd)
  }

  /** Leaves a descriptor to another thread. It stays in epoll, where `reclaim` finds it, and nobody is told of it. */
  lend(fd: number): void {
    // errors and ends are reported whatever the mask; edge-triggered, each wakes this loop once
    this.modify(fd, EPOLLET)
    this.forget(fd)
  }

  /** Watches a descriptor again that was lent. Answers 0 or a negative errno. */
  takeBack(fd: number, watcher: Watcher, mask: number): number {
    if (this.#isClosed) return EBADF
    const status = this.calls.epollModify(this.#epoll, fd, mask, this.#nextGeneration)
    if (status === 0) this.#enter(fd, watcher)
    return status
  }

  /** Tells `watcher` in the next turn that it can go on. */
  carry(watcher: Watcher): void {
    this.#carried.push(watcher)
    this.#next.ref()
  }

  /** How much a stream may ask for now. */
  get readLength(): number {
    return this.#bytesLeft > 0 ? READ_BYTES : SMALL_READ_BYTES
  }

  spend(bytes: number): void {
    this.#bytesLeft -= bytes
  }

  /** Calls `act` when all events of this turn have been told; within no turn, when the microtasks of now have run. */
  atEndOfTurn(act: () => void): void {
    if (this.#isInTurn) this.#endings.push(act)
    else queueMicrotask(act)
  }

  /** Has every watcher give its descriptor back, and lets go of Node's event loop. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    // first: whoever hears of an end may want to begin something new
    this.#isClosed = true
    for (const watcher of this.#watchers) watcher?.destroy()
    this.#carried = []
    clearImmediate(this.#next)
    await this.#wakeUp.close()
    this.calls.close(this.#epoll)
  }

  #enter(fd: number, watcher: Watcher): void {
    const generation = this.#nextGeneration
    this.#nextGeneration = (generation + 1) | 0
    while (this.#watchers.length <= fd) {
      this.#watchers.push(undefined)
      this.#generations.push(0)
    }
    this.#watchers[fd] = watcher
    this.#generations[fd] = generation
    if (++this.#watched === 1) this.#wakeUp.ref()
  }

  readonly #runTurn = (): void => {
    this.turn++
    this.#bytesLeft = TURN_BYTES
    this.#next = setImmediate(this.#runTurn).unref()
    this.#isInTurn = true
    if (this.#carried.length > 0) this.#goOn()
    this.#tellEvents()
    this.#isInTurn = false
    if (this.#endings.length === 0) return
    for (const act of this.#endings.splice(0)) act()
  }

  #tellEvents(): void {
    const { calls } = this
    const count = calls.epollWait(this.#epoll)
    for (let at = 0; at < count; at++) {
      const fd = calls.eventDescriptor(at)
      const watcher = this.#watchers[fd]
      if (watcher === undefined || this.#generations[fd] !== calls.eventGeneration(at)) continue
      try {
        watcher.onEvents(calls.eventMask(at))
      } catch (thrown) {
        rethrow(thrown)
      }
    }
  }

  #goOn(): void {
    const carried = this.#carried
    this.#carried = []
    for (const watcher of carried) {
      try {
        watcher.onCarried?.()
      } catch (thrown) {
        rethrow(thrown)
      }
    }
  }
}

/** As an uncaught exception, once the others have had their events. */
function rethrow(thrown: unknown): void {
  setImmediate(() => {
    throw thrown
  })
}
