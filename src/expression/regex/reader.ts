// A place in a pattern's text and the flags in force there. Moves as the dialect's own parser does, because where white
// space and comments count in verbose mode depends on how each step is taken.

import { isWhiteSpace } from '../lex/white-space.ts'

/** Thrown inside this folder only; `at` is a UTF-16 offset into the pattern, `hint` what to write instead. */
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

/** Flags in force: case, multi-line, dot takes line feeds, verbose, CRLF. Swapped greed changes no answer. */
export interface Flags {
  readonly i: boolean
  readonly m: boolean
  readonly s: boolean
  readonly x: boolean
  readonly R: boolean
}

/** Groups, brackets, alternations, concatenations, repetitions and class operators may stand inside each other this deep. */
const NESTING_LIMIT = 250

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

  /** The character here (a code point), empty at the end. */
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

  /** Moves over one character. */
  bump(): void {
    this.at += this.character.length
  }

  /** Moves over one character and what verbose mode ignores behind it. */
  bumpPastIgnored(): void {
    this.bump()
    this.skipIgnored()
  }

  /** In verbose mode, passes over white space and comments. */
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

  /** The character behind the one here. In verbose mode, behind white space and one `#` too: the dialect's look ahead
   *  takes the first character of a comment for pattern text. */
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

  /** The depth of something that stands `depth` deep; refuses what is deeper than the dialect allows. */
  nested(depth: number, at: number): number {
    if (depth > NESTING_LIMIT) throw this.problem(`exceeds the nesting limit of ${NESTING_LIMIT}`, at)
    return depth
  }

  #characterAt(at: number): string {
    const code = this.text.codePointAt(at) ?? 0
    return code > 0xffff ? String.fromCodePoint(code) : this.text.charAt(at)
  }
}
