// Identifiers (wirefilter section 3.3): segments of ASCII letters, digits and underscores joined by single dots.

import type { Cursor } from './cursor.ts'
import { adviseInvisible } from './white-space.ts'

const SEGMENT = /[A-Za-z0-9_]+/y

/** Reads the longest dotted name. Fails with `expression.syntax` where a segment should begin. */
export function readName(cursor: Cursor): string {
  const start = cursor.at
  do {
    if (cursor.takeRun(SEGMENT) !== '') continue
    const isMissing = cursor.at === start && (cursor.isAtEnd || cursor.sees(')'))
    const hint = isMissing ? 'a condition is missing here' : adviseInvisible(cursor.text.slice(cursor.at, cursor.end))
    throw cursor.failure('expression.syntax', 'expected identifier character', hint)
  } while (cursor.take('.'))
  return cursor.text.slice(start, cursor.at)
}
