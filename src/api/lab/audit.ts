// The audit, newest first: who changed what, when and from where.

import type { AuditEntry } from '../../store/audit-log.ts'
import { listOf } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { instantOf, integerOf, textOf } from '../select.ts'
import { AUDIT_ENTRY } from '../shapes/lab.ts'

const MOST = 1000
const LAST_REVISION = 999_999_999_999_999
const TEXT = { type: 'string' } as const

export const AUDIT_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/lab/v1/audit',
    summary: 'who changed what, when and from where, before and after; newest first',
    access: 'token',
    role: 'admin',
    answers: { kind: 'list', schema: AUDIT_ENTRY },
    query: [
      { name: 'limit', schema: { type: 'integer', minimum: 1, maximum: MOST }, description: 'maximum number; 100' },
      { name: 'who', schema: TEXT, description: 'only changes by this token (name or id) or user (email)' },
      { name: 'kind', schema: TEXT, description: 'only changes to this kind of thing, such as `rule` or `token`' },
      { name: 'id', schema: TEXT, description: 'only changes to the thing with this id' },
      {
        name: 'revision',
        schema: { type: 'integer', minimum: 0, maximum: LAST_REVISION },
        description: 'only the change that made this revision',
      },
      { name: 'since', schema: { type: 'string', format: 'date-time' }, description: 'only changes from this time on' },
    ],
    handle: list,
  },
]

function list({ query, ports }: RouteCall) {
  const [who, kind, id, since] = [
    textOf(query, 'who'),
    textOf(query, 'kind'),
    textOf(query, 'id'),
    instantOf(query, 'since'),
  ]
  const revision = integerOf(query, 'revision', 0, LAST_REVISION)
  const fits = (entry: AuditEntry) =>
    (who === undefined || entry.who.name === who || entry.who.id === who) &&
    (kind === undefined || entry.changes.some((change) => change.kind === kind)) &&
    (id === undefined || entry.changes.some((change) => change.id === id)) &&
    (revision === undefined || (entry.revision_before < revision && revision <= entry.revision)) &&
    (since === undefined || Date.parse(entry.at) >= since)
  const found = ports.audit.list().filter(fits)
  return listOf(found.slice(-(integerOf(query, 'limit', 1, MOST) ?? 100)).toReversed())
}
