// One coarse interval for all deadlines of all connections: thousands of idle tunnels cost one interval, not thousands of
// timers. Refuses precision: a deadline fires up to two ticks late, never early.

const SLOTS = 512

/** A running deadline. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void
}

/** What users of the clock need of it. */
export interface Clock {
  /** monotonic milliseconds as of the last tick; exact enough to say when a connection was last active */
  readonly now: number
  /** Calls `expire` once, `delayMs` from now at the earliest. */
  after(delayMs: number, expire: () => void): Timer
}

/** A hashed timing wheel (one list of deadlines per slot, each with its due tick). Scheduling and cancelling are O(1). The
 *  interval runs only while deadlines exist and never keeps the process alive. */
export class TimerWheel implements Clock {
  now = performance.now()
  #tick = 0
  #pending = 0
  #interval: NodeJS.Timeout | undefined
  readonly #origin = performance.now()
  readonly #tickMs: number
  readonly #slots: (Entry | undefined)[] = new Array<Entry | undefined>(SLOTS).fill(undefined)

  constructor(tickMs = 50) {
    this.#tickMs = tickMs
  }

  /** Deadlines that have neither fired nor been cancelled. */
  get pending(): number {
    return this.#pending
  }

  after(delayMs: number, expire: () => void): Timer {
    if (this.#interval === undefined) this.#start()
    const dueTick = Math.max(this.#tick + 1, Math.ceil((performance.now() - this.#origin + delayMs) / this.#tickMs))
    const entry = new Entry(this, dueTick, expire)
    this.#insert(entry)
    this.#pending++
    return entry
  }

  #start(): void {
    this.now = performance.now()
    this.#tick = Math.floor((this.now - this.#origin) / this.#tickMs)
    this.#interval = setInterval(() => this.#advance(), this.#tickMs).unref()
  }

  #advance(): void {
    this.now = performance.now()
    const target = Math.floor((this.now - this.#origin) / this.#tickMs)
    // after a pause longer than a turn of the wheel every slot is visited once, not once per missed tick
    for (let step = Math.min(target - this.#tick, SLOTS); step > 0; step--) this.#fireSlot(target - step + 1, target)
    this.#tick = target
    if (this.#pending === 0) {
      clearInterval(this.#interval)
      this.#interval = undefined
    }
  }

  #fireSlot(tick: number, target: number): void {
    let entry = this.#slots[tick % SLOTS]
    const due: Entry[] = []
    for (; entry !== undefined; entry = entry.next) if (entry.dueTick <= target) due.push(entry)
    for (const each of due) {
      if (!each.active) continue
      this.remove(each)
      each.expire()
    }
  }

  #insert(entry: Entry): void {
    const slot = entry.dueTick % SLOTS
    const head = this.#slots[slot]
    entry.next = head
    if (head !== undefined) head.previous = entry
    this.#slots[slot] = entry
  }

  /** For {@link Timer.cancel} only. */
  remove(entry: Entry): void {
    entry.active = false
    this.#pending--
    if (entry.previous === undefined) this.#slots[entry.dueTick % SLOTS] = entry.next
    else entry.previous.next = entry.next
    if (entry.next !== undefined) entry.next.previous = entry.previous
    entry.next = undefined
    entry.previous = undefined
  }
}

class Entry implements Timer {
  active = true
  next: Entry | undefined
  previous: Entry | undefined
  readonly dueTick: number
  readonly expire: () => void
  readonly #clock: TimerWheel

  constructor(clock: TimerWheel, dueTick: number, expire: () => void) {
    this.#clock = clock
    this.dueTick = dueTick
    this.expire = expire
  }

  cancel(): void {
    if (this.active) this.#clock.remove(this)
  }
}
