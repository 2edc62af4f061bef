// `npm test`: every test with vitest, and as the very last line how many passed, failed and were skipped. Arguments go to
// vitest: `npm test -- test/log` runs one folder.

import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './source-files.ts'

interface Results {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[]
}

const folder = join(ROOT, 'node_modules', '.cache', 'egresslab')
const file = join(folder, `test-results-${process.pid}.json`)
mkdirSync(folder, { recursive: true })
const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
const { status } = spawnSync(process.execPath, [vitest, 'run', ...reporters, ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: ['ignore', 'inherit', 'inherit'],
})
const counts = readCounts()
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
process.exitCode = status === 0 && counts.failed === 0 ? 0 : 1

/** A file that could not even be loaded counts as one failed test. */
function readCounts(): { passed: number; failed: number; skipped: number } {
  try {
    const results: Results = JSON.parse(readFileSync(file, 'utf8'))
    rmSync(file)
    const unloadable = results.testResults.filter(
      (each) => each.status === 'failed' && each.assertionResults.length === 0,
    )
    return {
      passed: results.numPassedTests,
      failed: results.numFailedTests + unloadable.length,
      skipped: results.numPendingTests + results.numTodoTests,
    }
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
}
