// The script that makes a `password_hash:` makes one the lab takes.

import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { parsePasswordHash, verifyPassword } from '../../src/identity/password.ts'

function run(input: string) {
  return spawnSync(process.execPath, ['scripts/hash-password.ts'], { input, encoding: 'utf8' })
}

test('a password from standard input comes out as a hash, without its line end', async () => {
  const { status, stdout } = run('s3cret: päss\n')
  expect(status).toBe(0)
  expect(await verifyPassword('s3cret: päss', parsePasswordHash(stdout.trim()))).toBe(true)
  expect(stdout).not.toContain('s3cret')
})

test('no password is bad usage', () => {
  const { status, stdout, stderr } = run('\n')
  expect([status, stdout]).toEqual([2, ''])
  expect(stderr).toMatch(/^give the password on standard input/)
})
