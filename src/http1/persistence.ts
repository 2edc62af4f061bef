// Whether a connection goes on behind a message (RFC 9112 section 9.3).

import { valuesOf } from './fields.ts'
import { tokensOf } from './grammar.ts'

/** HTTP/1.1 goes on unless it says `close`; HTTP/1.0 ends unless it says `keep-alive`. */
export function keepsConnection(version: '1.0' | '1.1', fields: readonly string[]): boolean {
  const values = valuesOf(fields, 'connection')
  if (values.length === 0) return version === '1.1'
  const options = values.flatMap(tokensOf)
  return !options.includes('close') && (version === '1.1' || options.includes('keep-alive'))
}
