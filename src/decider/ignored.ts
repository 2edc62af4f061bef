// Findings that somebody has looked at and left: by code, or by a comment in the file, `# egresslab-ignore CODE why`, above
// what it is about or behind it. A comment above everything is about findings without a place. Errors are never ignored.

import { readWholeFile } from '../config/files.ts'
import type { LabConfig } from '../config/lab-config.ts'
import type { Issue } from '../errors/issue.ts'

const COMMENT = /(?:^|\s)#\s*egresslab-ignore(?:\s+(?<code>[\w.]+))?(?<reason>.*)$/

interface IgnoreComment {
  readonly file: string
  readonly line: number
  readonly code: string
  readonly reason: string
  /** the line it is about; 0: findings without a place */
  readonly target: number
}

export interface Sifted {
  readonly issues: readonly Issue[]
  readonly ignored: number
}

/** The findings that are left. A comment without a reason, or that is about nothing any more, is a finding itself, as is a
 *  code that ignores nothing. */
export function siftIssues(issues: readonly Issue[], config: LabConfig | undefined, codes: readonly string[]): Sifted {
  const comments = config === undefined ? [] : commentsIn(config)
  const starts = new Map(config?.rules.map(({ id, position }) => [id, position.line]))
  const used = new Set<IgnoreComment | string>()
  const left = issues.filter((issue) => {
    if (issue.severity === 'error') return true
    const lines = [issue.line ?? 0, issue.rule === undefined ? undefined : starts.get(issue.rule.id)]
    const comment = comments.find((one) => {
      return one.file === issue.file && covers(one.code, issue.code) && lines.includes(one.target)
    })
    const code = codes.find((one) => covers(one, issue.code))
    for (const by of [comment, code]) if (by !== undefined) used.add(by)
    return (comment === undefined || comment.reason === '') && code === undefined
  })
  const about = comments.flatMap((comment) => complaint(comment, used.has(comment)))
  // where there are errors, warnings and advice have not been looked for
  const isWhole = issues.every(({ severity }) => severity !== 'error')
  const idle = (isWhole ? codes : [])
    .filter((code) => !used.has(code))
    .map(
      (code): Issue => ({
        severity: 'advice',
        code: 'ignore.unused',
        message: `\`--ignore ${code}\` ignores nothing`,
        hint: 'codes stand in brackets behind each finding',
      }),
    )
  return { issues: [...left, ...about, ...idle], ignored: issues.length - left.length }
}

/** `practice` covers `practice.P3`. */
function covers(given: string, code: string): boolean {
  return code === given || code.startsWith(`${given}.`)
}

function complaint({ file, line, code, reason }: IgnoreComment, isUsed: boolean): Issue[] {
  const at = { file, line, column: 1 }
  if (code === '' || reason === '') {
    const message = code === '' ? 'the comment names no code' : `the comment gives no reason to ignore \`${code}\``
    return [
      { severity: 'warning', code: 'ignore.no_reason', message, hint: 'write `# egresslab-ignore CODE why`', ...at },
    ]
  }
  if (isUsed) return []
  const message = `there is no \`${code}\` here to ignore any more`
  return [{ severity: 'advice', code: 'ignore.unused', message, hint: 'delete the comment', ...at }]
}

function commentsIn({ file, rulesFile }: LabConfig): IgnoreComment[] {
  return [file, ...(rulesFile === undefined ? [] : [rulesFile])].flatMap((path) => {
    const lines = readWholeFile(path).toString('utf8').split('\n')
    const begins = lines.findIndex((text) => isContent(text))
    return lines.flatMap((text, at): IgnoreComment[] => {
      const groups = COMMENT.exec(text)?.groups
      if (groups === undefined) return []
      const next = isContent(text) ? at : lines.findIndex((other, below) => below > at && isContent(other))
      const target = at < begins ? 0 : next + 1
      return [{ file: path, line: at + 1, code: groups.code ?? '', reason: (groups.reason ?? '').trim(), target }]
    })
  })
}

function isContent(text: string): boolean {
  return text.trim() !== '' && !text.trim().startsWith('#')
}
