// Escapes of the Rust dialect, the same inside and outside brackets, and bracketed classes: nesting, set operators, POSIX
// names ([L15]). Over bytes: a non-ASCII character in a class is refused, as by the engine without Unicode mode.

import { bytesOf } from '../value.ts'
import {
  type Assertion,
  type ByteClass,
  CLASS_OPERATORS,
  emptyClass,
  foldCase,
  negate,
  PERL_CLASSES,
  POSIX_CLASSES,
} from './pattern.ts'
import type { PatternReader } from './reader.ts'

/** A class and the nesting depth of the brackets, unions and operators in it. */
export interface ClassPiece {
  readonly set: ByteClass
  readonly depth: number
}

type Range = readonly [first: number, last: number]

type Operator = keyof typeof CLASS_OPERATORS

const OPERATORS = ['&&', '--', '~~'] as const satisfies readonly Operator[]

/** Reads a class from its `[`. `outer`: number of brackets around it. Throws PatternProblem. */
export function readClass(reader: PatternReader, outer = 0): ClassPiece {
  const start = reader.at
  reader.nested(outer + 1, start)
  reader.bumpPastIgnored()
  const isNegated = takePastIgnored(reader, '^')
  let members = readLeadingLiterals(reader)
  let left: ClassPiece | undefined
  let operator: Operator | undefined
  for (;;) {
    reader.skipIgnored()
    if (reader.isAtEnd) throw reader.problem('unclosed character class', start)
    const next = reader.sees(']') ? undefined : OPERATORS.find((spelling) => reader.sees(spelling))
    if (next === undefined && !reader.sees(']')) {
      readItem(reader, members, start, outer)
      continue
    }
    left = combine(reader, left, operator, members.piece(reader), start)
    members = new Members()
    operator = next
    if (next === undefined) break
    reader.take(next)
  }
  reader.bump()
  const set = fold(reader, left.set)
  return { set: isNegated ? negate(set) : set, depth: reader.nested(left.depth + 1, start) }
}

/** The items between two operators. */
class Members {
  readonly #set = emptyClass()
  #depth = 0
  #count = 0

  get count(): number {
    return this.#count
  }

  add({ set, depth }: ClassPiece): void {
    for (let byte = 0; byte < 256; byte++) if (set[byte] === 1) this.#set[byte] = 1
    this.#depth = Math.max(this.#depth, depth)
    this.#count++
  }

  addRange([first, last]: Range): void {
    this.#set.fill(1, first, last + 1)
    this.#count++
  }

  piece(reader: PatternReader): ClassPiece {
    const depth = this.#count > 1 ? this.#depth + 1 : this.#depth
    return { set: this.#set, depth: reader.nested(depth, reader.at) }
  }
}

/** A `-` right after the bracket, and a `]` before anything else, are literal. */
function readLeadingLiterals(reader: PatternReader): Members {
  const members = new Members()
  while (takePastIgnored(reader, '-')) members.addRange([0x2d, 0x2d])
  if (members.count === 0 && takePastIgnored(reader, ']')) members.addRange([0x5d, 0x5d])
  return members
}

function takePastIgnored(reader: PatternReader, text: string): boolean {
  if (!reader.sees(text)) return false
  reader.bumpPastIgnored()
  return true
}

function combine(
  reader: PatternReader,
  left: ClassPiece | undefined,
  operator: Operator | undefined,
  right: ClassPiece,
  start: number,
): ClassPiece {
  if (left === undefined || operator === undefined) return right
  const set = CLASS_OPERATORS[operator](fold(reader, left.set), fold(reader, right.set))
  return { set, depth: reader.nested(Math.max(left.depth, right.depth) + 1, start) }
}

function readItem(reader: PatternReader, members: Members, start: number, outer: number): void {
  if (!reader.sees('[')) {
    readRange(reader, members, start)
    return
  }
  const posix = readPosix(reader)
  members.add(posix === undefined ? readClass(reader, outer + 1) : { set: posix, depth: 0 })
}

/** `[:name:]` and `[:^name:]`; any other bracket in a bracket is a nested class. */
function readPosix(reader: PatternReader): ByteClass | undefined {
  const sticky = /\[:(\^?)([a-z]+):\]/y
  sticky.lastIndex = reader.at
  const [text = '', caret, name = ''] = sticky.exec(reader.text) ?? []
  const named = Object.hasOwn(POSIX_CLASSES, name) ? POSIX_CLASSES[name] : undefined
  if (named === undefined) return undefined
  reader.at += text.length
  // case is folded first: with case ignored, "not lower" contains no letters
  return caret === '^' ? negate(fold(reader, named)) : named
}

function readRange(reader: PatternReader, members: Members, start: number): void {
  const from = reader.at
  const first = readMember(reader)
  reader.skipIgnored()
  if (reader.isAtEnd) throw reader.problem('unclosed character class', start)
  if (!seesRange(reader)) {
    if (first.kind === 'perl') members.add({ set: perlClass(first.name), depth: 0 })
    else {
      const byte = byteOf(reader, first, from)
      members.addRange([byte, byte])
    }
    return
  }
  reader.bumpPastIgnored()
  if (reader.isAtEnd) throw reader.problem('unclosed character class', start)
  const last = readMember(reader)
  if (first.kind !== 'bytes' || last.kind !== 'bytes') {
    const hint = 'put a literal `-` first or last, or write `\\-`'
    throw reader.problem('invalid range boundary, must be a literal', from, hint)
  }
  const range = [byteOf(reader, first, from), byteOf(reader, last, from)] as const
  if (range[1] < range[0]) {
    throw reader.problem('invalid character class range, the start must be <= the end', from)
  }
  members.addRange(range)
}

/** A `-` at the end of a class or before another one is literal. */
function seesRange(reader: PatternReader): boolean {
  if (!reader.sees('-')) return false
  const next = reader.peekPastIgnored()
  return next !== ']' && next !== '-'
}

/** One character or escape of any kind. */
function readMember(reader: PatternReader): Escape {
  if (reader.sees('\\')) return readEscape(reader)
  const start = reader.at
  const character = reader.character
  if (character > '\u007f') throw reader.problem('Unicode not allowed here', start)
  reader.bump()
  return { kind: 'bytes', bytes: [character.charCodeAt(0)] }
}

function byteOf(reader: PatternReader, member: Escape, at: number): number {
  if (member.kind !== 'bytes') throw reader.problem('invalid escape sequence found in character class', at)
  const [byte] = member.bytes
  if (byte === undefined || member.bytes.length > 1) throw reader.problem('Unicode not allowed here', at)
  return byte
}

/** `d`, `D`, `s`, `S`, `w` or `W`. */
export function perlClass(name: string): ByteClass {
  const set = PERL_CLASSES[name.toLowerCase()] ?? emptyClass()
  return name === name.toLowerCase() ? set : negate(set)
}

function fold(reader: PatternReader, set: ByteClass): ByteClass {
  return reader.flags.i ? foldCase(set) : set
}

type Escape =
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
