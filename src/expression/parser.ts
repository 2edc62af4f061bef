// The state of one parse: position, scheme and limits, problems so far; and where parsing can continue after a problem.

import { type Cursor, Failure } from './lex/cursor.ts'
import { characterSpan, type ExpressionProblem } from './problem.ts'
import type { Mode } from './tree.ts'
import type { Scheme } from './value.ts'

/** Limits beyond which an expression is refused ([L16]). */
export interface ExpressionLimits {
  /** nesting depth of groups, negations and quantifiers */
  readonly nesting: number
  /** bytes of one compiled regular expression */
  readonly regexBytes: number
  /** stars in one wildcard */
  readonly wildcardStars: number
  /** length of the source in UTF-16 code units */
  readonly sourceLength: number
}

export const DEFAULT_LIMITS: ExpressionLimits = Object.freeze({
  nesting: 128,
  regexBytes: 10 * 2 ** 20,
  wildcardStars: Number.POSITIVE_INFINITY,
  sourceLength: 4 * 2 ** 20,
})

/** Parsing stops after this many problems, and drops warnings after this many. */
const MOST_PROBLEMS = 100

/** Thrown when what follows a problem cannot be parsed independently of it; the problem has been reported. */
export const STOP = Symbol('stop')

/** The state of one parse. */
export class Parser {
  readonly cursor: Cursor
  readonly scheme: Scheme
  readonly mode: Mode
  readonly limits: ExpressionLimits
  /** open constructs around the cursor */
  depth = 0
  /** open quantifiers among them */
  quantifiers = 0
  readonly problems: ExpressionProblem[] = []
  readonly warnings: ExpressionProblem[] = []

  constructor(cursor: Cursor, scheme: Scheme, mode: Mode, limits: ExpressionLimits) {
    this.cursor = cursor
    this.scheme = scheme
    this.mode = mode
    this.limits = limits
  }

  get isLenient(): boolean {
    return this.mode === 'lenient'
  }

  /** Records a problem and continues; throws STOP if there are too many. */
  report(failure: Failure): void {
    if (this.problems.length < MOST_PROBLEMS) this.problems.push(this.#describe(failure))
    if (this.problems.length >= MOST_PROBLEMS) throw STOP
  }

  /** Records a warning about text that was accepted. */
  warn(failure: Failure): void {
    if (this.warnings.length < MOST_PROBLEMS) this.warnings.push(this.#describe(failure))
  }

  /** Opens one more level of nesting. Fails with `expression.limit_exceeded` at `from` if it is one too many. */
  enter(from: number): void {
    if (this.depth >= this.limits.nesting) {
      const message = `nesting limit exceeded, the maximum is ${this.limits.nesting}`
      throw new Failure('expression.limit_exceeded', message, [from, this.cursor.end])
    }
    this.depth++
  }

  leave(): void {
    this.depth--
  }

  #describe(failure: Failure): ExpressionProblem {
    return {
      code: failure.code,
      message: failure.message,
      span: characterSpan(this.cursor.text, failure.span),
      ...(failure.hint === undefined ? {} : { hint: failure.hint }),
    }
  }
}

// Recovery: the next logical operator or closing bracket of the same level. Looks only at quotes and brackets; reports
// nothing.

const OPERATOR = /(?:and|or|xor|AND|OR|XOR)(?=[\s(!])/y
const RAW_STRING = /r(#*)"/y

/** The first boundary at or after `after`, for an operand that starts at `from`; `end` if there is none. All UTF-16
 *  offsets. */
export function findBoundary(text: string, from: number, after: number, end: number): number {
  let depth = 0
  for (let at = from; at < end; at++) {
    const unit = text.charAt(at)
    if (depth === 0 && at >= after && isBoundary(text, at)) return at
    if (unit === '(' || unit === '[' || unit === '{') depth++
    else if (unit === ')' || unit === ']' || unit === '}') depth = Math.max(0, depth - 1)
    else at = skipString(text, at, end)
  }
  return end
}

function isBoundary(text: string, at: number): boolean {
  const unit = text.charAt(at)
  if (unit === ')') return true
  if (/[&|^]/.test(unit) && text.charAt(at + 1) === unit) return true
  if (!/[aoxAOX]/.test(unit) || !/[\s)\]}"]/.test(text.charAt(at - 1))) return false
  OPERATOR.lastIndex = at
  return OPERATOR.test(text)
}

/** The index of a string's closing quote, if a string begins here; else `at`. */
function skipString(text: string, at: number, end: number): number {
  RAW_STRING.lastIndex = at
  const raw = /[A-Za-z0-9_]/.test(text.charAt(at - 1)) ? null : RAW_STRING.exec(text)
  if (raw !== null) {
    const close = text.indexOf(`"${raw[1]}`, at + raw[0].length)
    return close < 0 ? end : close + (raw[1] ?? '').length
  }
  if (text.charAt(at) !== '"') return at
  for (let next = at + 1; next < end; next++) {
    if (text.charAt(next) === '\\') next++
    else if (text.charAt(next) === '"') return next
  }
  return end
}
