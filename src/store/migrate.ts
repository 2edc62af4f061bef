// Brings a state file of an earlier layout up to this one's: one way, all steps or none, with a whole copy of the file
// as it was kept beside it. A layout that is newer, or that no step starts from, is refused by whoever opens the file.

import { renameSync, rmSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import type { Issue } from '../errors/issue.ts'
import { makePrivate } from './private-file.ts'

export interface LayoutStep {
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
