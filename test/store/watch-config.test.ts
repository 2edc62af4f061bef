// CF-07: whatever way an editor saves, a new content is noticed once, and an unchanged one never.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ConfigWatch, watchConfig } from '../../src/store/watch-config.ts'
import { PATIENCE_MS } from '../support/patience.ts'

let folder: string
let file: string
let watching: ConfigWatch
let changes: number
let problems: string[]
let heard: () => void

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-watch-'))
  file = join(folder, 'lab.yaml')
  changes = 0
  problems = []
  heard = () => undefined
})
afterEach(() => {
  watching.close()
  rmSync(folder, { recursive: true, force: true })
})

function start(): void {
  watching = watchConfig({
    filesNow: () => [file],
    onChange: () => {
      changes++
      heard()
    },
    onProblem: (message) => problems.push(message),
    quietMs: 10,
    retryMs: 100,
  })
}

function nextChange(action: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error('no change was noticed')), PATIENCE_MS)
    heard = () => {
      clearTimeout(deadline)
      resolve()
    }
    action()
  })
}

test('CF-07 written in place', async () => {
  writeFileSync(file, 'a')
  start()
  await nextChange(() => writeFileSync(file, 'b'))
  expect(changes).toBe(1)
})

test('CF-07 written beside it and renamed over it, several times', async () => {
  writeFileSync(file, 'a')
  start()
  for (const content of ['b', 'c', 'd']) {
    await nextChange(() => {
      writeFileSync(`${file}.new`, content)
      renameSync(`${file}.new`, file)
    })
  }
  expect(changes).toBe(3)
})

test('CF-07 deleted and made again', async () => {
  writeFileSync(file, 'a')
  start()
  await nextChange(() => {
    rmSync(file)
    writeFileSync(file, 'b')
  })
  expect(changes).toBe(1)
})

test('CF-07 a folder behind a symlink is swapped', async () => {
  for (const version of ['v1', 'v2']) {
    mkdirSync(join(folder, version))
    writeFileSync(join(folder, version, 'lab.yaml'), version)
  }
  symlinkSync('v1', join(folder, 'current'))
  symlinkSync('current/lab.yaml', file)
  start()
  await nextChange(() => {
    symlinkSync('v2', join(folder, 'next'))
    renameSync(join(folder, 'next'), join(folder, 'current'))
  })
  expect(changes).toBe(1)
})

test('CF-07 the same content again is no change', async () => {
  writeFileSync(file, 'a')
  start()
  writeFileSync(file, 'a')
  watching.check()
  expect(changes).toBe(0)
  await nextChange(() => writeFileSync(file, 'b'))
  expect(changes).toBe(1)
})

test('CF-07 every file of a configuration counts', async () => {
  const part = join(folder, 'rules.yaml')
  writeFileSync(file, 'a')
  writeFileSync(part, 'one')
  const heardOf = new Promise<void>((resolve) => {
    watching = watchConfig({
      filesNow: () => [file, part],
      onChange: resolve,
      onProblem: (message) => problems.push(message),
      quietMs: 10,
    })
  })
  writeFileSync(part, 'two')
  await heardOf
})

test.each([
  ['removed', () => rmSync(file)],
  ['replaced by a link to /dev/zero', () => replaceBy(() => symlinkSync('/dev/zero', `${file}.new`))],
  ['replaced by a FIFO nobody writes to', () => replaceBy(() => void spawnSync('mkfifo', [`${file}.new`]))],
  ['replaced by a directory', () => replaceBy(() => mkdirSync(`${file}.new`))],
])('CF-07 %s: told once, and once more when it is as it was', async (_, harm) => {
  writeFileSync(file, 'a')
  start()
  await nextChange(harm)
  watching.check()
  watching.check()
  expect(changes).toBe(1)
  await nextChange(() => {
    rmSync(file, { recursive: true, force: true })
    writeFileSync(file, 'a')
  })
  expect(changes).toBe(2)
  expect(problems).toEqual([])
})

test('CF-07 a folder that is removed and made again is followed, and said to be looked at meanwhile', async () => {
  const below = join(folder, 'below')
  mkdirSync(below)
  file = join(below, 'lab.yaml')
  writeFileSync(file, 'a')
  start()
  await nextChange(() => rmSync(below, { recursive: true }))
  expect(problems).toEqual([expect.stringContaining(`\`${below}\` cannot be watched for changes: ENOENT`)])
  await nextChange(() => {
    mkdirSync(below)
    writeFileSync(file, 'b')
  })
  await nextChange(() => writeFileSync(file, 'c'))
  expect(changes).toBe(3)
  expect(problems).toHaveLength(1)
})

function replaceBy(make: () => void): void {
  rmSync(file)
  make()
  renameSync(`${file}.new`, file)
}
