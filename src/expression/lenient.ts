// Spellings that occur in documentation and published rules but that the engine refuses ([L19]).
// `default` mode accepts the two SAML forms ([R13]); `lenient` mode accepts the others, rewrites them and warns
// ([R11]).

import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { readAddressMember } from './lex/address.ts'
import { readQuotedRest } from './lex/bytes.ts'
import { Cursor, Failure } from './lex/cursor.ts'
import type { Parser } from './parser.ts'
import type { Access, BytesLiteral, Comparison, Node, Span, Test } from './tree.ts'
import { textOf } from './value.ts'

/** How the grammar reads the test of an access. */
type ParseTest = (parser: Parser, access: Access) => Comparison

/** Reads the test of an access, with maps of arrays treated as Gateway treats them ([R13]), at any depth. */
export function testAsGateway(parser: Parser, access: Access, parseTest: ParseTest): Comparison {
  if (parser.mode === 'engine') return parseTest(parser, access)
  const pairs = isPairs(access) && access.mapped ? pairsOf(access) : undefined
  if (pairs !== undefined) return stripInnerQuotes(parseTest(parser, pairs))
  return parseTest(parser, impliedEach(parser, access) ?? access)
}

/** [C6], first shape: in a quantifier, `map["key"] in {…}` means each element of the array under the key. */
function impliedEach(parser: Parser, access: Access): Access | undefined {
  const { valueType } = access
  if (parser.quantifiers === 0 || access.mapped || access.indexes.at(-1)?.kind !== 'key') return undefined
  if (typeof valueType === 'string' || !('array' in valueType) || valueType.array === 'Bool') return undefined
  return { ...access, indexes: [...access.indexes, { kind: 'each' }], valueType: valueType.array, mapped: true }
}

/** A map of arrays of Bytes, without an index or with `[*]`: what can be viewed as `key=value` texts ([C6]). */
function isPairs({ field: { type }, indexes }: Access): boolean {
  const isSaml = typeof type !== 'string' && 'map' in type && typeof type.map !== 'string' && 'array' in type.map
  if (!isSaml || type.map.array !== 'Bytes' || indexes.length > 1) return false
  return indexes.every(({ kind }) => kind === 'each')
}

function pairsOf(access: Access): Access {
  const text = `${access.field.name}[*]`
  return { ...access, indexes: [{ kind: 'pairs' }], valueType: 'Bytes', mapped: true, text }
}

/** Reads what follows the access if it is one of the lenient spellings; otherwise consumes nothing. */
export function lenientComparison(parser: Parser, access: Access, parseTest: ParseTest): Node | undefined {
  if (!parser.isLenient) return undefined
  const node = readPairs(parser, access, parseTest) ?? readQuotedNetwork(parser, access)
  return node ?? readBareEach(parser, access, parseTest)
}

/** [C2]: `ip == "10.0.0.0/8"` is membership in that network, `!=` its negation. */
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
    'wirefilter does not accept a quoted network',
    [start, cursor.at],
    `write \`${isNegated ? 'not … ' : ''}in {${quoted}}\``,
  )
  const type = access.mapped ? 'Bools' : 'Bool'
  const item = wrapEach(parser, { kind: 'comparison', access, test, type, span })
  return isNegated ? { kind: 'not', item, type: item.type, span } : item
}

/** [C5]: a bare `ip[*] in {…}` outside a quantifier is an `any`. */
function readBareEach(parser: Parser, access: Access, parseTest: ParseTest): Node | undefined {
  return access.field.type === 'Ip' && access.mapped ? wrapEach(parser, parseTest(parser, access)) : undefined
}

/** [C6], second and third shape outside a quantifier, or without `[*]`: an `any` over the `key=value` texts. */
function readPairs(parser: Parser, access: Access, parseTest: ParseTest): Node | undefined {
  if (!isPairs(access) || (access.mapped && parser.quantifiers > 0)) return undefined
  if (
    matchHere(parser.cursor, /[ \r\n\t]*(?:==|eq|!=|ne|in|matches|~|contains|wildcard|strict wildcard)/y) === undefined
  )
    return undefined
  const { name } = access.field
  const hint = `write \`any(${name}[*] == "key=value")\``
  warn(parser, 'Gateway does not accept a map compared without `any( … )` and `[*]`', access.span, hint)
  return wrapEach(parser, stripInnerQuotes(parseTest(parser, pairsOf(access))))
}

/** The documentation escapes the texts twice: `"\"key=v\""`. */
function stripInnerQuotes(comparison: Comparison): Comparison {
  const { test } = comparison
  if (test.kind === 'order' && test.literal.type === 'Bytes') {
    return { ...comparison, test: { ...test, literal: withoutInnerQuotes(test.literal) } }
  }
  if (test.kind !== 'in-set' || test.set.type !== 'Bytes') return comparison
  const members = test.set.members.map(withoutInnerQuotes)
  return { ...comparison, test: { ...test, set: { ...test.set, members } } }
}

function withoutInnerQuotes(literal: BytesLiteral): BytesLiteral {
  const inner = /^"(.*)"$/s.exec(literal.value)?.[1]
  const text = literal.text.replace(/^"\\"(.*)\\""$/s, '"$1"').replace(/^(r#+)""(.*)""(#+)$/s, '$1"$2"$3')
  return inner === undefined || text === literal.text ? literal : { ...literal, value: inner, text }
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

/** [C1], [C2]: runs `read` on the text inside quotes, if there are quotes. */
export function readUnquoted<T>(parser: Parser, read: (cursor: Cursor) => T): T {
  const { cursor } = parser
  if (!parser.isLenient || !cursor.sees('"')) return read(cursor)
  const start = cursor.at
  cursor.take('"')
  const text = textOf(readQuotedRest(cursor))
  const inner = new Cursor(text, false)
  const value = readInner(inner, read, [start, cursor.at])
  const message = 'wirefilter does not accept a quoted number or address'
  parser.warn(new Failure('expression.lenient_spelling', message, [start, cursor.at], `write \`${text}\``))
  return value
}

/** Runs `read` on a whole text that is at `span` of the source, where its failures are reported. */
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
