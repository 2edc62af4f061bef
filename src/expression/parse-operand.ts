// Right-hand sides: one literal, or a set of members in braces, of the left-hand side's type ([L3] and
// 11). Lenient mode also accepts quoted integers and addresses, and commas ([C1], [C2], [C9]).

import { readUnquoted } from './lenient.ts'
import { readAddress, readAddressMember } from './lex/address.ts'
import { readBytes } from './lex/bytes.ts'
import { Failure } from './lex/cursor.ts'
import { readInteger, readIntegerMember } from './lex/integer.ts'
import type { Parser } from './parser.ts'
import type { BytesLiteral, IntMember, IpMember, Literal, LiteralSet } from './tree.ts'

type Comparable = 'Int' | 'Bytes' | 'Ip'

/** Reads one literal, as after `==`. */
export function readLiteral(parser: Parser, type: Comparable): Literal {
  if (type === 'Bytes') return readBytes(parser.cursor)
  return readUnquoted(parser, (cursor) => (type === 'Int' ? readInteger(cursor) : readAddress(cursor)))
}

/** Reads `{ member … }`; a set may be empty. */
export function readSet(parser: Parser, type: Comparable): LiteralSet {
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
