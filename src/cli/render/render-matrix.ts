// Renders who leaves from where: as text by destination, people with the same answer in one line; as CSV with one connection
// a row; as one HTML file that needs nothing else.

import type { Matrix, MatrixColumn, MatrixRow, MatrixVerdict } from '../../decider/matrix.ts'
import { counted } from '../../errors/counted.ts'
import { renderTable, type TextStyles } from '../terminal.ts'
import { escaped } from './picture.ts'

/** Who has one answer; `before`: the answer while all is up, in an outage. */
interface Answer {
  readonly verdict: MatrixVerdict
  readonly rows: readonly MatrixRow[]
  readonly before?: MatrixVerdict
}

/** The page of text, ending in a line feed. Outages show only what they change. */
export function renderMatrix(matrix: Matrix, style: TextStyles): string {
  const { scenarios, connections, columns } = matrix
  const people = peopleIn(matrix)
  const places = columns.flatMap(({ destinations }) => destinations).length
  const size = `${counted(people, 'person', 'people')}, ${counted(places, 'destination')}, ${counted(connections, 'connection')} decided`
  const [, ...outages] = scenarios
  return [
    `${size}\n`,
    ...columns.map((column, at) => columnText(column, answersOf(matrix, 0, at), { people, style })),
    ...outages.map((_, nth) => outageText(matrix, nth + 1, style)),
  ].join('\n')
}

function outageText(matrix: Matrix, nth: number, style: TextStyles): string {
  const down = `${matrix.scenarios[nth]?.colos_down.join(', ') ?? ''} down`
  const people = peopleIn(matrix)
  const changed = matrix.columns.flatMap((column, at) => {
    const answers = answersOf(matrix, nth, at).filter(({ verdict, before }) => verdict !== before)
    return answers.length === 0 ? [] : [columnText(column, answers, { people, style })]
  })
  if (changed.length === 0) return `${style.strong(down)}: nothing changes\n`
  return [`${style.strong(down)} changes this:\n`, ...changed].join('\n')
}

/** The different answers of a column in a scenario, in the order of the rows. */
function answersOf({ rows, verdicts, cells }: Matrix, nth: number, column: number): Answer[] {
  const at = (scenario: number, row: number) => cells[scenario]?.[row]?.[column] ?? 0
  const same = Map.groupBy(rows.keys(), (row) => `${at(nth, row)} ${at(0, row)}`)
  return [...same.values()].flatMap((members): Answer[] => {
    const [first = 0] = members
    const [verdict, before] = [verdicts[at(nth, first)], verdicts[at(0, first)]]
    if (verdict === undefined) return []
    const found = { verdict, rows: members.flatMap((row) => rows[row] ?? []) }
    return [nth === 0 || before === undefined ? found : { ...found, before }]
  })
}

function columnText(
  { destinations, allow }: MatrixColumn,
  answers: readonly Answer[],
  { people, style }: { readonly people: number; readonly style: TextStyles },
): string {
  const lets = allow === null ? '' : style.dim(`  lets in ${allow.join(', ')}`)
  const lines = answers.map(({ verdict, rows, before }) => [
    `  ${markOf(verdict, style)} ${egressText(verdict)}`,
    verdict.colo ?? '',
    ruleText(verdict),
    ...(before === undefined ? [] : [style.dim(`instead of ${egressText(before)}`)]),
    peopleText(rows, people),
  ])
  return `${style.strong(destinations.join(', '))}${lets}\n${renderTable(lines)}`
}

function markOf({ let_in, egress }: MatrixVerdict, style: TextStyles): string {
  if (let_in === true) return style.good('✓')
  return let_in === false || egress === null ? style.bad('✗') : style.dim('·')
}

function egressText({ egress, fallback, outcome, error }: MatrixVerdict): string {
  if (egress !== null) return fallback ? `${egress} (fallback)` : egress
  return error === null ? (outcome ?? '') : 'fails'
}

function ruleText({ rule, outcome, error }: MatrixVerdict): string {
  return error?.message ?? rule?.name ?? `no rule: ${outcome}`
}

/** How many people are asked about. */
function peopleIn({ rows }: Matrix): number {
  return new Set(rows.flatMap(({ users }) => users)).size
}

function peopleText(rows: readonly MatrixRow[], everybody: number): string {
  const networks = new Set(rows.map(({ virtual_network: { name } }) => name))
  return [...networks]
    .map((network) => {
      const there = rows.filter(({ virtual_network: { name } }) => name === network)
      const users = there.flatMap((row) => row.users)
      const who = whoText(users, there, everybody)
      return network === 'default' || network === '' ? who : `${who} in ${network}`
    })
    .join('; ')
}

function whoText(users: readonly string[], rows: readonly MatrixRow[], everybody: number): string {
  if (users.length === 0) return 'anybody'
  if (users.length === everybody && everybody > 2) return 'everybody'
  return users.length > 4 ? manyText(users, rows) : users.join(', ')
}

function manyText(users: readonly string[], rows: readonly MatrixRow[]): string {
  const groups = [...new Set(rows.flatMap((row) => row.groups))]
  const names = groups.length === 0 ? users.slice(0, 3) : groups.slice(0, 3)
  return `${users.length} people: ${names.join(', ')}${groups.length === 0 || groups.length > 3 ? ' …' : ''}`
}

const CSV_HEAD = 'user,virtual_network,destination,colos_down,outcome,egress,fallback,colo,rule,precedence,let_in,error'

/** One line per connection, RFC 4180. Text that a spreadsheet would take for a formula gets a `'` before it. */
export function renderMatrixCsv({ rows, columns, scenarios, verdicts, cells }: Matrix): string {
  const lines = scenarios.flatMap(({ colos_down }, nth) =>
    rows.flatMap(({ users, virtual_network }, row) =>
      columns.flatMap(({ destinations }, column) => {
        const verdict = verdicts[cells[nth]?.[row]?.[column] ?? 0]
        if (verdict === undefined) return []
        const { outcome, egress, fallback, colo, rule, let_in, error } = verdict
        const found = [outcome, egress, fallback, colo, rule?.name, rule?.precedence, let_in, error?.message]
        return (users.length === 0 ? [''] : users).flatMap((user) =>
          destinations.map((destination) =>
            [user, virtual_network.name, destination, colos_down.join(' '), ...found].map(csvField).join(','),
          ),
        )
      }),
    ),
  )
  return `${[CSV_HEAD, ...lines].join('\r\n')}\r\n`
}

function csvField(value: unknown): string {
  const text = String(value ?? '')
  const safe = /^[=+@\t\r-]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const CSS = `
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif }
body { margin: 1rem } table { border-collapse: separate; border-spacing: 0 }
.scroll { overflow: auto; max-height: 85vh; border: 1px solid #8886 }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top; border: solid #8883; border-width: 0 1px 1px 0 }
thead th { position: sticky; top: 0; z-index: 1; background: Canvas }
tbody th { position: sticky; left: 0; background: Canvas; font-weight: normal } thead th:first-child { left: 0; z-index: 2 }
td.in { background: #2a72 } td.out { background: #c332 } td.changed { outline: 2px solid #d80; outline-offset: -2px }
small { display: block; opacity: .75 } summary { margin: 1rem 0 .5rem; font-weight: 600; cursor: pointer }
`

/** One file without scripts, and without anything to load. A table per scenario; what an outage changes is framed. */
export function renderMatrixHtml(matrix: Matrix, title: string): string {
  const tables = matrix.scenarios.map(({ colos_down }, nth) => {
    const name = nth === 0 ? 'As things are' : `${colos_down.join(', ')} down`
    const changes = changesOf(matrix, nth)
    const count = nth === 0 ? '' : `: ${counted(changes, 'cell')} ${changes === 1 ? 'changes' : 'change'}`
    return `<details${nth === 0 ? ' open' : ''}><summary>${escaped(name + count)}</summary>\n${tableHtml(matrix, nth)}</details>\n`
  })
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Who leaves from where: ${escaped(title)}</title><style>${CSS}</style></head>
<body><h1>Who leaves from where</h1>
<p>${escaped(title)}: ${counted(matrix.connections, 'connection')} decided. Green is let in, red is refused.</p>
${tables.join('')}</body></html>
`
}

function changesOf({ cells }: Matrix, nth: number): number {
  const now = cells[nth]?.flat() ?? []
  const usual = cells[0]?.flat() ?? []
  return now.filter((verdict, at) => verdict !== usual[at]).length
}

function tableHtml({ rows, columns, verdicts, cells }: Matrix, nth: number): string {
  const head = columns.map(({ destinations, allow }) => {
    const lets = allow === null ? '' : `<small>lets in ${escaped(allow.join(', '))}</small>`
    return `<th scope="col">${destinations.map(escaped).join('<br>')}${lets}</th>`
  })
  const body = rows.map(({ users, groups, virtual_network }, row) => {
    const where = [groups.join(', '), virtual_network.name].filter((text) => text !== '').join(' · ')
    const cellsHtml = columns.map((_, column) => {
      const place = cells[nth]?.[row]?.[column] ?? 0
      return cellHtml(verdicts[place], place !== cells[0]?.[row]?.[column])
    })
    const who = users.length === 0 ? 'anybody' : users.map(escaped).join('<br>')
    return `<tr><th scope="row">${who}<small>${escaped(where)}</small></th>${cellsHtml.join('')}</tr>`
  })
  return `<div class="scroll" tabindex="0"><table><thead><tr><th>Who</th>${head.join('')}</tr></thead>\n<tbody>\n${body.join('\n')}\n</tbody></table></div>`
}

function cellHtml(verdict: MatrixVerdict | undefined, isChanged: boolean): string {
  if (verdict === undefined) return '<td></td>'
  const { let_in, egress, colo } = verdict
  const refused = let_in === false || egress === null
  const classes = [...(let_in === true ? ['in'] : refused ? ['out'] : []), ...(isChanged ? ['changed'] : [])]
  const words = let_in === null ? [] : [let_in ? 'let in' : 'refused']
  const small = [colo ?? '', ruleText(verdict), ...words].filter((text) => text !== '').join(' · ')
  return `<td class="${classes.join(' ')}">${escaped(egressText(verdict))}<small>${escaped(small)}</small></td>`
}
