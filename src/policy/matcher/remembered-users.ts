// What the index remembers of users between flows, and the form in which it reads a flow. A {@link RememberedUser} is
// valid for one index over one version of the lists, and is dropped with the reader of flows that holds it.

import type { BucketLookup } from './index-tables.ts'

/** What the values of one user lead to in the tables. Created by the reader of flows, filled in by the index. */
export interface RememberedUser {
  /** epoch of the row table that holds the rows; 0 before the first flow */
  epoch: number
  /** the candidates' rows in the row table, see BitmaskPrefilter.rowsOf: from here, up to `end` exclusive */
  start: number
  end: number
  buckets: readonly BucketLookup[]
}

/** A user the index has not seen. */
export function unknownUser(): RememberedUser {
  return { epoch: 0, start: 0, end: 0, buckets: [] }
}

/** A flow whose values of user and host are computed on demand. */
export interface LazyFlow {
  readonly user: RememberedUser | undefined
  /** the requested name; undefined where there is none or rules may not see it */
  readonly host: string | undefined
  /** Fills in the values of user and host. Most flows are decided without them. */
  complete(): void
}

const FIRST_SIZE = 4096
/** in words: 16 MB, some 200,000 users with four candidates each */
const LARGEST_SIZE = 4_194_304

/** Rows of all remembered users in one array; emptied as a whole when full. */
export class FlatTable {
  #rows = new Int32Array(FIRST_SIZE)
  #length = 0
  #epoch = 1

  get rows(): Int32Array {
    return this.#rows
  }

  /** Never 0. Rows stored in an earlier epoch are gone. */
  get epoch(): number {
    return this.#epoch
  }

  /** Copies rows in and returns where they start. Begins a new epoch when the table is full. */
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
