// Reads a pattern of the Rust regex dialect, Unicode mode off, into a tree over bytes (wirefilter section 15). Refuses
// what the dialect refuses, and Unicode mode, which has no place over bytes.

import { bytesOf } from '../value.ts'
import { foldCase, negate, rangesClass } from './byte-class.ts'
import { PATTERN_NESTING_LIMIT, perlClass, readClass } from './parse-class.ts'
import { EMPTY, type Pattern, sequence } from './pattern.ts'
import { type Flags, type PatternProblem, PatternReader } from './reader.ts'

/** Throws a PatternProblem. */
export function parsePattern(text: string): Pattern {
  const reader = new PatternReader(text)
  const names = new Set<string>()
  const pattern = readChoice(reader, names, 0)
  if (!reader.isAtEnd) throw reader.problem('unopened group', reader.at)
  return pattern
}

function readChoice(reader: PatternReader, names: Set<string>, depth: number): Pattern {
  if (depth > PATTERN_NESTING_LIMIT) throw reader.problem('exceeds the nesting limit of 250', reader.at)
  const outer = reader.flags
  const items = [readSequence(reader, names, depth)]
  while (reader.take('|')) items.push(readSequence(reader, names, depth))
  reader.flags = outer
  return items.length === 1 ? (items[0] ?? EMPTY) : { kind: 'choice', items }
}

function readSequence(reader: PatternReader, names: Set<string>, depth: number): Pattern {
  const items: Pattern[] = []
  for (;;) {
    reader.skipIgnored()
    if (reader.isAtEnd || reader.sees('|') || reader.sees(')')) return sequence(items)
    const start = reader.at
    const atom = readAtom(reader, names, depth)
    if (atom === undefined) {
      reader.skipIgnored()
      if (/[*+?{]/.test(reader.text.charAt(reader.at))) throw missingOperand(reader)
      continue
    }
    items.push(readRepetitions(reader, atom, start))
  }
}

function missingOperand(reader: PatternReader): PatternProblem {
  return reader.problem('repetition operator missing expression', reader.at)
}

/** One operand, or undefined for a flag directive such as `(?i)`. */
function readAtom(reader: PatternReader, names: Set<string>, depth: number): Pattern | undefined {
  const start = reader.at
  if (reader.take('(')) return readGroup(reader, names, depth, start)
  if (reader.take('[')) return { kind: 'class', set: readClass(reader) }
  if (reader.take('.')) return { kind: 'class', set: dotClass(reader.flags) }
  if (reader.take('^')) return anchor(reader, 'start')
  if (reader.take('$')) return anchor(reader, 'end')
  if (/[*+?{]/.test(reader.text.charAt(reader.at))) throw missingOperand(reader)
  if (!reader.take('\\')) return literal(reader, bytesOf(reader.next('unexpected end')))
  const read = reader.readEscape(start)
  if (read.kind === 'assert') return read
  if (read.kind === 'perl') return { kind: 'class', set: perlClass(read.name) }
  return literal(reader, String.fromCharCode(...read.bytes))
}

function anchor({ flags }: PatternReader, side: 'start' | 'end'): Pattern {
  if (!flags.m) return { kind: 'assert', what: side }
  return { kind: 'assert', what: flags.R ? `crlf-line-${side}` : `line-${side}` }
}

function dotClass(flags: Flags): Uint8Array {
  if (flags.s) return rangesClass([0, 255])
  return negate(flags.R ? rangesClass([10, 10], [13, 13]) : rangesClass([10, 10]))
}

/** The bytes of one character; several bytes stay together under a repetition. */
function literal(reader: PatternReader, bytes: string): Pattern {
  const items = Array.from(bytes, (unit): Pattern => {
    const byte = unit.charCodeAt(0)
    const isLetter = /[A-Za-z]/.test(unit)
    if (!reader.flags.i || !isLetter) return { kind: 'byte', byte }
    return { kind: 'class', set: foldCase(rangesClass([byte, byte])) }
  })
  return sequence(items)
}

function readRepetitions(reader: PatternReader, atom: Pattern, start: number): Pattern {
  let pattern = atom
  for (;;) {
    reader.skipIgnored()
    const counts = readCounts(reader)
    if (counts === undefined) return pattern
    reader.take('?')
    pattern = { kind: 'repeat', item: pattern, min: counts[0], max: counts[1] }
    if (reader.at - start > 0 && nestingOf(pattern) > PATTERN_NESTING_LIMIT) {
      throw reader.problem('exceeds the nesting limit of 250', start)
    }
  }
}

function nestingOf(pattern: Pattern): number {
  let depth = 0
  for (let item = pattern; item.kind === 'repeat'; item = item.item) depth++
  return depth
}

function readCounts(reader: PatternReader): readonly [number, number] | undefined {
  if (reader.take('*')) return [0, Number.POSITIVE_INFINITY]
  if (reader.take('+')) return [1, Number.POSITIVE_INFINITY]
  if (reader.take('?')) return [0, 1]
  const start = reader.at
  if (!reader.take('{')) return undefined
  const counts = reader.takeMatch(/\s*(\d*)\s*(?:(,)\s*(\d*)\s*)?\}/y)
  if (counts === undefined) {
    const closed = reader.text.indexOf('}', start) >= 0
    throw reader.problem(
      closed ? 'repetition quantifier expects a valid decimal' : 'unclosed counted repetition',
      start,
    )
  }
  const [, low = '', comma, high = ''] = counts
  if (low === '') throw reader.problem('repetition quantifier expects a valid decimal', start)
  const min = Number(low)
  const max = comma === undefined ? min : high === '' ? Number.POSITIVE_INFINITY : Number(high)
  if (min > 0xffffffff || (max !== Number.POSITIVE_INFINITY && max > 0xffffffff)) {
    throw reader.problem('decimal literal invalid', start)
  }
  if (max < min) throw reader.problem('invalid repetition count range, the start must be <= the end', start)
  return [min, max]
}

function readGroup(reader: PatternReader, names: Set<string>, depth: number, start: number): Pattern | undefined {
  if (reader.sees('?=') || reader.sees('?!') || reader.sees('?<=') || reader.sees('?<!')) {
    throw reader.problem('look-around, including look-ahead and look-behind, is not supported', start)
  }
  const outer = reader.flags
  if (reader.take('?P<') || reader.take('?<')) readGroupName(reader, names)
  else if (reader.take('?')) {
    reader.flags = readFlags(reader, start)
    if (reader.take(')')) return undefined
    reader.take(':')
  }
  const pattern = readChoice(reader, names, depth + 1)
  if (!reader.take(')')) throw reader.problem('unclosed group', start)
  reader.flags = outer
  return pattern
}

function readGroupName(reader: PatternReader, names: Set<string>): void {
  const start = reader.at
  const name = reader.takeMatch(/([A-Za-z_][A-Za-z0-9_.[\]]*)>/y)?.[1]
  if (name === undefined) throw reader.problem('invalid capture group name', start)
  if (names.has(name)) throw reader.problem('duplicate capture group name', start)
  names.add(name)
}

/** Reads `flags`, `-flags` or `flags-flags` up to `)` or `:`. */
function readFlags(reader: PatternReader, start: number): Flags {
  const flags: Record<string, boolean> = { ...reader.flags }
  const seen = new Set<string>()
  let value = true
  for (let isFirst = true; !reader.sees(')') && !reader.sees(':'); isFirst = false) {
    const at = reader.at
    const flag = reader.next('unclosed group')
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
    if (flag !== 'u' && flag !== 'U') flags[flag] = value
  }
  if (seen.size === 0 && reader.sees(')')) throw reader.problem('repetition operator missing expression', start)
  return flags as unknown as Flags
}
