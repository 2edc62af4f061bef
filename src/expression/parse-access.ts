// Accesses: a field and its indexes ([L7]), and Gateway's other spelling for arrays of objects
// (compatibility note [C4]).

import { adviseUnknownName } from './advice.ts'
import { readQuotedRest } from './lex/bytes.ts'
import { type Cursor, Failure } from './lex/cursor.ts'
import { readInteger } from './lex/integer.ts'
import { readName } from './lex/name.ts'
import type { Parser } from './parser.ts'
import type { Access, Index } from './tree.ts'
import { type Field, formatType, type ValueType } from './value.ts'

const MAX_INDEX = 0xffffffff
const NO_INDEXES: readonly Index[] = []

/** Reads a field and all its indexes. Fails with `expression.unknown_field`, `expression.invalid_index`,
 *  `expression.type_mismatch` or `expression.syntax`. */
export function parseAccess(parser: Parser): Access {
  const { cursor, scheme } = parser
  const start = cursor.at
  const name = readName(cursor)
  const field = scheme.fields.get(name)
  if (field !== undefined) return readIndexes(parser, field, start, field.type, NO_INDEXES, field.name)
  const aliased = parser.mode === 'engine' ? undefined : parseObjectArray(parser, name, start)
  if (aliased !== undefined) return aliased
  const advice = adviseUnknownName(parser, name)
  throw new Failure('expression.unknown_field', `unknown identifier \`${name}\``, [start, start + name.length], advice)
}

/** `identity.groups[*].name` for `identity.groups.name[*]`. */
function parseObjectArray(parser: Parser, name: string, start: number): Access | undefined {
  const { cursor, scheme } = parser
  const members = scheme.objectArrays.get(name)
  if (members === undefined || !cursor.sees('[')) return undefined
  const index = readIndex(parser)
  cursor.expect('.')
  const memberStart = cursor.at
  const member = readName(cursor)
  const field = scheme.fields.get(members.get(member) ?? '')
  if (field === undefined) {
    const known = [...members.keys()].map((key) => `\`${key}\``).join(', ')
    const message = `unknown identifier \`${name}[…].${member}\``
    throw new Failure('expression.unknown_field', message, [memberStart, cursor.at], `its members are ${known}`)
  }
  if (index.kind === 'key') throw misfit(index, field.type, [memberStart, cursor.at])
  const type = elementType(field.type, index)
  if (type === undefined) throw misfit(index, field.type, [start, cursor.at])
  return readIndexes(parser, field, start, type, [index], `${name}${indexText(parser, index)}.${member}`)
}

function readIndexes(
  parser: Parser,
  field: Field,
  start: number,
  type: ValueType,
  first: readonly Index[],
  name: string,
): Access {
  const { cursor } = parser
  if (!cursor.sees('[')) {
    const mapped = first.some((index) => index.kind === 'each')
    return { field, indexes: first, valueType: type, mapped, text: name, span: [start, cursor.at] }
  }
  const indexes = [...first]
  let valueType = type
  let text = name
  while (cursor.sees('[')) {
    const bracket = cursor.at
    const index = readIndex(parser)
    const next = elementType(valueType, index) ?? lenientElementType(parser, valueType, index, bracket)
    if (next === undefined) throw misfit(index, valueType, [bracket, cursor.at])
    valueType = next
    indexes.push(index)
    text += indexText(parser, index, bracket)
  }
  const mapped = indexes.some((index) => index.kind === 'each')
  return { field, indexes, valueType, mapped, text, span: [start, cursor.at] }
}

/** Reads `[ index ]`. */
function readIndex(parser: Parser): Index {
  const { cursor } = parser
  cursor.expect('[')
  cursor.skipSpace()
  const index = readIndexValue(cursor)
  cursor.skipSpace()
  cursor.expect(']')
  return index
}

function readIndexValue(cursor: Cursor): Index {
  const start = cursor.at
  if (cursor.take('*')) return { kind: 'each' }
  const fail = (message: string) => new Failure('expression.invalid_index', message, [start, cursor.end])
  if (cursor.take('"')) {
    const key = readQuotedRest(cursor)
    if (!isUtf8(key)) throw fail('expected utf8 string')
    return { kind: 'key', key }
  }
  const at = tryInteger(cursor)
  if (at === undefined) throw fail('expected quoted utf8 string or positive integer')
  if (at < 0 || at > MAX_INDEX) throw fail('expected positive integer as index')
  return { kind: 'element', at: Number(at) }
}

function tryInteger(cursor: Cursor): number | bigint | undefined {
  try {
    return readInteger(cursor).value
  } catch (failure) {
    if (failure instanceof Failure) return undefined
    throw failure
  }
}

/** Are these bytes, one per UTF-16 unit, well-formed UTF-8? */
export function isUtf8(bytes: string): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes, (unit) => unit.charCodeAt(0)))
    return true
  } catch {
    return false
  }
}

function elementType(type: ValueType, index: Index): ValueType | undefined {
  if (typeof type === 'string') return undefined
  if ('array' in type) return index.kind === 'key' ? undefined : type.array
  return index.kind === 'element' ? undefined : type.map
}

/** Lenient [C5]: `[*]` on an address visits the one address. */
function lenientElementType(parser: Parser, type: ValueType, index: Index, bracket: number): ValueType | undefined {
  if (!parser.isLenient || type !== 'Ip' || index.kind !== 'each') return undefined
  const span = [bracket, parser.cursor.at] as const
  parser.warn(
    new Failure(
      'expression.lenient_spelling',
      'wirefilter does not accept `[*]` on a single address',
      span,
      'remove it',
    ),
  )
  return type
}

function misfit(index: Index, type: ValueType, span: readonly [number, number]): Failure {
  const shown = index.kind === 'element' ? String(index.at) : index.kind === 'key' ? JSON.stringify(index.key) : '*'
  const message = `cannot access index ${shown} for type ${formatType(type)}`
  return new Failure('expression.type_mismatch', message, span, misfitHint(index, type))
}

function misfitHint(index: Index, type: ValueType): string | undefined {
  if (typeof type === 'string') return index.kind === 'each' ? 'it holds one value; remove `[*]`' : undefined
  return 'array' in type ? 'an array takes a position or `[*]`' : 'a map takes a key in double quotes or `[*]`'
}

/** Normal form of the index just read; a key keeps the notation it was written in. */
function indexText(parser: Parser, index: Index, bracket?: number): string {
  if (index.kind === 'element') return `[${index.at}]`
  if (index.kind !== 'key' || bracket === undefined) return '[*]'
  return `[${parser.cursor.text.slice(bracket + 1, parser.cursor.at - 1).replace(/^[ \r\n\t]+|[ \r\n\t]+$/g, '')}]`
}
