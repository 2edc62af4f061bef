// The SQLite file itself: its layout, opening it with a check, and what to do about damage (CF-05, CF-08).

import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { InputError, type Issue } from '../errors/issue.ts'
import { type LayoutStep, migrate } from './migrate.ts'
import { newer, refused, resultCode, unusable } from './state-problems.ts'

/** Layout of the tables; raised with every change of it. */
const SCHEMA_VERSION = 1
/** From each earlier layout to the next; 1 is the first there was. */
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

/** Where the state lies in its directory. */
export function databaseFile(directory: string): string {
  return join(directory, 'lab.db')
}

/** The database, checked; a damaged one is put aside and the copy of the last good start takes its place. */
export function openSound(directory: string, file: string, onNotice: (notice: Issue) => void): DatabaseSync {
  try {
    return openChecked(file, onNotice)
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
  return openChecked(file, onNotice)
}

function openChecked(file: string, onNotice: (notice: Issue) => void): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 500 })
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    const { tables } = database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get() as { tables: number }
    if (tables === 0) database.exec(`BEGIN IMMEDIATE; ${SCHEMA} COMMIT`)
    else {
      checkOrigin(database, file)
      migrate(database, { file, layout: SCHEMA_VERSION, steps: STEPS, onNotice })
    }
    const { quick_check: verdict } = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string }
    if (verdict !== 'ok') throw new DamageError(verdict)
    return database
  } catch (thrown) {
    database.close()
    throw thrown
  }
}

/** Is it ours, and of a layout we know? */
export function checkOrigin(database: DatabaseSync, file: string): void {
  const { application_id: mark } = database.prepare('PRAGMA application_id').get() as { application_id: number }
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
  if (mark !== APPLICATION_ID) throw refused('state.foreign', `\`${file}\` is a database of another program`)
  if (version > SCHEMA_VERSION) throw newer(file, version, SCHEMA_VERSION)
}

function previousCopy(directory: string): string {
  return join(directory, 'lab.previous.db')
}

/** A complete copy beside the database, replaced in one step. */
export function keepCopy(database: DatabaseSync, directory: string): void {
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

class DamageError extends Error {}

/** SQLITE_CORRUPT (11) and SQLITE_NOTADB (26), or what the check found. */
function isDamage(thrown: unknown): boolean {
  return thrown instanceof DamageError || [11, 26].includes(resultCode(thrown))
}
