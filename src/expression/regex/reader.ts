// A place in a pattern's text, its flags, and its escapes. Shared by the reader of patterns and the reader of classes.

import { bytesOf } from '../value.ts'
import type { Assertion } from './pattern.ts'

/** Thrown inside this folder only; `at` is a UTF-16 offset into the pattern. */
export class PatternProblem {
  readonly message: string
  readonly at: number

  constructor(message: string, at: number) {
    this.message = message
    this.at = at
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

export type Escape =
  | { readonly kind: 'bytes'; readonly bytes: readonly number[] }
  | { readonly kind: 'perl'; readonly name: string }
  | { readonly kind: 'assert'; readonly what: Assertion }

const CONTROL: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 }
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }

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

  sees(text: string): boolean {
    return this.text.startsWith(text, this.at)
  }

  take(text: string): boolean {
    if (!this.sees(text)) return false
    this.at += text.length
    return true
  }

  takeInClass(text: string): boolean {
    if (!this.take(text)) return false
    this.skipIgnored()
    return true
  }

  /** Takes what a sticky expression finds here. */
  takeMatch(sticky: RegExp): RegExpExecArray | undefined {
    sticky.lastIndex = this.at
    const found = sticky.exec(this.text)
    if (found === null) return undefined
    this.at += found[0].length
    return found
  }

  /** The next character (code point). */
  next(atEnd: string): string {
    const code = this.text.codePointAt(this.at)
    if (code === undefined) throw this.problem(atEnd, this.at)
    const character = String.fromCodePoint(code)
    this.at += character.length
    return character
  }

  /** In verbose mode, passes over white space and comments. */
  skipIgnored(): void {
    if (this.flags.x) this.takeMatch(/(?:[\t-\r \u0085\u200e\u200f\u2028\u2029]|#[^\n]*)+/y)
  }

  problem(message: string, at: number): PatternProblem {
    return new PatternProblem(message, at)
  }

  /** Reads an escape behind its backslash; `start` is where the backslash stands. */
  readEscape(start: number): Escape {
    const character = this.next('incomplete escape sequence, reached end of pattern prematurely')
    if (/[dswDSW]/.test(character)) return { kind: 'perl', name: character }
    if (/[pP]/.test(character)) throw this.problem('Unicode-aware class `\\p` not allowed here', start)
    if (/[0-9]/.test(character)) throw this.problem('backreferences are not supported', start)
    const digits = HEX_DIGITS[character]
    if (digits !== undefined) return { kind: 'bytes', bytes: this.#readHex(character, digits, start) }
    const control = CONTROL[character]
    if (control !== undefined) return { kind: 'bytes', bytes: [control] }
    if (character === 'b' || character === 'B' || character === '<' || character === '>') {
      return this.#readBoundary(character)
    }
    if (character === 'A') return { kind: 'assert', what: 'start' }
    if (character === 'z') return { kind: 'assert', what: 'end' }
    if (character > '\x7f' || /[A-Za-z]/.test(character)) throw this.problem('unrecognized escape sequence', start)
    return { kind: 'bytes', bytes: [character.charCodeAt(0)] }
  }

  #readBoundary(character: string): Escape {
    if (character === 'B') return { kind: 'assert', what: 'not-word-boundary' }
    if (character === '<') return { kind: 'assert', what: 'word-start' }
    if (character === '>') return { kind: 'assert', what: 'word-end' }
    const side = this.takeMatch(/\{(start|end)(-half)?\}/y)
    const what = side === undefined ? 'word-boundary' : `word-${side[1]}${side[2] ?? ''}`
    return { kind: 'assert', what: what as Assertion }
  }

  /** `\xHH` is one byte; `\x{…}`, `\uHHHH` and `\UHHHHHHHH` are a character, as its UTF-8 bytes. */
  #readHex(kind: string, count: number, start: number): number[] {
    const braced = this.takeMatch(/\{([0-9a-fA-F]*)\}/y)
    const fixed = braced === undefined ? this.text.slice(this.at, this.at + count) : ''
    const digits = braced?.[1] ?? fixed
    if (braced === undefined) this.at += fixed.length
    if (digits === '') throw this.problem('hexadecimal literal empty', start)
    if (!/^[0-9a-fA-F]+$/.test(digits) || (braced === undefined && fixed.length < count)) {
      throw this.problem('invalid hexadecimal digit', start)
    }
    const value = Number.parseInt(digits, 16)
    if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
      throw this.problem('hexadecimal literal is not a Unicode scalar value', start)
    }
    if (braced === undefined && kind === 'x') return [value]
    return Array.from(bytesOf(String.fromCodePoint(value)), (unit) => unit.charCodeAt(0))
  }
}
