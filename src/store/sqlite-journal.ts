// The journal on disk: one SQLite file under the state directory, write-ahead logged and fully synchronous, so that
// what was acknowledged survives kill -9 and power loss (CF-05). Refuses a second owner (CF-06), a file from a newer
// version (CF-08) and, loudly, damage: then the copy of the last good start takes over.

import { existsSync, mkdirSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { Kind } from '../config/lab-state.ts'
import { ChangeError } from '../errors/change-error.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { type Journal, memoryJournal, type Row, type RowChange } from './journal.ts'
import { checkOrigin, databaseFile, keepCopy, openSound } from './state-database.ts'
import { takeOwnership } from './state-lock.ts'
import { unusable } from './state-problems.ts'

const UPSERT = `
  INSERT INTO documents (kind, id, body, version, created_at, updated_at, deleted_at, source, seed)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, version = excluded.version,
    created_at = excluded.created_at, updated_at = excluded.updated_at, deleted_at = excluded.deleted_at,
    source = excluded.source, seed = excluded.seed
`

export interface JournalOptions {
  readonly onNotice?: (notice: Issue) => void
  /** the file never grows beyond this; default: as far as the disk goes */
  readonly maxBytes?: number
}

/** Opens, or makes, the state in `directory`, as its one owner. Throws InputError `state.*` where it cannot be used. */
export function openJournal(directory: string, options: JournalOptions = {}): Journal {
  const file = databaseFile(directory)
  makeFolder(directory)
  const release = takeOwnership(directory)
  try {
    const database = openSound(directory, file, options.onNotice ?? (() => undefined))
    if (options.maxBytes !== undefined) {
      const { page_size: pageSize } = database.prepare('PRAGMA page_size').get() as { page_size: number }
      database.exec(`PRAGMA max_page_count = ${Math.ceil(options.maxBytes / pageSize)}`)
    }
    keepCopy(database, directory)
    return new SqliteJournal(database, () => {
      keepCopy(database, directory)
      database.close()
      release()
    })
  } catch (thrown) {
    release()
    throw thrown
  }
}

/** Made with its parents. A recursive mkdir says ENOENT where a file system is read-only; a plain one says why. */
function makeFolder(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (vague) {
    try {
      mkdirSync(directory, { mode: 0o700 })
    } catch (thrown) {
      throw unusable(directory, isMissing(thrown) ? vague : thrown)
    }
  }
}

function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT'
}

/** What was changed at run time, read beside its owner and never written: commits are taken and forgotten. Nothing at all
 *  where there is no state yet. Throws InputError `state.*`. */
export function readJournal(directory: string): Journal {
  const file = databaseFile(directory)
  if (!existsSync(file)) return memoryJournal()
  try {
    const database = new DatabaseSync(file, { readOnly: true, timeout: 500 })
    try {
      checkOrigin(database, file)
      const { revision } = database.prepare('SELECT value AS revision FROM revision').get() as { revision: number }
      const rows = readRows(database)
      return { ...memoryJournal(), revision, load: () => rows }
    } finally {
      database.close()
    }
  } catch (thrown) {
    throw thrown instanceof InputError ? thrown : unusable(directory, thrown)
  }
}

class SqliteJournal implements Journal {
  readonly revision: number
  readonly #database: DatabaseSync
  readonly #close: () => void

  constructor(database: DatabaseSync, close: () => void) {
    this.#database = database
    this.#close = close
    this.revision = (database.prepare('SELECT value FROM revision').get() as { value: number }).value
  }

  load(): readonly Row[] {
    return readRows(this.#database)
  }

  commit(changes: readonly RowChange[], revision: number): void {
    try {
      this.#database.exec('BEGIN IMMEDIATE')
      for (const change of changes) this.#write(change)
      this.#database.prepare('UPDATE revision SET value = ?').run(revision)
      this.#database.exec('COMMIT')
    } catch (thrown) {
      this.#rollBack()
      const reason = thrown instanceof Error ? thrown.message : String(thrown)
      throw new ChangeError('change.disk', `the change could not be written to disk: ${reason}`, { cause: thrown })
    }
  }

  isWritable(): boolean {
    try {
      this.#database.exec('BEGIN IMMEDIATE')
      this.#database.exec('ROLLBACK')
      return true
    } catch {
      return false
    }
  }

  close(): void {
    if (this.#database.isOpen) this.#close()
  }

  #write(change: RowChange): void {
    if ('erase' in change) {
      this.#database.prepare('DELETE FROM documents WHERE kind = ? AND id = ?').run(change.erase.kind, change.erase.id)
      return
    }
    const { kind, id, body, version, createdAt, updatedAt, deletedAt, source, seed } = change.write
    this.#database.prepare(UPSERT).run(kind, id, body, version, createdAt, updatedAt, deletedAt, source, seed)
  }

  #rollBack(): void {
    if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
  }
}

function readRows(database: DatabaseSync): readonly Row[] {
  const rows = database.prepare('SELECT * FROM documents ORDER BY seq').all()
  return rows.map((row) => ({
    kind: row.kind as Kind,
    id: String(row.id),
    body: String(row.body),
    version: Number(row.version),
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
    deletedAt: row.deleted_at === null ? null : Number(row.deleted_at),
    source: row.source === 'api' ? 'api' : 'file',
    seed: row.seed === null ? null : String(row.seed),
  }))
}
