// Byte literals ([L3.6]): quoted strings with four escapes, raw strings with hashes, and lists of hex
// bytes; the value is a string with one byte per UTF-16 unit. Regex literals ([L3.9]): a quoted pattern with its own
// scanning rules, or a raw string; only the end of the pattern is found here, regex/ interprets it.

import type { BytesLiteral, Span } from '../tree.ts'
import { bytesOf } from '../value.ts'
import { type Cursor, Failure } from './cursor.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Most hashes of a raw string. */
export const RAW_HASH_LIMIT = 255

/** Reads any of the three notations. */
export function readBytes(cursor: Cursor): BytesLiteral {
  if (cursor.isAtEnd) throw cursor.failure('expression.syntax', 'unrecognised input')
  return cursor.sees('"') || cursor.sees('r') ? readString(cursor) : readByteList(cursor)
}

/** Reads a quoted or a raw string, not a list of bytes. */
export function readString(cursor: Cursor): BytesLiteral {
  if (cursor.isAtEnd) throw cursor.failure('expression.syntax', 'unrecognised input')
  const start = cursor.at
  if (cursor.take('"')) {
    const value = readQuotedRest(cursor)
    return { type: 'Bytes', value, text: cursor.text.slice(start, cursor.at) }
  }
  if (cursor.take('r')) {
    const value = bytesOf(readRawRest(cursor))
    return { type: 'Bytes', value, text: cursor.text.slice(start, cursor.at) }
  }
  throw cursor.failure('expression.syntax', 'expected " or r', 'write the text in double quotes')
}

/** Reads a quoted string after its opening quote; returns its bytes. Fails with `expression.invalid_string`. */
export function readQuotedRest(cursor: Cursor): string {
  const start = cursor.at
  const missingQuote = () =>
    new Failure('expression.invalid_string', 'could not find an ending quote', [start, cursor.end])
  const first = takePlainText(cursor)
  if (cursor.take('"')) return first
  for (let bytes = first; ; bytes += takePlainText(cursor)) {
    if (cursor.take('"')) return bytes
    if (!cursor.take('\\')) throw missingQuote()
    if (cursor.isAtEnd) throw missingQuote()
    bytes += readEscape(cursor)
  }
}

/** Bytes of the text up to the next quote or backslash, or to the end. */
function takePlainText(cursor: Cursor): string {
  const { text, at: start, end } = cursor
  let at = start
  let units = 0
  for (; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE || code === BACKSLASH) break
    units |= code
  }
  cursor.at = at
  const plain = text.slice(start, at)
  return units > 0x7f ? bytesOf(plain) : plain
}

/** Reads a raw string after its `r`; returns its text unchanged. Fails with `expression.syntax` or
 *  `expression.invalid_string`. */
function readRawRest(cursor: Cursor): string {
  const start = cursor.at
  const hashes = cursor.takeRun(/#+/y)
  if (hashes.length > RAW_HASH_LIMIT) {
    throw new Failure(
      'expression.limit_exceeded',
      `raw string has ${hashes.length} hashes, but the limit is ${RAW_HASH_LIMIT}`,
      [start, cursor.end],
    )
  }
  if (!cursor.take('"')) throw cursor.failure('expression.syntax', 'expected " or #')
  const first = cursor.at
  const last = cursor.text.indexOf(`"${hashes}`, first)
  if (last < 0 || last + 1 + hashes.length > cursor.end) {
    throw new Failure('expression.invalid_string', 'could not find an ending quote', [start, cursor.end])
  }
  cursor.at = last + 1 + hashes.length
  return cursor.text.slice(first, last)
}

function readEscape(cursor: Cursor): string {
  const character = String.fromCodePoint(cursor.text.codePointAt(cursor.at) ?? 0)
  if (cursor.take('"') || cursor.take('\\')) return character
  if (cursor.take('x')) return readByte(cursor, 2, 16)
  if (/[0-7]/.test(character)) return readByte(cursor, 3, 8)
  throw new Failure(
    'expression.invalid_string',
    'expected ", xHH or OOO after \\',
    [cursor.at, cursor.at + character.length],
    ESCAPE_HINTS[character] ?? `write \`\\\\\` for a backslash, or a raw string: \`r"…"\``,
  )
}

const ESCAPE_HINTS: Readonly<Record<string, string>> = {
  n: 'write a line feed as `\\x0a`',
  r: 'write a carriage return as `\\x0d`',
  t: 'write a tab as `\\x09`',
}

function readByteList(cursor: Cursor): BytesLiteral {
  const start = cursor.at
  let value = readByte(cursor, 2, 16)
  takeSeparator(cursor)
  do value += readByte(cursor, 2, 16)
  while (/[:\-.]/.test(cursor.peek()) && cursor.take(cursor.peek()))
  return { type: 'Bytes', value, text: cursor.text.slice(start, cursor.at) }
}

function takeSeparator(cursor: Cursor): void {
  const [character] = characters(cursor, 1)
  if (/^[:\-.]$/.test(character ?? '')) {
    cursor.at++
    return
  }
  const end = cursor.at + (character ?? '').length
  throw new Failure('expression.invalid_string', 'expected byte separator', [cursor.at, end], QUOTE_HINT)
}

/** Exactly this many characters in this radix, as one byte. A leading `+` is allowed, as in the engine's parser. */
function readByte(cursor: Cursor, count: number, radix: 8 | 16): string {
  const text = characters(cursor, count).join('')
  const span = [cursor.at, cursor.at + text.length] as const
  const hint = radix === 16 && count === 2 && cursor.text.charAt(cursor.at - 1) !== 'x' ? QUOTE_HINT : undefined
  const digits = text.replace(/^\+(?=.)/, '')
  if (!(radix === 8 ? /^[0-7]+$/ : /^[0-9a-fA-F]+$/).test(digits)) {
    const message = `invalid digit found in string while parsing with radix ${radix}`
    throw new Failure('expression.invalid_string', message, span, hint)
  }
  const value = Number.parseInt(digits, radix)
  if (value > 0xff) {
    const message = `number too large to fit in target type while parsing with radix ${radix}`
    throw new Failure('expression.invalid_string', message, span, hint)
  }
  cursor.at += text.length
  return String.fromCharCode(value)
}

const QUOTE_HINT = 'write text in double quotes; without quotes only bytes such as `0a:1b` are allowed'

/** The next characters (code points); fails with the rest of the source if there are fewer. */
function characters(cursor: Cursor, count: number): string[] {
  const found = Array.from(cursor.text.slice(cursor.at, Math.min(cursor.end, cursor.at + 2 * count))).slice(0, count)
  if (found.length === count) return found
  const message = `expected ${count} characters, but found ${found.length}`
  throw cursor.failure('expression.invalid_string', message, cursor.isAtEnd ? undefined : QUOTE_HINT)
}

export interface RegexText {
  readonly pattern: string
  /** the literal as written */
  readonly text: string
  /** between the quotes */
  readonly span: Span
}

/** Reads the literal. Fails with `expression.syntax` or `expression.invalid_string`. */
export function readRegexLiteral(cursor: Cursor): RegexText {
  const start = cursor.at
  if (cursor.take('"')) {
    const pattern = scanQuoted(cursor)
    return { pattern, text: cursor.text.slice(start, cursor.at), span: [start + 1, cursor.at - 1] }
  }
  if (cursor.take('r')) {
    const pattern = readRawRest(cursor)
    const hashes = (cursor.at - start - pattern.length - 3) / 2
    return {
      pattern,
      text: cursor.text.slice(start, cursor.at),
      span: [start + hashes + 2, cursor.at - hashes - 1],
    }
  }
  if (cursor.isAtEnd) throw cursor.failure('expression.syntax', 'unrecognised input')
  throw cursor.failure('expression.syntax', 'expected " or r', 'write the pattern in double quotes')
}

function scanQuoted(cursor: Cursor): string {
  const start = cursor.at
  let pattern = ''
  let inClass = false
  for (; !cursor.isAtEnd; cursor.at++) {
    const unit = cursor.peek()
    if (unit === '\\') {
      const next = cursor.peek(1)
      if (next === '') break
      pattern += next === '"' && !inClass ? '"' : unit + next
      cursor.at++
      continue
    }
    if (unit === '"' && !inClass) {
      cursor.at++
      return pattern
    }
    if (unit === '[') inClass = true
    else if (unit === ']') inClass = false
    pattern += unit
  }
  throw new Failure('expression.invalid_string', 'could not find an ending quote', [start, cursor.end])
}
