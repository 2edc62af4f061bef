// A problem in input written by a person (configuration, rule, policy test, recording): data that is rendered
// elsewhere. All problems of one input are reported together.

/** The place: `file` as given by the user, 1-based `line` and `column`, `path` as keys and indexes into the
 *  document. */
export interface Issue {
  readonly severity: 'error' | 'warning' | 'advice'
  /** stable, dotted: `config.unknown_key`, `expression.unknown_field`, `practice.P2` … */
  readonly code: string
  /** one lower-case clause that says what is wrong, the user's text in backticks */
  readonly message: string
  /** what to do about it, one sentence, if there is a suggestion */
  readonly hint?: string
  readonly file?: string
  readonly line?: number
  readonly column?: number
  readonly path?: readonly (string | number)[]
  /** the rule it is about */
  readonly rule?: IssueRule
  /** several lines: the source line with a caret under the span */
  readonly drawing?: string
}

export interface IssueRule {
  readonly id: string
  readonly name: string
  readonly precedence: number
}

/** Thrown for invalid input; carries every issue found. The command line prints them and exits with 2. */
export class InputError extends Error {
  override readonly name = 'InputError'
  readonly issues: readonly Issue[]

  constructor(issues: readonly Issue[]) {
    super(issues.map((issue) => issue.message).join('; '))
    this.issues = issues
  }
}

/** Everything an issue can say besides its severity, code and message; `undefined` says nothing. */
export type IssueDetails = {
  readonly [Key in keyof Omit<Issue, 'severity' | 'code' | 'message'>]?: Issue[Key] | undefined
}

/** An InputError with a single error. */
export function inputError(code: string, message: string, details: IssueDetails = {}): InputError {
  const given = Object.fromEntries(Object.entries(details).filter(([, value]) => value !== undefined))
  return new InputError([{ severity: 'error', code, message, ...given }])
}

/** Lines longer than this are cut. */
const WIDTH = 160
/** Characters shown before the span when the line is cut. */
const LEAD = 40

/** Two lines: the text, and `^` under `length` characters from the 1-based `column`. Tabs are kept, so that the
 *  carets align. */
export function drawLine(text: string, column: number, length: number): string {
  const start = text.length <= WIDTH ? 0 : Math.max(0, Math.min(column - 1 - LEAD, text.length - WIDTH))
  const end = start + WIDTH
  const before = start === 0 ? '' : '… '
  const after = end >= text.length ? '' : ' …'
  const shown = `${before}${text.slice(start, end)}${after}`
  const indent = `${before}${text.slice(start, column - 1)}`.replace(/\S/g, ' ')
  const carets = '^'.repeat(Math.max(1, Math.min(length, end - (column - 1))))
  return `${shown}\n${indent}${carets}`
}
