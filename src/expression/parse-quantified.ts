// `any( … )` and `all( … )`: how far the argument extends depends on how it begins ([L8]).

import { adviseArgument } from './advice.ts'
import { lenientComparison, testAsGateway } from './lenient.ts'
import { readAddress } from './lex/address.ts'
import { readBytes, readString } from './lex/bytes.ts'
import { type Cursor, Failure } from './lex/cursor.ts'
import { HEX_DIGITS, readInteger } from './lex/integer.ts'
import { parseAccess } from './parse-access.ts'
import { isArrayOfBool, parseTest, seesOperator } from './parse-comparison.ts'
import { findBoundary, type Parser, STOP } from './parser.ts'
import type { Access, Node, Quantifier } from './tree.ts'
import { formatType } from './value.ts'

/** Whether `any` or `all` and then `(` follow. */
export function seesQuantifier(cursor: Cursor): boolean {
  if (!cursor.sees('any') && !cursor.sees('all')) return false
  const before = cursor.at
  cursor.at += 3
  cursor.skipSpace()
  const found = cursor.sees('(')
  cursor.at = before
  return found
}

/** Reads a quantifier. `parseLogical` reads a nested logical expression. */
export function parseQuantified(
  parser: Parser,
  parseLogical: (parser: Parser) => Node | undefined,
): Quantifier | undefined {
  const { cursor } = parser
  const start = cursor.at
  const op = cursor.take('any') ? 'any' : 'all'
  if (op === 'all') cursor.take('all')
  cursor.skipSpace()
  parser.enter(cursor.at)
  parser.quantifiers++
  cursor.take('(')
  cursor.skipSpace()
  const item = readArgument(parser, parseLogical)
  cursor.skipSpace()
  if (item === undefined) skipToClose(cursor)
  cursor.expect(')', adviseArgument(parser, op))
  parser.quantifiers--
  parser.leave()
  return item && { kind: 'quantifier', op, item, type: 'Bool', implied: false, span: [start, cursor.at] }
}

/** After a problem inside the brackets, moves to the closing one. */
function skipToClose(cursor: Cursor): void {
  while (!cursor.sees(')')) {
    cursor.at = findBoundary(cursor.text, cursor.at, cursor.at, cursor.end)
    if (cursor.isAtEnd) throw STOP
    if (!cursor.sees(')')) cursor.at += 2
  }
}

function readArgument(parser: Parser, parseLogical: (parser: Parser) => Node | undefined): Node | undefined {
  const { cursor } = parser
  const start = cursor.at
  const isLogical = cursor.sees('(') || cursor.sees('not') || cursor.sees('!') || seesQuantifier(cursor)
  if (isLogical) return checked(parser, parseLogical(parser), start)
  if (cursor.sees('"') || cursor.sees('r"') || cursor.sees('r#')) {
    readString(cursor)
    return wrongType(parser, start, 'Bytes')
  }
  if (seesHexDigits(cursor)) return readAmbiguous(parser)
  return readOne(parser, parseAccess(parser))
}

/** Whether three hexadecimal digits follow, with which bytes and addresses may begin. */
function seesHexDigits({ text, at, end }: Cursor): boolean {
  return at + 3 <= end && isHex(text.charCodeAt(at)) && isHex(text.charCodeAt(at + 1)) && isHex(text.charCodeAt(at + 2))
}

function isHex(code: number): boolean {
  return HEX_DIGITS[code] === 1
}

/** Text that may be a name or a literal: tried in the engine's order; fails without saying which was meant. */
function readAmbiguous(parser: Parser): Node | undefined {
  const { cursor } = parser
  const start = cursor.at
  const access = attempt(cursor, () => parseAccess(parser))
  if (access !== undefined) return readOne(parser, access)
  for (const read of [readAddress, readInteger, readBytes]) {
    const literal = attempt(cursor, () => read(cursor))
    if (literal !== undefined) return wrongType(parser, start, literal.type)
  }
  throw cursor.failure('expression.syntax', 'unrecognised input')
}

function attempt<T>(cursor: Cursor, read: () => T): T | undefined {
  const start = cursor.at
  try {
    return read()
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure
    cursor.at = start
    return undefined
  }
}

/** One comparison, or a bare access. */
function readOne(parser: Parser, access: Access): Node | undefined {
  const { cursor } = parser
  const [start] = access.span
  const lenient = lenientComparison(parser, access, parseTest)
  if (lenient !== undefined) return checked(parser, lenient, start)
  const seen = seesOperator(parser)
  if (!seen && (isArrayOfBool(access) ? access.mapped : access.valueType !== 'Bool' || access.mapped)) {
    return wrongType(parser, start, formatType(access.valueType))
  }
  const test = seen ? testAsGateway(parser, access, parseTest) : parseTest(parser, access)
  cursor.at = Math.max(cursor.at, test.span[1])
  return checked(parser, test, start)
}

function checked(parser: Parser, item: Node | undefined, start: number): Node | undefined {
  return item?.type === 'Bool' ? wrongType(parser, start, 'Bool') : item
}

/** Reports the argument's wrong type and continues after it. */
function wrongType(parser: Parser, start: number, actual: string): undefined {
  const message = `expected value of type Array(Bool), but got ${actual}`
  const hint =
    actual === 'Bool' ? 'nothing here has `[*]`; remove the quantifier' : 'compare each element: `any(field[*] == …)`'
  parser.report(new Failure('expression.type_mismatch', message, [start, parser.cursor.at], hint))
  return undefined
}
