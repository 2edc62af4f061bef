// The relay thread: sleeps in epoll_wait and moves the bytes of bulky tunnels by splice. Owns its pipes; the descriptors of tunnels stay the
// main thread's, which also closes this thread's epoll descriptor and its bell, and its pipes should it die: it may ring until the thread
// has ended.

import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { DIALLED_MASK, GONE } from './event-masks.ts'
import { loadFfi } from './load-ffi.ts'
import type { FromRelay, RelayData, ToRelay } from './loan.ts'
import { openNative } from './native.ts'
import { RelayFlow } from './relay-flow.ts'
import { type Pipe, SpliceCalls } from './splice-calls.ts'
import { EPOLLET, EPOLLIN, SystemCalls } from './system-calls.ts'

/** A thread that waits for ever cannot be terminated. */
const LONGEST_WAIT_MS = 100
const MAX_SPARE_PIPES = 64

function run(port: MessagePort): void {
  const tell = (message: FromRelay) => port.postMessage(message)
  const ffi = loadFfi()
  if (typeof ffi === 'string') tell({ kind: 'failed' })
  else begin(port, new SystemCalls(openNative(ffi)), tell)
}

/** Without the descriptors to wait on, the tunnels go back at once. */
function begin(port: MessagePort, calls: SystemCalls, tell: (message: FromRelay) => void): void {
  const splices = new SpliceCalls(calls.native)
  const [epoll, bell] = [calls.epollCreate(), splices.openBell()]
  const { counts, owner }: RelayData = workerData
  if (epoll >= 0 && bell >= 0 && calls.epollAdd(epoll, bell, EPOLLIN, 0) === 0) {
    // nothing is waited for
    calls.epollAdd(owner, epoll, EPOLLET, 0)
    tell({ kind: 'ready', bell, epoll })
    new RelayWorker(port, { calls, splices, epoll, bell, counts: new Float64Array(counts) }, tell).run()
    return
  }
  for (const fd of [epoll, bell]) if (fd >= 0) calls.close(fd)
  tell({ kind: 'failed' })
}

interface RelayMeans {
  readonly calls: SystemCalls
  readonly splices: SpliceCalls
  readonly epoll: number
  /** by which the main thread wakes this one */
  readonly bell: number
  /** by slot; see `RelayThread` */
  readonly counts: Float64Array
}

class RelayWorker {
  readonly #port: MessagePort
  readonly #tell: (message: FromRelay) => void
  readonly #calls: SystemCalls
  readonly #splices: SpliceCalls
  readonly #counts: Float64Array
  readonly #flows = new Map<number, RelayFlow>()
  /** by descriptor; numbers belong to one flow until this thread has let go of both of its own */
  readonly #byDescriptor: (RelayFlow | undefined)[] = []
  readonly #sparePipes: Pipe[] = []
  readonly #epoll: number
  readonly #bell: number
  #ready = new Set<RelayFlow>()
  #isEnding = false

  constructor(port: MessagePort, means: RelayMeans, tell: (message: FromRelay) => void) {
    this.#port = port
    this.#calls = means.calls
    this.#splices = means.splices
    this.#epoll = means.epoll
    this.#bell = means.bell
    this.#counts = means.counts
    this.#tell = tell
  }

  run(): void {
    while (!this.#isEnding) this.#turn()
    for (const flow of this.#flows.values()) this.#letGo(flow)
    for (const pipe of this.#sparePipes) this.#closePipe(pipe)
    this.#port.close()
  }

  #turn(): void {
    const calls = this.#calls
    const count = calls.epollWait(this.#epoll, this.#ready.size > 0 ? 0 : LONGEST_WAIT_MS)
    for (let at = 0; at < count; at++) {
      const fd = calls.eventDescriptor(at)
      const flow = this.#byDescriptor[fd]
      if (fd === this.#bell) calls.read(fd)
      else if (flow !== undefined) {
        if (calls.eventMask(at) & GONE) flow.sawGone(fd)
        this.#ready.add(flow)
      }
    }
    for (let news = receiveMessageOnPort(this.#port); news !== undefined; news = receiveMessageOnPort(this.#port)) {
      this.#obey(news.message)
    }
    const ready = this.#ready
    this.#ready = new Set()
    for (const flow of ready) {
      if (this.#flows.get(flow.slot) !== flow) continue
      const more = flow.move()
      if (flow.isOver) this.#letGo(flow)
      else if (more) this.#ready.add(flow)
    }
  }

  #obey(message: ToRelay): void {
    switch (message.kind) {
      case 'join':
        this.#join(message)
        break
      case 'stop': {
        const flow = this.#flows.get(message.slot)
        if (flow !== undefined) this.#letGo(flow)
        break
      }
      case 'end':
        this.#isEnding = true
    }
  }

  #join(join: { readonly slot: number; readonly one: number; readonly other: number }): void {
    const pipes = [this.#takePipe(), this.#takePipe()] as const
    const [there, back] = pipes
    if (typeof there === 'number' || typeof back === 'number') {
      for (const pipe of pipes) if (typeof pipe !== 'number') this.#giveBack(pipe, true)
      const end = { hasEnded: false, saidFin: false, endedFirst: false, status: 0 }
      this.#tell({ kind: 'over', slot: join.slot, one: end, other: end })
      return
    }
    const shared = { calls: this.#calls, splices: this.#splices, counts: this.#counts }
    const flow = new RelayFlow(shared, join, [there, back])
    this.#flows.set(join.slot, flow)
    const isWatched = [join.one, join.other].every((fd) => {
      this.#byDescriptor[fd] = flow
      return this.#calls.epollAdd(this.#epoll, fd, DIALLED_MASK, 0) === 0
    })
    if (isWatched) this.#ready.add(flow)
    else this.#letGo(flow)
  }

  /** From here on the main thread may close the two descriptors. */
  #letGo(flow: RelayFlow): void {
    const { slot, one, other } = flow
    this.#flows.delete(slot)
    for (const fd of [one, other]) {
      this.#byDescriptor[fd] = undefined
      this.#calls.epollRemove(this.#epoll, fd)
    }
    for (const { pipe, isEmpty } of flow.pipes()) this.#giveBack(pipe, isEmpty)
    if (this.#flows.size === 0) for (const pipe of this.#sparePipes.splice(0)) this.#closePipe(pipe)
    this.#tell({ kind: 'over', slot, one: flow.endOf(one), other: flow.endOf(other) })
  }

  #takePipe(): Pipe | number {
    const spare = this.#sparePipes.pop()
    if (spare !== undefined) return spare
    const pipe = this.#splices.openPipe()
    // nothing is waited for: whoever closes this thread's epoll descriptor for it closes its pipes as well
    if (typeof pipe !== 'number') {
      for (const end of [pipe.readEnd, pipe.writeEnd]) this.#calls.epollAdd(this.#epoll, end, EPOLLET, 0)
    }
    return pipe
  }

  #giveBack(pipe: Pipe, isEmpty: boolean): void {
    if (isEmpty && this.#sparePipes.length < MAX_SPARE_PIPES) this.#sparePipes.push(pipe)
    else this.#closePipe(pipe)
  }

  #closePipe({ readEnd, writeEnd }: Pipe): void {
    this.#calls.close(readEnd)
    this.#calls.close(writeEnd)
  }
}

if (parentPort !== null) run(parentPort)
