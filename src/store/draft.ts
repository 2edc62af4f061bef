// One change in progress: copies only the kinds it touches, and records what it did. Checks nothing; the store checks
// the result.

import type { Documents, Draft, Kind, LabState, Stored, Touched } from '../config/lab-state.ts'
import type { RowChange } from './journal.ts'
import { deepFreeze, KEEPS_DELETED, toRow } from './overlay.ts'

export interface WorkingDraft extends Draft {
  /** Restores the file's document, or removes the document if the file has none. */
  restore<K extends Kind>(kind: K, id: string, declared: { value: Documents[K]; seed: string } | undefined): void
  result(): { readonly state: LabState; readonly touched: readonly Touched[]; readonly changes: readonly RowChange[] }
}

type Maps = { [K in Kind]: ReadonlyMap<string, Stored<K>> }

/** A draft based on a state, which is never altered. `now`: lab time, epoch ms. */
export function createDraft(before: LabState, now: number): WorkingDraft {
  const after: Maps = { ...before }
  const touched = new Map<string, { kind: Kind; id: string }>()

  const mapOf = <K extends Kind>(kind: K): ReadonlyMap<string, Stored<K>> => after[kind]
  const write = <K extends Kind>(kind: K, id: string, stored: Stored<K> | undefined) => {
    const copy = new Map(mapOf(kind))
    if (stored === undefined) copy.delete(id)
    else copy.set(id, Object.freeze({ ...stored, value: deepFreeze(stored.value) }))
    after[kind] = copy as Maps[K]
    touched.set(`${kind} ${id}`, { kind, id })
  }
  const live = <K extends Kind>(kind: K, id: string): Stored<K> | undefined => {
    const stored = mapOf(kind).get(id)
    return stored === undefined || stored.deletedAt !== null ? undefined : stored
  }

  return {
    now,
    get: (kind, id) => live(kind, id)?.value,
    all: (kind) => [...mapOf(kind).values()].filter(({ deletedAt }) => deletedAt === null).map(({ value }) => value),
    put(kind, value) {
      const old = mapOf(kind).get(value.id)
      const isNew = old === undefined || old.deletedAt !== null
      write(kind, value.id, {
        value,
        version: isNew ? 1 : old.version + 1,
        createdAt: isNew ? now : old.createdAt,
        updatedAt: now,
        deletedAt: null,
        source: 'api',
        seed: old?.seed ?? null,
      })
    },
    remove(kind, id) {
      const old = live(kind, id)
      if (old === undefined) return false
      const keep = old.seed !== null || KEEPS_DELETED.has(kind)
      write(kind, id, keep ? { ...old, updatedAt: now, deletedAt: now, source: 'api' } : undefined)
      return true
    },
    restore(kind, id, declared) {
      const old = mapOf(kind).get(id)
      if (declared === undefined) return write(kind, id, undefined)
      const history = old === undefined ? { version: 1, createdAt: now } : { ...old, version: old.version + 1 }
      write(kind, id, { ...history, ...declared, updatedAt: now, deletedAt: null, source: 'file' })
    },
    result: () => finish(before, after, [...touched.values()]),
  }
}

function finish(before: LabState, after: LabState, marks: readonly { kind: Kind; id: string }[]) {
  const touched: Touched[] = []
  const changes: RowChange[] = []
  for (const { kind, id } of marks) {
    const old = before[kind].get(id) as Stored | undefined
    const stored = after[kind].get(id) as Stored | undefined
    if (old === stored) continue
    changes.push(stored === undefined ? { erase: { kind, id } } : { write: toRow(kind, stored) })
    const was = old !== undefined && old.deletedAt === null
    const is = stored !== undefined && stored.deletedAt === null
    if (was || is) touched.push({ kind, id, action: was ? (is ? 'updated' : 'deleted') : 'created' })
  }
  return { state: Object.freeze(after), touched, changes }
}
