// Merges sorted lists of rule positions into one ascending sequence without repeats. Reused for every flow: grows when it must,
// allocates nothing otherwise.

const DONE = 0x7fffffff

/** More lists than this are poured into a bit set instead of being compared head by head. */
const MOST_HEADS = 32

/** Filled with {@link addOne} and {@link addMany}, read with {@link next}. */
export class CandidateMerge {
  #heads = new Int32Array(2 * MOST_HEADS)
  #cursors = new Int32Array(2 * MOST_HEADS)
  readonly #lists: (Int32Array | undefined)[] = []
  #size = 0
  /** one bit per rule, all clear unless `#word` is in use */
  readonly #bits: Int32Array
  /** where reading the bit set stands; -1 while it is not in use */
  #word = -1

  /** `rules`: how many there are; positions are below it. */
  constructor(rules: number) {
    this.#bits = new Int32Array((rules >>> 5) + 1)
  }

  clear(): void {
    this.#size = 0
    if (this.#word >= 0) this.#bits.fill(0)
    this.#word = -1
  }

  /** One position. */
  addOne(position: number): void {
    const at = this.#claim()
    this.#heads[at] = position
    this.#lists[at] = undefined
  }

  /** Positions in ascending order. The list is read, never copied. */
  addMany(positions: Int32Array): void {
    const first = positions[0]
    if (first === undefined) return
    const at = this.#claim()
    this.#heads[at] = first
    this.#lists[at] = positions
    this.#cursors[at] = 0
  }

  /** The least position not answered yet, or -1. Nothing may be added after the first call. */
  next(): number {
    if (this.#size > MOST_HEADS) return this.#nextBit()
    const heads = this.#heads
    const size = this.#size
    let least = DONE
    for (let at = 0; at < size; at++) {
      const head = heads[at] ?? DONE
      if (head < least) least = head
    }
    if (least === DONE) return -1
    for (let at = 0; at < size; at++) if (heads[at] === least) heads[at] = this.#advance(at)
    return least
  }

  #advance(at: number): number {
    const list = this.#lists[at]
    if (list === undefined) return DONE
    const cursor = (this.#cursors[at] ?? 0) + 1
    this.#cursors[at] = cursor
    return list[cursor] ?? DONE
  }

  #nextBit(): number {
    if (this.#word < 0) this.#pour()
    const bits = this.#bits
    while (this.#word < bits.length) {
      const word = bits[this.#word] ?? 0
      if (word !== 0) {
        const lowest = word & -word
        bits[this.#word] = word ^ lowest
        return this.#word * 32 + 31 - Math.clz32(lowest)
      }
      this.#word++
    }
    return -1
  }

  #pour(): void {
    this.#word = 0
    for (let at = 0; at < this.#size; at++) {
      const list = this.#lists[at]
      if (list === undefined) this.#mark(this.#heads[at] ?? 0)
      else for (let i = 0; i < list.length; i++) this.#mark(list[i] ?? 0)
    }
  }

  #mark(position: number): void {
    const word = position >>> 5
    this.#bits[word] = (this.#bits[word] ?? 0) | (1 << (position & 31))
  }

  #claim(): number {
    const at = this.#size++
    if (at === this.#heads.length) {
      this.#heads = grown(this.#heads)
      this.#cursors = grown(this.#cursors)
    }
    return at
  }
}

function grown(array: Int32Array): Int32Array<ArrayBuffer> {
  const twice = new Int32Array(array.length * 2)
  twice.set(array)
  return twice
}
