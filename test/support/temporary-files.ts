// One folder for all temporary files of a run of the tests, which goes when the run ends: tests make theirs by os.tmpdir(), and so
// do the programs they start.

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** vitest's global set-up; what it answers is called at the end of the run. */
export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-tests-'))
  chmodSync(folder, 0o1777) // tests run programs as other users
  process.env.TMPDIR = folder
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}
