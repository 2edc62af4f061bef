// Renders problems in user input for people: where, what, the line with a caret, what to do.

import type { Issue } from '../../errors/issue.ts'
import { renderTable, type TextStyles } from '../terminal.ts'

/** Every issue in the order given, then a line that counts them. The text ends in a line feed; it is '' for no issues. */
export function renderIssues(issues: readonly Issue[], style: TextStyles): string {
  if (issues.length === 0) return ''
  return `${issues.map((issue) => renderIssue(issue, style)).join('\n')}\n${countIssues(issues)}\n`
}

/** From bad to good advice. */
export const SEVERITIES = ['error', 'warning', 'advice'] as const

/** Errors, then warnings, then advice, each in the order given. */
export function inOrderOfSeverity(issues: readonly Issue[]): Issue[] {
  return issues.toSorted((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))
}

/** Findings of one kind that are shown each; of advice so many, of errors and warnings all. */
const MOST_ADVICE = 3

/** A summary by kind, then each kind with its findings, one line each. Equal findings are one. */
export function renderManyIssues(issues: readonly Issue[], style: TextStyles): string {
  const kinds = [...Map.groupBy(inOrderOfSeverity(issues), ({ severity, code }) => `${severity} ${code}`).values()]
  const summary = kinds.map((same) => {
    const [first] = same
    return [`  ${same.length}`, first === undefined ? '' : painted(first.severity, style), first?.code ?? '']
  })
  return [`${countIssues(issues)}\n${renderTable(summary)}`, ...kinds.map((same) => kindText(same, style)), ''].join(
    '\n',
  )
}

function kindText(same: readonly Issue[], style: TextStyles): string {
  const [first] = same
  if (first === undefined) return ''
  const folded = [...Map.groupBy(same, ({ message }) => message).values()]
  const shown = first.severity === 'advice' ? folded.slice(0, MOST_ADVICE) : folded
  const hints = new Set(same.map(({ hint }) => hint))
  const hintLine = (hint: string | undefined) => (hint === undefined ? [] : [`    ${style.accent('hint')}: ${hint}`])
  const lines = shown.flatMap(([one, ...others]) => {
    if (one === undefined) return []
    const where = location(one)
    const more = others.length === 0 ? '' : ` (and ${others.length} more like it)`
    const drawing = one.severity === 'error' && one.drawing !== undefined ? one.drawing.split('\n') : []
    const text = `  ${where === '' ? '' : `${style.strong(where)}: `}${one.message}${more}`
    return [text, ...drawing.map((line) => `    ${line}`), ...(hints.size === 1 ? [] : hintLine(one.hint))]
  })
  const rest = folded.length - shown.length
  return [
    `${painted(first.severity, style)} ${first.code}`,
    ...lines,
    ...(rest > 0 ? [style.dim(`  and ${rest} more; --full shows them`)] : []),
    ...(hints.size === 1 ? hintLine(first.hint) : []),
    '',
  ].join('\n')
}

function painted(severity: Issue['severity'], style: TextStyles): string {
  return { error: style.bad, warning: style.warn, advice: style.accent }[severity](severity)
}

/** `2 errors, 1 warning` */
export function countIssues(issues: readonly Issue[]): string {
  const counts = SEVERITIES.map((severity) => {
    const count = issues.filter((issue) => issue.severity === severity).length
    if (count === 0) return []
    return [`${count} ${severity === 'advice' || count === 1 ? severity : `${severity}s`}`]
  })
  return counts.flat().join(', ')
}

function renderIssue(issue: Issue, style: TextStyles): string {
  const where = location(issue)
  const head = `${where === '' ? '' : `${style.strong(where)}: `}${painted(issue.severity, style)}: ${issue.message} ${style.dim(`[${issue.code}]`)}`
  const path = issue.path === undefined || issue.path.length === 0 ? [] : [`  at ${pathText(issue.path)}`]
  const drawing = issue.drawing === undefined ? [] : issue.drawing.split('\n').map((line) => `  ${line}`)
  const isDrawn = issue.hint !== undefined && issue.drawing?.includes(issue.hint) === true
  const hint = issue.hint === undefined || isDrawn ? [] : [`  ${style.accent('hint')}: ${issue.hint}`]
  return [head, ...path, ...drawing, ...hint, ''].join('\n')
}

function location({ file, line, column }: Issue): string {
  return [file, line, line === undefined ? undefined : column].filter((part) => part !== undefined).join(':')
}

/** `rules[2].traffic` */
export function pathText(path: readonly (string | number)[]): string {
  return path.map((part, at) => (typeof part === 'number' ? `[${part}]` : at === 0 ? part : `.${part}`)).join('')
}
