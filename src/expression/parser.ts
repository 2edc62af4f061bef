// The state of one parse: position, scheme and limits, problems so far.

import { type Cursor, Failure } from './lex/cursor.ts'
import { characterSpan, type ExpressionProblem } from './problem.ts'
import type { Scheme } from './scheme.ts'
import type { Mode } from './tree.ts'

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
