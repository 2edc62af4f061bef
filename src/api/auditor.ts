// Ties every change of the state to whoever asked for it: what a handler changes while it runs, across everything it awaits, is
// its caller's; what changes outside of any request is the lab's own doing.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Json, LabState, Touched } from '../config/lab-state.ts'
import { type AuditEntry, type AuditedChange, withoutSecrets } from '../store/audit-log.ts'
import { roleFor } from './access-control.ts'
import type { ApiPorts } from './ports.ts'
import type { ApiResponse } from './response.ts'
import type { Route, RouteCall } from './router.ts'

export interface Auditor {
  /** Runs a route's handler and records what it did, also where it failed half-way. `path`: as requested, without its query. */
  run(route: Route, call: Omit<RouteCall, 'noteChange'>, path: string): Promise<ApiResponse>
}

interface Doing {
  before: number | undefined
  readonly changes: AuditedChange[]
}

export function createAuditor({ plane, audit }: Pick<ApiPorts, 'plane' | 'audit'>): Auditor {
  const current = new AsyncLocalStorage<Doing>()
  let known = plane.current()
  plane.subscribe((snapshot, { revision, touched, member }) => {
    const changes = touched.map((touch) => changeOf(touch, known.state, snapshot.state))
    const before = known.revision
    known = snapshot
    const doing = current.getStore()
    if (doing !== undefined) {
      doing.before ??= before
      doing.changes.push(...changes)
    } else if (changes.length > 0) {
      const action = member === undefined ? 'a change outside the API' : 'a change at another member'
      const who = member === undefined ? LAB : { ...LAB, id: member, name: `member ${member}` }
      audit.append({ who, from: '', action, target: '', revision_before: before, revision, ...all(changes) })
    }
  })

  return {
    async run(route, call, path) {
      const doing: Doing = { before: undefined, changes: [] }
      const now = plane.current().revision
      const record = (isDone: boolean) => {
        const isAct = isDone && route.access === 'token' && route.method !== 'GET' && roleFor(route) !== 'viewer'
        if (doing.changes.length === 0 && !isAct) return
        const revisions = { revision_before: doing.before ?? now, revision: plane.current().revision }
        const action = `${route.method} ${route.path}`
        audit.append({ who: whoIs(call), from: call.peer, action, target: path, ...revisions, ...all(doing.changes) })
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

const LAB: AuditEntry['who'] = { kind: 'lab', id: '', name: 'the lab itself', role: null }

function whoIs({ principal, user }: Omit<RouteCall, 'noteChange'>): AuditEntry['who'] {
  if (principal !== undefined) {
    const { kind, id, name, role } = principal
    return { kind, id, name, role }
  }
  return user === '' ? LAB : { kind: 'user', id: user, name: user, role: null }
}

function all(changes: readonly AuditedChange[]) {
  return { changes, changes_left_out: 0 }
}

function changeOf({ kind, id, action }: Touched, before: LabState, after: LabState): AuditedChange {
  const valueIn = (state: LabState): Json => {
    const stored = state[kind].get(id)
    return stored === undefined || stored.deletedAt !== null ? null : withoutSecrets(stored.value as unknown as Json)
  }
  return { kind, id, action, before: valueIn(before), after: valueIn(after) }
}
