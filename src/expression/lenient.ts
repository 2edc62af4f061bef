// Spellings that occur in documentation and published rules but that the engine refuses ([L19]).
// `default` mode accepts the two SAML forms ([R13]); `lenient` mode accepts the others, rewrites them and warns
// ([R11]).

import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { readAddressMember } from './lex/address.ts'
import { readQuotedRest } from './lex/bytes.ts'
import { Cursor, Failure } from './lex/cursor.ts'
import type { Parser } from './parser.ts'
import { createRegex } from './regex/regex.ts'
import type { Access, BytesLiteral, Comparison, LiteralSet, Node, Span, Test } from './tree.ts'
import { textOf, type ValueType } from './value.ts'

/** How the grammar reads the test of an access. */
type ParseTest = (parser: Parser, access: Access) => Comparison

/** Reads the test of an access, with maps of arrays treated as Gateway treats them ([R13]), at any depth. */
export function testAsGateway(parser: Parser, access: Access, parseTest: ParseTest): Comparison {
  if (parser.mode === 'engine') return parseTest(parser, access)
  if (isPairs(parser, access) && access.mapped) return stripInnerQuotes(parser, parseTest(parser, pairsOf(access)))
  if (isValueOfPairs(access)) return warnOfName(parser, access, parseTest(parser, access))
  return parseTest(parser, impliedEach(parser, access) ?? access)
}

/** [C6], first shape: in a quantifier, `map["key"] in {…}` means each element of the array under the key. */
function impliedEach(parser: Parser, access: Access): Access | undefined {
  const { valueType } = access
  if (parser.quantifiers === 0 || access.mapped || access.indexes.at(-1)?.kind !== 'key') return undefined
  if (typeof valueType === 'string' || !('array' in valueType) || valueType.array === 'Bool') return undefined
  return { ...access, indexes: [...access.indexes, { kind: 'each' }], valueType: valueType.array, mapped: true }
}

/** What is viewed as `key=value` texts ([C6]), without an index or with `[*]`: a map of arrays of Bytes, or a field that
 *  the scheme says holds such texts. */
function isPairs({ scheme }: Parser, { field, indexes }: Access): boolean {
  if (!isMapOfTexts(field.type) && !scheme.pairTexts.has(field.name)) return false
  return indexes.length <= 1 && indexes.every(({ kind }) => kind === 'each')
}

function isMapOfTexts(type: ValueType): boolean {
  return typeof type !== 'string' && 'map' in type && isTexts(type.map)
}

function isTexts(type: ValueType): boolean {
  return typeof type !== 'string' && 'array' in type && type.array === 'Bytes'
}

function pairsOf(access: Access): Access {
  const kind = isMapOfTexts(access.field.type) ? 'pairs' : 'each'
  const text = `${access.field.name}[*]`
  return { ...access, indexes: [{ kind }], valueType: 'Bytes', mapped: true, text }
}

/** `map[*][*]`: the values of all keys, without the keys. */
function isValueOfPairs({ field, indexes }: Access): boolean {
  return isMapOfTexts(field.type) && indexes.length === 2 && indexes.every(({ kind }) => kind === 'each')
}

/** A `key=value` text compared with values alone matches nobody, unless a value has the sign in it. */
function warnOfName(parser: Parser, access: Access, comparison: Comparison): Comparison {
  const { test } = comparison
  const literals = test.kind === 'order' ? [test.literal.text] : test.kind === 'in-set' ? textsOf(test.set) : []
  if (!literals.some((text) => /^r?#*"(\\?")?[\w.:/-]+=/.test(text))) return comparison
  const message = `\`${access.text}\` compares values without their names`
  warn(parser, message, access.span, `write \`${access.field.name}[*]\` to compare \`name=value\``)
  return comparison
}

function textsOf({ members }: LiteralSet): string[] {
  return members.map(({ text }) => text)
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
  if (!isPairs(parser, access) || (access.mapped && parser.quantifiers > 0)) return undefined
  if (
    matchHere(parser.cursor, /[ \r\n\t]*(?:==|eq|!=|ne|in|matches|~|contains|wildcard|strict wildcard)/y) === undefined
  )
    return undefined
  const { name } = access.field
  const hint = `write \`any(${name}[*] == "key=value")\``
  warn(parser, 'Gateway does not accept attributes compared without `any( … )` and `[*]`', access.span, hint)
  return wrapEach(parser, stripInnerQuotes(parser, parseTest(parser, pairsOf(access))))
}

/** The documentation writes the texts with quotes inside, `"\"key=v\""`. They count for nothing; the text stays as written,
 *  so that an API returns what it was sent. */
function stripInnerQuotes(parser: Parser, comparison: Comparison): Comparison {
  const { test } = comparison
  switch (test.kind) {
    case 'order':
      if (test.literal.type !== 'Bytes') return comparison
      return { ...comparison, test: { ...test, literal: withoutInnerQuotes(test.literal) } }
    case 'in-set': {
      if (test.set.type !== 'Bytes') return comparison
      const members = test.set.members.map(withoutInnerQuotes)
      return { ...comparison, test: { ...test, set: { ...test.set, members } } }
    }
    case 'matches': {
      const pattern = test.regex.pattern.replace(/^(\^?)"(.*)"(\$?)$/s, '$1$2$3')
      const inner = createRegex(pattern, parser.limits.regexBytes)
      return inner.ok ? { ...comparison, test: { ...test, regex: inner.regex } } : comparison
    }
    default:
      return comparison
  }
}

function withoutInnerQuotes(literal: BytesLiteral): BytesLiteral {
  const inner = /^"(.*)"$/s.exec(literal.value)?.[1]
  return inner === undefined ? literal : { ...literal, value: inner }
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
