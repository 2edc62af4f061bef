// CF-07: whatever way an editor saves, a new content is noticed once, and an unchanged one never.

import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ConfigWatch, watchConfig } from '../../src/store/watch-config.ts'

let folder: string
let file: string
let watching: ConfigWatch
let changes: number
let heard: () => void

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-watch-'))
  file = join(folder, 'lab.yaml')
  changes = 0
  heard = () => undefined
})
afterEach(() => {
  watching.close()
  rmSync(folder, { recursive: true, force: true })
})

function start(): void {
  watching = watchConfig(
    () => [file],
    () => {
      changes++
      heard()
    },
    10,
  )
}

function nextChange(action: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error('no change was noticed')), 5000)
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
    watching = watchConfig(() => [file, part], resolve, 10)
  })
  writeFileSync(part, 'two')
  await heardOf
})
