// `npm run check`: style, types and the house rules, everything that can be said without running a test. Exit 1 when
// anything is to be mended; every complaint is printed. `--write-schemas` writes the published schemas.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { arrowViolations } from './check-arrow.ts'
import { docViolations } from './check-docs.ts'
import { errorViolations } from './check-errors.ts'
import { fileViolations } from './check-files.ts'
import { nameViolations } from './check-names.ts'
import { referenceViolations } from './check-references.ts'
import { schemaViolations, writeSchemas } from './schemas.ts'
import { ROOT, sourceFiles } from './source-files.ts'

const TOOLS = [
  ['style', '@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.']],
  ['types', 'typescript/bin/tsc', ['--noEmit', '-p', '.']],
  ['types of the console', 'typescript/bin/tsc', ['--noEmit', '-p', 'console']],
] as const

let good = true
for (const [name, script, args] of TOOLS) {
  const result = spawnSync(process.execPath, [join(ROOT, 'node_modules', script), ...args], {
    cwd: ROOT,
    stdio: 'inherit',
  })
  report(name, result.status === 0 ? [] : ['see above'])
}
if (process.argv.includes('--write-schemas')) writeSchemas()
const files = sourceFiles()
report('arrow', arrowViolations(files))
report('doc comments', docViolations(files))
report('errors', errorViolations(files))
report('files', fileViolations(files))
report('names', nameViolations(files))
report('references', referenceViolations(files))
report('schemas', schemaViolations())
process.exitCode = good ? 0 : 1

function report(name: string, violations: readonly string[]): void {
  if (violations.length > 0) good = false
  process.stdout.write(`${name}: ${violations.length === 0 ? 'good' : `\n  ${violations.join('\n  ')}`}\n`)
}
