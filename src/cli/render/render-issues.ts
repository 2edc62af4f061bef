// Renders problems in user input for people: where, what, the line with a caret, what to do.

import type { Issue } from '../../errors/issue.ts'
import type { TextStyles } from '../terminal.ts'

/** Every issue in the order given, then a line that counts them. The text ends in a line feed; it is '' for no issues. */
export function renderIssues(issues: readonly Issue[], style: TextStyles): string {
  if (issues.length === 0) return ''
  return `${issues.map((issue) => renderIssue(issue, style)).join('\n')}\n${countIssues(issues)}\n`
}

/** `2 errors, 1 warning` */
export function countIssues(issues: readonly Issue[]): string {
  const counts = (['error', 'warning', 'advice'] as const).map((severity) => {
    const count = issues.filter((issue) => issue.severity === severity).length
    if (count === 0) return []
    return [`${count} ${severity === 'advice' || count === 1 ? severity : `${severity}s`}`]
  })
  return counts.flat().join(', ')
}

function renderIssue(issue: Issue, style: TextStyles): string {
  const colour = { error: style.bad, warning: style.warn, advice: style.accent }[issue.severity]
  const where = location(issue)
  const head = `${where === '' ? '' : `${style.strong(where)}: `}${colour(issue.severity)}: ${issue.message} ${style.dim(`[${issue.code}]`)}`
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
