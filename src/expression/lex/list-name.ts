// List names after `in $` (wirefilter section 3.11; hyphens and upper-case hex are Gateway's, compatibility note C3).

import { canonicalListName } from '../list-name.ts'
import type { ListName, Mode } from '../tree.ts'
import type { Cursor } from './cursor.ts'

const ENGINE_RUN = /[a-z0-9_.]+/y
const GATEWAY_RUN = /[a-zA-F0-9_.-]+/y

/** Reads the name behind the `$`. Fails with `expression.invalid_list_name`. */
export function readListName(cursor: Cursor, mode: Mode): ListName {
  cursor.expect('$')
  const start = cursor.at
  const text = cursor.takeRun(mode === 'engine' ? ENGINE_RUN : GATEWAY_RUN)
  if (text !== '' && !/^[.-]|[.-]$/.test(text)) return { name: canonicalListName(text), text }
  cursor.at = start
  const shown = text === '' ? String.fromCodePoint(cursor.text.codePointAt(start) ?? 0) : text
  const message = `invalid list name ${JSON.stringify(cursor.isAtEnd ? '' : shown)}`
  throw cursor.failure('expression.invalid_list_name', message)
}
