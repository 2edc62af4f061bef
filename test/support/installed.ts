// Programs that some tests need and not every machine has. A person's machine skips those tests and says so; continuous
// integration (CI=true) installs the programs and must run them.

import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'

/** Where Debian puts servers is not on everybody's path. */
const FOLDERS = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']

/** The program's path, or `undefined` after a word on standard error. `from` is its Debian package. Throws where CI=true. */
export function installed(program: string, from: string): string | undefined {
  const path = FOLDERS.map((folder) => join(folder, program)).find(isExecutable)
  if (path !== undefined) return path
  const message = `no ${program} here; apt-get install ${from} brings it`
  if (process.env.CI === 'true') throw new Error(`${message}, as .ci/run does`)
  process.stderr.write(`SKIPPED: ${message}\n`)
  return undefined
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
