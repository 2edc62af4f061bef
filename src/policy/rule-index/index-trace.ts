// What the index remembers of people between flows, and what it asks of whoever keeps them. A trace is good for one index over one
// version of the lists; it dies with the reader that keeps the familiars.

import type { ShelfLookup } from './index-lookup.ts'

/** A person: the same one always has the same values. What they lead to in the first shelf is left here by the index. */
export interface Familiar {
  /** of the row store the rows are in; 0 before the first flow */
  epoch: number
  /** rows of candidates, see GuardTable.rowsOf: from here on, and up to there */
  start: number
  end: number
  shelves: readonly ShelfLookup[]
}

/** Somebody the index has not met. */
export function unfamiliar(): Familiar {
  return { epoch: 0, start: 0, end: 0, shelves: [] }
}

/** Whom one flow is of, and to where. */
export interface Familiars {
  readonly person: Familiar | undefined
  /** name asked for; undefined where there is none or no rule may see it */
  readonly host: string | undefined
  /** Fills in the values of person and host, which most flows are decided without. */
  complete(): void
}
