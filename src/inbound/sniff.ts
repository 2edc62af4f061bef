// Which protocol a client speaks, from its first bytes (one port for all). Reads no more than it needs to be sure.

export type Spoken = 'socks4' | 'socks5' | 'tls' | 'connect' | 'http'

const CONNECT = Buffer.from('CONNECT ')

/** The protocol these first bytes open, or undefined while they could still be more than one. Anything that is not SOCKS, TLS
 *  or a CONNECT request line is left to the HTTP server, which knows how to refuse it. */
export function sniff(bytes: Buffer): Spoken | undefined {
  switch (bytes[0]) {
    case undefined:
      return undefined
    case 0x04:
      return 'socks4'
    case 0x05:
      return 'socks5'
    case 0x16:
      return 'tls'
  }
  const compared = Math.min(bytes.length, CONNECT.length)
  if (bytes.compare(CONNECT, 0, compared, 0, compared) !== 0) return 'http'
  return compared < CONNECT.length ? undefined : 'connect'
}
