// Candidates of all people the index remembers, one after another in one stretch of memory: an array of its own for each person would
// cost two or three more cache lines a decision. Bounded: when it is full, everything is forgotten at once and found again.

const FIRST_SIZE = 4096
/** 16 MB: some 200,000 people with four candidates each */
const LARGEST_SIZE = 4_194_304

export class RowStore {
  #rows = new Int32Array(FIRST_SIZE)
  #length = 0
  #epoch = 1

  get rows(): Int32Array {
    return this.#rows
  }

  /** What was stored in an earlier epoch is gone. Never 0. */
  get epoch(): number {
    return this.#epoch
  }

  /** Answers where they begin. May begin a new epoch. */
  add(rows: Int32Array): number {
    if (this.#length + rows.length > LARGEST_SIZE) {
      this.#length = 0
      this.#epoch++
    }
    this.#makeRoom(this.#length + rows.length)
    const start = this.#length
    this.#rows.set(rows, start)
    this.#length += rows.length
    return start
  }

  #makeRoom(needed: number): void {
    if (needed <= this.#rows.length) return
    const larger = new Int32Array(2 ** Math.ceil(Math.log2(needed)))
    larger.set(this.#rows)
    this.#rows = larger
  }
}
