// One epoll descriptor as one handle of Node's event loop: tells each watcher what happens on its descriptor. Nothing a watcher throws
// reaches native code or keeps another watcher from its event; promises a turn settles are told in the same turn.

import { systemError } from '../system-error.ts'
import type { PollHandle, SystemCalls } from './system-calls.ts'

/** Who is told what happens on a descriptor. */
export interface Watcher {
  /** `mask`: EPOLLIN and its like */
  onEvents(mask: number): void
  /** A turn after {@link EventLoop.carry} was asked for. */
  onCarried?(): void
}

/** A process that is out of descriptors tries again after so long. */
export const OUT_OF_DESCRIPTORS_PAUSE_MS = 50

export class EventLoop {
  readonly calls: SystemCalls
  /** counts turns: what is shared per turn starts again with each */
  turn = 0
  readonly #epoll: number
  readonly #poll: PollHandle
  /** by descriptor. The generation is in the event as well: an event for an earlier owner of the same number is not for this one. */
  readonly #watchers: (Watcher | undefined)[] = []
  readonly #generations: number[] = []
  #nextGeneration = 1
  #watched = 0
  #carried: Watcher[] = []
  #afterTurn: NodeJS.Immediate | undefined
  #isClosed = false

  /** Throws the system's error where there is no epoll descriptor or libuv refuses it. */
  constructor(calls: SystemCalls) {
    this.calls = calls
    this.#epoll = calls.epollCreate()
    if (this.#epoll < 0) throw systemError(this.#epoll, 'epoll_create1')
    const poll = calls.openPoll(this.#epoll, this.#onReady)
    if (poll === undefined) {
      calls.close(this.#epoll)
      throw new Error('libuv does not take an epoll descriptor')
    }
    this.#poll = poll
    poll.unref()
  }

  /** Descriptors being watched. The process stays alive while there are any. */
  get watched(): number {
    return this.#watched
  }

  /** Answers 0 or a negative errno. */
  add(fd: number, watcher: Watcher, mask: number): number {
    if (this.#isClosed) return -9
    const generation = this.#nextGeneration
    const status = this.calls.epollAdd(this.#epoll, fd, mask, generation)
    if (status !== 0) return status
    this.#nextGeneration = (generation + 1) | 0
    while (this.#watchers.length <= fd) {
      this.#watchers.push(undefined)
      this.#generations.push(0)
    }
    this.#watchers[fd] = watcher
    this.#generations[fd] = generation
    if (++this.#watched === 1) this.#poll.ref()
    return 0
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
    if (--this.#watched === 0 && !this.#isClosed) this.#poll.unref()
  }

  /** Takes a descriptor out that stays open. */
  remove(fd: number): void {
    if (this.#watchers[fd] === undefined) return
    this.calls.epollRemove(this.#epoll, fd)
    this.forget(fd)
  }

  /** Tells `watcher` in the next turn that it can go on. */
  carry(watcher: Watcher): void {
    this.#carried.push(watcher)
    this.#afterTurn ??= setImmediate(this.#goOn)
  }

  /** Tells nobody any more. Resolves once Node's event loop has let go of it: before that, a thread must not end. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#carried = []
    clearImmediate(this.#afterTurn)
    await this.#poll.close()
    this.calls.close(this.#epoll)
  }

  /** Called from native code. Microtasks run only when Node itself calls something afterwards, hence the immediate. */
  readonly #onReady = (): void => {
    this.#afterTurn ??= setImmediate(this.#goOn)
    try {
      this.#dispatch()
    } catch (thrown) {
      rethrow(thrown)
    }
  }

  readonly #goOn = (): void => {
    this.#afterTurn = undefined
    if (this.#carried.length === 0) return
    this.turn++
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

  #dispatch(): void {
    const { calls } = this
    this.turn++
    const count = this.#isClosed ? 0 : calls.epollWait(this.#epoll)
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
}

/** As an uncaught exception of the process, but not within a call from native code. */
function rethrow(thrown: unknown): void {
  setImmediate(() => {
    throw thrown
  })
}
