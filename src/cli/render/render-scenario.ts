// Renders a scenario for people: its timeline as it runs, then the summary. And the same as one JSON document.

import {
  type ConnectionFate,
  entriesOf,
  passed,
  refusalsOf,
  type ScenarioClient,
  type ScenarioReport,
  type TimedEntry,
} from '../../analysis/scenario-timeline.ts'
import { counted } from '../../errors/counted.ts'
import { PLAIN, renderTable, type TextStyles } from '../terminal.ts'
import { timelineChart } from './picture.ts'
import type { ReportTable } from './report.ts'

/** The line above a scenario's steps: its name, and the file it is from; ends in a line feed. */
export function renderScenarioHead(
  { name, file }: { readonly name: string; readonly file: string },
  style: TextStyles,
): string {
  return `${style.strong(name)}  ${style.dim(file)}\n`
}

/** One entry of the time line, with its reason on a line below where it has one. */
export function renderScenarioEntry(entry: TimedEntry, style: TextStyles): string {
  const [text, why = ''] = wordsOf(entry, style)
  const reason = why === '' ? '' : `${' '.repeat(11)}${style.dim(why)}\n`
  return `${style.dim(timeOf(entry.atMs).padStart(8))}  ${text}\n${reason}`
}

function wordsOf(entry: TimedEntry, style: TextStyles): readonly [text: string, why?: string] {
  switch (entry.kind) {
    case 'note':
      return [`  ${style.strong(entry.what)}`]
    case 'change':
      return [`${style.warn('●')} ${style.strong(entry.what)}`]
    case 'move': {
      const to = entry.to ?? 'nowhere'
      const way = entry.from === undefined ? to : `${entry.from ?? 'nowhere'} → ${style.strong(to)}`
      return [`${entry.from === undefined ? ' ' : style.accent('→')} ${whoOf(entry)}  ${way}`, entry.why]
    }
    case 'refused':
      return [`${style.bad('✗')} ${entry.destination} refuses ${entry.login} at ${entry.source}`]
    case 'admitted':
      return [`${style.good('✓')} ${entry.destination} lets ${entry.login} in again from ${entry.source}`]
    case 'failed':
      return [`${style.bad('✗')} ${whoOf(entry)}  fails with ${entry.code}`, entry.message]
    case 'seen': {
      const { from, to, source } = entry
      return [`${style.accent('→')} ${whoOf(entry)}  is seen in ${to} by ${source}, no longer in ${from}`]
    }
    case 'outage':
      return [`${style.bad('●')} outage of ${entry.egress} [${entry.code}]`, entry.message]
    case 'recovery':
      return [`${style.good('●')} ${entry.egress} works again`]
    case 'connection':
      return [`${FATES[entry.fate](style)} ${whoOf(entry)}  open connection from ${entry.egress} ${entry.fate}`]
    case 'check':
      return drawCheck(entry, style)
  }
}

const FATES: Readonly<Record<ConnectionFate, (style: TextStyles) => string>> = {
  opened: () => ' ',
  kept: (style) => style.good('✓'),
  reset: (style) => style.bad('✗'),
  lost: (style) => style.bad('✗'),
}

function drawCheck({ name, passed, line, differences }: Extract<TimedEntry, { kind: 'check' }>, style: TextStyles) {
  if (passed) return [`${style.good('✓')} ${name}`] as const
  const rows = differences.map(({ what, expected, found }) => `${what}: expected ${expected}, found ${found}`)
  return [
    `${style.bad('✗')} ${style.strong(name)}  ${style.dim(`line ${line}`)}\n${' '.repeat(12)}${rows.join(`\n${' '.repeat(12)}`)}`,
  ] as const
}

/** Clients as lanes: where each leaves from, and when an allowlist refused it. */
export function scenarioPicture(report: ScenarioReport): string {
  const end = Math.max(0, ...report.timeline.map(({ atMs }) => atMs))
  const moves = Map.groupBy(entriesOf(report, 'move'), whoOf)
  const refusals = Map.groupBy(refusalsOf(report), whoOf)
  const lanes = [...moves].map(([name, own]) => ({
    name,
    spans: own.map(({ atMs, to }) => ({ from: atMs, text: to ?? 'nowhere' })),
    refused: (refusals.get(name) ?? []).map(({ fromMs, untilMs = end }) => ({ from: fromMs, to: untilMs })),
  }))
  return timelineChart(`who left from where during ${report.name}`, lanes, { marks: marksOf(report), end, timeOf })
}

/** What happened from outside, in order: the numbers of the picture. */
function marksOf(report: ScenarioReport): { readonly at: number; readonly what: string }[] {
  return entriesOf(report, 'change', 'outage', 'recovery').map((entry) => ({
    at: entry.atMs,
    what: wordsOf(entry, PLAIN)[0].replace(/^● /, ''),
  }))
}

/** What the page says below the picture. */
export function scenarioTables(report: ScenarioReport): ReportTable[] {
  const titled = (title: string) => `${report.name}: ${title}`
  const marks = marksOf(report).map(({ at, what }, nth) => [String(nth + 1), timeOf(at), what])
  return [
    { title: titled('what happened'), columns: ['', 'at', 'what'], rows: marks },
    { title: titled('moved'), columns: ['at', 'who', 'to', 'from → to', 'after'], rows: moveRows(report) },
    { title: titled('refused by allowlists'), columns: ['when', 'who', 'by', 'from'], rows: refusalRows(report) },
    { title: titled('failed'), columns: ['at', 'who', 'to', 'with'], rows: failedRows(report) },
    { title: titled('seen elsewhere'), columns: ['at', 'who', 'by', 'from', 'in'], rows: seenRows(report) },
    { title: titled('open connections'), columns: ['at', 'who', 'to', 'from', 'fate'], rows: connectionRows(report) },
    {
      title: titled('expectations'),
      columns: ['result', 'what', 'line'],
      rows: entriesOf(report, 'check').map(({ name, line, passed }) => [
        passed ? 'passed' : 'failed',
        name,
        String(line),
      ]),
    },
  ]
}

/** The summary: who moved, whom allowlists refused, what failed, connections, expectations. */
export function renderScenarioSummary(report: ScenarioReport, style: TextStyles): string {
  const tables = [
    ['moved', moveRows(report)],
    ['refused by allowlists', refusalRows(report)],
    ['failed', failedRows(report)],
    ['seen elsewhere', seenRows(report)],
    ['outages', outageRows(report)],
    ['open connections', connectionRows(report)],
  ] as const
  return `${tables.map(([title, rows]) => section(title, rows, style)).join('')}\n${countLine(report, style)}`
}

type Rows = readonly (readonly string[])[]

function moveRows(report: ScenarioReport): Rows {
  const moves = entriesOf(report, 'move').filter(({ from }) => from !== undefined)
  return moves.map((move) => {
    const way = `${move.from ?? 'nowhere'} → ${move.to ?? 'nowhere'}`
    return [timeOf(move.atMs), ...cellsOf(move), way, move.after.join('; ')]
  })
}

function refusalRows(report: ScenarioReport): Rows {
  return refusalsOf(report).map((refusal) => {
    const until = refusal.untilMs === undefined ? 'end' : timeOf(refusal.untilMs)
    return [`${timeOf(refusal.fromMs)}–${until}`, ...cellsOf(refusal), refusal.source]
  })
}

function failedRows(report: ScenarioReport): Rows {
  return entriesOf(report, 'failed').map((one) => [timeOf(one.atMs), ...cellsOf(one), one.code])
}

function seenRows(report: ScenarioReport): Rows {
  return entriesOf(report, 'seen').map((seen) => {
    return [timeOf(seen.atMs), ...cellsOf(seen), seen.source, `${seen.from} → ${seen.to}`]
  })
}

function outageRows(report: ScenarioReport): Rows {
  return entriesOf(report, 'outage', 'recovery').map((one) => {
    return [timeOf(one.atMs), one.egress, one.kind === 'outage' ? one.code : 'works again']
  })
}

function connectionRows(report: ScenarioReport): Rows {
  const told = entriesOf(report, 'connection').filter(({ fate }) => fate !== 'opened')
  return told.map((one) => [timeOf(one.atMs), ...cellsOf(one), one.egress, one.fate])
}

function section(title: string, rows: Rows, style: TextStyles): string {
  if (rows.length === 0) return ''
  return `\n${style.strong(title)}\n${renderTable(rows.map((row) => ['', ...row]))}`
}

function countLine(report: ScenarioReport, style: TextStyles): string {
  const checks = entriesOf(report, 'check')
  const failed = checks.filter((check) => !check.passed).length
  const how = report.mode === 'proxy' ? 'through the proxy' : 'decided only'
  const visits = `${counted(report.visits, 'request')} ${how}`
  const verdict = `${checks.length - failed} passed, ${failed} failed`
  return `${failed === 0 ? style.good(verdict) : style.bad(verdict)}  ${style.dim(visits)}\n`
}

function cellsOf({ login, destination }: ScenarioClient): string[] {
  return [login === '' ? 'nobody' : login, destination]
}

function whoOf(who: ScenarioClient): string {
  return cellsOf(who).join(' to ')
}

/** `0 s`, `1.5 s`, `2 min 5 s` from the beginning */
function timeOf(atMs: number): string {
  const minutes = Math.floor(atMs / 60_000)
  const seconds = `${Number(((atMs % 60_000) / 1000).toFixed(3))} s`
  if (minutes === 0) return seconds
  return atMs % 60_000 === 0 ? `${minutes} min` : `${minutes} min ${seconds}`
}

/** One scenario as data: the time line, and what can be read off it. */
export function scenarioDocument(report: ScenarioReport): unknown {
  const { name, file, config, mode, visits, timeline } = report
  const checks = entriesOf(report, 'check')
  const at = ({ atMs, time, ...entry }: TimedEntry) => ({
    at_s: atMs / 1000,
    time: new Date(time).toISOString(),
    ...entry,
  })
  return {
    name,
    file,
    config,
    mode,
    passed: passed(report),
    visits,
    expectations: {
      met: checks.filter((check) => check.passed).length,
      failed: checks.filter((check) => !check.passed).length,
    },
    timeline: timeline.map(at),
    moves: entriesOf(report, 'move')
      .filter(({ from }) => from !== undefined)
      .map(at),
    refusals: refusalsOf(report).map(({ fromMs, untilMs, ...who }) => ({
      ...who,
      from_s: fromMs / 1000,
      until_s: untilMs === undefined ? null : untilMs / 1000,
    })),
    outages: entriesOf(report, 'outage', 'recovery').map(at),
    connections: {
      kept: entriesOf(report, 'connection').filter(({ fate }) => fate === 'kept').length,
      reset: entriesOf(report, 'connection').filter(({ fate }) => fate === 'reset').length,
      lost: entriesOf(report, 'connection').filter(({ fate }) => fate === 'lost').length,
    },
  }
}
