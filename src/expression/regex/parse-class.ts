// Bracketed classes of the Rust dialect: nesting, set operators, POSIX names (wirefilter section 15). Over bytes, so a
// character beyond ASCII in a class is refused, as the engine refuses it while Unicode mode is off.

import {
  type ByteClass,
  CLASS_OPERATORS,
  emptyClass,
  foldCase,
  negate,
  PERL_CLASSES,
  POSIX_CLASSES,
  rangesClass,
  union,
} from './byte-class.ts'
import type { PatternReader } from './reader.ts'

/** Nested brackets beyond this depth are refused, as the dialect does. */
export const PATTERN_NESTING_LIMIT = 250

/** Reads a class behind its `[`. */
export function readClass(reader: PatternReader, depth = 1): ByteClass {
  const start = reader.at - 1
  if (depth > PATTERN_NESTING_LIMIT) throw reader.problem('exceeds the nesting limit of 250', start)
  const negated = reader.takeInClass('^')
  let set = readUnion(reader, start, depth, true)
  for (;;) {
    if (reader.take(']')) return negated ? negate(set) : set
    const operator = (['&&', '--', '~~'] as const).find((spelling) => reader.take(spelling))
    if (operator === undefined) throw reader.problem('unclosed character class', start)
    set = CLASS_OPERATORS[operator](set, readUnion(reader, start, depth, false))
  }
}

function readUnion(reader: PatternReader, start: number, depth: number, isFirst: boolean): ByteClass {
  let set = emptyClass()
  if (isFirst) set = union(set, readLeadingLiterals(reader))
  for (;;) {
    reader.skipIgnored()
    if (reader.isAtEnd) throw reader.problem('unclosed character class', start)
    if (reader.sees(']') || reader.sees('&&') || reader.sees('--') || reader.sees('~~')) return set
    set = union(set, readItem(reader, depth))
  }
}

/** `-`s right after the bracket, and a `]` before anything else, are themselves. */
function readLeadingLiterals(reader: PatternReader): ByteClass {
  let set = emptyClass()
  reader.skipIgnored()
  while (reader.takeInClass('-')) set = union(set, rangesClass([0x2d, 0x2d]))
  if (set[0x2d] === 0 && reader.takeInClass(']')) set = rangesClass([0x5d, 0x5d])
  return set
}

function readItem(reader: PatternReader, depth: number): ByteClass {
  const posix = reader.takeMatch(/\[:(\^?)([a-z]+):\]/y)
  if (posix !== undefined) {
    const named = POSIX_CLASSES[posix[2] ?? '']
    if (named !== undefined) return fold(reader, posix[1] === '^' ? negate(named) : named)
    reader.at -= posix[0].length
  }
  if (reader.take('[')) return readClass(reader, depth + 1)
  const first = readMember(reader)
  if (typeof first !== 'number') return fold(reader, first)
  reader.skipIgnored()
  if (!reader.sees('-') || reader.sees('--') || reader.sees('-]')) return fold(reader, rangesClass([first, first]))
  const dash = reader.at
  reader.take('-')
  reader.skipIgnored()
  if (reader.sees(']')) {
    reader.at = dash
    return fold(reader, rangesClass([first, first]))
  }
  const last = readMember(reader)
  if (typeof last !== 'number') throw reader.problem('invalid range boundary, must be a literal', dash)
  if (last < first) throw reader.problem('invalid character class range, the start must be <= the end', dash)
  return fold(reader, rangesClass([first, last]))
}

/** One byte, or a whole class such as `\d`. */
function readMember(reader: PatternReader): number | ByteClass {
  const start = reader.at
  if (!reader.take('\\')) {
    const character = reader.next('unclosed character class')
    if (character > '\u007f') throw reader.problem('Unicode not allowed here', start)
    return character.charCodeAt(0)
  }
  const read = reader.readEscape(start)
  if (read.kind === 'perl') return perlClass(read.name)
  if (read.kind === 'assert') throw reader.problem('invalid escape sequence found in character class', start)
  const [byte] = read.bytes
  if (byte === undefined || read.bytes.length > 1) throw reader.problem('Unicode not allowed here', start)
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
