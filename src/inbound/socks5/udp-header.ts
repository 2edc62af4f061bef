// The header of a datagram between a SOCKS client and the relay (RFC 1928 section 7). Pure; fragments are not reassembled, as the RFC
// permits.

import type { Endpoint, Target } from '../../net/endpoint.ts'
import { hostLength, targetOf } from './messages.ts'

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
