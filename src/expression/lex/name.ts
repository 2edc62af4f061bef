// Identifiers ([L3.3]): segments of ASCII letters, digits and underscores joined by single dots. Names
// of lists: `$name` in an expression, ids in the API.

import type { ListName, Mode } from '../tree.ts'
import { type Cursor, characterClass } from './cursor.ts'
import { adviseInvisible } from './white-space.ts'

const SEGMENT = characterClass(/[A-Za-z0-9_]/)

/** Reads the longest dotted name. Fails with `expression.syntax` where a segment should begin. */
export function readName(cursor: Cursor): string {
  const start = cursor.at
  do {
    if (cursor.takeClass(SEGMENT) !== '') continue
    const isMissing = cursor.at === start && (cursor.isAtEnd || cursor.sees(')'))
    const hint = isMissing ? 'a condition is missing here' : adviseInvisible(cursor.text.slice(cursor.at, cursor.end))
    throw cursor.failure('expression.syntax', 'expected identifier character', hint)
  } while (cursor.take('.'))
  return cursor.text.slice(start, cursor.at)
}

const ENGINE_RUN = characterClass(/[a-z0-9_.]/)
const GATEWAY_RUN = characterClass(/[a-zA-F0-9_.-]/)

/** Reads the list name after the `$`. Fails with `expression.invalid_list_name`. */
export function readListName(cursor: Cursor, mode: Mode): ListName {
  cursor.expect('$')
  const start = cursor.at
  const text = cursor.takeClass(mode === 'engine' ? ENGINE_RUN : GATEWAY_RUN)
  if (text !== '' && !/^[.-]|[.-]$/.test(text)) return { name: canonicalListName(text), text }
  cursor.at = start
  const shown = text === '' ? String.fromCodePoint(cursor.text.codePointAt(start) ?? 0) : text
  const message = `invalid list name ${JSON.stringify(cursor.isAtEnd ? '' : shown)}`
  throw cursor.failure('expression.invalid_list_name', message)
}

/** The key of a list, the same for every spelling: lower case, and for a UUID without hyphens. */
export function canonicalListName(name: string): string {
  const lower = name.toLowerCase()
  const bare = lower.replaceAll('-', '')
  return /^[0-9a-f]{32}$/.test(bare) ? bare : lower
}
