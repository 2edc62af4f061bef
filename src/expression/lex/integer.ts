// Integer literals and their ranges ([L3.4]): `0x` hexadecimal, leading `0` octal, else decimal. Each
// reads a run of hex digits greedily, so that bad digits are reported as one token.

import type { IntLiteral, IntMember } from '../tree.ts'
import { intOf } from '../value.ts'
import { type Cursor, characterClass, Failure } from './cursor.ts'

/** Members of the class by code. */
export const HEX_DIGITS = characterClass(/[0-9a-fA-F]/)
const MAX = 2n ** 63n - 1n
const MIN = -(2n ** 63n)

/** Reads one integer. Fails with `expression.syntax` (no digit) or `expression.invalid_integer`. */
export function readInteger(cursor: Cursor): IntLiteral {
  const plain = takePlain(cursor)
  if (plain >= 0) return { type: 'Int', value: plain, text: String(plain) }
  const value = intOf(readBig(cursor))
  return { type: 'Int', value, text: String(value) }
}

/** Reads `first` or `first..last`, both ends included. Also fails with `expression.invalid_range`. */
export function readIntegerMember(cursor: Cursor): IntMember {
  const start = cursor.at
  const first = readInteger(cursor)
  if (!cursor.take('..')) return { first: first.value, last: first.value, text: first.text }
  const last = readInteger(cursor)
  if (last.value < first.value) {
    throw new Failure(
      'expression.invalid_range',
      'incompatible range bounds',
      [start, cursor.at],
      `write the smaller bound first: \`${last.text}..${first.text}\``,
    )
  }
  return { first: first.value, last: last.value, text: `${first.text}..${last.text}` }
}

/** Fewer digits than a safe integer may have. */
const MOST_PLAIN_DIGITS = 15
const [ZERO, NINE] = [0x30, 0x39]

/** Consumes a decimal number without sign or leading zero, of few digits; -1 and nothing for any other text. */
function takePlain(cursor: Cursor): number {
  const { text, at: start, end } = cursor
  let value = 0
  let at = start
  for (; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code < ZERO || code > NINE) break
    value = value * 10 + (code - ZERO)
  }
  const isPlain = at > start && at - start <= MOST_PLAIN_DIGITS && text.charCodeAt(start) !== ZERO
  if (!isPlain || (at < end && HEX_DIGITS[text.charCodeAt(at)] === 1)) return -1
  cursor.at = at
  return value
}

function readBig(cursor: Cursor): bigint {
  if (cursor.take('0x')) return convert(cursor, cursor.at, digits(cursor), 16)
  if (cursor.sees('0')) return convert(cursor, cursor.at, digits(cursor), 8)
  const start = cursor.at
  const negative = cursor.take('-')
  const run = digits(cursor)
  return convert(cursor, start, negative ? `-${run}` : run, 10)
}

function digits(cursor: Cursor): string {
  const start = cursor.at
  const run = cursor.takeClass(HEX_DIGITS)
  if (run === '') throw cursor.failure('expression.syntax', 'expected digit')
  cursor.at = start + run.length
  return run
}

const VALID = { 8: /^[0-7]+$/, 10: /^-?[0-9]+$/, 16: /^[0-9a-fA-F]+$/ } as const

function convert(cursor: Cursor, start: number, text: string, radix: 8 | 10 | 16): bigint {
  const fail = (what: string) =>
    new Failure('expression.invalid_integer', `${what} while parsing with radix ${radix}`, [start, cursor.at])
  if (!VALID[radix].test(text)) throw fail('invalid digit found in string')
  const value = radix === 10 ? BigInt(text) : BigInt(`${radix === 8 ? '0o' : '0x'}${text}`)
  if (value > MAX) throw fail('number too large to fit in target type')
  if (value < MIN) throw fail('number too small to fit in target type')
  return value
}
