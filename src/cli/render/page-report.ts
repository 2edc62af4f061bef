// A report for people: Markdown for the summary of a job or a comment, and one HTML file that opens without a network, without
// scripts and without anything beside it. Every name comes from somebody's files and is escaped.

import type { GeometryCollection, Topology } from 'topojson-specification'
import type { Issue } from '../../errors/issue.ts'
import { COLOS, type Colo } from '../../policy/place.ts'
import { escaped } from './picture.ts'
import { pathText } from './render-issues.ts'
import type { Report, ReportTable } from './report.ts'

/** GitHub takes 1 MB for the summary of a job and 65,536 characters for a comment. */
const MOST_ROWS_IN_MARKDOWN = 50
/** A page a browser opens at once. */
const MOST_ROWS_IN_HTML = 2_000

/** The whole report as GitHub's Markdown. */
export function markdownPage(report: Report): string {
  const { verb, verdict, isGood } = report
  const parts = allTables(report).map(({ title, columns, rows }) => {
    const shown = rows.slice(0, MOST_ROWS_IN_MARKDOWN)
    const line = (cells: readonly string[]) => `| ${cells.map(inMarkdown).join(' | ')} |\n`
    const head = line(columns) + line(columns.map(() => '---'))
    const more = rows.length > shown.length ? `\n${rows.length - shown.length} more rows are in the HTML report.\n` : ''
    return `\n### ${inMarkdown(title)}\n\n${head}${shown.map(line).join('')}${more}`
  })
  return `## ${isGood ? '✅' : '❌'} egresslab ${verb}\n\n${inMarkdown(verdict)}\n${parts.join('')}`
}

/** Character references mean the character and never markup (CommonMark 2.5), so that a rule's name cannot be a link or an image. */
function inMarkdown(text: string): string {
  if (text === '---') return text
  const parts = text.split('`')
  const isPaired = parts.length % 2 === 1
  return parts
    .map((part, at) => {
      const safe = part
        .replace(/[&<>|[\]*_~#@!\\()"']/g, (character) => `&#${character.charCodeAt(0)};`)
        .replace(/\r?\n/g, '<br>')
      return isPaired && at % 2 === 1 ? `<code>${safe}</code>` : safe
    })
    .join(isPaired ? '' : '&#96;')
}

/** The whole report as one HTML document. */
export async function htmlPage(report: Report): Promise<string> {
  const { verb, verdict, isGood, moves, pictures = [] } = report
  const map = moves === undefined ? '' : await mapOf(moves)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>egresslab ${escaped(verb)}: ${isGood ? 'good' : 'not good'}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>egresslab ${escaped(verb)}</h1>
<p class="verdict ${isGood ? 'good' : 'bad'}">${withCode(verdict)}</p>
${map}${pictures.map(pictureSection).join('')}${allTables(report).map(htmlTable).join('')}</main>
</body>
</html>
`
}

function pictureSection({ title, svg }: NonNullable<Report['pictures']>[number]): string {
  return `<section><h2>${escaped(title)}</h2>\n<div class="wide picture">${svg}</div></section>\n`
}

function htmlTable({ title, columns, rows }: ReportTable): string {
  const shown = rows.slice(0, MOST_ROWS_IN_HTML)
  const row = (cells: readonly string[]) => `<tr>${cells.map((cell) => `<td>${withCode(cell)}</td>`).join('')}</tr>\n`
  const more = rows.length > shown.length ? `<p>${rows.length - shown.length} more rows</p>\n` : ''
  const head = columns.map((name) => `<th scope="col">${escaped(name)}</th>`).join('')
  return `<section><h2>${escaped(title)}</h2>
<div class="wide"><table><thead><tr>${head}</tr></thead>
<tbody>
${shown.map(row).join('')}</tbody></table></div>
${more}</section>
`
}

/** The user's text stands in backticks in messages. */
function withCode(text: string): string {
  return escaped(text)
    .replace(/`([^`]*)`/g, '<code>$1</code>')
    .replaceAll('\n', '<br>')
}

function allTables({ findings, tables }: Report): readonly ReportTable[] {
  const rows = findings.map((finding) => [finding.severity, placeOf(finding), whatOf(finding), finding.code])
  const found = { title: 'Findings', columns: ['severity', 'where', 'what', 'code'], rows }
  return [found, ...tables].filter((table) => table.rows.length > 0)
}

function placeOf({ file, line, path = [] }: Issue): string {
  const place = [file, line].filter((part) => part !== undefined).join(':')
  return [place, pathText(path)].filter((part) => part !== '').join('\n')
}

function whatOf({ message, hint }: Issue): string {
  return hint === undefined ? message : `${message}\nhint: ${hint}`
}

const [WIDTH, HEIGHT] = [960, 480]

/** Sessions that leave elsewhere than before: a line from the data center before to the one after, as thick as they are many. */
async function mapOf(moves: ReadonlyMap<string, number>): Promise<string> {
  const lines = [...moves].flatMap(([move, sessions]) => {
    const [from, to] = move.split(' → ').map((code) => COLOS.get(code))
    return from === undefined || to === undefined ? [] : [{ from, to, sessions }]
  })
  if (lines.length === 0) return ''
  const most = Math.max(...lines.map(({ sessions }) => sessions))
  const colos = new Map(lines.flatMap(({ from, to }) => [from, to]).map((colo) => [colo.code, colo]))
  const arrows = lines.map(({ from, to, sessions }) => {
    const [[x1, y1], [x2, y2]] = [positionOf(from), positionOf(to)]
    const bend = Math.min(y1, y2) - Math.abs(x2 - x1) / 6 - 12
    const title = `${from.code} → ${to.code}: ${sessions} ${sessions === 1 ? 'session' : 'sessions'}`
    const width = (1 + (4 * sessions) / most).toFixed(1)
    return `<path class="move" marker-end="url(#to)" stroke-width="${width}" d="M${x1},${y1} Q${((x1 + x2) / 2).toFixed(1)},${bend.toFixed(1)} ${x2},${y2}"><title>${escaped(title)}</title></path>`
  })
  const dots = [...colos.values()].map((colo) => {
    const [x, y] = positionOf(colo)
    return `<circle cx="${x}" cy="${y}" r="4"/><text x="${x + 6}" y="${y + 12}">${escaped(colo.code)}</text>`
  })
  return `<section><h2>Where changed sessions leave, before → after</h2>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="data centers before and after">
<defs><marker id="to" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="12" markerHeight="12" markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 8,4 0,8z"/></marker></defs>
<path class="land" d="${await landPath()}"/>
${[...arrows, ...dots].join('\n')}
</svg></section>
`
}

/** Degrees as they are (equirectangular). */
function positionOf({ latitude, longitude }: Colo): [x: number, y: number] {
  return [Math.round((longitude + 180) * (WIDTH / 360)), Math.round((90 - latitude) * (HEIGHT / 180))]
}

async function landPath(): Promise<string> {
  const [{ geoEquirectangular, geoPath }, { feature }, { default: world }] = await Promise.all([
    import('d3-geo'),
    import('topojson-client'),
    import('world-atlas/land-110m.json', { with: { type: 'json' } }),
  ])
  const projection = geoEquirectangular()
    .scale(WIDTH / (2 * Math.PI))
    .translate([WIDTH / 2, HEIGHT / 2])
  const topology: Topology<{ land: GeometryCollection }> = Object(world)
  return geoPath(projection).digits(0)(feature(topology, topology.objects.land)) ?? ''
}

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --land: #8883; --accent: #0969da }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #ff7b72; --accent: #58a6ff } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 } main { max-width: 72rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.verdict { border-left: 4px solid; padding: .3rem .8rem } .good { border-color: var(--good) } .bad { border-color: var(--bad) }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--line) }
td:first-child { white-space: nowrap }
code { font: .92em ui-monospace, monospace } svg { width: 100%; height: auto; border: 1px solid var(--line) }
.picture svg { min-width: 44rem; border: 0 }
.land { fill: var(--land) } .move { fill: none; stroke: var(--accent); opacity: .8 } section > svg circle, marker path { fill: var(--accent) }
section > svg text { font-size: 11px; fill: currentColor }
`
