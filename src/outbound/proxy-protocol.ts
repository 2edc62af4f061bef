// Formats the PROXY protocol header, version 2, for destinations that expect one before the first byte: it names the
// public source of the connection (HAProxy's proxy-protocol.txt, section 2.2).

import type { Endpoint } from '../net/endpoint.ts'

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** version 2, command PROXY */
const PROXY = 0x21
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21

/** The header of a TCP connection: 28 bytes for IPv4, 52 for IPv6. Both ends are of one family. */
export function formatProxyHeader(source: Endpoint, destination: Endpoint): Buffer {
  const words = [...source.ip.words, ...destination.ip.words]
  const head = SIGNATURE.length + 4
  const header = Buffer.alloc(head + words.length * 4 + 4)
  SIGNATURE.copy(header)
  header[12] = PROXY
  header[13] = source.ip.family === 4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6
  header.writeUInt16BE(header.length - head, 14)
  for (const [at, word] of words.entries()) header.writeUInt32BE(word, head + at * 4)
  header.writeUInt16BE(source.port, header.length - 4)
  header.writeUInt16BE(destination.port, header.length - 2)
  return header
}
