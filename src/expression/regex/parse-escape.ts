// Escapes of the Rust dialect, the same inside and outside brackets ([L15]).

import { bytesOf } from '../value.ts'
import type { Assertion } from './pattern.ts'
import type { PatternReader } from './reader.ts'

export type Escape =
  | { readonly kind: 'bytes'; readonly bytes: readonly number[] }
  | { readonly kind: 'perl'; readonly name: string }
  | { readonly kind: 'assert'; readonly what: Assertion }

const CONTROL: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 }
const HEX_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }
const ASSERTIONS: Readonly<Record<string, Assertion>> = {
  A: 'start',
  z: 'end',
  B: 'not-word-boundary',
  '<': 'word-start',
  '>': 'word-end',
}
const BOUNDARIES: Readonly<Record<string, Assertion>> = {
  start: 'word-start',
  end: 'word-end',
  'start-half': 'word-start-half',
  'end-half': 'word-end-half',
}

/** Reads an escape from its backslash. Throws PatternProblem. */
export function readEscape(reader: PatternReader): Escape {
  const start = reader.at
  reader.bump()
  const character = reader.character
  if (character === '') throw reader.problem('incomplete escape sequence, reached end of pattern prematurely', start)
  if (/[0-9]/.test(character)) throw reader.problem('backreferences are not supported', start)
  if (/[pP]/.test(character)) throw reader.problem('Unicode-aware class `\\p` not allowed here', start)
  const digits = HEX_DIGITS[character]
  if (digits !== undefined) return { kind: 'bytes', bytes: readHex(reader, digits, start) }
  reader.bump()
  if (/[dswDSW]/.test(character)) return { kind: 'perl', name: character }
  const control = CONTROL[character]
  if (control !== undefined) return { kind: 'bytes', bytes: [control] }
  const what = character === 'b' ? readBoundary(reader, start) : ASSERTIONS[character]
  if (what !== undefined) return { kind: 'assert', what }
  if (character > '\x7f' || /[A-Za-z]/.test(character)) throw reader.problem('unrecognized escape sequence', start)
  return { kind: 'bytes', bytes: [character.charCodeAt(0)] }
}

/** `\b`, `\b{start}` and the like; a brace without a word in it is a count. */
function readBoundary(reader: PatternReader, start: number): Assertion {
  if (reader.character !== '{') return 'word-boundary'
  const brace = reader.at
  reader.bumpPastIgnored()
  if (reader.isAtEnd) throw reader.problem('found start of special word boundary or repetition without an end', start)
  let word = ''
  while (/^[A-Za-z-]$/.test(reader.character)) {
    word += reader.character
    reader.bumpPastIgnored()
  }
  if (word === '') {
    reader.at = brace
    return 'word-boundary'
  }
  if (!reader.take('}')) throw reader.problem('special word boundary assertion is unclosed', brace)
  const what = BOUNDARIES[word]
  if (what === undefined) throw reader.problem('unrecognized special word boundary assertion', brace)
  return what
}

/** `\xHH` is one byte; `\x{…}`, `\uHHHH` and `\UHHHHHHHH` are a character, as its UTF-8 bytes. */
function readHex(reader: PatternReader, count: number, start: number): readonly number[] {
  reader.bumpPastIgnored()
  const isBraced = reader.character === '{'
  const digits = isBraced ? readBracedDigits(reader, start) : readDigits(reader, count, start)
  if (digits === '') throw reader.problem('hexadecimal literal empty', start)
  const value = Number.parseInt(digits, 16)
  if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
    throw reader.problem('hexadecimal literal is not a Unicode scalar value', start)
  }
  if (!isBraced && count === 2) return [value]
  return Array.from(bytesOf(String.fromCodePoint(value)), (unit) => unit.charCodeAt(0))
}

function readDigits(reader: PatternReader, count: number, start: number): string {
  let digits = ''
  while (digits.length < count) digits += takeDigit(reader, start)
  return digits
}

function readBracedDigits(reader: PatternReader, start: number): string {
  let digits = ''
  reader.bumpPastIgnored()
  while (reader.character !== '}') digits += takeDigit(reader, start)
  reader.bumpPastIgnored()
  return digits
}

function takeDigit(reader: PatternReader, start: number): string {
  const digit = reader.character
  if (!/^[0-9a-fA-F]$/.test(digit)) throw reader.problem('invalid hexadecimal digit', start)
  reader.bumpPastIgnored()
  return digit
}
