// Parses a pattern of the Rust regex dialect with Unicode mode off into a tree over bytes ([L15]).
// Refuses what the dialect refuses, and Unicode mode, which does not apply to bytes.

import { isWhiteSpace } from '../lex/white-space.ts'
import { bytesOf } from '../value.ts'
import { perlClass, readClass, readEscape } from './parse-class.ts'
import { foldCase, negate, rangesClass } from './pattern.ts'
import {
  alternation,
  assertionPiece,
  classPiece,
  concatenation,
  groupPiece,
  literalPiece,
  NOTHING,
  type RegexPiece,
  repetition,
} from './piece.ts'
import { type Flags, type PatternProblem, PatternReader } from './reader.ts'

/** Parses a whole pattern. Throws PatternProblem. */
export function parsePattern(text: string): RegexPiece {
  const reader = new PatternReader(text)
  const pattern = readChoice(reader, new GroupNames(), 0)
  if (!reader.isAtEnd) throw reader.problem('unopened group', reader.at)
  return pattern
}

/** `groups`: number of groups around it. */
function readChoice(reader: PatternReader, names: GroupNames, groups: number): RegexPiece {
  const start = reader.at
  const items = [readConcatenation(reader, names, groups)]
  while (reader.take('|')) items.push(readConcatenation(reader, names, groups))
  const [only] = items
  const piece = items.length === 1 && only !== undefined ? only : alternation(items)
  reader.nested(piece.depth, start)
  return piece
}

function readConcatenation(reader: PatternReader, names: GroupNames, groups: number): RegexPiece {
  const pieces: RegexPiece[] = []
  let count = 0
  /** undefined after a flag directive, which cannot be repeated */
  let last: RegexPiece | undefined
  for (;;) {
    reader.skipIgnored()
    const start = reader.at
    if (reader.isAtEnd || reader.sees('|') || reader.sees(')')) return concatenation(pieces, count)
    if (/[*+?{]/.test(reader.character)) {
      if (last === undefined) throw missingOperand(reader)
      last = readRepetition(reader, last, start)
      pieces[pieces.length - 1] = last
      continue
    }
    last = readAtom(reader, names, groups)
    count++
    pieces.push(last ?? NOTHING)
  }
}

function missingOperand(reader: PatternReader): PatternProblem {
  return reader.problem('repetition operator missing expression', reader.at)
}

function readRepetition(reader: PatternReader, item: RegexPiece, start: number): RegexPiece {
  const [min, max] = readCounts(reader)
  const piece = repetition(item, min, max)
  reader.nested(piece.depth, start)
  return piece
}

/** One operand, or undefined for a flag directive such as `(?i)`. */
function readAtom(reader: PatternReader, names: GroupNames, groups: number): RegexPiece | undefined {
  if (reader.sees('(')) return readGroup(reader, names, groups)
  if (reader.sees('[')) {
    const { set, depth } = readClass(reader)
    return classPiece(set, depth)
  }
  if (reader.sees('\\')) return readEscaped(reader)
  const character = reader.character
  reader.bump()
  if (character === '.') return classPiece(dotClass(reader.flags), 0)
  if (character === '^') return anchor(reader, 'start')
  if (character === '$') return anchor(reader, 'end')
  const code = character.charCodeAt(0)
  return literal(reader, code < 0x80 ? [code] : Array.from(bytesOf(character), (unit) => unit.charCodeAt(0)))
}

function readEscaped(reader: PatternReader): RegexPiece {
  const read = readEscape(reader)
  if (read.kind === 'assert') return assertionPiece(read)
  return read.kind === 'perl' ? classPiece(perlClass(read.name), 0) : literal(reader, read.bytes)
}

function readGroup(reader: PatternReader, names: GroupNames, groups: number): RegexPiece | undefined {
  const start = reader.at
  reader.nested(groups + 1, start)
  const outer = reader.flags
  const head = readGroupHead(reader, names)
  reader.flags = head.flags
  if (head.kind === 'flags') return undefined
  const inner = readChoice(reader, names, groups + 1)
  if (!reader.take(')')) throw reader.problem('unclosed group', start)
  reader.flags = outer
  return groupPiece(inner, head.kind === 'capture')
}

function anchor({ flags }: PatternReader, side: 'start' | 'end'): RegexPiece {
  const what = !flags.m ? side : flags.R ? (`crlf-line-${side}` as const) : (`line-${side}` as const)
  return assertionPiece({ kind: 'assert', what })
}

function dotClass(flags: Flags): Uint8Array {
  if (flags.s) return rangesClass([0, 255])
  return negate(flags.R ? rangesClass([10, 10], [13, 13]) : rangesClass([10, 10]))
}

/** The bytes of one character; several bytes stay together under a repetition. */
function literal(reader: PatternReader, bytes: readonly number[]): RegexPiece {
  const [byte] = bytes
  const isFolded = reader.flags.i && byte !== undefined && /[A-Za-z]/.test(String.fromCharCode(byte))
  if (!isFolded) return literalPiece(bytes)
  return classPiece(foldCase(rangesClass([byte, byte])), 0)
}

// Repetition, greedy or lazy, which does not affect whether a pattern matches.

const LARGEST = 0xffffffff

/** Reads the operator; returns the least and the greatest count, which may be Infinity. Throws PatternProblem. */
function readCounts(reader: PatternReader): readonly [number, number] {
  const counts = readPlain(reader) ?? readBraces(reader)
  reader.take('?')
  return counts
}

function readPlain(reader: PatternReader): readonly [number, number] | undefined {
  if (reader.take('*')) return [0, Number.POSITIVE_INFINITY]
  if (reader.take('+')) return [1, Number.POSITIVE_INFINITY]
  return reader.take('?') ? [0, 1] : undefined
}

function readBraces(reader: PatternReader): readonly [number, number] {
  const start = reader.at
  reader.bumpPastIgnored()
  const min = readDecimal(reader, start)
  const max = reader.sees(',') ? readMost(reader, start) : min
  if (reader.isAtEnd) throw reader.problem('unclosed counted repetition', start)
  if (min === undefined || max === undefined) {
    throw reader.problem('repetition quantifier expects a valid decimal', start)
  }
  if (!reader.sees('}')) throw reader.problem('unclosed counted repetition', start)
  if (max < min) throw reader.problem('invalid repetition count range, the start must be <= the end', start)
  // white space before the `?` of a lazy operator is skipped in verbose mode only, and only after a brace
  reader.bumpPastIgnored()
  return [min, max]
}

/** After the comma only an immediate `}` means "or more": a blank before it requires digits. */
function readMost(reader: PatternReader, start: number): number | undefined {
  reader.bumpPastIgnored()
  return reader.sees('}') ? Number.POSITIVE_INFINITY : readDecimal(reader, start)
}

/** Digits with white space around them; undefined without digits. */
function readDecimal(reader: PatternReader, start: number): number | undefined {
  while (isWhiteSpace(reader.character)) reader.bump()
  let digits = ''
  while (/^[0-9]$/.test(reader.character)) {
    digits += reader.character
    reader.bumpPastIgnored()
  }
  while (isWhiteSpace(reader.character)) reader.bumpPastIgnored()
  if (Number(digits) > LARGEST) throw reader.problem('decimal literal invalid', start)
  return digits === '' ? undefined : Number(digits)
}

// What may follow a group's bracket: a name, flags, or nothing.

/** `flags`: a directive such as `(?i)`, complete with its closing bracket. */
export interface GroupHead {
  readonly kind: 'capture' | 'group' | 'flags'
  /** the flags that apply from here on */
  readonly flags: Flags
}

/** Names of groups; each may occur once in a pattern. */
class GroupNames {
  readonly #names = new Set<string>()

  /** Reads a name after its `<`. Throws PatternProblem. */
  read(reader: PatternReader): void {
    const start = reader.at
    while (!reader.isAtEnd && !reader.sees('>')) {
      const allowed = reader.at === start ? FIRST_OF_NAME : REST_OF_NAME
      if (!allowed.test(reader.character)) throw reader.problem('invalid capture group name', reader.at)
      reader.bump()
    }
    const name = reader.text.slice(start, reader.at)
    if (!reader.take('>')) throw reader.problem('unclosed capture group name', start)
    if (name === '') throw reader.problem('empty capture group name', start)
    if (this.#names.has(name)) throw reader.problem('duplicate capture group name', start)
    this.#names.add(name)
  }
}

const FIRST_OF_NAME = /^[_\p{Alphabetic}]$/u
const REST_OF_NAME = /^[_.[\]\p{Alphabetic}\p{N}]$/u

/** Reads a group's head from its `(`. Throws PatternProblem. */
function readGroupHead(reader: PatternReader, names: GroupNames): GroupHead {
  const start = reader.at
  reader.bumpPastIgnored()
  if (['?=', '?!', '?<=', '?<!'].some((prefix) => reader.sees(prefix))) {
    throw reader.problem('look-around, including look-ahead and look-behind, is not supported', start)
  }
  if (reader.take('?P<') || reader.take('?<')) {
    names.read(reader)
    return { kind: 'capture', flags: reader.flags }
  }
  if (!reader.take('?')) return { kind: 'capture', flags: reader.flags }
  const flags = readFlags(reader, start)
  return { kind: reader.take(')') ? 'flags' : takeColon(reader), flags }
}

function takeColon(reader: PatternReader): 'group' {
  reader.take(':')
  return 'group'
}

/** Reads `flags`, `-flags` or `flags-flags` up to `)` or `:`. */
function readFlags(reader: PatternReader, start: number): Flags {
  const flags: Record<keyof Flags, boolean> = { ...reader.flags }
  const seen = new Set<string>()
  let value = true
  for (let isFirst = true; !reader.sees(')') && !reader.sees(':'); isFirst = false) {
    const at = reader.at
    const flag = reader.character
    if (flag === '') throw reader.problem('unclosed group', at)
    reader.bump()
    if (flag === '-') {
      if (!value) throw reader.problem('flag negation operator repeated', at)
      value = false
      if (reader.sees(')') || reader.sees(':')) throw reader.problem('dangling flag negation operator', at)
      continue
    }
    if (!/[imsxRUu]/.test(flag)) throw reader.problem(isFirst ? 'unrecognized flag or group' : 'unrecognized flag', at)
    if (seen.has(flag)) throw reader.problem('duplicate flag', at)
    seen.add(flag)
    if (flag === 'u' && value) throw reader.problem('Unicode mode is not supported, patterns match bytes', at)
    if (isKept(flag)) flags[flag] = value
  }
  if (seen.size === 0 && reader.sees(')')) throw reader.problem('repetition operator missing expression', start)
  return flags
}

/** Swapped greed and the absence of Unicode mode do not affect whether a pattern matches. */
function isKept(flag: string): flag is keyof Flags {
  return flag !== 'u' && flag !== 'U'
}
