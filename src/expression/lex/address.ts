// Address literals ([L3.7] and [L3.8]): outside sets one strict address, inside them addresses, networks
// and explicit ranges. IPv4 networks are read as leniently as by the engine's library.

import { type Cidr, parseCidr } from '../../net/cidr.ts'
import { compareIp, equalIp, fromIpv4Number, type Ip, parseIp } from '../../net/ip.ts'
import { rangeOfCidr } from '../../net/ip-set.ts'
import type { IpLiteral, IpMember } from '../tree.ts'
import { type Cursor, characterClass, Failure } from './cursor.ts'

const ADDRESS_RUN = characterClass(/[0-9a-fA-F:./]/)
const BAD_ADDRESS = "couldn't parse address in network: invalid IP address syntax"

/** Reads one address, as after `==`. Fails with `expression.invalid_address` or `expression.syntax`. */
export function readAddress(cursor: Cursor): IpLiteral {
  const start = cursor.at
  const token = readToken(cursor)
  const value = strict(token, start)
  return { type: 'Ip', value, text: value.text }
}

/** Reads one member of a set: an address, a network or a range. Also fails with `expression.invalid_range`. */
export function readAddressMember(cursor: Cursor): IpMember {
  const start = cursor.at
  const token = readToken(cursor)
  const dots = token.indexOf('..')
  return dots < 0 ? network(token, start) : range(token, dots, start)
}

function readToken(cursor: Cursor): string {
  const token = cursor.takeClass(ADDRESS_RUN)
  if (token === '') throw cursor.failure('expression.syntax', 'expected IP address character')
  return token
}

function strict(text: string, start: number): Ip {
  const value = parseIp(text)
  if (value !== undefined) return value
  const network = parseCidr(text)
  const hint =
    network !== undefined && text.includes('/')
      ? `\`==\` takes one address; write \`in {${network.text}}\` for a network`
      : undefined
  throw new Failure('expression.invalid_address', BAD_ADDRESS, [start, start + text.length], hint)
}

function range(token: string, dots: number, start: number): IpMember {
  const first = strict(token.slice(0, dots), start)
  const last = strict(token.slice(dots + 2), start + dots + 2)
  const span = [start, start + token.length] as const
  if (first.family !== last.family || compareIp(first, last) > 0) {
    const hint =
      first.family === last.family ? `write the smaller address first: \`${last.text}..${first.text}\`` : undefined
    throw new Failure('expression.invalid_range', 'incompatible range bounds', span, hint)
  }
  return { first, last, text: `${first.text}..${last.text}` }
}

function network(token: string, start: number): IpMember {
  const slash = token.lastIndexOf('/')
  const host = slash < 0 ? token : token.slice(0, slash)
  const firstSlash = token.indexOf('/')
  const beforeSlash = [start, start + (firstSlash < 0 ? token.length : firstSlash)] as const
  const address = parseIp(host) ?? parseIp(completeQuad(host))
  if (address === undefined) throw new Failure('expression.invalid_address', BAD_ADDRESS, beforeSlash)
  const bits = address.family === 4 ? 32 : 128
  const length = slash < 0 ? bits : prefixLength(token.slice(slash + 1), start + firstSlash + 1, start + token.length)
  if (length > bits) {
    const message = `network length ${length} is too long for IPv${address.family} (maximum: ${bits})`
    throw new Failure('expression.invalid_address', message, [start, start + token.length])
  }
  const plain = address.family === 4 ? ipv4Network(address, length) : undefined
  if (plain !== undefined) return plain
  const prefix = parseCidr(`${address.text}/${length}`) as Cidr
  if (!equalIp(prefix.base, address)) {
    const message = 'host part of address was not zero'
    throw new Failure('expression.invalid_address', message, beforeSlash, `write \`${prefix.text}\``)
  }
  const text = length === bits ? prefix.base.text : prefix.text
  return { ...rangeOfCidr(prefix), prefixLength: length, text }
}

/** A network whose host bits are zero; undefined for one where they are not. */
function ipv4Network(first: Ip, length: number): IpMember | undefined {
  if (length === 32) return { first, last: first, prefixLength: 32, text: first.text }
  const word = first.words[0] ?? 0
  const host = 0xffffffff >>> length
  if ((word & host) !== 0) return undefined
  return { first, last: fromIpv4Number((word | host) >>> 0), prefixLength: length, text: `${first.text}/${length}` }
}

function prefixLength(digits: string, start: number, end: number): number {
  if (/^\d+$/.test(digits) && Number(digits) <= 255) return Number(digits)
  const why = digits === '' ? 'cannot parse integer from empty string' : 'invalid digit found in string'
  const problem = /^\d+$/.test(digits) ? 'number too large to fit in target type' : why
  throw new Failure('expression.invalid_address', `couldn't parse length in network: ${problem}`, [start, end])
}

/** `10` and `010.1` as the engine's library reads them: decimal octets, zeros for the absent ones. */
function completeQuad(text: string): string {
  if (!/^\d+(\.\d+){0,3}$/.test(text)) return ''
  const octets = text.split('.').map((digits) => String(Number(digits)))
  return [...octets, '0', '0', '0'].slice(0, 4).join('.')
}
