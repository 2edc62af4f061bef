import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openRuleUses } from '../../src/log/rule-uses.ts'
import { sampleRecord } from './sample-record.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-uses-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const NOW = Date.parse('2026-11-30T00:00:00Z')
const log = (suffix = '') => join(folder, `sessions.ndjson${suffix}`)
const files = () => ['', '.1', '.2'].map(log)

/** A session on this day of November, decided by this rule. */
function session(rule: string, day: number) {
  const date = `2026-11-${String(day).padStart(2, '0')}`
  return sampleRecord({
    EgressRuleID: rule,
    SessionStartTime: `${date}T10:00:00.000000000Z`,
    SessionEndTime: `${date}T10:00:01.000000000Z`,
  })
}

const line = (rule: string, day: number) => `${JSON.stringify(session(rule, day))}\n`
const began = (day: number) => Date.parse(session('', day).SessionStartTime)
const ended = (day: number) => Date.parse(session('', day).SessionEndTime)

async function open(changes: Partial<Parameters<typeof openRuleUses>[0]> = {}) {
  const notices: string[] = []
  const uses = await openRuleUses({
    files: files(),
    now: NOW,
    onNotice: (message) => notices.push(message),
    ...changes,
  })
  return { uses, notices }
}

test('a restart forgets no use: the log and its rotated files count, and sessions since', async () => {
  writeFileSync(log('.2'), line('bank', 1) + line('', 2))
  writeFileSync(log('.1'), line('bank', 3) + line('payroll', 4))
  writeFileSync(log(), line('bank', 5))
  const { uses, notices } = await open()
  uses.add(session('payroll', 30))
  const { since, rules } = await uses.counted()
  expect(since).toBe(ended(1))
  expect(Object.fromEntries(rules)).toEqual({
    bank: { sessions: 3, lastUsed: began(5) },
    payroll: { sessions: 2, lastUsed: began(30) },
  })
  expect(notices).toEqual([])
})

test('without a log, and with an empty one, counting begins now', async () => {
  const { uses, notices } = await open()
  expect(await uses.counted()).toEqual({ since: NOW, rules: new Map() })
  writeFileSync(log(), '')
  expect((await (await open()).uses.counted()).since).toBe(NOW)
  expect(notices).toEqual([])
})

test('what is written after the start is not counted twice, even when the file is rotated meanwhile', async () => {
  writeFileSync(log(), line('bank', 1))
  const { uses } = await open()
  renameSync(log(), log('.1'))
  writeFileSync(log(), line('bank', 2))
  uses.add(session('bank', 2))
  expect((await uses.counted()).rules.get('bank')).toEqual({ sessions: 2, lastUsed: began(2) })
})

test('damaged lines are left out and said once per file; the others count', async () => {
  writeFileSync(log('.1'), line('bank', 1))
  writeFileSync(
    log(),
    `${line('bank', 2)}{"torn":\n\n\0\0\0\n[]\n{"EgressRuleID":"bank"}\n${line('bank', 3).slice(0, -1)}`,
  )
  const { uses, notices } = await open()
  const { since, rules } = await uses.counted()
  expect(since).toBe(ended(1))
  expect(rules.get('bank')).toEqual({ sessions: 3, lastUsed: began(3) })
  expect(notices).toEqual([`the session log \`${log()}\` has 5 lines that no session wrote`])
})

test('a file without a line end, larger than any session, is skipped without being kept in memory', async () => {
  writeFileSync(log(), `${'x'.repeat(3 * 1024 * 1024)}\n${line('bank', 3)}`)
  const { uses, notices } = await open()
  expect((await uses.counted()).rules.get('bank')?.sessions).toBe(1)
  expect(notices).toEqual([`the session log \`${log()}\` has 1 line that no session wrote`])
})

test('of a large log only the newest part is read, and the time says so', async () => {
  writeFileSync(log('.1'), line('old', 1) + line('bank', 2) + line('bank', 3))
  writeFileSync(log(), line('bank', 4))
  const size = line('bank', 4).length
  const { uses, notices } = await open({ mostBytes: size * 2 + 10 })
  const { since, rules } = await uses.counted()
  expect(since).toBe(ended(3))
  expect([...rules]).toEqual([['bank', { sessions: 2, lastUsed: began(4) }]])
  expect(notices).toEqual([])
})

test('a gap among the rotated files ends what is known', async () => {
  writeFileSync(log('.2'), line('old', 1))
  writeFileSync(log(), line('bank', 5))
  const { since, rules } = await (await open()).uses.counted()
  expect([since, [...rules.keys()]]).toEqual([ended(5), ['bank']])
})

test('a log that cannot be read is said, and counting begins now', async () => {
  mkdirSync(log())
  const { uses, notices } = await open()
  expect(await uses.counted()).toEqual({ since: NOW, rules: new Map() })
  expect(notices).toEqual([`the session log \`${log()}\` is no file; rules are counted without it`])
})

test('a file that is cut while it is read counts as far as it went', async () => {
  writeFileSync(log(), line('bank', 1).repeat(2000))
  const opening = open()
  truncateSync(log(), line('bank', 1).length)
  const { uses } = await opening
  const { rules } = await uses.counted()
  expect(rules.get('bank')?.sessions).toBeGreaterThan(0)
  expect(readFileSync(log(), 'utf8')).toBe(line('bank', 1))
})

test('closing gives up reading, and whoever waits gets what is known', async () => {
  writeFileSync(log(), line('bank', 1).repeat(20_000))
  const { uses } = await open()
  await uses.close()
  expect((await uses.counted()).since).toBe(NOW)
})
