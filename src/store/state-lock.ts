// One owner per state directory (CF-06), however that owner ends.

import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { makePrivate } from './private-file.ts'
import { inUse, isBusy, unusable } from './state-problems.ts'

/** Makes this process the one owner of the directory; answers how to give it back. The lock is the operating system's
 *  (SQLite's, on a file of its own), so that a killed owner leaves none behind; the process id beside it is for people. */
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
