// What the store requires of a disk, and the journal without one (`--ephemeral`). A commit is atomic, and an
// acknowledged one is found by the next start.

import type { Kind, Stored } from '../config/lab-state.ts'

/** One document as written to disk; `body` is its value as JSON. */
export interface JournalRow extends Omit<Stored, 'value'> {
  readonly kind: Kind
  readonly id: string
  readonly body: string
}

export type RowChange =
  | { readonly write: JournalRow }
  | { readonly erase: { readonly kind: Kind; readonly id: string } }

export interface Journal {
  /** The last revision committed; 0 for a new state. */
  readonly revision: number
  /** Every row, in the order the documents were first written. */
  load(): readonly JournalRow[]
  /** `also` may write to tables: that is part of the same commit, and what it throws undoes all of it. Throws ChangeError
   *  `change.disk`; then nothing was written. */
  commit(changes: readonly RowChange[], revision: number, also?: () => void): void
  /** Tokens, the audit log or the revisions of the policy. */
  table(name: RecordTableName): RecordTable
  /** Attempts a commit that changes nothing: why it failed, or undefined. Writes to the disk and waits for it. */
  whyNotWritable(): string | undefined
  close(): void
}

export type RecordTableName = 'token' | 'audit' | 'policy'

/** Records under a key, beside the documents and part of no revision, in the order they were first written; `body` is JSON. */
export interface RecordTable {
  all(): readonly { readonly key: string; readonly body: string }[]
  /** Writes or replaces one. Throws ChangeError `change.disk`; then nothing was written. */
  put(key: string, body: string): void
  remove(key: string): void
}

/** A journal that stores nothing on disk. */
export function memoryJournal(): Journal {
  const tables = new Map<RecordTableName, Map<string, string>>()
  return {
    table: (name) => {
      const kept = tables.get(name) ?? new Map<string, string>()
      tables.set(name, kept)
      return {
        all: () => [...kept].map(([key, body]) => ({ key, body })),
        put: (key, body) => void kept.set(key, body),
        remove: (key) => void kept.delete(key),
      }
    },
    revision: 0,
    load: () => [],
    commit: (_changes, _revision, also) => also?.(),
    whyNotWritable: () => undefined,
    close: () => undefined,
  }
}
