// Connection counts shared by several threads: one table in shared memory, so that the limit of [E7] is exact over all
// threads. Every thread has its own column, cleared when the thread dies; a key is in one bucket under one lock, held
// for a few hundred nanoseconds.

import { hash } from 'node:crypto'
import { LocalUses, type UseCounts } from './port-leases.ts'

const BUCKETS = 8192
/** Keys in one bucket at one time. With 20,000 destinations in use a bucket holds 2.4 on average; 16 is never seen. */
const SLOTS = 16
/** Longest wait for a lock, in ms; it is usually released much sooner. */
const LOCK_WAIT_MS = 1

/** A slot: the key's digest in two words, then one count per thread. A bucket: its lock, then its slots. */
const KEY_WORDS = 2

/** Counts in shared memory for this many threads. */
export class SharedUseTable {
  readonly buffer: SharedArrayBuffer
  readonly threads: number
  readonly #words: Int32Array

  /** A new table, or a view of the one another thread made (`buffer`). */
  constructor(threads: number, buffer?: SharedArrayBuffer) {
    this.threads = threads
    this.buffer = buffer ?? new SharedArrayBuffer(BUCKETS * bucketWords(threads) * Int32Array.BYTES_PER_ELEMENT)
    this.#words = new Int32Array(this.buffer)
  }

  /** The counts as one thread (0-based) uses them. */
  countsOf(thread: number): UseCounts {
    return new ThreadUses(this, thread)
  }

  /** Clears the counts of a thread that has ended, and the lock it may have held. Not while it runs. */
  forget(thread: number): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const lock = bucket * bucketWords(this.threads)
      if (Atomics.load(this.#words, lock) === thread + 1) this.#release(lock)
      this.#locked(lock, 'main', () => {
        for (let at = 0; at < SLOTS; at++) this.#words[this.#slot(lock, at) + KEY_WORDS + thread] = 0
      })
    }
  }

  /** Adds one for `thread` and returns the sum over all threads; undefined, and nothing counted, where that would
   *  exceed `limit`. */
  add(key: Digest, thread: number, limit: number): number | undefined {
    const lock = this.#lockOf(key)
    return this.#locked(lock, thread, () => {
      const slot = this.#find(lock, key)
      if (slot === undefined) return undefined
      const used = this.#sum(slot) + 1
      if (used > limit) return undefined
      this.#words[slot] = key.first
      this.#words[slot + 1] = key.second
      this.#words[slot + KEY_WORDS + thread] = (this.#words[slot + KEY_WORDS + thread] ?? 0) + 1
      return used
    })
  }

  remove(key: Digest, thread: number): void {
    const lock = this.#lockOf(key)
    this.#locked(lock, thread, () => {
      const slot = this.#find(lock, key)
      if (slot === undefined) return
      const own = slot + KEY_WORDS + thread
      this.#words[own] = Math.max(0, (this.#words[own] ?? 0) - 1)
    })
  }

  /** The key's slot, else the first free one; undefined when the bucket is full. */
  #find(lock: number, { first, second }: Digest): number | undefined {
    let free: number | undefined
    for (let at = 0; at < SLOTS; at++) {
      const slot = this.#slot(lock, at)
      const isUsed = this.#sum(slot) > 0
      if (isUsed && this.#words[slot] === first && this.#words[slot + 1] === second) return slot
      if (!isUsed) free ??= slot
    }
    return free
  }

  #sum(slot: number): number {
    let sum = 0
    for (let thread = 0; thread < this.threads; thread++) sum += this.#words[slot + KEY_WORDS + thread] ?? 0
    return sum
  }

  #slot(lock: number, at: number): number {
    return lock + 1 + at * (KEY_WORDS + this.threads)
  }

  #lockOf({ bucket }: Digest): number {
    return bucket * bucketWords(this.threads)
  }

  #locked<T>(lock: number, owner: number | 'main', work: () => T): T {
    const name = owner === 'main' ? this.threads + 1 : owner + 1
    for (;;) {
      const holder = Atomics.compareExchange(this.#words, lock, 0, name)
      if (holder === 0) break
      Atomics.wait(this.#words, lock, holder, LOCK_WAIT_MS)
    }
    try {
      return work()
    } finally {
      this.#release(lock)
    }
  }

  #release(lock: number): void {
    Atomics.store(this.#words, lock, 0)
    Atomics.notify(this.#words, lock, 1)
  }
}

/** A key as 64 bits of its SHA-1, and the bucket it belongs to. Two keys in use at one time are the same with a chance
 *  of 1 in 10¹⁰. */
interface Digest {
  readonly bucket: number
  readonly first: number
  readonly second: number
}

class ThreadUses implements UseCounts {
  readonly #table: SharedUseTable
  readonly #thread: number
  /** this thread's own counts, reported by {@link own} */
  readonly #mine = new LocalUses()
  readonly #digests = new Map<string, Digest>()

  constructor(table: SharedUseTable, thread: number) {
    this.#table = table
    this.#thread = thread
  }

  add(key: string, limit: number): number | undefined {
    const digest = this.#digests.get(key) ?? digestOf(key)
    const used = this.#table.add(digest, this.#thread, limit)
    if (used === undefined) return undefined
    if (this.#mine.add(key, Number.POSITIVE_INFINITY) === 1) this.#digests.set(key, digest)
    return used
  }

  remove(key: string): void {
    this.#table.remove(this.#digests.get(key) ?? digestOf(key), this.#thread)
    this.#mine.remove(key)
    if (!this.#mine.has(key)) this.#digests.delete(key)
  }

  own(): { readonly keys: number; readonly most: number } {
    return this.#mine.own()
  }
}

function bucketWords(threads: number): number {
  return 1 + SLOTS * (KEY_WORDS + threads)
}

function digestOf(key: string): Digest {
  const bytes = hash('sha1', key, 'buffer')
  return { bucket: bytes.readUInt32LE(0) % BUCKETS, first: bytes.readInt32LE(4), second: bytes.readInt32LE(8) }
}
