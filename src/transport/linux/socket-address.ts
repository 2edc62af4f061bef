// struct sockaddr_in and sockaddr_in6, written and read. Both architectures are little-endian; ports and addresses are in network order.

import type { Endpoint } from '../../net/endpoint.ts'
import { fromIpv4Number, fromIpv6Words, unmapIp } from '../../net/ip.ts'

const AF_INET = 2
const AF_INET6 = 10
/** the larger of the two */
export const SOCKET_ADDRESS_BYTES = 28
const IPV4_BYTES = 16

/** Writes to the beginning of `into` and answers how many bytes. `scope`: the interface of a link-local address. */
export function writeSocketAddress(into: Buffer, { ip, port }: Endpoint, scope: number): number {
  const [first = 0, second = 0, third = 0, fourth = 0] = ip.words
  into[2] = port >>> 8
  into[3] = port
  into[1] = 0
  if (ip.family === 4) {
    into[0] = AF_INET
    into.writeUInt32BE(first, 4)
    into.fill(0, 8, IPV4_BYTES)
    return IPV4_BYTES
  }
  into[0] = AF_INET6
  into.writeUInt32LE(0, 4)
  into.writeUInt32BE(first, 8)
  into.writeUInt32BE(second, 12)
  into.writeUInt32BE(third, 16)
  into.writeUInt32BE(fourth, 20)
  into.writeUInt32LE(scope, 24)
  return SOCKET_ADDRESS_BYTES
}

/** IPv4 even where the system maps it into IPv6; undefined for another family. */
export function readSocketAddress(from: Buffer): Endpoint | undefined {
  const port = from.readUInt16BE(2)
  switch (from.readUInt16LE(0)) {
    case AF_INET:
      return { ip: fromIpv4Number(from.readUInt32BE(4)), port }
    case AF_INET6: {
      const words = [from.readUInt32BE(8), from.readUInt32BE(12), from.readUInt32BE(16), from.readUInt32BE(20)]
      return { ip: unmapIp(fromIpv6Words(words)), port }
    }
    default:
      return undefined
  }
}
