// The upper half of the parser: operators, groups, quantifiers, and recovery after a problem. Types are checked at the
// very places where the engine checks them ([L4], [L6] and [L8]), so the first problem is the engine's.

import { byFirstCharacter, Cursor, Failure } from './lex/cursor.ts'
import { adviseInvisible } from './lex/white-space.ts'
import { parseComparison } from './parse-comparison.ts'
import { parseQuantified, seesQuantifier } from './parse-quantified.ts'
import { DEFAULT_LIMITS, type ExpressionLimits, findBoundary, Parser, STOP } from './parser.ts'
import type { ExpressionProblem } from './problem.ts'
import type { Expression, LogicalOperator, Mode, Node, Span } from './tree.ts'
import type { Scheme } from './value.ts'

export interface ParseOptions {
  /** defaults to `default` */
  readonly mode?: Mode
  readonly limits?: Partial<ExpressionLimits>
}

export type ParseResult =
  | { readonly ok: true; readonly expression: Expression; readonly warnings: readonly ExpressionProblem[] }
  | {
      readonly ok: false
      readonly problems: readonly ExpressionProblem[]
      readonly warnings: readonly ExpressionProblem[]
    }

/** A node, or undefined where a problem was reported instead. */
export type Parsed<T = Node> = T | undefined

/** Parses and type-checks a filter. The first problem is the one the engine would stop at; the others are
 *  independent of it. An empty source is a problem here: callers handle a rule's empty expression ([R1]). */
export function parseExpression(source: string, scheme: Scheme, options: ParseOptions = {}): ParseResult {
  const mode = options.mode ?? 'default'
  const limits = options.limits === undefined ? DEFAULT_LIMITS : { ...DEFAULT_LIMITS, ...options.limits }
  const parser = new Parser(new Cursor(source, mode !== 'engine'), scheme, mode, limits)
  const root = parseFilter(parser)
  const { problems, warnings } = parser
  if (root === undefined || problems.length > 0) return { ok: false, problems, warnings }
  return { ok: true, expression: { source, scheme, mode, root }, warnings }
}

function parseFilter(parser: Parser): Parsed {
  try {
    return readFilter(parser)
  } catch (thrown) {
    if (thrown !== STOP) throw thrown
    return undefined
  }
}

function readFilter(parser: Parser): Parsed {
  try {
    if (parser.cursor.text.length > parser.limits.sourceLength) throw tooLong(parser)
    const root = parseLogical(parser)
    checkIsBool(parser, root)
    readLeftOver(parser)
    return root
  } catch (thrown) {
    if (!(thrown instanceof Failure)) throw thrown
    parser.report(thrown)
    return undefined
  }
}

function tooLong(parser: Parser): Failure {
  const { sourceLength } = parser.limits
  const message = `expression is longer than ${sourceLength} characters`
  return new Failure('expression.limit_exceeded', message, [sourceLength, parser.cursor.text.length])
}

function checkIsBool(parser: Parser, root: Parsed): void {
  if (root === undefined || root.type === 'Bool' || parser.problems.length > 0) return
  const message = 'expected value of type Bool, but got Array(Bool)'
  const hint = `wrap it in \`any( … )\` or \`all( … )\``
  parser.report(parser.cursor.failure('expression.type_mismatch', message, hint))
}

/** Any remaining text is a problem; after its next operator there may be others. */
function readLeftOver(parser: Parser): void {
  const { cursor } = parser
  while (!cursor.isAtEnd) {
    parser.report(cursor.failure('expression.syntax', 'unrecognised input', leftOverHint(parser)))
    do {
      cursor.at = findBoundary(cursor.text, cursor.at, cursor.at, cursor.end)
    } while (cursor.take(')'))
    if (takeOperator(parser) === undefined) cursor.takeRun(/[A-Z]+/y)
    cursor.skipSpace()
    if (cursor.isAtEnd) return
    parseLogical(parser)
  }
}

const WORDS: Readonly<Record<string, string>> = { AND: 'and', OR: 'or', XOR: 'xor', NOT: 'not', IN: 'in' }

function leftOverHint(parser: Parser): string | undefined {
  const rest = parser.cursor.text.slice(parser.cursor.at, parser.cursor.end).trimStart()
  const word = /^[A-Za-z]+/.exec(rest)?.[0] ?? ''
  const lower = WORDS[word.toUpperCase()]
  if (lower !== undefined && word !== lower) return `operators are lower case: \`${lower}\``
  if (rest.startsWith('#') || rest.startsWith('//')) return 'there are no comments'
  if (rest.startsWith(')')) return 'this closing bracket has no opening bracket'
  if (rest.startsWith('\t') || parser.cursor.text.charAt(parser.cursor.at) === '\t')
    return 'only spaces and line breaks separate words'
  if (rest.startsWith('-')) return 'list names cannot contain hyphens here'
  return adviseInvisible(parser.cursor.text.slice(parser.cursor.at, parser.cursor.end))
}

const PRECEDENCE: Readonly<Record<LogicalOperator, number>> = { or: 1, xor: 2, and: 3 }
const SPELLINGS = byFirstCharacter<LogicalOperator>([
  ['or', 'or'],
  ['||', 'or'],
  ['xor', 'xor'],
  ['^^', 'xor'],
  ['and', 'and'],
  ['&&', 'and'],
])

/** Parses a complete logical expression. Stops after the last operand, before any white space. */
export function parseLogical(parser: Parser): Parsed {
  const left = parseOperand(parser)
  return parseChain(parser, left, 0)
}

/** Consumes operators that bind more tightly than `least`. */
function parseChain(parser: Parser, first: Parsed, least: number): Parsed {
  const { cursor } = parser
  let left = first
  for (;;) {
    const before = cursor.at
    const op = takeOperator(parser)
    if (op === undefined || PRECEDENCE[op] <= least) {
      cursor.at = before
      return left
    }
    const right = parseChain(parser, parseOperand(parser), PRECEDENCE[op])
    left = combine(parser, op, left, right)
  }
}

/** Consumes an operator with the white space around it, or nothing. */
function takeOperator(parser: Parser): LogicalOperator | undefined {
  const { cursor } = parser
  const before = cursor.at
  cursor.skipSpace()
  const op = cursor.takeSpelling(SPELLINGS)
  if (op === undefined) cursor.at = before
  else cursor.skipSpace()
  return op
}

function combine(parser: Parser, op: LogicalOperator, left: Parsed, right: Parsed): Parsed {
  if (left === undefined || right === undefined) return undefined
  if (left.type !== right.type) {
    const name = { Bool: 'Bool', Bools: 'Array(Bool)' }
    const message = `expected value of type ${name[left.type]}, but got ${name[right.type]}`
    const before = parser.cursor.at
    takeOperator(parser)
    parser.report(
      parser.cursor.failure('expression.type_mismatch', message, 'put `any( … )` or `all( … )` around the mapped side'),
    )
    parser.cursor.at = before
    return undefined
  }
  const span: Span = [left.span[0], right.span[1]]
  if (left.kind !== 'chain' || left.op !== op) return { kind: 'chain', op, items: [left, right], type: left.type, span }
  const items = left.items as Node[]
  items.push(right)
  return { kind: 'chain', op, items, type: left.type, span }
}

/** Parses one operand; after a problem in it, continues at the next operator or closing bracket. */
export function parseOperand(parser: Parser): Parsed {
  const { cursor, depth, quantifiers } = parser
  const start = cursor.at
  try {
    return readOperand(parser)
  } catch (thrown) {
    if (!(thrown instanceof Failure)) throw thrown
    parser.report(thrown)
    const boundary = findBoundary(cursor.text, start, thrown.span[0], cursor.end)
    if (thrown.code === 'expression.limit_exceeded' || boundary >= cursor.end) throw STOP
    cursor.at = boundary
    parser.depth = depth
    parser.quantifiers = quantifiers
    return undefined
  }
}

function readOperand(parser: Parser): Parsed {
  const { cursor } = parser
  if (cursor.sees('(')) return parseGroup(parser)
  if (cursor.sees('not') || cursor.sees('!')) return parseNegation(parser)
  return seesQuantifier(cursor) ? parseQuantified(parser, parseLogical) : parseComparison(parser)
}

function parseGroup(parser: Parser): Parsed {
  const { cursor } = parser
  const start = cursor.at
  parser.enter(start)
  cursor.take('(')
  cursor.skipSpace()
  const item = parseLogical(parser)
  cursor.skipSpace()
  cursor.expect(')')
  parser.leave()
  return item && { kind: 'group', item, type: item.type, span: [start, cursor.at] }
}

function parseNegation(parser: Parser): Parsed {
  const { cursor } = parser
  const start = cursor.at
  parser.enter(start)
  if (!cursor.take('not')) cursor.take('!')
  cursor.skipSpace()
  const item = readOperand(parser)
  parser.leave()
  return item && { kind: 'not', item, type: item.type, span: [start, item.span[1]] }
}
