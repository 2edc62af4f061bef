// Hints: what to write instead. They never change which problem is reported or where; a refused spelling gets a hint
// with the right one ([R11]).

import { closest } from '../errors/did-you-mean.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import type { Failure } from './lex/cursor.ts'
import { adviseInvisible } from './lex/white-space.ts'
import type { Parser } from './parser.ts'
import type { Access, Span } from './tree.ts'
import type { ValueType } from './value.ts'

/** Words that people call as functions, with an equivalent in this language. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  lower: '`wildcard "…"` and `matches "(?i)…"` ignore case',
  upper: '`wildcard "…"` and `matches "(?i)…"` ignore case',
  starts_with: 'write `matches "^…"` or `wildcard "…*"`',
  ends_with: 'write `matches "…$"` or `wildcard "*…"`',
  contains: 'write `field contains "…"`',
  matches: 'write `field matches "…"`',
  len: 'test the length with `matches "^.{3,5}$"`',
}

/** Field names are long and alike, so fewer edits than in ordinary words lead to another one. */
const LETTERS_PER_EDIT = 5

/** For a name that is not a field; the cursor is behind it. */
export function adviseUnknownName({ cursor, scheme }: Parser, name: string): string | undefined {
  if (/^[ \r\n]*\(/.test(cursor.text.slice(cursor.at, cursor.end))) return adviseFunction(name)
  const advice = scheme.adviseUnknown?.(name)
  if (advice !== undefined || name.length < 4) return advice
  const near = closest(name, scheme.fields.keys(), LETTERS_PER_EDIT)
  return near === undefined ? undefined : `did you mean \`${near}\`?`
}

function adviseFunction(name: string): string {
  const quantifier = closest(name, ['any', 'all'])
  if (quantifier !== undefined) return `did you mean \`${quantifier}\`?`
  const known = closest(name, Object.keys(FUNCTIONS))
  if (known === undefined) return 'there are no functions, only `any( … )` and `all( … )`'
  return `there is no function \`${known}\`: ${FUNCTIONS[known]}`
}

/** For a right-hand side of the wrong type. */
export function adviseOperand(parser: Parser, access: Access, operator: string, failure: Failure): string | undefined {
  const { cursor } = parser
  const at = failure.span[0]
  const rest = cursor.text.slice(at, cursor.end)
  if (rest.startsWith(',')) return 'separate the members of a set with spaces, not commas'
  if (failure.hint !== undefined) return failure.hint
  if (rest.startsWith('$') && operator === 'in') return 'write a list without braces: `in $name`'
  if (/^[a-z]/.test(rest) && parser.scheme.fields.has(/^[\w.]*/.exec(rest)?.[0] ?? '')) {
    return 'the right-hand side must be a literal; two fields cannot be compared'
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

/** For text where an operator was expected. */
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
  return adviseInvisible(rest)
}

/** For an operator that does not fit the type but would fit its elements. */
export function adviseType(parser: Parser, access: Access, span: Span): string | undefined {
  const { valueType, text, field, indexes } = access
  const operator = parser.cursor.text.slice(...span)
  if (valueType === 'Bool') return 'write a boolean field alone, or after `not`'
  if (typeof valueType === 'string') return undefined
  if ('map' in valueType) return adviseMap(parser, valueType, text, operator)
  const ofMap = typeof field.type !== 'string' && 'map' in field.type && indexes[0]?.kind === 'each'
  return ofMap
    ? adviseMap(parser, field.type, field.name, operator)
    : `compare each element: \`any(${text}[*] ${operator} …)\``
}

function adviseMap(parser: Parser, type: ValueType & { map: ValueType }, text: string, operator: string): string {
  if (typeof type.map === 'string') return `choose a key: \`${text}["key"] ${operator} …\``
  const byKey = `choose a key: \`any(${text}["key"][*] ${operator} …)\``
  if (parser.mode === 'engine') return byKey
  return `${byKey}, or compare \`key=value\` texts: \`any(${text}[*] ${operator} …)\``
}

/** For text where the closing bracket of a quantifier was expected. */
export function adviseArgument(parser: Parser, op: 'any' | 'all'): string | undefined {
  const rest = parser.cursor.text.slice(parser.cursor.at, parser.cursor.end)
  const operator = /^(and|or|xor|&&|\|\||\^\^)/.exec(rest)?.[0]
  return operator === undefined ? undefined : `wrap the conditions in parentheses: \`${op}((… ${operator} …))\``
}
