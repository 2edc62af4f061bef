// Parses a pattern of the Rust regex dialect with Unicode mode off into a tree over bytes ([L15]).
// Refuses what the dialect refuses, and Unicode mode, which does not apply to bytes.

import { bytesOf } from '../value.ts'
import { foldCase, negate, rangesClass } from './byte-class.ts'
import { perlClass, readClass } from './parse-class.ts'
import { readCounts } from './parse-counts.ts'
import { readEscape } from './parse-escape.ts'
import { GroupNames, readGroupHead } from './parse-group.ts'
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
  return literal(
    reader,
    Array.from(bytesOf(character), (unit) => unit.charCodeAt(0)),
  )
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
  const isLetter = byte !== undefined && /[A-Za-z]/.test(String.fromCharCode(byte))
  if (!reader.flags.i || !isLetter) return literalPiece(bytes)
  return classPiece(foldCase(rangesClass([byte, byte])), 0)
}
