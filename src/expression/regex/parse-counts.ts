// How often something is repeated: `*`, `+`, `?`, `{m}`, `{m,}`, `{m,n}`, each lazy or not, which changes no answer here.

import { isWhiteSpace } from '../lex/white-space.ts'
import type { PatternReader } from './reader.ts'

const LARGEST = 0xffffffff

/** Reads the operator here; answers least and most, which may be Infinity. */
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
  // a space before the mark that makes it lazy counts in verbose mode only, and behind a brace only
  reader.bumpPastIgnored()
  return [min, max]
}

/** Behind the comma only a bare `}` stands for "or more": a blank before it asks for digits. */
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
