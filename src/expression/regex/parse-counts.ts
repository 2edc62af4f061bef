// Repetition: `*`, `+`, `?`, `{m}`, `{m,}`, `{m,n}`, each greedy or lazy, which does not affect whether a pattern
// matches.

import { isWhiteSpace } from '../lex/white-space.ts'
import type { PatternReader } from './reader.ts'

const LARGEST = 0xffffffff

/** Reads the operator; returns the least and the greatest count, which may be Infinity. Throws PatternProblem. */
export function readCounts(reader: PatternReader): readonly [number, number] {
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
