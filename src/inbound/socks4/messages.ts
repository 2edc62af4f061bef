// The messages of SOCKS version 4 and its extension 4a as bytes. Pure.

import { GatewayError } from '../../errors/gateway-error.ts'
import type { Endpoint, Target } from '../../net/endpoint.ts'
import { parseTarget } from '../../net/host.ts'
import { fromIpv4Number } from '../../net/ip.ts'

export interface Socks4Request {
  readonly target: Target
  /** the user id as sent; no secret, version 4 has none */
  readonly user: string
  /** bytes used */
  readonly length: number
}

const HEAD = 8
const MAX_TEXT = 255

/** A request at the start of `bytes`; undefined while it is incomplete. Throws `request.malformed`,
 *  `request.unsupported_command`, `request.bad_authority` (SK-07). */
export function readSocks4Request(bytes: Buffer): Socks4Request | undefined {
  const command = bytes[1]
  if (command !== undefined && command !== 0x01) {
    throw new GatewayError('request.unsupported_command', `the SOCKS4 command ${command} is not supported`)
  }
  if (bytes.length < HEAD) return undefined
  const user = readText(bytes, HEAD, 'user id')
  if (user === undefined) return undefined
  const port = bytes.readUInt16BE(2)
  const address = bytes.readUInt32BE(4)
  // 0.0.0.x with x not zero says that a name follows (4a)
  if (address === 0 || address > 0xff) {
    const target = address === 0 ? undefined : parseTarget(fromIpv4Number(address).text, port)
    return { target: required(target), user: user.text, length: user.end }
  }
  const name = readText(bytes, user.end, 'host name')
  if (name === undefined) return undefined
  return { target: required(parseTarget(name.text, port)), user: user.text, length: name.end }
}

/** A reply with the egress address where it is IPv4: version 4 has no room for others, which are told as zeros. */
export function formatSocks4Reply(code: number, bound?: Endpoint): Buffer {
  const reply = Buffer.alloc(HEAD)
  reply[1] = code
  reply.writeUInt16BE(bound?.port ?? 0, 2)
  reply.writeUInt32BE(bound?.ip.family === 4 ? (bound.ip.words[0] ?? 0) : 0, 4)
  return reply
}

function readText(bytes: Buffer, start: number, what: string): { text: string; end: number } | undefined {
  const end = bytes.indexOf(0, start)
  const length = (end < 0 ? bytes.length : end) - start
  if (length > MAX_TEXT)
    throw new GatewayError('request.malformed', `the SOCKS4 ${what} is longer than ${MAX_TEXT} bytes`)
  return end < 0 ? undefined : { text: bytes.toString('utf8', start, end), end: end + 1 }
}

function required(target: Target | undefined): Target {
  if (target !== undefined) return target
  throw new GatewayError('request.bad_authority', 'the SOCKS4 request names no destination to connect to')
}
