// What was, and who changed it: the kept revisions of the rules, with the way back, and the audit.

import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, wordsOf } from '../api/request.ts'
import type { AuditRow, OwnToken, RevisionRow } from '../api/shapes.ts'
import { sentence } from '../ui/explanation.tsx'
import { formatDay, formatTime } from '../ui/format.ts'
import { Empty, Loading, Notice } from '../ui/notice.tsx'
import { useResource } from '../ui/resource.ts'
import { ForRole } from '../who.tsx'

export function HistoryView(): JSX.Element {
  const role = useResource<OwnToken>('/lab/v1/token').value?.role
  return (
    <>
      <div class="view-head">
        <h1>History</h1>
        <p class="muted">What the rules were, and who changed what.</p>
      </div>
      <Revisions />
      {role === 'admin' && <Audit />}
      {role !== undefined && role !== 'admin' && (
        <Notice>Who changed what is for admins to see; you are {role}.</Notice>
      )}
    </>
  )
}

function Revisions(): JSX.Element {
  const revisions = useResource<RevisionRow[]>('/lab/v1/rules/revisions')
  const [told, setTold] = useState<{ readonly kind: 'good' | 'bad'; readonly text: string }>()
  if (revisions.value === undefined) return <Loading what="revisions" />
  const restore = (revision: number) =>
    ask('POST', `/lab/v1/rules/revisions/${revision}/restore`, { body: {} }).then(
      () => {
        setTold({ kind: 'good', text: `Rules and lists are those of revision ${revision} again.` })
        revisions.reload()
      },
      (thrown: unknown) => setTold({ kind: 'bad', text: sentence(wordsOf(thrown)) }),
    )
  return (
    <section class="card scroll-x" aria-labelledby="revisions-title" tabIndex={0}>
      <header>
        <h2 id="revisions-title">Revisions of the rules</h2>
      </header>
      {told !== undefined && <Notice kind={told.kind}>{told.text}</Notice>}
      <table>
        <thead>
          <tr>
            <th scope="col">Revision</th>
            <th scope="col">When</th>
            <th scope="col">What it changed</th>
            <th scope="col">Go back</th>
          </tr>
        </thead>
        <tbody>
          {revisions.value.map((row) => (
            <tr key={row.revision}>
              <td>
                {row.revision} {row.current && <span class="chip">in force</span>}
              </td>
              <td>{timeOf(row.at)}</td>
              <td>{changesOf(row)}</td>
              <td>
                {!row.current && (
                  <ForRole needs="admin">
                    <button
                      type="button"
                      class="small"
                      aria-label={`Restore revision ${row.revision}`}
                      onClick={() => void restore(row.revision)}
                    >
                      Restore
                    </button>
                  </ForRole>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

function Audit(): JSX.Element {
  const entries = useResource<AuditRow[]>('/lab/v1/audit?limit=100').value
  if (entries === undefined) return <Loading what="the audit" />
  if (entries.length === 0) return <Empty title="Nothing has been changed yet" />
  return (
    <section class="card scroll-x" aria-labelledby="audit-title" tabIndex={0}>
      <header>
        <h2 id="audit-title">Who changed what</h2>
      </header>
      <table>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Who</th>
            <th scope="col">From</th>
            <th scope="col">What</th>
            <th scope="col">Before and after</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={entry.id}>
              <td>{timeOf(entry.at)}</td>
              <td>
                {entry.who.name}
                {entry.who.role !== null && <span class="muted"> ({entry.who.role})</span>}
              </td>
              <td class="mono small">{entry.from}</td>
              <td>{doneOf(entry)}</td>
              <td>{entry.changes.length > 0 && <Details entry={entry} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

function Details({ entry: { id, changes } }: { readonly entry: AuditRow }): JSX.Element {
  return (
    <details>
      <summary aria-label={`Before and after, entry ${id}`}>show</summary>
      <pre class="small">
        {changes.map(({ before, after }) => `${JSON.stringify(before)}\n→ ${JSON.stringify(after)}`).join('\n')}
      </pre>
    </details>
  )
}

function changesOf({ changes }: RevisionRow): string {
  return changes.map(({ what, name }) => `${what} ${name}`).join(', ')
}

function doneOf({ action, changes, changes_left_out: left }: AuditRow): string {
  if (changes.length === 0) return action
  const named = changes.slice(0, 3).map(({ kind, id, action: done }) => `${kind} ${id} ${done}`)
  const more = changes.length + left - named.length
  return more > 0 ? `${named.join(', ')} and ${more} more` : named.join(', ')
}

function timeOf(text: string): string {
  const at = Date.parse(text)
  return `${formatDay(at)} ${formatTime(at)}`
}
