// A queue of log lines between the data path and something slow. The data path only ever appends to memory; whole lines
// are handed on in batches, one batch at a time. Memory is bounded: what does not fit is dropped and counted (RS-08).

export interface LineQueue {
  /** Takes a line (without its line feed). Never blocks, never throws. */
  push(line: string): void
  /** lines given up, because the queue was full or its end could not be written */
  readonly dropped: number
  /** Waits until everything pushed so far is written, or `deadlineMs` have passed; then nothing is taken any more. */
  close(deadlineMs: number): Promise<void>
}

export interface LineQueueOptions {
  /** Writes whole lines, each ending in a line feed. A rejection is reported and the batch is tried again. */
  readonly write: (batch: string) => Promise<void>
  /** told once per run of failures */
  readonly onProblem: (error: unknown) => void
  /** characters kept in memory (default 8 Mi) and handed on at once (default 256 Ki) */
  readonly capacity?: number
  readonly batch?: number
  /** pause after a failure (default 1000) */
  readonly retryMs?: number
  /** Lines of so many ms go together, from the first one on (default 0: of one turn of the event loop). A write for every line
   *  costs 13 µs of each short connection's 200. */
  readonly gatherMs?: number
}

/** For sinks that people and programs follow: nobody sees a difference, and thousands of lines a second make fifty writes. */
export const GATHER_MS = 20

/** A queue that starts writing with the first line. */
export function createLineQueue(options: LineQueueOptions): LineQueue {
  return new BatchedQueue(options)
}

class BatchedQueue implements LineQueue {
  readonly #options: Required<LineQueueOptions>
  #lines: string[] = []
  #size = 0
  #dropped = 0
  #closed = false
  #failing = false
  #running: Promise<void> | undefined
  #wake: (() => void) | undefined

  constructor(options: LineQueueOptions) {
    this.#options = { capacity: 8 * 1024 * 1024, batch: 256 * 1024, retryMs: 1000, gatherMs: 0, ...options }
  }

  get dropped(): number {
    return this.#dropped
  }

  push(line: string): void {
    if (this.#closed || this.#size + line.length + 1 > this.#options.capacity) {
      this.#dropped++
      return
    }
    this.#lines.push(line)
    this.#size += line.length + 1
    this.#running ??= this.#run()
  }

  async close(deadlineMs: number): Promise<void> {
    this.#closed = true
    this.#wake?.()
    await Promise.race([this.#running, pause(deadlineMs)])
    this.#dropped += this.#lines.length
    this.#lines = []
  }

  async #run(): Promise<void> {
    await Promise.resolve()
    while (this.#lines.length > 0) {
      await this.#gather()
      const count = this.#nextBatch()
      const batch = `${this.#lines.slice(0, count).join('\n')}\n`
      if (await this.#written(batch)) {
        this.#lines.splice(0, count)
        this.#size -= batch.length
      } else if (this.#closed) break
      else await this.#wokenOrAfter(this.#options.retryMs)
    }
    this.#running = undefined
  }

  async #gather(): Promise<void> {
    const { gatherMs, batch } = this.#options
    if (gatherMs > 0 && this.#size < batch && !this.#closed) await this.#wokenOrAfter(gatherMs)
  }

  #nextBatch(): number {
    let size = 0
    let count = 0
    for (const line of this.#lines) {
      if (count > 0 && size + line.length > this.#options.batch) break
      size += line.length + 1
      count++
    }
    return count
  }

  async #written(batch: string): Promise<boolean> {
    try {
      await this.#options.write(batch)
      this.#failing = false
      return true
    } catch (error) {
      if (!this.#failing) this.#options.onProblem(error)
      this.#failing = true
      return false
    }
  }

  /** Resolves when the queue is closed, at the latest after so many ms. */
  async #wokenOrAfter(ms: number): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    await Promise.race([woken, pause(ms)])
    this.#wake = undefined
  }
}

/** A pause that keeps no process alive. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
