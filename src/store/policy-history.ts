// The last revisions of the policy, rules and lists, kept with the state so that one can be gone back to. Other changes, of data
// centers or the clock, are no revision here.

import type { Draft, LabState, Stored } from '../config/lab-state.ts'
import { ChangeError } from '../errors/change-error.ts'
import type { JournalRow, RecordTable } from './journal.ts'
import { fromRow, toRow } from './overlay.ts'
import type { Store } from './store.ts'

export interface KeptRevision {
  readonly revision: number
  /** epoch ms of the machine */
  readonly at: number
  /** in the order they were made */
  readonly rules: readonly Stored<'rule'>[]
  readonly lists: readonly Stored<'list'>[]
}

export interface PolicyHistory {
  /** oldest first; the last one is the policy in force */
  list(): readonly KeptRevision[]
  /** Throws ChangeError `change.not_found`. */
  find(revision: number): KeptRevision
}

const MOST_REVISIONS = 100
const MOST_BYTES = 32 * 1024 * 1024

interface Row {
  readonly revision: number
  readonly at: number
  readonly rows: readonly JournalRow[]
}

/** Keeps every revision of this store's policy from now on. `now` is machine time, epoch ms. */
export function openPolicyHistory(
  table: RecordTable,
  store: Pick<Store, 'current' | 'subscribe'>,
  { onProblem, now = Date.now }: { readonly onProblem: (message: string) => void; readonly now?: () => number },
): PolicyHistory {
  const kept = table.all().map(({ key, body }) => ({ key, bytes: body.length }))
  let last = contentOf((JSON.parse(table.all().at(-1)?.body ?? '{"rows":[]}') as Row).rows)
  const keep = () => {
    const { revision, state } = store.current()
    const rows = rowsOf(state)
    const content = contentOf(rows)
    if (content === last && kept.length > 0) return
    const body = JSON.stringify({ revision, at: now(), rows } satisfies Row)
    try {
      table.put(String(revision), body)
      last = content
      kept.push({ key: String(revision), bytes: body.length })
      let bytes = kept.reduce((sum, each) => sum + each.bytes, 0)
      while (kept[0] !== undefined && kept.length > 2 && (kept.length > MOST_REVISIONS || bytes > MOST_BYTES)) {
        table.remove(kept[0].key)
        bytes -= kept[0].bytes
        kept.shift()
      }
    } catch (thrown) {
      onProblem(
        `revision ${revision} of the policy could not be kept: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
      )
    }
  }
  keep()
  store.subscribe((_snapshot, { touched }) => {
    if (touched.some(({ kind }) => kind === 'rule' || kind === 'list')) keep()
  })
  const list = () => table.all().map(({ body }) => readRow(JSON.parse(body) as Row))
  return {
    list,
    find(revision) {
      const found = list().find((each) => each.revision === revision)
      if (found !== undefined) return found
      throw new ChangeError(
        'change.not_found',
        `revision ${revision} of the policy is not kept; \`egresslab rules history\` lists those that are`,
      )
    },
  }
}

/** Makes rules and lists what they were; what is the same already stays untouched. */
export function restoreRevision(draft: Draft, { rules, lists }: KeptRevision): void {
  const wanted = { rule: rules, list: lists }
  for (const kind of ['rule', 'list'] as const) {
    const values = new Map(wanted[kind].map(({ value }) => [value.id as string, value]))
    for (const { id } of draft.all(kind)) if (!values.has(id)) draft.remove(kind, id)
    for (const value of values.values()) {
      if (JSON.stringify(draft.get(kind, value.id)) !== JSON.stringify(value)) draft.put(kind, value)
    }
  }
}

function rowsOf(state: LabState): JournalRow[] {
  const live = <K extends 'rule' | 'list'>(kind: K) =>
    ([...state[kind].values()] as Stored<K>[])
      .filter(({ deletedAt }) => deletedAt === null)
      .map((each) => toRow(kind, each))
  return [...live('rule'), ...live('list')]
}

/** What tells two revisions apart: the documents themselves, not when or by whom they were written. */
function contentOf(rows: readonly JournalRow[]): string {
  return rows.map(({ kind, body }) => `${kind} ${body}`).join('\n')
}

function readRow({ revision, at, rows }: Row): KeptRevision {
  const rules = rows.filter(({ kind }) => kind === 'rule').map((row) => fromRow<'rule'>(row))
  const lists = rows.filter(({ kind }) => kind === 'list').map((row) => fromRow<'list'>(row))
  return { revision, at, rules, lists }
}
