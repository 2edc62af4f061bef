// The journal on disk: one SQLite file in the state directory, with a write-ahead log and full synchronisation, so that
// acknowledged changes survive kill -9 and power loss (CF-05). Refuses a second owner (CF-06) and a file of a newer
// version (CF-08). On damage it reports it and continues from the copy of the last good start.

import { existsSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { makeFolder } from '../config/files.ts'
import type { Kind } from '../config/lab-state.ts'
import { ChangeError } from '../errors/change-error.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { errnoOf } from '../errors/thrown.ts'
import {
  type Journal,
  type JournalRow,
  memoryJournal,
  type RecordTable,
  type RecordTableName,
  type RowChange,
} from './journal.ts'
import {
  checkOrigin,
  databaseFile,
  EmptyError,
  isDamage,
  keepCopy,
  openSound,
  previousCopy,
  takeOwnership,
} from './state-database.ts'
import type { StateContents } from './state-file.ts'
import { bothDamaged, readFromCopy, refused, unusable } from './state-problems.ts'

const UPSERT = `
  INSERT INTO documents (kind, id, body, version, created_at, updated_at, deleted_at, source, seed)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, version = excluded.version,
    created_at = excluded.created_at, updated_at = excluded.updated_at, deleted_at = excluded.deleted_at,
    source = excluded.source, seed = excluded.seed
`

/** As much as an ordinary rule or list takes. */
const PROBE_BYTES = 4096

export interface JournalOptions {
  /** receives notices about the state that was found, above all that it was damaged */
  readonly onNotice: (notice: Issue) => void
  /** most bytes of the file; default: no limit */
  readonly maxBytes?: number
}

/** Opens or creates the state in `directory` as its only owner. Throws InputError `state.*` if it cannot be used. */
export function openJournal(directory: string, options: JournalOptions): SqliteJournal {
  const file = databaseFile(directory)
  try {
    makeFolder(directory, 0o700)
  } catch (thrown) {
    throw unusable(directory, thrown)
  }
  const release = takeOwnership(directory)
  try {
    const { onNotice } = options
    const database = openSound(directory, file, onNotice)
    if (options.maxBytes !== undefined) {
      const { page_size: pageSize } = database.prepare('PRAGMA page_size').get() as { page_size: number }
      database.exec(`PRAGMA max_page_count = ${Math.ceil(options.maxBytes / pageSize)}`)
    }
    keepCopy(database, directory, onNotice)
    return new SqliteJournal(database, file, () => {
      keepCopy(database, directory, onNotice)
      database.close()
      release()
    })
  } catch (thrown) {
    release()
    throw thrown
  }
}

/** The runtime changes, read while another process may own the state, and never written: commits are accepted and
 *  discarded. Empty if there is no state yet; if it is damaged, empty or missing, its copy is read, with a notice.
 *  Throws InputError `state.*`. */
export function readJournal(directory: string, onNotice: (notice: Issue) => void): Journal {
  const file = databaseFile(directory)
  const copy = previousCopy(directory)
  if (!existsSync(file) && !existsSync(copy)) return memoryJournal()
  try {
    return readFile(file)
  } catch (thrown) {
    if (!existsSync(copy) || !(isDamage(thrown) || errnoOf(thrown) === 'ENOENT')) throw asProblem(directory, thrown)
  }
  try {
    const journal = readFile(copy)
    onNotice(readFromCopy(file, copy))
    return journal
  } catch (thrown) {
    throw isDamage(thrown) ? bothDamaged(file, { fault: 'damaged', previous: copy }) : asProblem(directory, thrown)
  }
}

/** Everything a state folder keeps, as one moment had it, also while a lab uses it. Throws InputError `state.*`, and `state.none` where
 *  there is none. */
export function readContents(directory: string): StateContents {
  const file = databaseFile(directory)
  if (!existsSync(file))
    throw refused('state.none', `there is no state in \`${directory}\``, 'pass its folder with `--state DIR`')
  try {
    const database = new DatabaseSync(file, { readOnly: true, timeout: 500 })
    try {
      checkOrigin(database, file)
      database.exec('BEGIN')
      const { revision } = database.prepare('SELECT value AS revision FROM revision').get() as { revision: number }
      const kept = new SqliteJournal(database, file, () => undefined)
      const [token, audit, policy] = (['token', 'audit', 'policy'] as const).map((name) => kept.table(name).all())
      return {
        revision,
        rows: readRows(database),
        tables: { token: token ?? [], audit: audit ?? [], policy: policy ?? [] },
      }
    } finally {
      database.close()
    }
  } catch (thrown) {
    throw asProblem(directory, thrown)
  }
}

/** Makes these the contents of a state folder that no lab uses, all or nothing. A folder with a state of its own is refused unless
 *  `replaces`. Throws InputError `state.*`. */
export function writeContents(
  directory: string,
  contents: StateContents,
  { replaces, onNotice }: Pick<JournalOptions, 'onNotice'> & { readonly replaces: boolean },
): void {
  const journal = openJournal(directory, { onNotice })
  try {
    if (journal.revision > 0 && !replaces) {
      throw refused(
        'state.not_empty',
        `\`${directory}\` has a state of its own (revision ${journal.revision})`,
        'choose another folder, or replace it with `--replace`',
      )
    }
    journal.replace(contents)
  } catch (thrown) {
    throw thrown instanceof ChangeError ? unusable(directory, thrown.cause) : thrown
  } finally {
    journal.close()
  }
}

function readFile(file: string): Journal {
  if (statSync(file).size === 0) throw new EmptyError('the file is empty')
  const database = new DatabaseSync(file, { readOnly: true, timeout: 500 })
  try {
    checkOrigin(database, file)
    const { revision } = database.prepare('SELECT value AS revision FROM revision').get() as { revision: number }
    const rows = readRows(database)
    return { ...memoryJournal(), revision, load: () => rows }
  } finally {
    database.close()
  }
}

function asProblem(directory: string, thrown: unknown): InputError {
  return thrown instanceof InputError ? thrown : unusable(directory, thrown)
}

class SqliteJournal implements Journal {
  readonly revision: number
  readonly #database: DatabaseSync
  readonly #file: string
  readonly #inode: number
  readonly #close: () => void
  /** the room a probe must find: as much as the change that failed needed */
  #needed = PROBE_BYTES

  constructor(database: DatabaseSync, file: string, close: () => void) {
    this.#database = database
    this.#file = file
    this.#inode = statSync(file).ino
    this.#close = close
    this.revision = (database.prepare('SELECT value FROM revision').get() as { value: number }).value
  }

  load(): readonly JournalRow[] {
    return readRows(this.#database)
  }

  commit(changes: readonly RowChange[], revision: number, also?: () => void): void {
    try {
      this.#database.exec('BEGIN IMMEDIATE')
      for (const change of changes) this.#write(change)
      this.#database.prepare('UPDATE revision SET value = ?').run(revision)
      also?.()
      this.#database.exec('COMMIT')
    } catch (thrown) {
      this.#rollBack()
      this.#needed = Math.max(PROBE_BYTES, sizeOf(changes))
      throw thrown instanceof ChangeError ? thrown : notWritten(thrown)
    }
  }

  /** Puts these contents in the place of all there are. Throws ChangeError `change.disk`; then nothing was written. */
  replace({ revision, rows, tables }: StateContents): void {
    try {
      this.#database.exec('BEGIN IMMEDIATE; DELETE FROM documents; DELETE FROM shelf')
      for (const row of rows) this.#write({ write: row })
      const put = this.#database.prepare('INSERT INTO shelf (name, key, body) VALUES (?, ?, ?)')
      for (const [name, records] of Object.entries(tables))
        for (const { key, body } of records) put.run(name, key, body)
      this.#database.prepare('UPDATE revision SET value = ?').run(revision)
      this.#database.exec('COMMIT')
    } catch (thrown) {
      this.#rollBack()
      throw notWritten(thrown)
    }
  }

  table(name: RecordTableName): RecordTable {
    const run = (sql: string, ...values: string[]) => {
      try {
        this.#database.prepare(sql).run(...values)
      } catch (thrown) {
        throw notWritten(thrown)
      }
    }
    const put =
      'INSERT INTO shelf (name, key, body) VALUES (?, ?, ?) ON CONFLICT (name, key) DO UPDATE SET body = excluded.body'
    return {
      all: () =>
        this.#database
          .prepare('SELECT key, body FROM shelf WHERE name = ? ORDER BY seq')
          .all(name)
          .map(({ key, body }) => ({ key: String(key), body: String(body) })),
      put: (key, body) => run(put, name, key, body),
      remove: (key) => run('DELETE FROM shelf WHERE name = ? AND key = ?', name, key),
    }
  }

  whyNotWritable(): string | undefined {
    if (inodeOf(this.#file) !== this.#inode) return `\`${this.#file}\` was removed or replaced while it was in use`
    try {
      this.#database.exec('BEGIN IMMEDIATE')
      this.#database.prepare('INSERT OR REPLACE INTO probe VALUES (1, randomblob(?))').run(this.#needed)
      this.#database.exec('COMMIT')
      this.#needed = PROBE_BYTES
      return undefined
    } catch (thrown) {
      this.#rollBack()
      return thrown instanceof Error ? thrown.message : String(thrown)
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

function notWritten(thrown: unknown): ChangeError {
  const reason = thrown instanceof Error ? thrown.message : String(thrown)
  return new ChangeError('change.disk', `the change could not be written to disk: ${reason}`, { cause: thrown })
}

/** Undefined if there is no such file. */
function inodeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.ino
}

function sizeOf(changes: readonly RowChange[]): number {
  return changes.reduce((sum, change) => sum + ('write' in change ? Buffer.byteLength(change.write.body) : 0), 0)
}

function readRows(database: DatabaseSync): readonly JournalRow[] {
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
