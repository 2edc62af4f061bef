// Compiles bench/native/load.c with the system's C compiler, once per content.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const SOURCE = join(import.meta.dirname, 'load.c')

/** The program's path; undefined where there is no C compiler. Throws when it does not compile. */
export function compileLoad(): string | undefined {
  const digest = createHash('sha256').update(readFileSync(SOURCE)).digest('hex').slice(0, 16)
  const program = join(tmpdir(), `egresslab-load-${digest}`)
  if (existsSync(program)) return program
  const { error, status, stderr } = spawnSync('cc', ['-O2', '-o', program, SOURCE], { encoding: 'utf8' })
  if (error !== undefined) return undefined
  if (status !== 0) throw new Error(`bench/native/load.c does not compile: ${stderr}`)
  return program
}
