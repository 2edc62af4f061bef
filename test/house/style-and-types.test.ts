import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from '../../scripts/source-files.ts'

function tool(script: string, args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'node_modules', script), ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  return { status, complaints: status === 0 ? '' : stdout + stderr }
}

test('biome finds nothing to mend', () => {
  expect(tool('@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.'])).toEqual({ status: 0, complaints: '' })
})

test.each(['.', 'console'])('the types of %s hold', (project) => {
  expect(tool('typescript/bin/tsc', ['--noEmit', '-p', project])).toEqual({ status: 0, complaints: '' })
})
