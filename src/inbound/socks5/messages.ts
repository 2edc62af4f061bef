// The messages of SOCKS version 5 (RFC 1928) and of its user name and password (RFC 1929) as bytes. Pure: each reader looks
// at the start of what has arrived and says undefined while the message is not complete.

import { GatewayError } from '../../errors/gateway-error.ts'
import type { Endpoint, Target } from '../../net/endpoint.ts'
import { parseTarget } from '../../net/host.ts'
import { fromIpv4Number, fromIpv6Words, unmapIp } from '../../net/ip.ts'

export const NO_AUTHENTICATION = 0x00
export const USER_PASSWORD = 0x02
export const NO_ACCEPTABLE_METHOD = 0xff

const IPV4 = 0x01
const NAME = 0x03
const IPV6 = 0x04

export interface Message<T> {
  readonly value: T
  /** bytes used */
  readonly length: number
}

export type Command = 'connect' | 'bind' | 'udp-associate'

export interface Request {
  readonly command: Command
  /** where to; for `udp-associate` what the client claims to send from, absent where it says all zeros */
  readonly target?: Target
}

/** The methods a client offers, in the bytes they came in. */
export function readGreeting(bytes: Buffer): Message<Uint8Array> | undefined {
  const count = bytes[1]
  if (count === undefined || bytes.length < 2 + count) return undefined
  return { value: bytes.subarray(2, 2 + count), length: 2 + count }
}

/** User name and password, as UTF-8 (Latin-1 where it is not). Throws `request.malformed` for another version. */
export function readUserPassword(
  bytes: Buffer,
): Message<{ readonly username: string; readonly password: string }> | undefined {
  if (bytes[0] !== undefined && bytes[0] !== 0x01)
    throw malformed('the SOCKS user name message has another version than 1')
  const nameLength = bytes[1]
  if (nameLength === undefined) return undefined
  const passwordLength = bytes[2 + nameLength]
  if (passwordLength === undefined) return undefined
  const length = 3 + nameLength + passwordLength
  if (bytes.length < length) return undefined
  const username = text(bytes.subarray(2, 2 + nameLength))
  const password = text(bytes.subarray(3 + nameLength, length))
  return { value: { username, password }, length }
}

/** What the client wants. Throws `request.malformed`, `request.unsupported_command`, `request.unsupported_address`,
 *  `request.bad_authority` as soon as the bytes show it (SK-04). */
export function readRequest(bytes: Buffer): Message<Request> | undefined {
  const version = bytes[0]
  const command = bytes[1]
  const reserved = bytes[2]
  const kind = bytes[3]
  const first = bytes[4]
  if (version !== undefined && version !== 0x05) throw malformed('the SOCKS request has another version than 5')
  const wanted = command === undefined ? undefined : commandOf(command)
  if (reserved !== undefined && reserved !== 0) throw malformed('the reserved byte of the SOCKS request is not zero')
  if (wanted === undefined || kind === undefined) return undefined
  checkHost(kind, first)
  const host = hostLength(kind, first)
  if (host === undefined || bytes.length < 4 + host + 2) return undefined
  const length = 4 + host + 2
  const port = bytes.readUInt16BE(length - 2)
  const target = targetOf(kind, bytes.subarray(4, 4 + host), port)
  if (target !== undefined) return { value: { command: wanted, target }, length }
  if (wanted === 'udp-associate') return { value: { command: wanted }, length }
  throw new GatewayError('request.bad_authority', 'the SOCKS request names no destination to connect to')
}

/** A reply. `bound` is the egress address as the world is told; all zeros on failure. */
export function formatReply(code: number, bound?: Endpoint): Buffer {
  const words = bound?.ip.words ?? [0]
  const reply = Buffer.alloc(4 + words.length * 4 + 2)
  reply[0] = 0x05
  reply[1] = code
  reply[3] = words.length === 4 ? IPV6 : IPV4
  for (let at = 0; at < words.length; at++) reply.writeUInt32BE(words[at] ?? 0, 4 + at * 4)
  reply.writeUInt16BE(bound?.port ?? 0, reply.length - 2)
  return reply
}

function commandOf(code: number): Command {
  if (code === 0x01) return 'connect'
  if (code === 0x02) return 'bind'
  if (code === 0x03) return 'udp-associate'
  throw new GatewayError('request.unsupported_command', `the SOCKS command ${code} does not exist`)
}

/** Length of the address part, the length byte of a name included; `undefined` for another type of address, an empty name, or
 *  too few bytes to know. */
export function hostLength(kind: number | undefined, first: number | undefined): number | undefined {
  if (kind === IPV4) return 4
  if (kind === IPV6) return 16
  return kind !== NAME || first === undefined || first === 0 ? undefined : 1 + first
}

function checkHost(kind: number, first: number | undefined): void {
  if (kind !== IPV4 && kind !== NAME && kind !== IPV6)
    throw new GatewayError('request.unsupported_address', `the SOCKS address type ${kind} does not exist`)
  if (kind === NAME && first === 0)
    throw new GatewayError('request.unsupported_address', 'the SOCKS request holds an empty name')
}

/** The destination in an address part as long as {@link hostLength} says; `undefined` for port 0 and names that are none. */
export function targetOf(kind: number, host: Buffer, port: number): Target | undefined {
  if (kind === NAME) return parseTarget(text(host.subarray(1)), port)
  if (port === 0) return undefined
  if (kind === IPV4) return { kind: 'ip', ip: fromIpv4Number(host.readUInt32BE(0)), port }
  return { kind: 'ip', ip: unmapIp(fromIpv6Words([0, 4, 8, 12].map((at) => host.readUInt32BE(at)))), port }
}

function text(bytes: Buffer): string {
  const decoded = bytes.toString('utf8')
  return decoded.includes('\ufffd') ? bytes.toString('latin1') : decoded
}

function malformed(why: string): GatewayError {
  return new GatewayError('request.malformed', why)
}
