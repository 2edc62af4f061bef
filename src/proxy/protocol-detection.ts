// Detects the protocol inside a tunnel by the client's first bytes, for the record only: nothing waits for it and
// nothing is decided on it (TU-11). Only the first chunk is looked at.

/** `protocol` is one of `http`, `http2`, `tls`, `ssh`, or '' where it is none of these; `sni` is '' unless a TLS client
 *  names a host. */
export interface FirstBytes {
  readonly protocol: string
  readonly sni: string
}

const UNKNOWN: FirstBytes = Object.freeze({ protocol: '', sni: '' })
const HTTP: FirstBytes = Object.freeze({ protocol: 'http', sni: '' })
const HTTP2: FirstBytes = Object.freeze({ protocol: 'http2', sni: '' })
const SSH: FirstBytes = Object.freeze({ protocol: 'ssh', sni: '' })

/** RFC 9113 section 3.4 */
const PREFACE = 'PRI * HTTP/2.0\r\n'
/** a method, a target: the beginning of a request line */
const REQUEST_LINE = /^[A-Z]{3,16} (?:\/|\*|http)/
const LONGEST_START = 24

/** A TLS record that holds a handshake, and in it a ClientHello (RFC 8446 sections 5.1 and 4). */
const HANDSHAKE = 0x16
const CLIENT_HELLO = 0x01
/** extension server_name and its name type host_name (RFC 6066 section 3) */
const SERVER_NAME = 0
const HOST_NAME = 0
const HOST = /^[\w.-]{1,253}$/

/** The protocol and SNI in the first bytes of a client. Never throws: unknown or truncated bytes give ''. */
export function understandFirstBytes(bytes: Buffer): FirstBytes {
  if (bytes[0] === HANDSHAKE) return bytes[1] === 3 ? { protocol: 'tls', sni: serverName(bytes) } : UNKNOWN
  const start = bytes.toString('latin1', 0, LONGEST_START)
  if (start.startsWith('SSH-')) return SSH
  if (start.startsWith(PREFACE)) return HTTP2
  return REQUEST_LINE.test(start) ? HTTP : UNKNOWN
}

/** The host in the server_name extension of a ClientHello; '' where the bytes end early or are malformed. */
function serverName(bytes: Buffer): string {
  if (bytes[5] !== CLIENT_HELLO) return ''
  // record header 5, handshake header 4, version 2, random 32
  let at = 43
  at += 1 + (bytes[at] ?? 0)
  at += 2 + word(bytes, at)
  at += 1 + (bytes[at] ?? 0)
  const end = Math.min(bytes.length, at + 2 + word(bytes, at))
  at += 2
  while (at + 4 <= end) {
    const length = word(bytes, at + 2)
    if (word(bytes, at) === SERVER_NAME) return hostIn(bytes.subarray(at + 4, Math.min(end, at + 4 + length)))
    at += 4 + length
  }
  return ''
}

/** The first host name of a server_name extension. */
function hostIn(extension: Buffer): string {
  if (extension[2] !== HOST_NAME) return ''
  const length = word(extension, 3)
  const name = extension.toString('latin1', 5, 5 + length)
  return name.length === length && HOST.test(name) ? name.toLowerCase() : ''
}

function word(bytes: Buffer, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}
