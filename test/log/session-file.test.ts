import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openSessionFile } from '../../src/log/session-file.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-log-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const path = () => join(folder, 'state', 'sessions.ndjson')
const open = (changes = {}) =>
  openSessionFile({
    path: path(),
    maxBytes: 1_000_000,
    keep: 2,
    onProblem: (error: unknown) => expect.unreachable(String(error)),
    ...changes,
  })

test('the folder is made, and a later run appends', async () => {
  for (const line of ['{"n":1}', '{"n":2}']) {
    const file = open()
    file.push(line)
    await file.close(5000)
  }
  expect(readFileSync(path(), 'utf8')).toBe('{"n":1}\n{"n":2}\n')
})

test('rotates by size between whole lines, keeps as many files as asked and loses nothing before that', async () => {
  const line = (n: number) => JSON.stringify({ n, padding: 'x'.repeat(80) })
  for (let n = 0; n < 12; n++) {
    const file = open({ maxBytes: 350 })
    file.push(line(n))
    await file.close(5000)
  }
  expect(readdirSync(join(folder, 'state')).sort()).toEqual([
    'sessions.ndjson',
    'sessions.ndjson.1',
    'sessions.ndjson.2',
  ])
  const numbers = ['.2', '.1', ''].flatMap((suffix) => {
    expect(statSync(path() + suffix).size).toBeLessThanOrEqual(350)
    return readFileSync(path() + suffix, 'utf8')
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text).n)
  })
  expect(numbers).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11])
})

test('a line torn by a crash is ended, so that every later line can be read', async () => {
  const first = open()
  first.push('{"n":1}')
  await first.close(5000)
  writeFileSync(path(), '{"n":1}\n{"n":2,"tor')
  const file = open()
  file.push('{"n":3}')
  await file.close(5000)
  expect(readFileSync(path(), 'utf8')).toBe('{"n":1}\n{"n":2,"tor\n{"n":3}\n')
})

test('RS-08: a full disk is reported, costs no exception and leaves no torn line', async (context) => {
  if (!existsSync('/dev/full')) return context.skip('this system has no /dev/full')
  const problems: unknown[] = []
  const file = openSessionFile({
    path: '/dev/full',
    maxBytes: 1000,
    keep: 1,
    onProblem: (error) => problems.push(error),
  })
  file.push('{"n":1}')
  await file.close(5000)
  expect(problems[0]).toMatchObject({ code: 'ENOSPC' })
  expect(file.dropped).toBe(1)
})

test('RS-08: a folder that cannot be made is reported and costs no exception', async () => {
  const problems: unknown[] = []
  writeFileSync(join(folder, 'state'), 'a file where the folder should be')
  const file = open({ onProblem: (error: unknown) => problems.push(error) })
  file.push('{"n":1}')
  await file.close(5000)
  expect(problems).toHaveLength(1)
  expect(file.dropped).toBe(1)
})

test('a log that is moved away is begun anew, readable by its owner only', async () => {
  const file = open()
  file.push('{"n":1}')
  await expect.poll(() => existsSync(path()) && readFileSync(path(), 'utf8')).toBe('{"n":1}\n')
  renameSync(path(), join(folder, 'kept'))
  file.push('{"n":2}')
  await file.close(20_000)
  expect([readFileSync(join(folder, 'kept'), 'utf8'), readFileSync(path(), 'utf8')]).toEqual(['{"n":1}\n', '{"n":2}\n'])
  expect((statSync(path()).mode & 0o777).toString(8)).toBe('600')
})

test('RS-08 says why a line could not be kept, and leaves nothing of having tried', async () => {
  const file = open()
  expect(await file.whyNotWritable()).toBeUndefined()
  expect(readdirSync(join(folder, 'state'))).toEqual(['sessions.ndjson'])
  rmSync(join(folder, 'state'), { recursive: true })
  writeFileSync(join(folder, 'state'), 'no folder')
  expect(await file.whyNotWritable()).toMatch(/^(ENOTDIR|EEXIST)/)
  await file.close(20_000)
})
