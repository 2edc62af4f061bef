// Bracketed classes of the Rust dialect: nesting, set operators, POSIX names ([L15]). Over bytes: a
// non-ASCII character in a class is refused, as by the engine without Unicode mode.

import {
  type ByteClass,
  CLASS_OPERATORS,
  emptyClass,
  foldCase,
  negate,
  PERL_CLASSES,
  POSIX_CLASSES,
} from './byte-class.ts'
import { type Escape, readEscape } from './parse-escape.ts'
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
