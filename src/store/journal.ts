// What the store needs of a disk, and the journal that has none (`--ephemeral`). A commit is all or nothing, and
// what it acknowledged is found again by the next start.

import type { Kind } from '../config/lab-state.ts'

/** One document as written to disk; `body` is its value as JSON. */
export interface JournalRow {
  readonly kind: Kind
  readonly id: string
  readonly body: string
  readonly version: number
  readonly createdAt: number
  readonly updatedAt: number
  readonly deletedAt: number | null
  readonly source: 'file' | 'api'
  readonly seed: string | null
}

export type RowChange =
  | { readonly write: JournalRow }
  | { readonly erase: { readonly kind: Kind; readonly id: string } }

export interface Journal {
  /** The last revision committed; 0 on a fresh state. */
  readonly revision: number
  /** Every row in the order the documents were first written. */
  load(): readonly JournalRow[]
  /** Throws ChangeError `change.disk`; then nothing was written. */
  commit(changes: readonly RowChange[], revision: number): void
  /** Tries a commit that changes nothing: why it failed, undefined where it did not. Writes to the disk and waits for it. */
  whyNotWritable(): string | undefined
  close(): void
}

/** Keeps nothing. */
export function memoryJournal(): Journal {
  return {
    revision: 0,
    load: () => [],
    commit: () => undefined,
    whyNotWritable: () => undefined,
    close: () => undefined,
  }
}
