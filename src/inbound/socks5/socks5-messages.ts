// Reads and writes the messages of SOCKS version 5 (RFC 1928), its user name and password (RFC 1929) and the header of a
// datagram between client and relay (section 7; fragments are not reassembled, as the RFC permits). Pure: each reader
// parses the start of the bytes that arrived and returns undefined while the message is incomplete.

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

/** A complete message. */
export interface Message<T> {
  readonly value: T
  /** bytes used */
  readonly length: number
}

export type Command = 'connect' | 'bind' | 'udp-associate'

export interface Request {
  readonly command: Command
  /** the destination; for `udp-associate` the address the client says it will send from, absent when that is all zeros
   *   */
  readonly target?: Target
}

/** The authentication methods a client offers, one per byte (RFC 1928 section 3). */
export function readGreeting(bytes: Buffer): Message<Uint8Array> | undefined {
  const count = bytes[1]
  if (count === undefined || bytes.length < 2 + count) return undefined
  return { value: bytes.subarray(2, 2 + count), length: 2 + count }
}

/** The user name and password, decoded as UTF-8, or Latin-1 where that is invalid (RFC 1929). Throws GatewayError
 *  `request.malformed` for another version. */
export function readUserPassword(
  bytes: Buffer,
): Message<{ readonly username: string; readonly password: string }> | undefined {
  if (bytes[0] !== undefined && bytes[0] !== 0x01) throw malformed('the SOCKS user name message is not version 1')
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

/** The client's request (RFC 1928 section 4). Throws GatewayError `request.malformed`, `request.unsupported_command`,
 *  `request.unsupported_address`, `request.bad_authority` as soon as the bytes show it (SK-04). */
export function readRequest(bytes: Buffer): Message<Request> | undefined {
  const version = bytes[0]
  const command = bytes[1]
  const reserved = bytes[2]
  const kind = bytes[3]
  const first = bytes[4]
  if (version !== undefined && version !== 0x05) throw malformed('the SOCKS request is not version 5')
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
  throw new GatewayError('request.bad_authority', 'the SOCKS request has no valid destination')
}

/** Formats a reply (RFC 1928 section 6). `bound` is the public egress address; absent: all zeros, for failures. */
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

/** The length in bytes of the address, including the length byte of a name; undefined for an unknown address type, an
 *  empty name, or too few bytes to tell. */
export function hostLength(kind: number | undefined, first: number | undefined): number | undefined {
  if (kind === IPV4) return 4
  if (kind === IPV6) return 16
  return kind !== NAME || first === undefined || first === 0 ? undefined : 1 + first
}

function checkHost(kind: number, first: number | undefined): void {
  if (kind !== IPV4 && kind !== NAME && kind !== IPV6)
    throw new GatewayError('request.unsupported_address', `the SOCKS address type ${kind} does not exist`)
  if (kind === NAME && first === 0)
    throw new GatewayError('request.unsupported_address', 'the SOCKS request contains an empty host name')
}

/** The target in an address of the length {@link hostLength} gives; undefined for port 0 and invalid names. */
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

/** reserved, reserved, fragment, address type */
const FIXED = 4

/** A header's length in bytes, or why the datagram is to be dropped. */
export type UdpHeader =
  | { readonly kind: 'whole'; readonly length: number /** the destination as spelled */; readonly key: string }
  | { readonly kind: 'malformed' | 'fragment' }

const MALFORMED: UdpHeader = { kind: 'malformed' }
const FRAGMENT: UdpHeader = { kind: 'fragment' }

/** Parses the length of a datagram's header; {@link readUdpTarget} parses its destination, once per destination. */
export function readUdpHeader(datagram: Buffer): UdpHeader {
  const [reserved, reservedToo, fragment, kind, first] = datagram
  if (reserved !== 0 || reservedToo !== 0 || fragment === undefined) return MALFORMED
  if (fragment !== 0) return FRAGMENT
  const host = hostLength(kind, first)
  if (host === undefined) return MALFORMED
  const length = FIXED + host + 2
  if (datagram.length < length) return MALFORMED
  return { kind: 'whole', length, key: datagram.toString('latin1', FIXED - 1, length) }
}

/** The destination of a datagram whose header is `length` bytes; undefined for port 0, the unspecified address and invalid names. */
export function readUdpTarget(datagram: Buffer, length: number): Target | undefined {
  const host = datagram.subarray(FIXED, length - 2)
  const target = targetOf(datagram[FIXED - 1] ?? 0, host, datagram.readUInt16BE(length - 2))
  return target?.kind === 'ip' && target.ip.words.every((word) => word === 0) ? undefined : target
}

/** Formats the header of a datagram to the client; the endpoint is its sender. */
export function formatUdpHeader({ ip, port }: Endpoint): Buffer {
  const { words } = ip
  const header = Buffer.alloc(FIXED + words.length * 4 + 2)
  header[3] = ip.family === 4 ? 0x01 : 0x04
  for (const [at, word] of words.entries()) header.writeUInt32BE(word, FIXED + at * 4)
  header.writeUInt16BE(port, header.length - 2)
  return header
}
