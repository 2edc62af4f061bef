// Who leaves from where, as one grid: people down, destinations across, and whether the destination lets them in. Taking data
// centers out here asks what would be; the lab stays as it is.

import type { JSX } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { Account, Matrix } from '../api/shapes.ts'
import { location, navigate } from '../router.ts'
import { plural } from '../ui/format.ts'
import { Empty, Waiting } from '../ui/notice.tsx'
import { OUTCOME_WORDS, OutcomeShape, type Tone } from '../ui/outcome.tsx'
import { useResource } from '../ui/resource.ts'
import { SelectField } from '../ui/select.tsx'
import { type Cell, CellDrawer, isChanged, type Verdict, wordsOfCell } from './matrix-cell.tsx'
import { VerifyForm } from './verify.tsx'

/** More is nothing to look at. */
const MOST_CELLS = 12_000

interface Asked {
  readonly vnets: string
  readonly family: string
  readonly group: string
  readonly down: readonly string[]
}

function askedIn(query: URLSearchParams): Asked {
  const read = (name: string) => query.get(name) ?? ''
  return {
    vnets: read('vnets'),
    family: read('family'),
    group: read('groups'),
    down: read('down').split(',').filter(Boolean),
  }
}

function queryOf({ vnets, family, group, down }: Asked): string {
  const given = Object.entries({ vnets, family, groups: group, down: down.join(',') }).filter(
    ([, value]) => value !== '',
  )
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}

export function MatrixView(): JSX.Element {
  const asked = askedIn(location.value.query)
  const matrix = useResource<Matrix>(`/lab/v1/matrix${queryOf(asked)}`)
  const [kept, setKept] = useState<Matrix>()
  const [opened, setOpened] = useState<Cell>()
  useEffect(() => {
    if (matrix.value !== undefined) setKept(matrix.value)
  }, [matrix.value])
  const shown = matrix.value ?? kept
  const set = (change: Partial<Asked>) => navigate(`/matrix${queryOf({ ...asked, ...change })}`, { replace: true })
  return (
    <>
      <div class="view-head">
        <h1>Who leaves from where</h1>
        {shown !== undefined && <Summary matrix={shown} down={asked.down} />}
      </div>
      <Questions asked={asked} set={set} />
      {shown === undefined && <Waiting for={matrix} what="the matrix" />}
      {shown !== undefined && <Grid matrix={shown} onOpen={setOpened} />}
      <Legend />
      <VerifyForm />
      {opened !== undefined && shown !== undefined && (
        <CellDrawer matrix={shown} cell={opened} asked={asked} onClose={() => setOpened(undefined)} />
      )}
    </>
  )
}

function Summary({ matrix, down }: { readonly matrix: Matrix; readonly down: readonly string[] }): JSX.Element {
  const cells = cellsOf(matrix).flat()
  const people = matrix.rows.map(({ users }) => users.length)
  const places = matrix.columns.map(({ destinations }) => destinations.length)
  const count = (fits: (cell: Cell) => boolean) =>
    cells.filter(fits).reduce((sum, { row, column }) => sum + (people[row] ?? 0) * (places[column] ?? 0), 0)
  const letIn = count(({ now }) => now.let_in === true)
  const refused = count(({ now }) => now.let_in === false)
  const changed = count(isChanged)
  return (
    <p class="muted" role="status">
      Let in {letIn.toLocaleString('en')}, refused {refused.toLocaleString('en')} of{' '}
      {plural(letIn + refused, 'connection')} to services with an allowlist.
      {down.length > 0 && (
        <strong>
          {' '}
          {plural(changed, 'connection')} would change without {down.join(', ')}.
        </strong>
      )}
    </p>
  )
}

interface QuestionsProps {
  readonly asked: Asked
  readonly set: (change: Partial<Asked>) => void
}

function Questions({ asked, set }: QuestionsProps): JSX.Element {
  const account = useResource<Account>('/lab/v1/account').value
  const groups = useGroups()
  const colos = [...new Set((account?.dedicated_ips ?? []).map(({ colo }) => colo))]
  const toggle = (code: string) =>
    set({ down: asked.down.includes(code) ? asked.down.filter((each) => each !== code) : [...asked.down, code] })
  return (
    <div class="matrix-questions">
      <SelectField
        label="Virtual networks"
        value={asked.vnets}
        options={[
          ['', 'each person’s own'],
          ['all', 'all'],
        ]}
        onChange={(vnets) => set({ vnets })}
      />
      <SelectField
        label="Group"
        value={asked.group}
        options={[['', 'everybody'], ...groups.map((group) => [group, group] as const)]}
        onChange={(group) => set({ group })}
      />
      <SelectField
        label="Address family"
        value={asked.family}
        options={[
          ['', 'the one tried first'],
          ['4', 'IPv4'],
          ['6', 'IPv6'],
        ]}
        onChange={(family) => set({ family })}
      />
      <fieldset class="field">
        <legend>What if down</legend>
        <div class="row">
          {colos.map((code) => (
            <button
              key={code}
              type="button"
              class="small colo-toggle"
              aria-label={`${code} down`}
              aria-pressed={asked.down.includes(code)}
              onClick={() => toggle(code)}
            >
              {code}
            </button>
          ))}
        </div>
      </fieldset>
    </div>
  )
}

function useGroups(): readonly string[] {
  const people = useResource<{ readonly groups: readonly string[] }[]>('/lab/v1/users').value
  return useMemo(() => [...new Set((people ?? []).flatMap(({ groups }) => groups))].sort(), [people])
}

/** The cells of the last scenario, each with what it was in the first. */
function cellsOf({ cells, verdicts, scenarios }: Matrix): Cell[][] {
  const [first = [], last = first] = [cells[0], cells[scenarios.length - 1]]
  return last.map((places, row) =>
    places.flatMap((place, column) => {
      const now = verdicts[place]
      const before = scenarios.length > 1 ? verdicts[first[row]?.[column] ?? -1] : undefined
      return now === undefined ? [] : [{ row, column, now, before }]
    }),
  )
}

interface GridProps {
  readonly matrix: Matrix
  readonly onOpen: (cell: Cell) => void
}

function Grid({ matrix, onOpen }: GridProps): JSX.Element {
  const frame = useRef<HTMLTableElement>(null)
  const [active, setActive] = useState<readonly [row: number, column: number]>([0, 0])
  const cells = useMemo(() => cellsOf(matrix), [matrix])
  const { rows, columns } = matrix
  if (rows.length === 0 || columns.length === 0) {
    return (
      <div class="card">
        <Empty title="Nothing to show">
          <p>The matrix needs people and destinations in the configuration.</p>
        </Empty>
      </div>
    )
  }
  const shown = cells.slice(0, Math.max(1, Math.floor(MOST_CELLS / columns.length)))
  // a narrower question may leave the cell that was active outside
  const [activeRow, activeColumn] = [clamp(active[0], shown.length), clamp(active[1], columns.length)]
  const go = (row: number, column: number) => {
    const to = [clamp(row, shown.length), clamp(column, columns.length)] as const
    setActive(to)
    const cell = frame.current?.querySelector<HTMLElement>(`[data-at="${to.join()}"]`)
    cell?.focus({ preventScroll: true })
    cell?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const [row, column] = [activeRow, activeColumn]
    if (event.key === 'ArrowDown') go(row + 1, column)
    else if (event.key === 'ArrowUp') go(row - 1, column)
    else if (event.key === 'ArrowRight') go(row, column + 1)
    else if (event.key === 'ArrowLeft') go(row, column - 1)
    else if (event.key === 'Home') go(event.ctrlKey ? 0 : row, 0)
    else if (event.key === 'End') go(event.ctrlKey ? shown.length : row, columns.length)
    else return
    event.preventDefault()
  }
  return (
    <div class="card matrix-frame">
      <table class="matrix" ref={frame} aria-label="Who leaves from where" onKeyDown={onKeyDown}>
        <thead>
          <tr>
            <th scope="col" class="matrix-corner">
              Who
            </th>
            {columns.map(({ destinations, allow }) => (
              <ColumnHead key={destinations[0]} destinations={destinations} allow={allow} />
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((line, row) => (
            <tr key={rowKey(rows[row])}>
              <RowHead row={rows[row]} />
              {line.map((cell) => (
                <GridCell
                  key={cell.column}
                  cell={cell}
                  isActive={activeRow === row && activeColumn === cell.column}
                  onOpen={() => {
                    setActive([row, cell.column])
                    onOpen(cell)
                  }}
                />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length < cells.length && (
        <p class="card-body muted">
          {plural(cells.length - shown.length, 'row')} more: choose a group, or run <code>npx egresslab matrix</code>.
        </p>
      )}
    </div>
  )
}

function clamp(at: number, length: number): number {
  return Math.max(0, Math.min(length - 1, at))
}

function rowKey(row: Matrix['rows'][number] | undefined): string {
  return `${row?.users[0]} ${row?.virtual_network.id}`
}

function ColumnHead({ destinations, allow }: Matrix['columns'][number]): JSX.Element {
  const [first = ''] = destinations
  const host = first.replace(/:443$/, '')
  const dot = host.indexOf('.')
  const isName = /[a-z]/i.test(host) && dot > 0
  const title = `${destinations.join(', ')}${allow === null ? '' : ` lets in ${allow.join(', ')}`}`
  return (
    <th scope="col" title={title}>
      <strong>{isName ? host.slice(0, dot) : host}</strong>
      {isName && <span class="muted">{host.slice(dot)}</span>}
      {destinations.length > 1 && <span class="chip">+{destinations.length - 1}</span>}
    </th>
  )
}

function RowHead({ row }: { readonly row: Matrix['rows'][number] | undefined }): JSX.Element {
  const { users = [], groups = [], virtual_network: network } = row ?? {}
  const names = users.map((email) => email.replace(/@.*$/, ''))
  return (
    <th scope="row" title={`${users.join(', ')}${groups.length > 0 ? ` (${groups.join(', ')})` : ''}`}>
      <strong>{names.length > 3 ? `${names.slice(0, 2).join(', ')} +${names.length - 2}` : names.join(', ')}</strong>
      <span class="muted">{network?.name}</span>
    </th>
  )
}

interface GridCellProps {
  readonly cell: Cell
  readonly isActive: boolean
  readonly onOpen: () => void
}

function GridCell({ cell, isActive, onOpen }: GridCellProps): JSX.Element {
  const { now, before, row, column } = cell
  const changed = isChanged(cell)
  return (
    <td class={`tone-${toneOfVerdict(now)} ${now.let_in === false ? 'refused' : ''} ${changed ? 'changed' : ''}`}>
      <button
        type="button"
        class="matrix-cell"
        data-at={`${row},${column}`}
        tabIndex={isActive ? 0 : -1}
        title={wordsOfCell(now)}
        onClick={onOpen}
      >
        <OutcomeShape tone={toneOfVerdict(now)} />
        <span>{placeOf(now)}</span>
        {now.let_in !== null && (
          <span class={now.let_in ? 'let-in' : 'let-out'}>
            <span aria-hidden="true">{now.let_in ? '✓' : '✕'}</span>
            <span class="hidden-label">{now.let_in ? 'let in' : 'refused'}</span>
          </span>
        )}
        {changed && before !== undefined && (
          <span class="matrix-before">
            was {placeOf(before)}
            {before.let_in === null || before.let_in === now.let_in ? '' : before.let_in ? ' ✓' : ' ✕'}
          </span>
        )}
      </button>
    </td>
  )
}

function toneOfVerdict({ outcome }: Verdict): Tone {
  return outcome ?? 'failed'
}

function placeOf({ colo, outcome }: Verdict): string {
  return colo ?? (outcome === 'unroutable' ? 'none' : '–')
}

const LEGEND: readonly Tone[] = ['dedicated', 'dedicated-fallback', 'balanced', 'default', 'unroutable']

function Legend(): JSX.Element {
  return (
    <p class="legend">
      {LEGEND.map((tone) => (
        <span key={tone} class={`legend-entry tone-${tone}`}>
          <OutcomeShape tone={tone} />
          {OUTCOME_WORDS[tone]}
        </span>
      ))}
      <span class="legend-entry plain">
        <span class="let-in">✓</span> let in <span class="let-out">✕</span> refused, where the service has an allowlist
      </span>
    </p>
  )
}
