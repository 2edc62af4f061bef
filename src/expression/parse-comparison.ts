// One comparison: an access, an operator that fits its type, and a right-hand side read by that type
// ([L5]). Mapped or not, the operator sees the type after all indexes.

import { adviseOperand, adviseOperator, adviseType } from './advice.ts'
import { lenientComparison, readUnquoted, testAsGateway } from './lenient.ts'
import { readAddress, readAddressMember } from './lex/address.ts'
import { readBytes, readRegexLiteral, readString } from './lex/bytes.ts'
import { byFirstCharacter, Failure } from './lex/cursor.ts'
import { readInteger, readIntegerMember } from './lex/integer.ts'
import { readListName } from './lex/name.ts'
import { parseAccess } from './parse-access.ts'
import type { Parser } from './parser.ts'
import { createRegex } from './regex/regex.ts'
import type {
  Access,
  BytesLiteral,
  Comparison,
  IntMember,
  IpMember,
  Literal,
  LiteralSet,
  Node,
  OrderOperator,
  Test,
} from './tree.ts'
import { formatType, type ScalarType, type ValueType } from './value.ts'
import { createWildcard } from './wildcard.ts'

type Operator =
  | { readonly kind: 'in' | 'bits' | 'contains' | 'matches' | 'wildcard' | 'strict-wildcard' }
  | { readonly kind: 'order'; readonly op: OrderOperator }

const order = (op: OrderOperator): Operator => ({ kind: 'order', op })

/** In the order in which the engine tries them: the first prefix wins. */
const OPERATORS = byFirstCharacter<Operator>([
  ['in', { kind: 'in' }],
  ['eq', order('==')],
  ['==', order('==')],
  ['ne', order('!=')],
  ['!=', order('!=')],
  ['ge', order('>=')],
  ['>=', order('>=')],
  ['le', order('<=')],
  ['<=', order('<=')],
  ['gt', order('>')],
  ['>', order('>')],
  ['lt', order('<')],
  ['<', order('<')],
  ['&', { kind: 'bits' }],
  ['bitwise_and', { kind: 'bits' }],
  ['contains', { kind: 'contains' }],
  ['~', { kind: 'matches' }],
  ['matches', { kind: 'matches' }],
  ['wildcard', { kind: 'wildcard' }],
  ['strict wildcard', { kind: 'strict-wildcard' }],
])

const FITTING: Readonly<Record<ScalarType, readonly Operator['kind'][]>> = {
  Bool: [],
  Int: ['in', 'order', 'bits'],
  Bytes: ['in', 'order', 'contains', 'matches', 'wildcard', 'strict-wildcard'],
  Ip: ['in', 'order'],
}

/** Reads a comparison or a bare access of type Bool or Array(Bool). */
export function parseComparison(parser: Parser): Node {
  const access = parseAccess(parser)
  return lenientComparison(parser, access, parseTest) ?? testAsGateway(parser, access, parseTest)
}

/** Whether an operator follows, after optional white space. Consumes nothing. */
export function seesOperator(parser: Parser): boolean {
  const before = parser.cursor.at
  parser.cursor.skipSpace()
  const found = parser.cursor.takeSpelling(OPERATORS)
  parser.cursor.at = before
  return found !== undefined
}

/** Reads the test of an access: operator and right-hand side. */
export function parseTest(parser: Parser, access: Access): Comparison {
  const { cursor } = parser
  if (access.valueType === 'Bool') return comparison(parser, access, { kind: 'truth' })
  if (typeof access.valueType !== 'string' && isArrayOfBool(access)) {
    if (!access.mapped) return comparison(parser, access, { kind: 'truth' })
    const message = 'cannot perform this operation on type Array(Array(Bool))'
    throw new Failure('expression.type_mismatch', message, [cursor.at, cursor.at])
  }
  cursor.skipSpace()
  const start = cursor.at
  const operator = takeOperator(parser)
  const behind = cursor.at
  const type = access.valueType
  if (typeof type !== 'string' || !FITTING[type].includes(operator.kind)) {
    const message = `cannot perform this operation on type ${formatType(type)}`
    const fits = FITTING[elementOf(type)].includes(operator.kind)
    const hint = fits ? adviseType(parser, access, [start, behind]) : undefined
    throw new Failure('expression.type_mismatch', message, [start, behind], hint)
  }
  cursor.skipSpace()
  try {
    return comparison(parser, access, readTest(parser, operator, access, type, start))
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure
    throw new Failure(
      failure.code,
      failure.message,
      failure.span,
      adviseOperand(parser, access, operator.kind, failure),
    )
  }
}

/** The type that remains when everything in it is indexed. */
function elementOf(type: ValueType): ScalarType {
  if (typeof type === 'string') return type
  return elementOf('array' in type ? type.array : type.map)
}

/** Whether the access is a bare Array(Bool), which only a quantifier may contain. */
export function isArrayOfBool(access: Access): boolean {
  return typeof access.valueType !== 'string' && 'array' in access.valueType && access.valueType.array === 'Bool'
}

function comparison(parser: Parser, access: Access, test: Test): Comparison {
  const isVector = access.mapped || typeof access.valueType !== 'string'
  const type = isVector ? 'Bools' : 'Bool'
  return { kind: 'comparison', access, test, type, span: [access.span[0], parser.cursor.at] }
}

function takeOperator(parser: Parser): Operator {
  const { cursor } = parser
  const operator = cursor.takeSpelling(OPERATORS)
  if (operator !== undefined) return operator
  throw cursor.failure('expression.syntax', 'expected comparison operator', adviseOperator(parser))
}

function readTest(parser: Parser, operator: Operator, access: Access, type: ScalarType, start: number): Test {
  const { cursor } = parser
  if (type === 'Bool') throw new RangeError('Bool values are never compared')
  switch (operator.kind) {
    case 'in':
      return cursor.sees('$') ? readInList(parser, access, type, start) : { kind: 'in-set', set: readSet(parser, type) }
    case 'order':
      return { kind: 'order', op: operator.op, literal: readLiteral(parser, type) }
    case 'bits':
      return { kind: 'bits', mask: readInteger(cursor) }
    case 'contains':
      return { kind: 'contains', literal: readBytes(cursor) }
    case 'matches':
      return readMatches(parser)
    case 'wildcard':
      return readWildcard(parser, false)
    case 'strict-wildcard':
      return readWildcard(parser, true)
  }
}

function readInList(parser: Parser, access: Access, type: 'Int' | 'Bytes' | 'Ip', start: number): Test {
  const list = readListName(parser.cursor, parser.mode)
  if (parser.scheme.listTypes.has(type)) return { kind: 'in-list', list }
  const message = `cannot perform this operation on type ${type}`
  const hint = `there are no lists of type ${type}; list the values: \`${access.text} in {…}\``
  throw new Failure('expression.type_mismatch', message, [start, parser.cursor.at], hint)
}

function readMatches(parser: Parser): Test {
  const { pattern, text, span } = readRegexLiteral(parser.cursor)
  const result = createRegex(pattern, parser.limits.regexBytes)
  if (result.ok) {
    warnOfDoubledBackslash(parser, pattern, span)
    return { kind: 'matches', regex: result.regex, text, span }
  }
  const { message, at, hint, tooLarge } = result
  if (tooLarge) throw new Failure('expression.limit_exceeded', message, span, hint)
  const place = `at character ${Array.from(pattern.slice(0, at)).length + 1} of the pattern`
  const advice = hint === undefined ? place : `${place}: ${hint}`
  throw new Failure('expression.invalid_regex', `regex parse error: ${message}`, span, advice)
}

function warnOfDoubledBackslash(parser: Parser, pattern: string, span: readonly [number, number]): void {
  const at = pattern.indexOf('\\\\.')
  if (at < 0) return
  const message = '`\\\\.` in a pattern matches a backslash followed by any byte'
  const hint = 'write `\\.` for a dot; a doubled backslash usually comes from JSON or HCL escaping'
  const found = parser.cursor.text.indexOf('\\\\.', span[0])
  parser.warn(new Failure('expression.doubled_backslash', message, [found, found + 3], hint))
}

function readWildcard(parser: Parser, strict: boolean): Test {
  const { cursor } = parser
  const start = cursor.at
  const literal = readString(cursor)
  const result = createWildcard(literal.value, strict, parser.limits.wildcardStars)
  if (result.ok) return { kind: 'wildcard', strict, pattern: result.wildcard, text: literal.text }
  const code = result.tooManyStars ? 'expression.limit_exceeded' : 'expression.invalid_wildcard'
  throw new Failure(code, result.message, [start, cursor.end])
}

// Right-hand sides: one literal, or a set of members in braces, of the left-hand side's type ([L3] and
// 11). Lenient mode also accepts quoted integers and addresses, and commas ([C1], [C2], [C9]).

type Comparable = 'Int' | 'Bytes' | 'Ip'

/** Reads one literal, as after `==`. */
function readLiteral(parser: Parser, type: Comparable): Literal {
  if (type === 'Bytes') return readBytes(parser.cursor)
  return readUnquoted(parser, (cursor) => (type === 'Int' ? readInteger(cursor) : readAddress(cursor)))
}

/** Reads `{ member … }`; a set may be empty. */
function readSet(parser: Parser, type: Comparable): LiteralSet {
  if (type === 'Bytes') return { type, members: readMembers<BytesLiteral>(parser, () => readBytes(parser.cursor)) }
  if (type === 'Int')
    return { type, members: readMembers<IntMember>(parser, () => readUnquoted(parser, readIntegerMember)) }
  return { type, members: readMembers<IpMember>(parser, () => readUnquoted(parser, readAddressMember)) }
}

function readMembers<T>(parser: Parser, readMember: () => T): T[] {
  const { cursor } = parser
  cursor.expect('{', 'write a set in braces: `in {…}`, or a list: `in $…`')
  const members: T[] = []
  for (;;) {
    cursor.skipSpace()
    if (cursor.take('}')) return members
    if (members.length > 0 && parser.isLenient && cursor.sees(',')) {
      const span = [cursor.at, cursor.at + 1] as const
      parser.warn(
        new Failure(
          'expression.lenient_spelling',
          'wirefilter does not accept commas in a set',
          span,
          'separate with spaces',
        ),
      )
      cursor.take(',')
      continue
    }
    members.push(readMember())
  }
}
