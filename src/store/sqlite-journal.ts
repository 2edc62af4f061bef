// The journal on disk: one SQLite file under the state directory, write-ahead logged and fully synchronous, so that
// what was acknowledged survives kill -9 and power loss (CF-05). Refuses a second owner (CF-06), a file from a newer
// version (CF-08) and, loudly, damage: then the copy of the last good start takes over.

import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Kind } from '../config/lab-state.ts'
import { ChangeError } from '../errors/change-error.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import type { Journal, Row, RowChange } from './journal.ts'

/** Layout of the tables; raised with every change of it. */
export const SCHEMA_VERSION = 1
/** Marks the file as ours: `eglb` in ASCII. */
const APPLICATION_ID = 0x65676c62

const SCHEMA = `
  CREATE TABLE documents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    deleted_at REAL,
    source TEXT NOT NULL CHECK (source IN ('file', 'api')),
    seed TEXT,
    UNIQUE (kind, id)
  ) STRICT;
  CREATE TABLE revision (only INTEGER PRIMARY KEY CHECK (only = 1), value INTEGER NOT NULL) STRICT;
  INSERT INTO revision VALUES (1, 0);
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`

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

/** Opens, or makes, the state in `directory`. Throws InputError `state.*` where it cannot be used. */
export function openJournal(directory: string, options: JournalOptions = {}): Journal {
  const file = join(directory, 'lab.db')
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (thrown) {
    throw unusable(directory, thrown)
  }
  const database = openSound(directory, file, options.onNotice ?? (() => undefined))
  if (options.maxBytes !== undefined) {
    const { page_size: pageSize } = database.prepare('PRAGMA page_size').get() as { page_size: number }
    database.exec(`PRAGMA max_page_count = ${Math.ceil(options.maxBytes / pageSize)}`)
  }
  const owner = join(directory, 'owner')
  writeFileSync(owner, `${process.pid}\n`, { mode: 0o600 })
  keepCopy(database, directory)
  return new SqliteJournal(database, () => {
    keepCopy(database, directory)
    rmSync(owner, { force: true })
  })
}

class SqliteJournal implements Journal {
  readonly revision: number
  readonly #database: DatabaseSync
  readonly #beforeClose: () => void

  constructor(database: DatabaseSync, beforeClose: () => void) {
    this.#database = database
    this.#beforeClose = beforeClose
    this.revision = (database.prepare('SELECT value FROM revision').get() as { value: number }).value
  }

  load(): readonly Row[] {
    const rows = this.#database.prepare('SELECT * FROM documents ORDER BY seq').all()
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
    if (!this.#database.isOpen) return
    this.#beforeClose()
    this.#database.close()
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

/** The database, checked; a damaged one is put aside and the copy of the last good start takes its place. */
function openSound(directory: string, file: string, onNotice: (notice: Issue) => void): DatabaseSync {
  try {
    return openChecked(directory, file)
  } catch (thrown) {
    if (!isDamage(thrown)) throw thrown instanceof InputError ? thrown : unusable(directory, thrown)
  }
  const aside = `${file}.damaged-${Date.now()}`
  renameSync(file, aside)
  for (const suffix of ['-wal', '-shm']) rmSync(file + suffix, { force: true })
  const previous = previousCopy(directory)
  const hasPrevious = existsSync(previous)
  if (hasPrevious) copyFileSync(previous, file)
  onNotice({
    severity: 'error',
    code: 'state.damaged',
    message: `\`${file}\` was damaged and is now \`${aside}\`: ${hasPrevious ? 'going on from the copy of the last good start' : 'there was no earlier copy, so what was changed at run time is lost'}`,
    hint: 'compare with what you expect, and import what is missing',
    file,
  })
  return openChecked(directory, file)
}

function openChecked(directory: string, file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 500 })
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
    const { application_id: mark } = database.prepare('PRAGMA application_id').get() as { application_id: number }
    const { tables } = database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get() as { tables: number }
    if (tables === 0) database.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT`)
    else if (mark !== APPLICATION_ID) throw refused('state.foreign', `\`${file}\` is a database of another program`)
    else if (version > SCHEMA_VERSION) throw newer(file, version)
    const { quick_check: verdict } = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string }
    if (verdict !== 'ok') throw new DamageError(verdict)
    return database
  } catch (thrown) {
    database.close()
    throw isBusy(thrown) ? inUse(directory) : thrown
  }
}

class DamageError extends Error {}

/** SQLITE_CORRUPT (11) and SQLITE_NOTADB (26), or what the check found. */
function isDamage(thrown: unknown): boolean {
  return thrown instanceof DamageError || [11, 26].includes(resultCode(thrown))
}

/** SQLITE_BUSY (5) and SQLITE_LOCKED (6). */
function isBusy(thrown: unknown): boolean {
  return [5, 6].includes(resultCode(thrown))
}

function resultCode(thrown: unknown): number {
  const code = thrown instanceof Error && 'errcode' in thrown ? thrown.errcode : undefined
  return typeof code === 'number' ? code & 0xff : 0
}

function previousCopy(directory: string): string {
  return join(directory, 'lab.previous.db')
}

/** A complete copy beside the database, replaced in one step. */
function keepCopy(database: DatabaseSync, directory: string): void {
  const fresh = `${previousCopy(directory)}.new`
  rmSync(fresh, { force: true })
  try {
    database.prepare('VACUUM INTO ?').run(fresh)
    renameSync(fresh, previousCopy(directory))
  } catch {
    // a full disk must not keep the lab from starting or stopping: the copy of before stays
    rmSync(fresh, { force: true })
  }
}

function inUse(directory: string): InputError {
  let owner = ''
  try {
    owner = ` (process ${readFileSync(join(directory, 'owner'), 'utf8').trim()})`
  } catch {
    // the owner is only said where it is known
  }
  return refused(
    'state.in_use',
    `the state directory \`${directory}\` is in use by another egresslab${owner}`,
    'stop that one, or give this one its own with `--state DIR` or `--ephemeral`',
  )
}

function newer(file: string, version: number): InputError {
  return refused(
    'state.newer',
    `\`${file}\` was written by a newer egresslab (layout ${version}; this one knows ${SCHEMA_VERSION})`,
    'use the newer version, or another `--state DIR`',
  )
}

function unusable(directory: string, thrown: unknown): InputError {
  const reason = thrown instanceof Error ? thrown.message : String(thrown)
  return refused(
    'state.unusable',
    `the state directory \`${directory}\` cannot be used: ${reason}`,
    'make it writable, or start with `--state DIR` or `--ephemeral`',
  )
}

function refused(code: string, message: string, hint?: string): InputError {
  return new InputError([{ severity: 'error', code, message, ...(hint === undefined ? {} : { hint }) }])
}
