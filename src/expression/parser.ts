// The state one parse shares: where it is, what it may use, what has gone wrong so far.

import { type Cursor, Failure } from './lex/cursor.ts'
import { characterSpan, type ExpressionProblem } from './problem.ts'
import type { Scheme } from './scheme.ts'
import type { Mode } from './tree.ts'

/** Limits beyond which an expression is refused ([L16]). */
export interface ExpressionLimits {
  /** groups, negations and quantifiers inside each other */
  readonly nesting: number
  /** bytes one compiled regular expression may take */
  readonly regexBytes: number
  /** stars in one wildcard */
  readonly wildcardStars: number
  /** characters of source (UTF-16 units) */
  readonly sourceLength: number
}

export const DEFAULT_LIMITS: ExpressionLimits = Object.freeze({
  nesting: 128,
  regexBytes: 10 * 2 ** 20,
  wildcardStars: Number.POSITIVE_INFINITY,
  sourceLength: 4 * 2 ** 20,
})

/** After this many problems nobody reads on; nor after this many warnings. */
const MOST_PROBLEMS = 100

/** Thrown when nothing after a problem can be told apart from it; the problem has been reported. */
export const STOP = Symbol('stop')

export class Parser {
  readonly cursor: Cursor
  readonly scheme: Scheme
  readonly mode: Mode
  readonly limits: ExpressionLimits
  /** constructs open around the cursor */
  depth = 0
  /** quantifiers among them */
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

  /** Notes a problem and goes on, unless there are too many: then throws STOP. */
  report(failure: Failure): void {
    if (this.problems.length < MOST_PROBLEMS) this.problems.push(this.#describe(failure))
    if (this.problems.length >= MOST_PROBLEMS) throw STOP
  }

  /** Notes something that was taken and perhaps should not have been written. */
  warn(failure: Failure): void {
    if (this.warnings.length < MOST_PROBLEMS) this.warnings.push(this.#describe(failure))
  }

  /** Opens one more level of nesting; `from` is where the problem would be, if it is one too many. */
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
