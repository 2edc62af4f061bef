// A position in a pattern's text with the flags in force there. Advances as the dialect's own parser does, since where
// white space and comments count in verbose mode depends on how each step is taken.

import { isWhiteSpace } from '../lex/white-space.ts'

/** Thrown inside this folder only. `at` is a UTF-16 offset into the pattern, `hint` what to write instead. */
export class PatternProblem {
  readonly message: string
  readonly at: number
  readonly hint: string | undefined

  constructor(message: string, at: number, hint?: string) {
    this.message = message
    this.at = at
    this.hint = hint
  }
}

/** Flags: case, multi-line, dot matches line feeds, verbose, CRLF. Swapped greed is not recorded, as it does not
 *  affect whether a pattern matches. */
export interface Flags {
  readonly i: boolean
  readonly m: boolean
  readonly s: boolean
  readonly x: boolean
  readonly R: boolean
}

/** Greatest nesting depth of groups, brackets, alternations, concatenations, repetitions and class operators. */
const NESTING_LIMIT = 250

/** A position in one pattern. Offsets are UTF-16 code units. */
export class PatternReader {
  readonly text: string
  at = 0
  flags: Flags = { i: false, m: false, s: false, x: false, R: false }

  constructor(text: string) {
    this.text = text
  }

  get isAtEnd(): boolean {
    return this.at >= this.text.length
  }

  /** The current character (a code point); empty at the end. */
  get character(): string {
    return this.#characterAt(this.at)
  }

  sees(text: string): boolean {
    return this.text.startsWith(text, this.at)
  }

  take(text: string): boolean {
    if (!this.sees(text)) return false
    this.at += text.length
    return true
  }

  /** Advances by one character. */
  bump(): void {
    this.at += this.character.length
  }

  /** Advances by one character and the text that verbose mode ignores after it. */
  bumpPastIgnored(): void {
    this.bump()
    this.skipIgnored()
  }

  /** In verbose mode, skips white space and comments. */
  skipIgnored(): void {
    if (!this.flags.x) return
    for (;;) {
      const character = this.character
      if (isWhiteSpace(character)) this.bump()
      else if (character === '#') {
        const end = this.text.indexOf('\n', this.at)
        this.at = end < 0 ? this.text.length : end + 1
      } else return
    }
  }

  /** The next character. In verbose mode, skips white space and one `#`: the dialect's lookahead treats the first
   *  character of a comment as pattern text. */
  peekPastIgnored(): string {
    const from = this.at + this.character.length
    if (!this.flags.x) return this.#characterAt(from)
    let isBehindHash = false
    for (let at = from; at < this.text.length; at++) {
      const character = this.#characterAt(at)
      if (isWhiteSpace(character)) continue
      if (character !== '#' || isBehindHash) return character
      isBehindHash = true
    }
    return this.#characterAt(from)
  }

  problem(message: string, at: number, hint?: string): PatternProblem {
    return new PatternProblem(message, at, hint)
  }

  /** Returns the depth; refuses what is nested deeper than the dialect allows. */
  nested(depth: number, at: number): number {
    if (depth > NESTING_LIMIT) throw this.problem(`exceeds the nesting limit of ${NESTING_LIMIT}`, at)
    return depth
  }

  #characterAt(at: number): string {
    const code = this.text.codePointAt(at) ?? 0
    return code > 0xffff ? String.fromCodePoint(code) : this.text.charAt(at)
  }
}
