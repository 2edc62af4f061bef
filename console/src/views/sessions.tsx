// Every session there is: a table that follows along, can be held still, and is filtered by what is in the address.

import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { ListedListener, Person, Row } from '../api/shapes.ts'
import { FACETS, type Facet } from '../live/facets.ts'
import { addressOf, filterFrom, NO_FILTER, prepareSearch, select } from '../live/session-filter.ts'
import { allRows, firstSeen, leftOut, values, version } from '../live/session-store.ts'
import { connection, fleet } from '../live/traffic.ts'
import { location, navigate } from '../router.ts'
import { useNarrow } from '../theme.ts'
import { formatBytes, formatDuration, formatTime, plural, sentence, shortAddress } from '../ui/format.ts'
import { Empty, Loading } from '../ui/notice.tsx'
import { LetIn, OUTCOME_WORDS, OutcomeBadge, type Tone, toneOf } from '../ui/outcome.tsx'
import { useResource } from '../ui/resource.ts'
import { VirtualRows } from '../ui/virtual-rows.tsx'
import { curlLine } from './connect.tsx'
import { OthersMissing } from './fleet.tsx'
import { SessionDrawer } from './session-drawer.tsx'

const FACET_WORDS: Readonly<Record<Facet, string>> = {
  user: 'User',
  vnet: 'Network',
  rule: 'Rule',
  egress: 'Egress IP',
  outcome: 'Outcome',
  let_in: 'Let in',
  member: 'Member',
}

export function SessionsView(): JSX.Element {
  const { query } = location.value
  const filter = filterFrom(query)
  const opened = query.get('id') ?? undefined
  const [paused, setPaused] = useState(false)
  const rows = useRows(paused, addressOf(filter))
  const choices = useChoices()
  const isFiltered = addressOf(filter) !== '/sessions'
  const narrow = useNarrow()
  usePreparedSearch()

  const set = (change: Partial<typeof filter>) => navigate(addressOf({ ...filter, ...change }), { replace: true })
  const open = (id: string | undefined) => {
    const to = new URL(addressOf(filter), window.location.href)
    if (id !== undefined) to.searchParams.set('id', id)
    navigate(to.pathname + to.search, { replace: true })
  }

  return (
    <section class="sessions-view" aria-labelledby="sessions-title">
      <div class="view-head">
        <h1 id="sessions-title">Sessions</h1>
        <p class="muted">
          {plural(rows.shown.length, 'session')}
          {isFiltered ? ` of ${rows.all.length.toLocaleString('en')}` : ''}
          {leftOut.value > 0 ? `, ${leftOut.value.toLocaleString('en')} more were too fast to list` : ''}
        </p>
      </div>
      <search class="filters">
        <label class="field grow">
          <span class="hidden-label">Search sessions</span>
          <input
            type="search"
            placeholder="Search sessions"
            value={filter.text}
            onInput={({ currentTarget }) => set({ text: currentTarget.value })}
          />
        </label>
        <Facets narrow={narrow} used={FACETS.filter((facet) => filter[facet] !== '').length}>
          {FACETS.filter((facet) => facet !== 'member' || fleet.value !== undefined).map((facet) => (
            <FacetSelect
              key={facet}
              facet={facet}
              value={filter[facet]}
              values={choices[facet]}
              onChange={(value) => set({ [facet]: value })}
            />
          ))}
        </Facets>
        {isFiltered && (
          <button type="button" class="quiet" onClick={() => set(NO_FILTER)}>
            Clear
          </button>
        )}
        <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
          {paused ? `▶ Resume${rows.missed > 0 ? ` (${rows.missed} new)` : ''}` : '❚❚ Pause'}
        </button>
      </search>
      <OthersMissing />
      <div class="card sessions-card">
        {rows.shown.length === 0 ? (
          <NoSessions isFiltered={isFiltered} />
        ) : (
          <Table rows={rows.shown} narrow={narrow} opened={opened} open={open} />
        )}
      </div>
      {opened !== undefined && <SessionDrawer id={opened} onClose={() => open(undefined)} />}
    </section>
  )
}

const PREPARE_MS = 1000

/** Sessions that have come since are ready to be searched before a key asks for it. */
function usePreparedSearch(): void {
  useEffect(() => {
    let stop = prepareSearch(allRows())
    const timer = setInterval(() => {
      stop()
      stop = prepareSearch(allRows())
    }, PREPARE_MS)
    return () => {
      clearInterval(timer)
      stop()
    }
  }, [])
}

/** What there is to choose from, sorted. */
function useChoices(): Readonly<Record<Facet, readonly string[]>> {
  const seen = firstSeen.value
  return useMemo(() => {
    const sorted = (facet: Facet) => (seen < 0 ? [] : [...values[facet]].sort())
    return {
      user: sorted('user'),
      vnet: sorted('vnet'),
      rule: sorted('rule'),
      egress: sorted('egress'),
      outcome: sorted('outcome'),
      let_in: sorted('let_in'),
      member: sorted('member'),
    }
  }, [seen])
}

interface Rows {
  readonly all: readonly Row[]
  readonly shown: readonly Row[]
  /** sessions that came while paused */
  readonly missed: number
}

/** The rows to show; held still while paused. `address` stands for the filter. */
function useRows(paused: boolean, address: string): Rows {
  const seen = version.value
  const held = useRef<readonly Row[] | undefined>(undefined)
  const missedFrom = useRef(0)
  useEffect(() => {
    if (!paused) held.current = undefined
  }, [paused])
  if (paused && held.current === undefined) {
    held.current = allRows().map((row) => ({ ...row }))
    missedFrom.current = allRows().length + leftOut.value
  }
  const all = paused && held.current !== undefined ? held.current : allRows()
  const key = paused ? -1 : seen
  const shown = useMemo(
    () => (key < -1 ? [] : select(all, filterFrom(new URL(address, window.location.href).searchParams))),
    [all, key, address],
  )
  return { all, shown, missed: paused ? allRows().length + leftOut.value - missedFrom.current : 0 }
}

interface FacetsProps {
  readonly narrow: boolean
  /** how many of them are set */
  readonly used: number
  readonly children: ComponentChildren
}

/** Behind a word on a phone. */
function Facets({ narrow, used, children }: FacetsProps): JSX.Element {
  if (!narrow) return <>{children}</>
  return (
    <details class="facets" open={used > 0}>
      <summary>{used === 0 ? 'Filters' : `Filters (${used})`}</summary>
      <div class="filters">{children}</div>
    </details>
  )
}

interface FacetSelectProps {
  readonly facet: Facet
  readonly value: string
  readonly values: readonly string[]
  readonly onChange: (value: string) => void
}

function FacetSelect({ facet, value, values, onChange }: FacetSelectProps): JSX.Element {
  const options = useMemo(() => {
    const words = (option: string) => (facet === 'outcome' ? (OUTCOME_WORDS[option as Tone] ?? option) : option)
    const all = value === '' || values.includes(value) ? values : [...values, value]
    return all.map((option) => (
      <option key={option} value={option}>
        {words(option)}
      </option>
    ))
  }, [facet, value, values])
  return (
    <label class="field">
      <span class="hidden-label">{FACET_WORDS[facet]}</span>
      <select value={value} onChange={({ currentTarget }) => onChange(currentTarget.value)}>
        <option value="">{FACET_WORDS[facet]}: all</option>
        {options}
      </select>
    </label>
  )
}

interface TableProps {
  readonly narrow: boolean
  readonly rows: readonly Row[]
  readonly opened: string | undefined
  readonly open: (id: string) => void
}

const HEADS = ['Time', 'User', 'To', 'Outcome', 'Left from', 'Way', 'Rule or error', 'Data', 'Took'] as const

function Table({ rows, narrow, opened, open }: TableProps): JSX.Element {
  return (
    <VirtualRows
      rows={rows}
      label="Sessions, newest first"
      columns={HEADS.length}
      rowRem={narrow ? 7.5 : 3}
      selected={opened}
      onOpen={({ id }) => open(id)}
      head={HEADS.map((head) => (
        <span key={head} role="columnheader" class={`cell-${head.toLowerCase().replaceAll(' ', '-')}`}>
          {head}
        </span>
      ))}
      rowClass={({ open: isOpen }) => (isOpen ? 'is-open' : '')}
      render={(row) => <Cells key={row.open ? 'open' : 'finished'} row={row} />}
    />
  )
}

/** A row is painted once as open and once as finished; scrolling by paints nothing anew. */
function Cells({ row }: { readonly row: Row }): JSX.Element {
  return useMemo(() => cellsOf(row), [row])
}

function cellsOf(row: Row): JSX.Element {
  return (
    <>
      <span role="gridcell" class="cell-time muted">
        {formatTime(row.at)}
      </span>
      <span role="gridcell" class="cell-user" title={row.user}>
        {row.user === '' ? <span class="muted">nobody</span> : row.user.replace(/@.*$/, '')}{' '}
        {row.vnet !== '' && <span class="cell-network muted">{row.vnet}</span>}
      </span>
      <span role="gridcell" class="cell-to" title={`${row.target} ${row.origin}`}>
        {row.target === '' ? '–' : row.target}
      </span>
      <span role="gridcell" class="cell-outcome">
        <OutcomeBadge tone={toneOf(row)} />
        <LetIn row={row} />
      </span>
      <span role="gridcell" class="cell-left-from mono" title={row.egress}>
        {row.egress === '' ? '–' : shortAddress(row.egress)}
      </span>
      <span role="gridcell" class="cell-way" title={wayInWords(row)}>
        {row.ingress === '' ? '–' : `${row.ingress} → ${row.physical === '' ? '✕' : row.physical}`}
      </span>
      <span role="gridcell" class="cell-rule" title={row.error === null ? row.rule : row.error.message}>
        <span>
          {row.error !== null && <span class="let-out">{sentence(row.error.message)} </span>}
          {row.rule === '' ? row.error === null && <span class="muted">no rule</span> : row.rule}
        </span>
      </span>
      <span role="gridcell" class="cell-data">
        {formatBytes(row.received + row.sent)}
      </span>
      <span role="gridcell" class="cell-took">
        {row.open ? <span class="chip">open</span> : formatDuration(row.ms)}
      </span>
    </>
  )
}

function wayInWords({ ingress, physical, logical, member }: Row): string {
  if (ingress === '') return ''
  const out = physical === '' ? 'no egress' : `left at ${physical}`
  return `in at ${ingress}${member === '' ? '' : ` (member ${member})`}, ${out}${logical === '' ? '' : `, seen as ${logical}`}`
}

function NoSessions({ isFiltered }: { readonly isFiltered: boolean }): JSX.Element {
  if (connection.value === 'connecting') return <Loading what="sessions" />
  if (isFiltered) return <Empty title="No session matches this filter" />
  return (
    <Empty title="No sessions yet">
      <FirstRequest />
    </Empty>
  )
}

function FirstRequest(): JSX.Element {
  const listener = useResource<ListedListener[]>('/lab/v1/listeners').value?.[0]
  const people = useResource<Person[]>('/lab/v1/users').value
  return (
    <>
      <p>Send something through the proxy and watch it appear:</p>
      {listener !== undefined && people !== undefined && <code>{curlLine(listener, people[0]?.email ?? '')}</code>}
      <p>
        <a href="/connect">Connect</a> has the line for each person, and what browsers need.
      </p>
    </>
  )
}
