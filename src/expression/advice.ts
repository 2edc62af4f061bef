// Hints: what to write instead. They never change which problem is reported or where ([R11]: a refused form is told its
// right spelling).

import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import type { Failure } from './lex/cursor.ts'
import type { Parser } from './parser.ts'
import type { Access, Span } from './tree.ts'

/** Where a right-hand side is not what the type wants. */
export function adviseOperand(parser: Parser, access: Access, operator: string, failure: Failure): string | undefined {
  const { cursor } = parser
  const at = failure.span[0]
  const rest = cursor.text.slice(at, cursor.end)
  if (rest.startsWith(',')) return 'separate the members of a set with spaces, not commas'
  if (failure.hint !== undefined) return failure.hint
  if (rest.startsWith('$') && operator === 'in') return 'a list stands outside braces: `in $name`'
  if (/^[a-z]/.test(rest) && parser.scheme.fields.has(/^[\w.]*/.exec(rest)?.[0] ?? '')) {
    return 'the right-hand side is always a literal; two fields cannot be compared'
  }
  const quoted = /^"([^"\\]*)"/.exec(rest)?.[1]
  if (quoted === undefined || failure.code !== 'expression.syntax') return undefined
  if (access.valueType === 'Int') return adviseQuotedInteger(quoted)
  return access.valueType === 'Ip' ? adviseQuotedAddress(quoted, operator) : undefined
}

function adviseQuotedInteger(quoted: string): string {
  return /^-?\d+$/.test(quoted) ? `write the number without quotes: \`${quoted}\`` : 'this field holds a number'
}

function adviseQuotedAddress(quoted: string, operator: string): string {
  if (parseIp(quoted) !== undefined) return `write the address without quotes: \`${quoted}\``
  const network = parseCidr(quoted)
  if (network === undefined) return 'this field holds an address'
  return operator === 'in'
    ? `write the network without quotes: \`${network.text}\``
    : `write \`in {${network.text}}\` for a network`
}

/** Where an operator was expected. */
export function adviseOperator(parser: Parser): string | undefined {
  const rest = parser.cursor.text.slice(parser.cursor.at, parser.cursor.end)
  if (/^(!|not\b)\s*(in|matches|contains|wildcard)/.test(rest)) return 'negate the whole comparison: `not field in {…}`'
  if (/^(is|=)\b|^=[^=]/.test(rest)) return 'write `==`'
  if (rest.startsWith('\t')) return 'only spaces and line breaks separate words'
  const word = /^[A-Za-z_]+/.exec(rest)?.[0] ?? ''
  if (word !== '' && /^(in|eq|ne|lt|le|gt|ge|contains|matches|wildcard)$/i.test(word)) {
    return `operators are lower case: \`${word.toLowerCase()}\``
  }
  if (/^(starts|ends)_with$/i.test(word)) return 'write `matches "^…"` or `wildcard "…*"`'
  return undefined
}

/** Where an operator does not fit the type. */
export function adviseType(parser: Parser, access: Access, span: Span): string | undefined {
  const { valueType } = access
  const operator = parser.cursor.text.slice(...span)
  if (valueType === 'Bool') return 'a true-or-false field stands alone, or behind `not`'
  if (typeof valueType === 'string') return undefined
  if ('array' in valueType) return `compare each element: \`any(${access.text}[*] ${operator} …)\``
  return `choose a key: \`any(${access.text}["key"][*] ${operator} …)\``
}

/** Where the closing bracket of a quantifier was expected. */
export function adviseArgument(parser: Parser, op: 'any' | 'all'): string | undefined {
  const rest = parser.cursor.text.slice(parser.cursor.at, parser.cursor.end)
  const operator = /^(and|or|xor|&&|\|\||\^\^)/.exec(rest)?.[0]
  return operator === undefined ? undefined : `wrap the conditions in parentheses: \`${op}((… ${operator} …))\``
}
