// CF-01: the file changes under a running lab; good versions come into force, bad ones change nothing and are said aloud.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { InputError, type Issue } from '../../src/errors/issue.ts'
import { type ConfigFollower, followConfig } from '../../src/store/follow-config.ts'
import { createStore, type Store } from '../../src/store/store.ts'
import { configuredRule, EMEA_RULE, labConfig } from './lab.ts'

let folder: string
let file: string
let store: Store
let follower: ConfigFollower
let outcome: (issues: readonly Issue[]) => void

/** In these tests the file holds a rule's name and expression as JSON. */
function read(path: string) {
  const text = readFileSync(path, 'utf8')
  try {
    const { name, traffic } = JSON.parse(text) as { name: string; traffic: string }
    return labConfig({ policySource: 'file', rules: [configuredRule({ id: EMEA_RULE, name, traffic, precedence: 1 })] })
  } catch {
    throw new InputError([{ severity: 'error', code: 'config.syntax', message: 'not JSON', file: path, line: 1 }])
  }
}

function save(content: unknown): Promise<readonly Issue[]> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error('the change was not noticed')), 5000)
    outcome = (issues) => {
      clearTimeout(deadline)
      resolve(issues)
    }
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  })
}

const names = () => store.current().ruleset.active.map(({ rule }) => rule.name)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-follow-'))
  file = join(folder, 'lab.yaml')
  outcome = () => undefined
  writeFileSync(file, JSON.stringify({ name: 'first', traffic: '' }))
  store = createStore(read(file))
  follower = followConfig({
    file,
    read,
    apply: (config) => store.reload(config),
    onOutcome: (issues) => outcome(issues),
    quietMs: 5,
  })
})
afterEach(() => {
  follower.close()
  rmSync(folder, { recursive: true, force: true })
})

test('a good version is in force at once, as one revision', async () => {
  const { revision } = store.current()
  expect(await save({ name: 'second', traffic: 'net.dst.port == 443' })).toEqual([])
  expect([names(), store.current().revision, follower.trouble()]).toEqual([['second'], revision + 1, undefined])
})

test('bad versions one after another change nothing, each is named, and the next good one ends the trouble', async () => {
  const before = store.current()
  const broken: unknown[] = [
    '{"name":',
    '',
    { name: 'x', traffic: 'net.dst.prt == 1' },
    { name: 'x', traffic: '(' },
    ...Array.from({ length: 20 }, (_, at) => ({ name: 'x', traffic: `net.dst.port == ${at} and` })),
  ]
  for (const content of broken) {
    const [issue] = await save(content)
    expect(issue?.severity).toBe('error')
    expect(follower.trouble()).toContain(issue?.message ?? 'an issue')
    expect(store.current()).toBe(before)
  }
  await save({ name: 'mended', traffic: '' })
  expect([names(), follower.trouble()]).toEqual([['mended'], undefined])
})

test('a file it refers to counts as a part of it', async () => {
  const part = join(folder, 'rules.yaml')
  writeFileSync(part, 'one')
  follower.close()
  follower = followConfig({
    file,
    parts: () => [part],
    read: () => readFileSync(part, 'utf8'),
    apply: (text) => {
      if (text !== 'two') throw new Error(`not two but ${text}`)
    },
    onOutcome: (issues) => outcome(issues),
    quietMs: 5,
  })
  const issues = await new Promise<readonly Issue[]>((resolve) => {
    outcome = resolve
    writeFileSync(part, 'two')
  })
  expect(issues).toEqual([])
})

test('a failure nobody thought of is a problem of the reload, not of the lab', async () => {
  follower.close()
  follower = followConfig({
    file,
    read: () => {
      throw new Error('out of luck')
    },
    apply: () => undefined,
    onOutcome: (issues) => outcome(issues),
    quietMs: 5,
  })
  expect(await save('other')).toMatchObject([{ code: 'config.reload_failed', message: 'out of luck' }])
})
