// The relay thread as the main thread sees it: takes two streams that do nothing but pass bytes to each other, and gives them back when that
// is over. Started with the first tunnel.

import { Worker } from 'node:worker_threads'
import type { EventLoop } from './event-loop.ts'
import type { LinuxStream } from './linux-stream.ts'
import {
  type FromRelay,
  type Loan,
  type LoanReturn,
  MAX_FLOWS,
  type RelayData,
  type SideEnd,
  type ToRelay,
} from './loan.ts'
import { reclaim } from './reclaim.ts'

const MODULE = new URL('./relay-worker.ts', import.meta.url)
const RING = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])

interface Flow {
  readonly one: LinuxStream
  readonly other: LinuxStream
  readonly descriptors: readonly [number, number]
  readonly onReturn: (endedFirst: LinuxStream | undefined) => void
}

/** The main thread's handle of the relay thread; at most as many tunnels as it has slots, the rest stay here. */
export class RelayThread {
  readonly #loop: EventLoop
  readonly #memory = new SharedArrayBuffer(MAX_FLOWS * 4 * Float64Array.BYTES_PER_ELEMENT)
  /** bytes, by slot: from `one`, to `other`, from `other`, to `one` */
  readonly #counts = new Float64Array(this.#memory)
  readonly #flows = new Map<number, Flow>()
  readonly #freeSlots = Array.from({ length: MAX_FLOWS }, (_, at) => MAX_FLOWS - 1 - at)
  readonly #worker: Worker
  readonly #exited: Promise<void>
  #descriptors: { readonly bell: number; readonly epoll: number } | undefined
  #isUsable = true

  constructor(loop: EventLoop) {
    this.#loop = loop
    const workerData: RelayData = { counts: this.#memory, owner: loop.descriptor }
    this.#worker = new Worker(MODULE, { workerData })
    this.#worker.on('message', this.#hear)
    this.#worker.on('error', (error) => {
      this.#isUsable = false
      process.emitWarning(error instanceof Error ? error : String(error))
    })
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve()))
    void this.#exited.then(this.#died)
    this.#worker.unref()
  }

  /** False once it has ended, or had nothing to work with: it takes no tunnel any more. */
  get isUsable(): boolean {
    return this.#isUsable
  }

  get flows(): number {
    return this.#flows.size
  }

  /** Passes the bytes of each stream to the other until both sides have ended, one has broken, or one stream is closed. Then both are
   *  back, `onReturn` is called, and their handlers are told what became of them. False: they cannot be taken, and nothing has changed. */
  join(one: LinuxStream, other: LinuxStream, onReturn: Flow['onReturn']): boolean {
    const slot = this.#isUsable ? this.#freeSlots.pop() : undefined
    if (slot === undefined) return false
    const at = slot * 4
    this.#counts.fill(0, at, at + 4)
    const stop = () => this.#send({ kind: 'stop', slot })
    const first = one.lend(this.#loan(at, at + 3, stop))
    const second = first === undefined ? undefined : other.lend(this.#loan(at + 2, at + 1, stop))
    if (first === undefined || second === undefined) {
      if (first !== undefined) one.takeBack(first, unchanged)
      this.#freeSlots.push(slot)
      return false
    }
    this.#flows.set(slot, { one, other, descriptors: [first, second], onReturn })
    if (this.#flows.size === 1) this.#worker.ref()
    this.#send({ kind: 'join', slot, one: first, other: second })
    return true
  }

  /** Ends the thread; every stream is back before. */
  async close(): Promise<void> {
    this.#isUsable = false
    // else a process with nothing more to do would end within this wait
    this.#worker.ref()
    this.#send({ kind: 'end' })
    await this.#exited
  }

  #loan(received: number, sent: number, stop: () => void): Loan {
    return { received: () => this.#counts[received] ?? 0, sent: () => this.#counts[sent] ?? 0, stop }
  }

  #send(message: ToRelay): void {
    this.#worker.postMessage(message)
    if (this.#descriptors !== undefined) this.#loop.calls.write(this.#descriptors.bell, RING)
  }

  readonly #hear = (message: FromRelay): void => {
    switch (message.kind) {
      case 'ready':
        this.#descriptors = message
        break
      case 'failed':
        this.#isUsable = false
        break
      case 'over':
        this.#return(message.slot, message.one, message.other)
    }
  }

  /** The thread has ended. What it has moved is in the table of counts, whatever it died of; bytes in its pipes are lost. One that never
   *  began has moved nothing, and tunnels go on without it. */
  readonly #died = (): void => {
    this.#isUsable = false
    const descriptors = this.#descriptors
    this.#descriptors = undefined
    const lent = [...this.#flows.values()].flatMap((flow) => flow.descriptors)
    if (descriptors !== undefined) reclaim(this.#loop.calls, descriptors.epoll, lent)
    const status = descriptors === undefined ? 0 : ECONNABORTED
    const end: SideEnd = { hasEnded: false, saidFin: false, endedFirst: false, status }
    for (const slot of [...this.#flows.keys()]) this.#return(slot, end, end)
  }

  #return(slot: number, one: SideEnd, other: SideEnd): void {
    const flow = this.#flows.get(slot)
    if (flow === undefined) return
    this.#flows.delete(slot)
    this.#freeSlots.push(slot)
    if (this.#flows.size === 0 && this.#isUsable) this.#worker.unref()
    const [fromOne = 0, toOther = 0, fromOther = 0, toOne = 0] = this.#counts.subarray(slot * 4, slot * 4 + 4)
    const first = returned(one, other, fromOne, toOne)
    const second = returned(other, one, fromOther, toOther)
    flow.one.takeBack(flow.descriptors[0], first)
    flow.other.takeBack(flow.descriptors[1], second)
    flow.onReturn(one.endedFirst ? flow.one : other.endedFirst ? flow.other : undefined)
    flow.one.tellReturn(first)
    flow.other.tellReturn(second)
  }
}

const ECONNABORTED = -103
const unchanged: LoanReturn = {
  received: 0,
  sent: 0,
  hasEnded: false,
  saidFin: false,
  firstFin: undefined,
  status: 0,
}

function returned(side: SideEnd, opposite: SideEnd, received: number, sent: number): LoanReturn {
  const { hasEnded, saidFin, status } = side
  const firstFin = side.endedFirst ? 'peer' : opposite.endedFirst ? 'us' : undefined
  return { received, sent, hasEnded, saidFin, firstFin, status }
}
