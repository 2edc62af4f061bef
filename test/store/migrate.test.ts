// Layouts change between versions: what was written by an earlier one is found again, and can be gone back to.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Issue } from '../../src/errors/issue.ts'
import { migrate } from '../../src/store/state-database.ts'

let folder: string
let file: string
let database: DatabaseSync
const notices: Issue[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-migrate-'))
  file = join(folder, 'lab.db')
  notices.length = 0
  database = new DatabaseSync(file)
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE things (name TEXT); INSERT INTO things VALUES ('kept')")
})
afterEach(() => {
  if (database.isOpen) database.close()
  rmSync(folder, { recursive: true, force: true })
})

const onNotice = (notice: Issue) => void notices.push(notice)
const steps = [
  { from: 1, sql: "ALTER TABLE things ADD COLUMN note TEXT NOT NULL DEFAULT ''" },
  { from: 0, sql: 'ALTER TABLE things RENAME COLUMN name TO title' },
]
const layoutOf = (db: DatabaseSync) =>
  (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version

test('every step is taken in turn, and a whole copy of the file as it was stays beside it', () => {
  migrate(database, { file, layout: 2, steps, onNotice })
  expect(database.prepare('SELECT * FROM things').all()).toEqual([{ title: 'kept', note: '' }])
  expect(layoutOf(database)).toBe(2)
  const copy = new DatabaseSync(`${file}.layout-0`, { readOnly: true })
  expect(copy.prepare('SELECT * FROM things').all()).toEqual([{ name: 'kept' }])
  copy.close()
  expect(notices.map(({ code, message }) => [code, message.includes('from layout 0 to 2')])).toEqual([
    ['state.migrated', true],
  ])
})

test('a step that fails leaves the file as it was', () => {
  const broken = [...steps.filter(({ from }) => from === 0), { from: 1, sql: 'ALTER TABLE missing ADD COLUMN x' }]
  expect(() => migrate(database, { file, layout: 2, steps: broken, onNotice })).toThrow(/no such table/)
  expect(database.prepare('SELECT * FROM things').all()).toEqual([{ name: 'kept' }])
  expect(layoutOf(database)).toBe(0)
  expect(notices).toEqual([])
})

test('a file of this layout is left alone', () => {
  database.exec('PRAGMA user_version = 2')
  migrate(database, { file, layout: 2, steps, onNotice })
  expect(existsSync(`${file}.layout-2`)).toBe(false)
  expect(database.prepare('SELECT * FROM things').all()).toEqual([{ name: 'kept' }])
})
