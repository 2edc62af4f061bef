// Ties every change of the state to whoever asked for it: what a handler changes while it runs, across everything it awaits, is
// its caller's; what changes outside of any request is the lab's own doing. The entry is committed together with the change.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Json, LabState, Touched } from '../config/lab-state.ts'
import { type AuditEntry, type AuditedChange, type OpenAuditEntry, withoutSecrets } from '../store/audit-log.ts'
import { roleFor } from './access-control.ts'
import type { ApiPorts, ControlPlaneChange } from './ports.ts'
import type { ApiResponse } from './response.ts'
import type { Route, RouteCall } from './router.ts'

export interface Auditor {
  /** Runs a route's handler and records what it did, also where it failed half-way. `path`: as requested, without its query. */
  run(route: Route, call: Omit<RouteCall, 'noteChange'>, path: string): Promise<ApiResponse>
}

/** Something that is being done, and what it has changed so far. */
interface Doing {
  readonly by: Pick<AuditEntry, 'who' | 'from' | 'action' | 'target'>
  /** revisions of the state: before the first of its changes, and by the last */
  before: number | undefined
  revision: number | undefined
  readonly changes: AuditedChange[]
  readonly entry: OpenAuditEntry
}

/** Writes an audit entry for every change of the state: with who asked, where it came through the API; as the lab's
 *  own or another member's, where it did not. An entry is committed with its change or not at all. */
export function createAuditor({ plane, audit }: Pick<ApiPorts, 'plane' | 'audit'>): Auditor {
  const current = new AsyncLocalStorage<Doing>()
  const begin = (by: Doing['by']): Doing => ({
    by,
    before: undefined,
    revision: undefined,
    changes: [],
    entry: audit.begin(),
  })
  const outside = ({ member }: ControlPlaneChange): Doing => {
    const action = member === undefined ? 'a change outside the API' : 'a change at another member'
    const who = member === undefined ? LAB : { ...LAB, id: member, name: `member ${member}` }
    return begin({ who, from: '', action, target: '' })
  }
  const witnessed = new WeakMap<ControlPlaneChange, () => void>()
  plane.witness((next, change) => {
    const { state, revision: before } = plane.current()
    const changes = change.touched.map((touch) => changeOf(touch, state, next.state))
    const asked = current.getStore()
    const doing = asked ?? outside(change)
    const all = entryOf(doing, {
      before: doing.before ?? before,
      revision: change.revision,
      changes: [...doing.changes, ...changes],
    })
    witnessed.set(change, () => {
      doing.before ??= before
      doing.revision = change.revision
      doing.changes.push(...changes)
      if (asked === undefined && changes.length > 0) doing.entry.close(all)
    })
    if (changes.length > 0) doing.entry.keep(all)
  })
  // only now is it made: the commit may have failed after its witness
  plane.subscribe((_snapshot, change) => witnessed.get(change)?.())

  return {
    async run(route, call, path) {
      const by = { who: whoIs(call), from: call.peer, action: `${route.method} ${route.path}`, target: path }
      const doing = begin(by)
      const now = plane.current().revision
      const record = (isDone: boolean) => {
        const isAct = isDone && route.access === 'token' && route.method !== 'GET' && roleFor(route) !== 'viewer'
        const { changes, before = now, revision = plane.current().revision } = doing
        if (changes.length === 0 && !isAct) return
        doing.entry.close(entryOf(doing, { before, revision, changes }))
      }
      let isDone = false
      try {
        const noteChange = (change: AuditedChange) => void doing.changes.push(change)
        const answer = await current.run(doing, async () => route.handle({ ...call, noteChange }))
        isDone = true
        return answer
      } finally {
        record(isDone)
      }
    },
  }
}

interface Done {
  readonly before: number
  readonly revision: number
  readonly changes: readonly AuditedChange[]
}

function entryOf({ by }: Doing, { before, revision, changes }: Done): Parameters<OpenAuditEntry['close']>[0] {
  return { ...by, revision_before: before, revision, changes, changes_left_out: 0 }
}

const LAB: AuditEntry['who'] = { kind: 'lab', id: '', name: 'the lab itself', role: null }

function whoIs({ principal, user }: Omit<RouteCall, 'noteChange'>): AuditEntry['who'] {
  if (principal !== undefined) {
    const { kind, id, name, role } = principal
    return { kind, id, name, role }
  }
  return user === '' ? LAB : { kind: 'user', id: user, name: user, role: null }
}

function changeOf({ kind, id, action }: Touched, before: LabState, after: LabState): AuditedChange {
  const valueIn = (state: LabState): Json => {
    const stored = state[kind].get(id)
    return stored === undefined || stored.deletedAt !== null ? null : withoutSecrets(stored.value as unknown as Json)
  }
  return { kind, id, action, before: valueIn(before), after: valueIn(after) }
}
