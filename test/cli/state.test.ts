// `state export`, `import`: what was changed at run time moves to another folder, machine and version, whole or not at all.

import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { JournalRow } from '../../src/store/journal.ts'
import { readContents } from '../../src/store/sqlite-journal.ts'
import { formatStateFile } from '../../src/store/state-file.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { run } from './run.ts'

const CONFIG = 'config/lab.yaml'
const fresh = () => mkdtempSync(join(tmpdir(), 'state-'))
const ask = async (lab: PrivateLab, method: string, path: string, body?: unknown, token = lab.lab.token()) => {
  const answer = await fetch(`http://127.0.0.1:${lab.lab.api.port}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: answer.status, ...((await answer.json()) as { result: never }) }
}
const importInto = (folder: string, file: string, ...more: string[]) =>
  run(['state', 'import', file, '--state', folder, '-c', CONFIG, ...more])

/** A lab with a rule, a token, history and an audit, exported while it runs. */
async function exported() {
  const one = await startPrivateLab({ ephemeral: false })
  const { id } = one.lab.snapshot().account
  const [rule] = one.lab.snapshot().ruleset.active
  const rules = `/client/v4/accounts/${id}/gateway/rules`
  const made = (await ask(one, 'POST', '/lab/v1/tokens', { name: 'dana', role: 'viewer' })).result as { token: string }
  await ask(one, 'DELETE', `${rules}/${rule?.rule.id}`)
  const file = join(fresh(), 'state.json')
  const done = await run(['state', 'export', file, '--state', one.folder])
  return { one, rules, file, done, token: made.token, gone: rule?.rule.id ?? '' }
}

test('what one lab had the other has: rules, tokens, history, the audit, the revision', async () => {
  const { one, rules, file, done, token, gone } = await exported()
  expect([done.code, done.stdout]).toEqual([0, ''])
  expect(done.stderr).toMatch(
    /state\.json: revision \d+, \d+ documents, 1 tokens, 2 kept revisions of the rules, 2 entries of the audit\n$/,
  )
  expect(statSync(file).mode & 0o077).toBe(0)
  expect(readFileSync(file, 'utf8')).not.toContain(token)
  expect(readFileSync(file, 'utf8')).not.toContain(one.lab.token())
  const revision = one.lab.snapshot().revision
  const history = (await ask(one, 'GET', '/lab/v1/rules/revisions')).result
  await one.close()

  const folder = fresh()
  expect((await importInto(folder, file)).code).toBe(0)
  const other = await startPrivateLab({ ephemeral: false, state: folder })
  onTestFinished(() => other.close())
  expect(other.lab.snapshot().revision).toBeGreaterThanOrEqual(revision)
  const listed = (await ask(other, 'GET', rules, undefined, token)).result as { id: string }[]
  expect(listed.map(({ id }) => id)).not.toContain(gone)
  expect((await ask(other, 'GET', '/lab/v1/rules/revisions')).result).toEqual(history)
  expect((await ask(other, 'GET', '/lab/v1/audit?kind=rule')).result).toMatchObject([{ who: { name: 'api-token' } }])
})

test('a folder in use, and one with a state of its own, are left alone; `--replace` replaces', async () => {
  const { one, file } = await exported()
  const inUse = await importInto(one.folder, file, '--replace')
  expect([inUse.code, inUse.stderr]).toEqual([2, expect.stringContaining('in use by another egresslab')])
  const text = readFileSync(file, 'utf8')
  await one.close()
  const folder = fresh()
  expect((await importInto(folder, file)).code).toBe(0)
  const again = await importInto(folder, file)
  expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('has a state of its own')])
  expect((await importInto(folder, file, '--replace')).code).toBe(0)
  // exporting what was imported is the same again
  expect(JSON.parse(formatStateFile(readContents(folder), 0)).sha256).toBe(JSON.parse(text).sha256)
})

test('damage, other files, newer versions and what contradicts the configuration are refused, and nothing is made', async () => {
  const { one, file } = await exported()
  const text = readFileSync(file, 'utf8')
  await one.close()
  const whole = JSON.parse(text)
  const resealed = (change: { rows: readonly object[] }) =>
    formatStateFile({ ...readContentsOf(whole), rows: change.rows as JournalRow[] }, 0)
  const first = readContentsOf(whole).rows[0] as JournalRow
  const withTable = (table: object) =>
    formatStateFile({ ...readContentsOf(whole), tables: { token: [], audit: [], policy: [], ...table } }, 0)
  const [dana] = whole.shelves.token as { key: string; value: object }[]
  const danaAs = (more: object) => ({ key: dana?.key ?? '', body: JSON.stringify({ ...dana?.value, ...more }) })
  const cases: [string, string][] = [
    [withTable({ token: [danaAs({ role: 'root' })] }), 'is no token this version knows'],
    [withTable({ token: [danaAs({ id: 'api-token' })] }), 'is no token this version knows'],
    [withTable({ token: [{ key: 'x', body: 'null' }] }), '`x` is no token this version knows'],
    [withTable({ token: [danaAs({}), danaAs({})] }), 'twice'],
    [withTable({ audit: [{ key: 'x', body: '{}' }] }), '`x` is no entry of the audit this version knows'],
    [withTable({ policy: [{ key: '1', body: '{}' }] }), '`1` is no revision of the rules this version knows'],
    [resealed({ rows: [first, first] }), 'twice'],
    [resealed({ rows: [{ ...first, id: 'another' }] }), 'is none this version knows'],
    ...[-5, Number.MAX_SAFE_INTEGER, 0.5].map((revision): [string, string] => [
      formatStateFile({ ...readContentsOf(whole), revision }, 0),
      'it has no documents, or no revision',
    ]),
    [text.slice(0, -200), 'is damaged: it is not whole'],
    [text.replace('"dana"', '"mallory"'), 'is damaged: its checksum is another'],
    [text.replace('"viewer"', '"admin"'), 'is damaged: its checksum is another'],
    ['{"rules": []}', 'is not an exported state'],
    ['', 'is not an exported state'],
    ['null', 'is not an exported state'],
    [
      text.replace('"egresslab_state": 1', '"egresslab_state": 2'),
      'written by a newer egresslab (layout 2; this one knows 1)',
    ],
    [text.replace(/"egresslab": "[^"]+"/, '"egresslab": "99.0.0"'), 'last used by egresslab 99.0.0'],
    [
      resealed({ rows: [{ ...readContentsOf(whole).rows[0], kind: 'nonsense' as never }] }),
      'is none this version knows',
    ],
  ]
  for (const [contents, why] of cases) {
    const [bad, folder] = [join(fresh(), 'bad.json'), join(fresh(), 'made')]
    writeFileSync(bad, contents)
    const ran = await importInto(folder, bad)
    expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining(why)])
    expect(existsSync(folder)).toBe(false)
  }
  const missing = await importInto(fresh(), '/nothing/here.json')
  expect([missing.code, missing.stderr]).toEqual([
    2,
    expect.stringContaining('cannot read `/nothing/here.json` (ENOENT)'),
  ])
  const none = await run(['state', 'export', join(fresh(), 'a.json'), '--state', fresh()])
  expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('there is no state in')])
})

test('a state that the first version exported is read by this one', async () => {
  const folder = fresh()
  const ran = await importInto(folder, 'test/store/state-0.1.0.json')
  expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining('revision 3, ')])
  const lab = await startPrivateLab({ ephemeral: false, state: folder })
  onTestFinished(() => lab.close())
  expect((await ask(lab, 'GET', '/lab/v1/tokens')).result).toMatchObject([{ name: 'dana', role: 'viewer' }])
  expect((await ask(lab, 'GET', '/lab/v1/colos/LHR')).result).toMatchObject({ up: false })
  expect((await ask(lab, 'GET', '/lab/v1/audit')).result).not.toEqual([])
})

function readContentsOf(whole: { revision: number; documents: { value: unknown }[] }) {
  return {
    revision: whole.revision,
    rows: whole.documents.map(({ value, ...row }) => ({ ...row, body: JSON.stringify(value) })) as JournalRow[],
    tables: { token: [], audit: [], policy: [] },
  }
}
