// A position in the source that moves forward, and failures at it. There are no tokens: each reader matches the text at
// the cursor ([L3]).

import type { ExpressionProblemCode } from '../problem.ts'
import type { Span } from '../tree.ts'
import { isBlank, isWhiteSpace, leadingWhiteSpace } from './white-space.ts'

/** Thrown by everything that reads source and caught by the parser's recovery; never leaves this room. `span` is in
 *  UTF-16 code units. */
export class Failure {
  readonly code: ExpressionProblemCode
  readonly message: string
  readonly span: Span
  readonly hint: string | undefined

  constructor(code: ExpressionProblemCode, message: string, span: Span, hint?: string) {
    this.code = code
    this.message = message
    this.span = span
    this.hint = hint
  }
}

const ASCII = 128

/** The ASCII characters that match, by code: 1 for a member. */
export function characterClass(members: RegExp): Uint8Array {
  return Uint8Array.from({ length: ASCII }, (_, code) => (members.test(String.fromCharCode(code)) ? 1 : 0))
}

/** Spellings with what each stands for, by the code of their first character and in the given order. */
export type Spellings<T> = readonly (readonly (readonly [string, T])[] | undefined)[]

/** Sorts spellings by their first character, an ASCII one. */
export function byFirstCharacter<T>(spellings: readonly (readonly [string, T])[]): Spellings<T> {
  return Array.from({ length: ASCII }, (_, code) => {
    const own = spellings.filter(([spelling]) => spelling.charCodeAt(0) === code)
    return own.length === 0 ? undefined : own
  })
}

/** A position in one source text. Offsets are UTF-16 code units. */
export class Cursor {
  readonly text: string
  /** where the trimmed source ends */
  readonly end: number
  /** the next character to read */
  at: number
  readonly #tabs: boolean

  /** `tabs`: whether a tab separates words */
  constructor(text: string, tabs: boolean) {
    const blank = isBlank(text)
    let end = blank ? 0 : text.length
    while (end > 0 && isWhiteSpace(text.charAt(end - 1))) end--
    this.text = text
    this.end = end
    this.at = blank ? 0 : leadingWhiteSpace(text)
    this.#tabs = tabs
  }

  get isAtEnd(): boolean {
    return this.at >= this.end
  }

  /** The next UTF-16 unit, or the empty string at the end. */
  peek(ahead = 0): string {
    const at = this.at + ahead
    return at < this.end ? this.text.charAt(at) : ''
  }

  /** Whether the text is next. */
  sees(text: string): boolean {
    if (this.text.charCodeAt(this.at) !== text.charCodeAt(0) || this.at + text.length > this.end) return false
    return text.length === 1 || this.text.startsWith(text, this.at)
  }

  /** The code of the next UTF-16 unit; NaN at the end. */
  get code(): number {
    return this.at < this.end ? this.text.charCodeAt(this.at) : Number.NaN
  }

  /** Consumes the text if it is next. */
  take(text: string): boolean {
    if (!this.sees(text)) return false
    this.at += text.length
    return true
  }

  /** Consumes the first spelling that is next, and returns what it stands for. */
  takeSpelling<T>(spellings: Spellings<T>): T | undefined {
    const own = spellings[this.code]
    if (own === undefined) return undefined
    for (const [spelling, meaning] of own) if (this.take(spelling)) return meaning
    return undefined
  }

  /** Consumes the text, or fails with the engine's wording for a missing literal. */
  expect(text: string, hint?: string): void {
    if (!this.take(text)) throw this.failure('expression.syntax', `expected literal ${JSON.stringify(text)}`, hint)
  }

  /** Consumes the longest run of characters of the class (a sticky expression that never matches the empty text). */
  takeRun(run: RegExp): string {
    run.lastIndex = this.at
    const found = run.exec(this.text)?.[0] ?? ''
    const taken = found.slice(0, this.end - this.at)
    this.at += taken.length
    return taken
  }

  /** Consumes the longest run of ASCII characters of a class made by {@link characterClass}. */
  takeClass(members: Uint8Array): string {
    const start = this.at
    let at = start
    while (at < this.end && members[this.text.charCodeAt(at)] === 1) at++
    this.at = at
    return this.text.slice(start, at)
  }

  skipSpace(): void {
    for (; this.at < this.end; this.at++) {
      const unit = this.text.charCodeAt(this.at)
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && !(unit === 0x09 && this.#tabs)) return
    }
  }

  /** A failure from here to the end of the trimmed source. */
  failure(code: ExpressionProblemCode, message: string, hint?: string): Failure {
    return new Failure(code, message, [this.at, this.end], hint)
  }
}
