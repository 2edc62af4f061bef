// The audit: every change has who, when, from where, before and after, and the revision; and no secrets.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { consoleSessionOf } from '../../src/api/index.ts'
import { ChangeError } from '../../src/errors/change-error.ts'
import { openAccessTokens } from '../../src/store/access-tokens.ts'
import { type AuditEntry, openAuditLog, withoutSecrets } from '../../src/store/audit-log.ts'
import { memoryJournal } from '../../src/store/journal.ts'
import { openJournal, readContents } from '../../src/store/sqlite-journal.ts'
import { BOB, type RunningApi, runApi, TOKEN } from './running-api.ts'

const entriesOf = async (api: RunningApi, query = ''): Promise<AuditEntry[]> =>
  (await api.ask('GET', `/lab/v1/audit${query}`)).body.result

test('a change says who made it, from where, when, what was before and after, and its revision', async () => {
  const tokens = openAccessTokens(memoryJournal().table('token'), consoleSessionOf)
  const { token, text } = tokens.create({ name: 'dana', role: 'operator', expiresAt: null })
  const api = await runApi({ ports: { tokens } })
  const started = Date.now()
  const before = api.store.current().revision
  await api.ask('PUT', '/lab/v1/colos/LHR', { up: false }, { authorization: `Bearer ${text}` })
  const [entry, ...rest] = await entriesOf(api)
  expect(rest).toEqual([])
  expect(entry).toEqual({
    id: 1,
    at: expect.any(String),
    who: { kind: 'token', id: token.id, name: 'dana', role: 'operator' },
    from: '127.0.0.1',
    action: 'PUT /lab/v1/colos/{code}',
    target: '/lab/v1/colos/LHR',
    revision_before: before,
    revision: before + 1,
    changes: [{ kind: 'colo', id: 'LHR', action: 'created', before: null, after: { id: 'LHR', down: true } }],
    changes_left_out: 0,
  })
  expect(Date.parse(entry?.at ?? '')).toBeGreaterThanOrEqual(started)
  await api.close()
})

test('reading, explaining and what is refused leave no entry; what changes nothing in the state but acts does', async () => {
  const api = await runApi()
  await api.ask('GET', '/lab/v1/health')
  await api.ask('POST', '/lab/v1/explain', { destination: 'https://x.test/' })
  await api.ask('PUT', '/lab/v1/colos/XXX', { up: false })
  await api.ask('PUT', '/lab/v1/colos/LHR', { up: false }, { authorization: 'Bearer wrong' })
  expect(await entriesOf(api)).toEqual([])
  await api.ask('DELETE', '/lab/v1/sessions/recent')
  expect((await entriesOf(api)).map(({ action, changes }) => [action, changes])).toEqual([
    ['DELETE /lab/v1/sessions/recent', []],
  ])
  await api.close()
})

test('users at /me are named by their email, and what happens outside the API is the lab’s own', async () => {
  const api = await runApi()
  const basic = `Basic ${Buffer.from(`${BOB.email}:${BOB.password}`).toString('base64')}`
  await api.ask('PUT', '/lab/v1/me/virtual-network', { virtual_network: 'vnet-EMEA' }, { authorization: basic })
  api.store.setColoDown('AMS', true)
  expect((await entriesOf(api)).map(({ who, from, action }) => [who.kind, who.id, from, action])).toEqual([
    ['lab', '', '', 'a change outside the API'],
    ['user', BOB.email, '127.0.0.1', 'PUT /lab/v1/me/virtual-network'],
  ])
  await api.close()
})

test('requests at the same time are not taken for each other', async () => {
  const api = await runApi()
  const codes = ['AMS', 'LHR', 'IAD', 'LAX', 'CDG', 'FRA']
  await Promise.all(codes.map((code) => api.ask('PUT', `/lab/v1/colos/${code}`, { up: false })))
  const entries = await entriesOf(api)
  expect(entries.map(({ target, changes }) => target.endsWith(changes[0]?.id ?? '?') && changes.length === 1)).toEqual(
    codes.map(() => true),
  )
  await api.close()
})

test('is filtered by who, kind, id, revision and time', async () => {
  const api = await runApi()
  await api.ask('POST', '/lab/v1/tokens', { name: 'ci', role: 'viewer' })
  await api.ask('PUT', '/lab/v1/colos/LHR', { up: false })
  const { revision } = api.store.current()
  const idsOf = async (query: string) => (await entriesOf(api, query)).map(({ id }) => id)
  expect(await idsOf('?kind=token')).toEqual([1])
  expect(await idsOf('?id=LHR')).toEqual([2])
  expect(await idsOf(`?revision=${revision}`)).toEqual([2])
  expect(await idsOf('?who=api-token&limit=1')).toEqual([2])
  expect(await idsOf('?who=nobody')).toEqual([])
  expect(await idsOf('?since=2000-01-01')).toEqual([2, 1])
  expect(await idsOf('?since=2999-01-01')).toEqual([])
  expect((await api.ask('GET', '/lab/v1/audit?since=yesterday')).status).toBe(400)
  await api.close()
})

test('holds no secrets: no token, no password, no login or query of a Logpush destination', async () => {
  const api = await runApi()
  const made = await api.ask('POST', '/lab/v1/tokens', { name: 'ci', role: 'viewer' })
  await api.cloudflare('POST', '/logpush/jobs', {
    dataset: 'zero_trust_network_sessions',
    destination_conf: 'https://siem.example/in?header_Authorization=Bearer%20hunter2',
  })
  const text = JSON.stringify(await entriesOf(api))
  expect(text).toContain('"kind":"token"')
  for (const secret of [made.body.result.token, TOKEN, 'hunter2']) expect(text).not.toContain(secret)
  expect(
    withoutSecrets({ destination: 'https://me:hunter2@siem.example/in?x=1', deep: [{ client_secret: 'x' }] }),
  ).toEqual({
    destination: 'https://(secret)@siem.example/in?(secret)',
    deep: [{ client_secret: '(secret)' }],
  })
  await api.close()
})

test('forgets what is older than it is to keep, goes on counting after a restart, and shortens what is too large', () => {
  const table = memoryJournal().table('audit')
  const lines: string[] = []
  let now = Date.parse('2026-01-01T00:00:00Z')
  const options = {
    table,
    file: { push: (line: string) => void lines.push(line) },
    keepMs: 1000,
    onProblem: () => undefined,
    now: () => now,
  }
  const about = {
    who: { kind: 'lab', id: '', name: 'x', role: null },
    from: '',
    action: '',
    target: '',
    revision_before: 1,
    revision: 2,
    changes_left_out: 0,
  } as const
  const large = { kind: 'list', id: 'a', action: 'updated', before: 'x'.repeat(20_000), after: 1 } as const
  openAuditLog(options)
    .begin()
    .close({ ...about, changes: Array(150).fill(large) })
  const first = openAuditLog(options).list()[0]
  expect([first?.changes.length, first?.changes_left_out, first?.changes[0]?.before]).toEqual([
    100,
    50,
    { left_out: '20002 bytes' },
  ])
  now += 2000
  expect(openAuditLog(options).list()).toEqual([])
  openAuditLog(options)
    .begin()
    .close({ ...about, changes: [] })
  expect(
    openAuditLog(options)
      .list()
      .map(({ id }) => id),
  ).toEqual([2])
  expect(table.all().length).toBe(1)
  expect(lines.length).toBe(2)
})

test('an entry is on disk with its change, and before anybody is told of it', async () => {
  const state = mkdtempSync(join(tmpdir(), 'egresslab-audit-'))
  const journal = openJournal(state, { onNotice: () => undefined })
  const audit = openAuditLog({ table: journal.table('audit'), keepMs: 86_400_000, onProblem: () => undefined })
  const api = await runApi({ journal, ports: { audit } })
  const onDisk: unknown[] = []
  // what a crash at this moment would leave
  api.store.subscribe((_, { revision }) => {
    const { revision: found, tables } = readContents(state)
    const { who, revision: told, changes } = JSON.parse(tables.audit.at(-1)?.body ?? '{}') as AuditEntry
    onDisk.push([found === revision, told === revision, who.name, changes[0]?.id])
  })
  await api.ask('PUT', '/lab/v1/colos/LHR', { up: false })
  expect(onDisk).toEqual([[true, true, 'api-token', 'LHR']])
  expect((await entriesOf(api)).length).toBe(1)
  await api.close()
  rmSync(state, { recursive: true })
})

test('what cannot be audited is not changed', async () => {
  const table = {
    all: () => [],
    put: () => {
      throw new ChangeError('change.disk', 'the change could not be written to disk: it is full')
    },
    remove: () => undefined,
  }
  const state = mkdtempSync(join(tmpdir(), 'egresslab-audit-'))
  const journal = openJournal(state, { onNotice: () => undefined })
  const notices: string[] = []
  const audit = openAuditLog({ table, keepMs: 1000, onProblem: (message) => notices.push(message) })
  const api = await runApi({ journal, ports: { audit } })
  const { revision } = api.store.current()
  const { status, body } = await api.ask('PUT', '/lab/v1/colos/LHR', { up: false })
  expect([status, body.errors[0]?.message]).toEqual([507, 'the change could not be written to disk: it is full'])
  expect([api.store.current().revision, readContents(state).revision]).toEqual([revision, revision])
  // what has been done already can only be reported
  await api.ask('DELETE', '/lab/v1/sessions/recent')
  expect(notices).toEqual([
    'an entry of the audit could not be kept: the change could not be written to disk: it is full',
  ])
  await api.close()
  rmSync(state, { recursive: true })
})
