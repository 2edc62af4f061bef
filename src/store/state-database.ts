// The SQLite file itself: its layout, opening it with a check, and recovery from damage (CF-05, CF-08).

import { copyFileSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { compareVersions, ownVersion } from '../config/own-package.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { makePrivate } from './private-file.ts'
import {
  bothDamaged,
  copyFailed,
  inUse,
  isBusy,
  newer,
  refused,
  resultCode,
  takenOver,
  unusable,
  usedByNewer,
} from './state-problems.ts'

/** Layout of the tables; increases with every change of it. */
const SCHEMA_VERSION = 1
/** From each earlier layout to the next; 1 is the first. */
const STEPS: readonly LayoutStep[] = []
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

const TABLES = ['documents', 'revision'] as const

/** The record tables in one; `shelf` since the first version, and older ones leave it alone. */
const RECORDS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS shelf (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL CHECK (json_valid(body)),
    UNIQUE (name, key)
  ) STRICT`

/** Where a probe of the disk writes; not read by any version. */
const PROBE_SCHEMA = 'CREATE TABLE IF NOT EXISTS probe (only INTEGER PRIMARY KEY CHECK (only = 1), body BLOB) STRICT'

/** The version that used the state last. */
const USED_BY_SCHEMA =
  'CREATE TABLE IF NOT EXISTS used_by (only INTEGER PRIMARY KEY CHECK (only = 1), version TEXT NOT NULL) STRICT'

/** The database file of a state directory. */
export function databaseFile(directory: string): string {
  return join(directory, 'lab.db')
}

/** The copy of the last good start or orderly stop. */
export function previousCopy(directory: string): string {
  return join(directory, 'lab.previous.db')
}

/** Opens and checks the database. A damaged one is set aside; if it is damaged, empty or missing, the copy of the
 *  last good start replaces it (CF-05). Throws InputError `state.damaged` if the copy is no better; then every file
 *  is unchanged. */
export function openSound(directory: string, file: string, onNotice: (notice: Issue) => void): DatabaseSync {
  const hasCopy = existsSync(previousCopy(directory))
  const fault = hasCopy && !existsSync(file) ? 'missing' : undefined
  if (fault === undefined) {
    try {
      return openChecked(file, { onNotice, mayBeNew: !hasCopy })
    } catch (thrown) {
      if (!isDamage(thrown)) throw thrown instanceof InputError ? thrown : unusable(directory, thrown)
      replaceDamaged(directory, file, { fault: thrown instanceof EmptyError ? 'empty' : 'damaged', hasCopy, onNotice })
    }
  } else replaceDamaged(directory, file, { fault, hasCopy, onNotice })
  return openChecked(file, { onNotice, mayBeNew: !hasCopy })
}

interface Replacing {
  readonly fault: 'damaged' | 'empty' | 'missing'
  readonly hasCopy: boolean
  readonly onNotice: (notice: Issue) => void
}

function replaceDamaged(directory: string, file: string, { fault, hasCopy, onNotice }: Replacing): void {
  const restored = hasCopy ? restoredCopy(directory, file, { fault, onNotice }) : undefined
  const aside = `${file}.damaged-${Date.now()}`
  for (const suffix of ['', '-wal', '-shm']) {
    if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix)
  }
  if (restored !== undefined) renameSync(restored, file)
  onNotice({
    severity: 'error',
    code: 'state.damaged',
    message: [
      fault === 'missing' ? `\`${file}\` was missing` : `\`${file}\` was ${fault} and is now \`${aside}\``,
      restored === undefined
        ? 'there was no earlier copy, so changes made at run time are lost'
        : 'continuing from the copy of the last good start',
    ].join(': '),
    hint: 'compare the state with what you expect, and import what is missing',
    file,
  })
}

/** Checks the earlier copy under a name of its own. Throws InputError `state.damaged` if it cannot be used either. */
function restoredCopy(
  directory: string,
  file: string,
  { fault, onNotice }: Pick<Replacing, 'fault' | 'onNotice'>,
): string {
  const previous = previousCopy(directory)
  const fresh = `${file}.new`
  try {
    copyFileSync(previous, fresh)
    makePrivate(fresh)
    openChecked(fresh, { onNotice, mayBeNew: false }).close()
    return fresh
  } catch (thrown) {
    for (const suffix of ['', '-wal', '-shm']) rmSync(fresh + suffix, { force: true })
    if (thrown instanceof InputError) throw thrown
    throw isDamage(thrown) ? bothDamaged(file, { fault, previous }) : unusable(directory, thrown)
  }
}

interface Opening {
  readonly onNotice: (notice: Issue) => void
  /** whether an empty file becomes a new state rather than counting as damage */
  readonly mayBeNew: boolean
}

function openChecked(file: string, { onNotice, mayBeNew }: Opening): DatabaseSync {
  makePrivate(file)
  const database = new DatabaseSync(file, { timeout: 500 })
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    const { tables } = database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get() as { tables: number }
    if (tables > 0) {
      checkOrigin(database, file)
      migrate(database, { file, layout: SCHEMA_VERSION, steps: STEPS, onNotice })
      checkContents(database)
    } else if (mayBeNew) database.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT`)
    else throw new EmptyError()
    database.exec(PROBE_SCHEMA)
    database.exec(RECORDS_SCHEMA)
    takeOver(database, file, onNotice)
    return database
  } catch (thrown) {
    database.close()
    throw thrown
  }
}

/** Checks that the pages are intact, the tables exist, and every document is valid JSON. */
function checkContents(database: DatabaseSync): void {
  const { quick_check: verdict } = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string }
  if (verdict !== 'ok') throw new DamageError(verdict)
  const found = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
  const missing = TABLES.find((table) => !found.some(({ name }) => name === table))
  if (missing !== undefined) throw new DamageError(`the table ${missing} is missing`)
  const { revisions } = database.prepare('SELECT count(*) AS revisions FROM revision').get() as { revisions: number }
  const { broken } = database.prepare('SELECT count(*) AS broken FROM documents WHERE NOT json_valid(body)').get() as {
    broken: number
  }
  if (revisions !== 1 || broken > 0) throw new DamageError('the documents cannot be read')
}

/** From now on this version uses the state, and older ones refuse it; two that are installed side by side do not take turns. */
function takeOver(database: DatabaseSync, file: string, onNotice: (notice: Issue) => void): void {
  const before = lastUsedBy(database)
  const own = ownVersion()
  if (before === own) return
  database.exec(USED_BY_SCHEMA)
  database.prepare('INSERT OR REPLACE INTO used_by VALUES (1, ?)').run(own)
  if (before !== undefined) onNotice(takenOver(file, before, own))
}

/** Undefined: a version that did not say so, or none. */
function lastUsedBy(database: DatabaseSync): string | undefined {
  const known = database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'used_by'").get()
  const row = known === undefined ? undefined : database.prepare('SELECT version FROM used_by').get()
  return row === undefined ? undefined : String(row.version)
}

/** Checks that the file is ours, of a known layout, and not a newer version's. Throws InputError `state.*` otherwise. */
export function checkOrigin(database: DatabaseSync, file: string): void {
  const { application_id: mark } = database.prepare('PRAGMA application_id').get() as { application_id: number }
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
  if (mark !== APPLICATION_ID) throw refused('state.foreign', `\`${file}\` is a database of another program`)
  if (version > SCHEMA_VERSION) throw newer(file, version, SCHEMA_VERSION)
  const used = lastUsedBy(database)
  if (used !== undefined && compareVersions(used, ownVersion()) > 0) throw usedByNewer(file, used, ownVersion())
}

/** Replaces the copy beside the database, in one step. */
export function keepCopy(database: DatabaseSync, directory: string, onNotice: (notice: Issue) => void): void {
  const fresh = `${previousCopy(directory)}.new`
  try {
    rmSync(fresh, { force: true })
    makePrivate(fresh)
    database.prepare('VACUUM INTO ?').run(fresh)
    renameSync(fresh, previousCopy(directory))
  } catch (thrown) {
    // a full disk must not stop the lab from starting or stopping: the earlier copy stays
    rmSync(fresh, { force: true })
    onNotice(copyFailed(previousCopy(directory), thrown))
  }
}

class DamageError extends Error {}

/** The file exists and is empty. */
export class EmptyError extends DamageError {}

/** SQLITE_CORRUPT (11), SQLITE_NOTADB (26), or damage found by the check. */
export function isDamage(thrown: unknown): boolean {
  return thrown instanceof DamageError || [11, 26].includes(resultCode(thrown))
}

/** Makes this process the only owner of the directory; returns the function that releases it. The lock is the
 *  operating system's (SQLite's, on a file of its own), so that a killed owner leaves none behind; the process id
 *  beside it is for people. Throws InputError `state.in_use` or `state.unusable`. */
export function takeOwnership(directory: string): () => void {
  const owner = join(directory, 'owner')
  let lock: DatabaseSync
  try {
    makePrivate(join(directory, 'lock'))
    lock = new DatabaseSync(join(directory, 'lock'))
  } catch (thrown) {
    throw unusable(directory, thrown)
  }
  try {
    lock.exec('BEGIN EXCLUSIVE')
    writeFileSync(owner, `${process.pid}\n`, { mode: 0o600 })
  } catch (thrown) {
    lock.close()
    throw isBusy(thrown) ? inUse(directory) : unusable(directory, thrown)
  }
  return () => {
    rmSync(owner, { force: true })
    lock.close()
  }
}

// Migration of a state file of an earlier layout: one way, all steps or none, with a whole copy of the file as it was kept
// beside it. A layout that is newer, or that no step starts from, is refused by whoever opens the file.

interface LayoutStep {
  /** the layout it starts from; it ends at the next number */
  readonly from: number
  /** statements, without a transaction of their own */
  readonly sql: string
}

export interface MigrationOptions {
  readonly file: string
  /** the layout to end at */
  readonly layout: number
  readonly steps: readonly LayoutStep[]
  readonly onNotice: (notice: Issue) => void
}

/** Runs the steps there are. Throws SQLite's error if one fails; then the file is unchanged. */
export function migrate(database: DatabaseSync, { file, layout, steps, onNotice }: MigrationOptions): void {
  const { user_version: found } = database.prepare('PRAGMA user_version').get() as { user_version: number }
  const due = steps.filter(({ from }) => from >= found && from < layout).toSorted((a, b) => a.from - b.from)
  if (found >= layout || due.length !== layout - found) return
  const copy = `${file}.layout-${found}`
  keepWhole(database, copy)
  database.exec('BEGIN IMMEDIATE')
  try {
    for (const { sql } of due) database.exec(sql)
    database.exec(`PRAGMA user_version = ${layout}`)
    database.exec('COMMIT')
  } catch (thrown) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw thrown
  }
  onNotice({
    severity: 'warning',
    code: 'state.migrated',
    message: `\`${file}\` was brought from layout ${found} to ${layout}; \`${copy}\` is as it was, for the version before`,
    file,
  })
}

/** Written to a file beside it and renamed, so that a copy is never partial. */
function keepWhole(database: DatabaseSync, copy: string): void {
  const fresh = `${copy}.new`
  rmSync(fresh, { force: true })
  makePrivate(fresh)
  database.prepare('VACUUM INTO ?').run(fresh)
  renameSync(fresh, copy)
}
