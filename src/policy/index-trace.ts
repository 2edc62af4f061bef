// What the index remembers of people between flows, and what it asks of whoever keeps them. A trace is good for one index over one
// version of the lists; it dies with the reader that keeps the familiars.

import type { ShelfLookup } from './index-lookup.ts'

/** What the values of one person lead to in the first shelf. */
export interface Trace {
  /** rows of candidates, see GuardTable.rowsOf */
  readonly rows: Int32Array
  readonly shelves: readonly ShelfLookup[]
}

/** A person: the same one always has the same values. */
export interface Familiar {
  /** left here by the index, at the first flow */
  trace: Trace | undefined
}

/** Whom one flow is of, and to where. */
export interface Familiars {
  readonly person: Familiar | undefined
  /** name asked for; undefined where there is none or no rule may see it */
  readonly host: string | undefined
  /** Fills in the values of person and host, which most flows are decided without. */
  complete(): void
}
