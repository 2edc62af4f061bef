// What the index remembers of people between flows, and what it asks of whoever keeps them. A trace is good for one index over one
// version of the lists; it dies with the reader that keeps the familiars.

import type { BucketLookup } from './index-search.ts'

/** A person: the same one always has the same values. What they lead to in the first shelf is left here by the index. */
export interface RememberedUser {
  /** of the row store the rows are in; 0 before the first flow */
  epoch: number
  /** rows of candidates, see GuardTable.rowsOf: from here on, and up to there */
  start: number
  end: number
  shelves: readonly BucketLookup[]
}

/** Somebody the index has not met. */
export function unknownUser(): RememberedUser {
  return { epoch: 0, start: 0, end: 0, shelves: [] }
}

/** Whom one flow is of, and to where. */
export interface RememberedUsers {
  readonly person: RememberedUser | undefined
  /** name asked for; undefined where there is none or no rule may see it */
  readonly host: string | undefined
  /** Fills in the values of person and host, which most flows are decided without. */
  complete(): void
}

const FIRST_SIZE = 4096
/** 16 MB: some 200,000 people with four candidates each */
const LARGEST_SIZE = 4_194_304

export class FlatTable {
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
