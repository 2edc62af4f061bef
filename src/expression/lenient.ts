// Spellings that documentation and published rules contain and the engine refuses (wirefilter section 19). `default` mode
// takes the SAML form with an implied `[*]`; `lenient` mode takes the rest with a warning and rewrites it ([R11]).

import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { readAddressMember } from './lex/address.ts'
import { Cursor, Failure } from './lex/cursor.ts'
import type { Parser } from './parser.ts'
import { readInner } from './quoted.ts'
import type { Access, Comparison, Node, Span, Test } from './tree.ts'

/** C6, first shape: `any(map["key"] in {…})` means each element of the array under the key. */
export function impliedEach(parser: Parser, access: Access): Access | undefined {
  const { valueType } = access
  if (parser.mode === 'engine' || access.mapped || access.indexes.at(-1)?.kind !== 'key') return undefined
  if (typeof valueType === 'string' || !('array' in valueType) || valueType.array === 'Bool') return undefined
  return { ...access, indexes: [...access.indexes, { kind: 'each' }], valueType: valueType.array, mapped: true }
}

/** The grammar's own way of reading what an access is tested for. */
type ParseTest = (parser: Parser, access: Access) => Comparison

/** Reads what follows the access if it is one of the lenient spellings; takes nothing otherwise. */
export function lenientComparison(parser: Parser, access: Access, parseTest: ParseTest): Node | undefined {
  if (!parser.isLenient) return undefined
  const node = readPairs(parser, access, parseTest) ?? readQuotedNetwork(parser, access)
  return node ?? readBareEach(parser, access, parseTest)
}

/** C2: `ip == "10.0.0.0/8"` is membership in that network, `!=` its negation. */
function readQuotedNetwork(parser: Parser, access: Access): Node | undefined {
  const { cursor } = parser
  if (access.valueType !== 'Ip') return undefined
  const [head, operator, quoted = ''] = matchHere(cursor, /[ \r\n\t]*(==|eq|!=|ne)[ \r\n\t]*"([^"\\]*)"/y) ?? []
  if (head === undefined || parseIp(quoted) !== undefined || parseCidr(quoted) === undefined) return undefined
  const start = cursor.at + head.length - quoted.length - 2
  const member = readInner(new Cursor(quoted, false), readAddressMember, [start, start + quoted.length + 2])
  cursor.at += head.length
  const test: Test = { kind: 'in-set', set: { type: 'Ip', members: [member] } }
  const span: Span = [access.span[0], cursor.at]
  const isNegated = operator === '!=' || operator === 'ne'
  warn(
    parser,
    'a quoted network is not wirefilter',
    [start, cursor.at],
    `write \`${isNegated ? 'not … ' : ''}in {${quoted}}\``,
  )
  const type = access.mapped ? 'Bools' : 'Bool'
  const item = wrapEach(parser, { kind: 'comparison', access, test, type, span })
  return isNegated ? { kind: 'not', item, type: item.type, span } : item
}

/** C5: a bare `ip[*] in {…}` outside a quantifier is an `any`. */
function readBareEach(parser: Parser, access: Access, parseTest: ParseTest): Node | undefined {
  return access.field.type === 'Ip' && access.mapped ? wrapEach(parser, parseTest(parser, access)) : undefined
}

/** C6, second and third shape: the map seen as an array of `key=value`. */
function readPairs(parser: Parser, access: Access, parseTest: ParseTest): Node | undefined {
  const { type } = access.field
  const isSaml = typeof type !== 'string' && 'map' in type && typeof type.map !== 'string' && 'array' in type.map
  if (!isSaml || type.map.array !== 'Bytes' || access.indexes.length > 1) return undefined
  const [index] = access.indexes
  if (index !== undefined && index.kind !== 'each') return undefined
  const { cursor } = parser
  if (matchHere(cursor, /[ \r\n\t]*(?:==|eq|!=|ne|in|matches|~|contains|wildcard|strict wildcard)/y) === undefined)
    return undefined
  const pairs: Access = {
    ...access,
    indexes: [{ kind: 'pairs' }],
    valueType: 'Bytes',
    mapped: true,
    text: `${access.field.name}[*]`,
  }
  const hint = `write \`any(${access.field.name}["key"] == "value")\``
  warn(parser, 'a map compared as `key=value` is not wirefilter', access.span, hint)
  return wrapEach(parser, stripInnerQuotes(parseTest(parser, pairs)))
}

/** The documentation over-escapes the third shape: `"\"key=v\""`. */
function stripInnerQuotes(comparison: Comparison): Comparison {
  const { test } = comparison
  if (test.kind !== 'order' || test.literal.type !== 'Bytes') return comparison
  const inner = /^"(.*)"$/s.exec(test.literal.value)?.[1]
  if (inner === undefined) return comparison
  const text = `"${test.literal.text.replace(/^"\\"|\\""$/g, '')}"`
  const literal = { ...test.literal, value: inner, text }
  return { ...comparison, test: { ...test, literal } }
}

/** A mapped comparison outside every quantifier becomes an `any`. */
function wrapEach(parser: Parser, comparison: Comparison): Node {
  if (comparison.type === 'Bool' || parser.quantifiers > 0) return comparison
  return { kind: 'quantifier', op: 'any', item: comparison, type: 'Bool', implied: true, span: comparison.span }
}

function matchHere(cursor: Cursor, sticky: RegExp): RegExpExecArray | undefined {
  sticky.lastIndex = cursor.at
  return sticky.exec(cursor.text) ?? undefined
}

function warn(parser: Parser, message: string, span: Span, hint: string): void {
  parser.warn(new Failure('expression.lenient_spelling', message, span, hint))
}
