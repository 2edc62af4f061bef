// What can be wrong with an expression: a closed set of codes, a message in the engine's wording, an exact span and a
// drawing. Problems are data; who shows them decides how.

import type { Span } from './tree.ts'

/** Code → what it stands for. The keys are the complete list (docs/expressions.md prints it). */
export const EXPRESSION_PROBLEMS = {
  'expression.syntax': 'something else was expected at this place, or text is left over',
  'expression.unknown_field': 'the name is no field here',
  'expression.type_mismatch': 'operator, index, quantifier or list does not fit the type',
  'expression.invalid_integer': 'bad digit for the radix, or outside 64 bits',
  'expression.invalid_address': 'not an address, or not a network with zero host bits',
  'expression.invalid_range': 'the bounds are reversed or of two families',
  'expression.invalid_string': 'bad escape, bad byte, or no closing quote',
  'expression.invalid_regex': 'the regular expression is malformed or uses what is not supported',
  'expression.invalid_wildcard': 'the wildcard pattern is malformed',
  'expression.invalid_list_name': 'what follows the `$` is no list name',
  'expression.invalid_index': 'what stands in the brackets is no index',
  'expression.limit_exceeded': 'nesting, size, hashes or stars beyond the limit',
  'expression.lenient_spelling': 'warning only: taken, although the engine refuses it',
  'expression.doubled_backslash': 'warning only: `\\\\.` in a regular expression means a literal backslash',
} as const

export type ExpressionProblemCode = keyof typeof EXPRESSION_PROBLEMS

/** One problem. `span` is half-open, in characters (Unicode code points) of the untrimmed source, from 0. */
export interface ExpressionProblem {
  readonly code: ExpressionProblemCode
  readonly message: string
  readonly span: Span
  /** what to write instead, where there is something to say */
  readonly hint?: string
}

/** The source line with carets under the span and the message behind them, headed by 1-based line and column, as the
 *  engine draws it: one line, the span clipped to it, one caret for an empty span. */
export function drawProblem(source: string, problem: ExpressionProblem): string {
  const { line, column } = positionOf(source, problem.span[0])
  const characters = Array.from(source.split('\n')[line - 1] ?? '')
  const shown = characters.map((character) => (/[\t\r\v\f\u0085\u2028\u2029]/.test(character) ? ' ' : character))
  const room = Math.max(characters.length - (column - 1), 0)
  const carets = '^'.repeat(Math.max(1, Math.min(problem.span[1] - problem.span[0], room)))
  const lines = [
    `Filter parsing error (${line}:${column}):`,
    shown.join('').trimEnd(),
    `${' '.repeat(column - 1)}${carets} ${problem.message}`,
  ]
  if (problem.hint !== undefined) lines.push(`hint: ${problem.hint}`)
  return lines.join('\n')
}

/** 1-based line and column (in characters) of a character offset. */
export function positionOf(source: string, offset: number): { line: number; column: number } {
  let line = 1
  let lineStart = 0
  const characters = Array.from(source)
  for (let at = 0; at < offset && at < characters.length; at++) {
    if (characters[at] !== '\n') continue
    line++
    lineStart = at + 1
  }
  return { line, column: offset - lineStart + 1 }
}

/** A span of UTF-16 code units as one of characters. The same numbers unless the source has astral characters. */
export function characterSpan(source: string, span: Span): Span {
  if (!/[\ud800-\udfff]/.test(source)) return span
  const count = (end: number) => Array.from(source.slice(0, end)).length
  return [count(span[0]), count(span[1])]
}
