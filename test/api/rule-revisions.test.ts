// Undo: the last revisions of rules and lists are kept, and one step leads back to any of them.

import { expect, test } from 'vitest'
import { memoryJournal } from '../../src/store/journal.ts'
import { openPolicyHistory } from '../../src/store/policy-history.ts'
import { createStore } from '../../src/store/store.ts'
import { EMEA_RULE, labConfig } from '../store/lab.ts'
import { runApi } from './running-api.ts'

test('a deleted rule and a changed list come back in one step, which is a revision of its own and in the audit', async () => {
  const api = await runApi()
  const list = { name: 'banks', type: 'DOMAIN', items: [{ value: 'bank.test' }] }
  const { id } = (await api.cloudflare('POST', '/gateway/lists', list)).body.result
  const good = api.store.current().revision
  const was = (await api.cloudflare('GET', `/gateway/rules/${EMEA_RULE}`)).body.result
  await api.cloudflare('DELETE', `/gateway/rules/${EMEA_RULE}`)
  await api.cloudflare('PATCH', `/gateway/lists/${id}`, { append: [{ value: 'other.test' }] })
  await api.ask('PUT', '/lab/v1/colos/LHR', { up: false })
  const before = api.store.current().revision
  const { body } = await api.ask('POST', `/lab/v1/rules/revisions/${good}/restore`, {})
  expect(body.result).toEqual({ restored: good, revision: before + 1, changed: true })
  const {
    name,
    precedence,
    traffic,
    rule_settings: settings,
  } = (await api.cloudflare('GET', `/gateway/rules/${EMEA_RULE}`)).body.result
  expect({ name, precedence, traffic, settings }).toEqual({
    name: was.name,
    precedence: was.precedence,
    traffic: was.traffic,
    settings: was.rule_settings,
  })
  const items = (await api.cloudflare('GET', `/gateway/lists/${id}`)).body.result.items
  expect(items.map(({ value }: { value: string }) => value)).toEqual(['bank.test'])
  expect(api.store.current().account.colosDown.has('LHR')).toBe(true)
  const [entry] = (await api.ask('GET', '/lab/v1/audit')).body.result
  expect([entry.action, entry.who.name, entry.changes.map(({ kind }: { kind: string }) => kind).sort()]).toEqual([
    'POST /lab/v1/rules/revisions/{revision}/restore',
    'api-token',
    ['list', 'rule'],
  ])
  expect((await api.ask('POST', `/lab/v1/rules/revisions/${good}/restore`, {})).body.result.changed).toBe(false)
  await api.close()
})

test('the history says what each revision changed, newest first, and which is in force', async () => {
  const api = await runApi()
  await api.cloudflare('DELETE', `/gateway/rules/${EMEA_RULE}`)
  await api.ask('PUT', '/lab/v1/colos/LHR', { up: false })
  const rows = (await api.ask('GET', '/lab/v1/rules/revisions')).body.result
  expect(rows).toMatchObject([
    { current: true, changes: [{ what: 'removed', id: EMEA_RULE }] },
    { current: false, changes: [] },
  ])
  const shown = (await api.ask('GET', `/lab/v1/rules/revisions/${rows[1].revision}`)).body.result
  expect(shown.rules.map(({ id }: { id: string }) => id)).toContain(EMEA_RULE)
  await api.close()
})

test.each([
  ['999', 404],
  ['x', 400],
  ['-1', 400],
  ['1e3', 400],
])('revision %s is refused with %i and changes nothing', async (revision, status) => {
  const api = await runApi()
  const before = api.store.current().revision
  expect((await api.ask('POST', `/lab/v1/rules/revisions/${revision}/restore`, {})).status).toBe(status)
  expect(api.store.current().revision).toBe(before)
  await api.close()
})

test('a change in between is not overwritten where the caller says which state is meant', async () => {
  const api = await runApi()
  const good = api.store.current().revision
  await api.cloudflare('DELETE', `/gateway/rules/${EMEA_RULE}`)
  const stale = await api.ask('POST', `/lab/v1/rules/revisions/${good}/restore`, {}, { 'if-match': `"${good}"` })
  expect(stale.status).toBe(412)
  await api.close()
})

test('rules that the file alone owns are not restored', async () => {
  const api = await runApi({ config: { policySource: 'file' } })
  const { revision } = api.store.current()
  const kept = openPolicyHistory(memoryJournal().table('policy'), api.store, { onProblem: () => undefined })
  const [first] = kept.list()
  if (first === undefined) throw new RangeError('the revision in force is kept')
  const emptied = { list: () => [first], find: () => ({ ...first, rules: [] }) }
  await api.close()
  const again = await runApi({ config: { policySource: 'file' }, ports: { policyHistory: emptied } })
  const answer = await again.ask('POST', `/lab/v1/rules/revisions/${revision}/restore`, {})
  expect([answer.status, answer.body.errors[0]?.message]).toEqual([409, expect.stringContaining('rules are read-only')])
  await again.close()
})

test('the last 100 are kept, over a restart too, and a start that changes no rule adds none', () => {
  const table = memoryJournal().table('policy')
  const store = createStore(labConfig(), { onNotice: () => undefined })
  const history = openPolicyHistory(table, store, { onProblem: () => undefined })
  for (let at = 0; at < 120; at++) {
    store.change((draft) => {
      const rule = draft.get('rule', EMEA_RULE)
      if (rule !== undefined) draft.put('rule', { ...rule, description: `version ${at}` })
    })
  }
  expect(history.list().length).toBe(100)
  expect(history.list().at(-1)?.revision).toBe(store.current().revision)
  expect(openPolicyHistory(table, store, { onProblem: () => undefined }).list().length).toBe(100)
  store.close()
})
