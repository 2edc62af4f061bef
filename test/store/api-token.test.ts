// AP-07: the token is made once, the owner's alone, and replaceable.

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openApiToken } from '../../src/store/api-token.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-token-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('AP-07 the first start makes a token only its owner can read; the second finds it', () => {
  const first = openApiToken({ directory: folder })
  expect(first.isNew).toBe(true)
  expect(first.current()).toMatch(/^[\w-]{43}$/)
  expect(statSync(join(folder, 'api-token')).mode & 0o777).toBe(0o600)
  const second = openApiToken({ directory: folder })
  expect(second.isNew).toBe(false)
  expect(second.current()).toBe(first.current())
})

test('AP-07 a rotated token replaces the old one, in the file too', () => {
  const token = openApiToken({ directory: folder })
  const old = token.current()
  const fresh = token.rotate()
  expect(fresh).not.toBe(old)
  expect(token.current()).toBe(fresh)
  expect(readFileSync(join(folder, 'api-token'), 'utf8').trim()).toBe(fresh)
  expect(statSync(join(folder, 'api-token')).mode & 0o777).toBe(0o600)
})

test('a token given from outside is used, and never written down', () => {
  const token = openApiToken({ directory: folder, given: 'sixteen-or-more-characters' })
  expect(token.current()).toBe('sixteen-or-more-characters')
  expect(existsSync(join(folder, 'api-token'))).toBe(false)
  expect(() => token.rotate()).toThrow(/EGRESSLAB_API_TOKEN/)
})

test.each(['short', 'a token with blanks in it', 'sixteen-or-more-charäcters'])(
  'a weak or odd token is refused: %s',
  (given) => {
    expect(() => openApiToken({ given })).toThrow(/at least 16/)
  },
)

test('without a directory the token lives in memory', () => {
  const token = openApiToken({})
  expect(token.file).toBeUndefined()
  expect(token.rotate()).toBe(token.current())
})

test('an empty token file, as a crash of another program may leave it, is made anew', () => {
  writeFileSync(join(folder, 'api-token'), '\n')
  expect(openApiToken({ directory: folder }).isNew).toBe(true)
})
