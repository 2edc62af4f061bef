// Regex literals ([L3.9]): a quoted pattern with its own scanning rules, or a raw string. Finds the end
// of the pattern; regex/ interprets it.

import type { Span } from '../tree.ts'
import { readRawRest } from './bytes.ts'
import { type Cursor, Failure } from './cursor.ts'

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
