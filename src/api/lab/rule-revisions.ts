// The kept revisions of rules and lists: listed with what each changed, shown, and gone back to.

import type { Stored } from '../../config/lab-state.ts'
import { type KeptRevision, restoreRevision } from '../../store/policy-history.ts'
import { invalidField } from '../api-error.ts'
import { presentRule } from '../cloudflare/rules.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { POLICY_REVISION, RESTORED, REVISION_ROW } from '../shapes/lab.ts'

const PATH = '/lab/v1/rules/revisions'

export const RULE_REVISION_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'the kept revisions of rules and lists, newest first, with what each changed',
    access: 'token',
    answers: { kind: 'list', schema: REVISION_ROW },
    handle: ({ ports }) => listOf(rowsOf(ports.policyHistory.list())),
  },
  {
    method: 'GET',
    path: `${PATH}/{revision}`,
    summary: 'rules and lists as they were in a kept revision',
    access: 'token',
    answers: { kind: 'result', schema: POLICY_REVISION },
    handle: (call) => {
      const { revision, at, rules, lists } = wanted(call)
      const items = (list: Stored<'list'>) => list.value.items.map(({ value }) => value)
      return ok({
        revision,
        at: new Date(at).toISOString(),
        rules: byPrecedence(rules).map((rule) => presentRule(call, rule)),
        lists: lists.map((list) => ({
          id: list.value.id,
          name: list.value.name,
          type: list.value.type,
          items: items(list),
        })),
      })
    },
  },
  {
    method: 'POST',
    path: `${PATH}/{revision}/restore`,
    summary: 'restores rules and lists to a kept revision, in one step, as a new revision',
    access: 'token',
    answers: { kind: 'result', schema: RESTORED },
    body: { type: 'object', additionalProperties: false },
    handle: (call) => {
      const kept = wanted(call)
      const before = call.ports.plane.current().revision
      call.change((draft) => restoreRevision(draft, kept))
      const { revision } = call.ports.plane.current()
      return ok({ restored: kept.revision, revision, changed: revision !== before })
    },
  },
]

function wanted({ params, ports }: RouteCall): KeptRevision {
  const text = params.revision ?? ''
  if (!/^\d{1,15}$/.test(text)) throw invalidField('revision', `\`${text}\` is not the number of a revision`)
  return ports.policyHistory.find(Number(text))
}

function byPrecedence(rules: readonly Stored<'rule'>[]) {
  return rules.toSorted((a, b) => a.value.precedence - b.value.precedence)
}

function rowsOf(kept: readonly KeptRevision[]) {
  return kept
    .map(({ revision, at, rules, lists }, index) => ({
      revision,
      at: new Date(at).toISOString(),
      current: index === kept.length - 1,
      rules: rules.length,
      lists: lists.length,
      changes:
        index === 0 ? [] : [...changesOf(kept[index - 1]?.rules, rules), ...changesOf(kept[index - 1]?.lists, lists)],
    }))
    .toReversed()
}

type Named = Stored<'rule'> | Stored<'list'>

/** `added`, `changed`, `removed`, each with a name. */
function changesOf(before: readonly Named[] = [], after: readonly Named[]) {
  const old = new Map(before.map(({ value }) => [value.id as string, value]))
  const now = new Map(after.map(({ value }) => [value.id as string, value]))
  const told = (what: 'added' | 'changed' | 'removed', values: Iterable<Named['value']>) =>
    [...values].map(({ id, name }) => ({ what, id, name }))
  return [
    ...told(
      'added',
      [...now.values()].filter(({ id }) => !old.has(id)),
    ),
    ...told(
      'changed',
      [...now.values()].filter(
        (value) => old.has(value.id) && JSON.stringify(old.get(value.id)) !== JSON.stringify(value),
      ),
    ),
    ...told(
      'removed',
      [...old.values()].filter(({ id }) => !now.has(id)),
    ),
  ]
}
