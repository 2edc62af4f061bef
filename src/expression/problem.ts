// Problems of an expression: a closed set of codes, a message in the engine's wording, an exact span and a drawing.
// Problems are data; callers render them.

import type { Span } from './tree.ts'

/** Code → meaning. The keys are the complete list (docs/expressions.md prints it). */
export const EXPRESSION_PROBLEMS = {
  'expression.syntax': 'unexpected text, or text left over at the end',
  'expression.unknown_field': 'the name is not a field of this expression',
  'expression.type_mismatch': 'operator, index, quantifier or list does not fit the type',
  'expression.invalid_integer': 'bad digit for the radix, or outside 64 bits',
  'expression.invalid_address': 'not an address, or not a network with zero host bits',
  'expression.invalid_range': 'the bounds are reversed or of two families',
  'expression.invalid_string': 'bad escape, bad byte, or no closing quote',
  'expression.invalid_regex': 'the regular expression is malformed or uses an unsupported feature',
  'expression.invalid_wildcard': 'the wildcard pattern is malformed',
  'expression.invalid_list_name': 'the text after the `$` is not a list name',
  'expression.invalid_index': 'the text in the brackets is not an index',
  'expression.limit_exceeded': 'nesting, size, hashes or stars beyond the limit',
  'expression.lenient_spelling': 'warning only: accepted here, refused by the engine',
  'expression.doubled_backslash': 'warning only: `\\\\.` in a regular expression means a literal backslash',
} as const

export type ExpressionProblemCode = keyof typeof EXPRESSION_PROBLEMS

/** One problem. `span` is half-open, in characters (Unicode code points) of the untrimmed source, from 0. */
export interface ExpressionProblem {
  readonly code: ExpressionProblemCode
  readonly message: string
  readonly span: Span
  /** what to write instead, if there is a suggestion */
  readonly hint?: string
}

/** Draws a problem as the engine does: a header with 1-based line and column, the source line, and carets under the
 *  span (clipped to the line, one caret for an empty span) followed by the message. */
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

/** A span of UTF-16 code units as one of characters (code points). */
export function characterSpan(source: string, span: Span): Span {
  if (!/[\ud800-\udfff]/.test(source)) return span
  const count = (end: number) => Array.from(source.slice(0, end)).length
  return [count(span[0]), count(span[1])]
}
