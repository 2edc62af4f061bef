// A queue of log lines between the data path and a slow sink. The data path only appends to memory; whole lines are
// written in batches, one batch at a time. Memory is bounded: lines that do not fit are dropped and counted (RS-08).

export interface LineQueue {
  /** Appends a line (without its line feed). Never blocks, never throws. */
  push(line: string): void
  /** lines dropped because the queue was full or the sink could not be written */
  readonly dropped: number
  /** Waits until everything pushed so far is written, or `deadlineMs` have passed; then accepts nothing more. */
  close(deadlineMs: number): Promise<void>
}

export interface LineQueueOptions {
  /** Writes whole lines, each ending in a line feed; owns the bytes until done. A rejection is reported and the
   *  batch is retried. */
  readonly write: (batch: Buffer) => Promise<void>
  /** called once per series of failures */
  readonly onProblem: (error: unknown) => void
  /** bytes kept in memory (default 8 Mi) and written at once (default 256 Ki) */
  readonly capacity?: number
  readonly batch?: number
  /** pause after a failure (default 1000) */
  readonly retryMs?: number
  /** Lines that arrive within this many ms of the first are written together (default 0: of one turn of the event
   *  loop). A write for every line costs 13 µs of each short connection's 200. */
  readonly gatherMs?: number
}

/** For sinks that people and programs follow: the delay is invisible, and thousands of lines a second become fifty
 *  writes. */
export const GATHER_MS = 20

/** Creates a queue that starts writing with the first line; memory stays bounded, and lines that do not fit are counted
 *  (RS-08). */
export function createLineQueue(options: LineQueueOptions): LineQueue {
  return new BatchedQueue(options)
}

class BatchedQueue implements LineQueue {
  readonly #options: Required<LineQueueOptions>
  /** the first is written next, the last is being filled */
  #pages: LinePage[] = []
  /** the page being written: nothing is appended to it */
  #leaving: LinePage | undefined
  /** a written page, for reuse */
  #spare: LinePage | undefined
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
    const last = this.#pages.at(-1)
    const before = last?.length ?? 0
    if (last !== undefined && last !== this.#leaving && last.add(line)) this.#size += last.length - before
    else this.#size += this.#beginPage(line)
    this.#running ??= this.#run()
  }

  async close(deadlineMs: number): Promise<void> {
    this.#closed = true
    this.#wake?.()
    await Promise.race([this.#running, pause(deadlineMs)])
    for (const { lines } of this.#pages) this.#dropped += lines
    this.#pages = []
  }

  /** Returns the number of bytes of the line. */
  #beginPage(line: string): number {
    const { batch } = this.#options
    const needed = Buffer.byteLength(line) + 1
    const page = needed <= batch ? (this.#spare ?? new LinePage(batch)) : new LinePage(needed)
    if (page === this.#spare) this.#spare = undefined
    page.add(line)
    this.#pages.push(page)
    return needed
  }

  async #run(): Promise<void> {
    await Promise.resolve()
    for (;;) {
      const [page] = this.#pages
      if (page === undefined) break
      await this.#gather()
      this.#leaving = page
      const isWritten = await this.#written(page.contents())
      this.#leaving = undefined
      if (isWritten) this.#done(page)
      else if (this.#closed) break
      else await this.#wokenOrAfter(this.#options.retryMs)
    }
    this.#running = undefined
  }

  #done(page: LinePage): void {
    if (this.#pages[0] === page) this.#pages.shift()
    this.#size -= page.length
    page.clear()
    if (page.size === this.#options.batch) this.#spare = page
  }

  async #gather(): Promise<void> {
    const { gatherMs, batch } = this.#options
    if (gatherMs > 0 && this.#size < batch && !this.#closed) await this.#wokenOrAfter(gatherMs)
  }

  async #written(batch: Buffer): Promise<boolean> {
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

  /** Resolves when the queue is closed, or after this many ms. */
  async #wokenOrAfter(ms: number): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    await Promise.race([woken, pause(ms)])
    this.#wake = undefined
  }
}

/** A pause that does not keep the process alive. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}

const LINE_FEED = 0x0a
/** Most UTF-8 bytes for one UTF-16 unit. */
const MOST_BYTES = 3

/** Log lines as the bytes they are written as. A line is encoded when it arrives: as text it would stay on V8's heap
 *  until its batch is written, be copied by garbage collections meanwhile, and again into the batch and its bytes. */
class LinePage {
  readonly #bytes: Buffer
  #length = 0
  #lines = 0

  /** A page of this many bytes. */
  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafeSlow(size)
  }

  /** in bytes, including line feeds */
  get length(): number {
    return this.#length
  }

  get lines(): number {
    return this.#lines
  }

  get size(): number {
    return this.#bytes.length
  }

  /** Appends a line and its line feed; returns false, without appending, if it does not fit. */
  add(line: string): boolean {
    const room = this.#bytes.length - this.#length - 1
    if (line.length * MOST_BYTES > room && Buffer.byteLength(line) > room) return false
    const end = this.#length + this.#bytes.write(line, this.#length)
    this.#bytes[end] = LINE_FEED
    this.#length = end + 1
    this.#lines++
    return true
  }

  /** The contents; a view of the same memory, valid until {@link clear}. */
  contents(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Empties the page for reuse. */
  clear(): void {
    this.#length = 0
    this.#lines = 0
  }
}
