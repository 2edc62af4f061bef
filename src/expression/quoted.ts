// Numbers and addresses in quotes, as documentation shows them (compatibility notes C1 and C2). Lenient mode only.

import { readQuotedRest } from './lex/bytes.ts'
import { Cursor, Failure } from './lex/cursor.ts'
import type { Parser } from './parser.ts'
import type { Span } from './tree.ts'
import { textOf } from './value.ts'

/** C1, C2: runs `read` on the text inside quotes, where there are quotes. */
export function readUnquoted<T>(parser: Parser, read: (cursor: Cursor) => T): T {
  const { cursor } = parser
  if (!parser.isLenient || !cursor.sees('"')) return read(cursor)
  const start = cursor.at
  cursor.take('"')
  const text = textOf(readQuotedRest(cursor))
  const inner = new Cursor(text, false)
  const value = readInner(inner, read, [start, cursor.at])
  const message = 'a quoted number or address is not wirefilter'
  parser.warn(new Failure('expression.lenient_spelling', message, [start, cursor.at], `write \`${text}\``))
  return value
}

/** Runs `read` on all of a text that stands at `span` of the source; its failures are reported there. */
export function readInner<T>(inner: Cursor, read: (cursor: Cursor) => T, span: Span): T {
  try {
    const value = read(inner)
    if (inner.isAtEnd && inner.end === inner.text.length) return value
    throw new Failure('expression.syntax', 'unrecognised input', span)
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure
    throw new Failure(failure.code, failure.message, span, failure.hint)
  }
}
