// What was, and who changed it: the kept revisions of the rules, with the way back, and the audit.

import { Fragment, type JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, wordsOf } from '../api/request.ts'
import type { AuditRow, OwnToken, RevisionRow } from '../api/shapes.ts'
import { formatDay, formatTime, plural, sentence } from '../ui/format.ts'
import { Empty, Notice, Waiting } from '../ui/notice.tsx'
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
  if (revisions.value === undefined) return <Waiting for={revisions} what="revisions" />
  const restore = (revision: number) =>
    ask('POST', `/lab/v1/rules/revisions/${revision}/restore`, { body: {} }).then(
      () => {
        setTold({ kind: 'good', text: `Rules and lists are those of revision ${revision} again.` })
        revisions.reload()
      },
      (thrown: unknown) => setTold({ kind: 'bad', text: sentence(wordsOf(thrown)) }),
    )
  return (
    <section class="card scroll-x table-card" aria-labelledby="revisions-title" tabIndex={0}>
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
              <td class="nowrap half">
                <strong>{row.revision}</strong> {row.current && <span class="chip">in force</span>}
              </td>
              <td class="nowrap">{timeOf(row.at)}</td>
              <td class="whole">
                <Changed row={row} />
              </td>
              <td class="whole">
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

/** As many changes as can be read at a glance; more stand behind their number. */
const AT_A_GLANCE = 4

function Changed({ row: { revision, changes } }: { readonly row: RevisionRow }): JSX.Element {
  if (changes.length === 0) return <span class="muted">the oldest that is kept</span>
  const lines = (
    <ul class="plain-list">
      {changes.map(({ what, id, name }) => (
        <li key={id}>
          {what} <strong>{name}</strong>
        </li>
      ))}
    </ul>
  )
  if (changes.length <= AT_A_GLANCE) return lines
  return (
    <details>
      <summary aria-label={`What revision ${revision} changed`}>{plural(changes.length, 'change')}</summary>
      {lines}
    </details>
  )
}

function Audit(): JSX.Element {
  const audit = useResource<AuditRow[]>('/lab/v1/audit?limit=100')
  const entries = audit.value
  if (entries === undefined) return <Waiting for={audit} what="the audit" />
  if (entries.length === 0) return <Empty title="Nothing has been changed yet" />
  return (
    <section class="card scroll-x table-card" aria-labelledby="audit-title" tabIndex={0}>
      <header>
        <h2 id="audit-title">Who changed what</h2>
      </header>
      <table>
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col">Who</th>
            <th scope="col">When</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={entry.id}>
              <td>
                <Done entry={entry} />
              </td>
              <td class="nowrap">
                {entry.who.name}
                {entry.who.role !== null && <span class="muted"> ({entry.who.role})</span>}{' '}
                <div class="muted small">from {entry.from}</div>
              </td>
              <td class="nowrap">{timeOf(entry.at)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

/** What was changed, by name; opens to what was before and after. */
function Done({ entry: { action, changes, changes_left_out: left } }: { readonly entry: AuditRow }): JSX.Element {
  if (changes.length === 0) return <code>{action}</code>
  const named = changes.slice(0, AT_A_GLANCE - 1)
  const more = changes.length + left - named.length
  return (
    <details class="change">
      <summary>
        {named.map((change, at) => (
          <span key={change.id}>
            {at > 0 && ', '}
            {change.action} {change.kind} {change.id !== ONLY_ONE && <strong>{nameOf(change)}</strong>}
          </span>
        ))}
        {more > 0 && ` and ${more} more`}
      </summary>
      {changes.map((change) => (
        <Difference key={change.id} change={change} isAlone={changes.length === 1} />
      ))}
      {left > 0 && <p class="muted small">{plural(left, 'further change')} are not kept.</p>}
    </details>
  )
}

type Change = AuditRow['changes'][number]

/** The id of things there is one of, such as the clock. */
const ONLY_ONE = 'lab'

interface DifferenceProps {
  readonly change: Change
  readonly isAlone: boolean
}

function Difference({ change, isAlone }: DifferenceProps): JSX.Element {
  return (
    <>
      {!isAlone && <p class="small">{nameOf(change)}</p>}
      <dl class="rule-body small">
        {differences(change).map(({ field, before, after }) => (
          <Fragment key={field}>
            <dt>{field}</dt>
            <dd>
              {before !== '' && <del>{before}</del>} {after !== '' && <ins>{after}</ins>}
            </dd>
          </Fragment>
        ))}
      </dl>
    </>
  )
}

function nameOf({ id, before, after }: Change): string {
  const known = [after, before].find((one) => one !== null && typeof one === 'object')
  const { name, email } = (known ?? {}) as { readonly name?: unknown; readonly email?: unknown }
  return [name, email].find((one) => typeof one === 'string' && one !== '')?.toString() ?? id
}

interface FieldChange {
  /** `egress ipv4 fallback` */
  readonly field: string
  readonly before: string
  readonly after: string
}

function differences({ before, after }: Change): FieldChange[] {
  const [one, other] = [new Map(fieldsOf(before)), new Map(fieldsOf(after))]
  const fields = [...new Set([...one.keys(), ...other.keys()])]
  return fields.flatMap((field) => {
    const [old, now] = [one.get(field) ?? [], other.get(field) ?? []]
    const [gone, come] = [old.filter((each) => !now.includes(each)), now.filter((each) => !old.includes(each))]
    return gone.length + come.length === 0 ? [] : [{ field, before: gone.join('\n'), after: come.join('\n') }]
  })
}

/** Every field with its values as text; the id says nothing to people, and what is empty is left out. */
function fieldsOf(value: unknown, above = ''): (readonly [field: string, values: readonly string[]])[] {
  if (value === null || value === undefined || value === '') return []
  if (typeof value !== 'object' || Array.isArray(value)) return [[above === '' ? 'value' : above, textsOf(value)]]
  return Object.entries(value).flatMap(([key, each]) => {
    if (key === 'id') return []
    // a rule as Cloudflare has it says there what it says above as well
    if (key === 'rest' || key === 'rule_settings') return fieldsOf(each, above)
    return fieldsOf(each, `${above} ${inWords(key)}`.trim())
  })
}

/** Of a list its items, of which those that came and went are told. */
function textsOf(value: unknown): string[] {
  const all: readonly unknown[] = Array.isArray(value) ? value : [value]
  return all.map((each) => {
    const item = each !== null && typeof each === 'object' && 'value' in each ? each.value : each
    return typeof item === 'string' ? item : JSON.stringify(item)
  })
}

function inWords(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replaceAll('_', ' ')
}

function timeOf(text: string): string {
  const at = Date.parse(text)
  return `${formatDay(at)} ${formatTime(at)}`
}
