// Parses PROXY protocol headers, versions 1 and 2 (specification of haproxy.org, 2020-03-05), strictly: a header that
// two parsers could read differently is refused.

import { GatewayError } from '../../errors/gateway-error.ts'
import { containsIp } from '../../net/cidr.ts'
import type { Endpoint } from '../../net/endpoint.ts'
import { fromIpv4Number, fromIpv6Words, type Ip, parseIp, unmapIp } from '../../net/ip.ts'
import type { ProxyProtocolRules } from '../../proxy/arrival.ts'
import type { ConnectionPipeline } from '../../proxy/pipeline.ts'
import { ClientConnection, type Handshake } from '../client-connection.ts'

/** `source` is absent when the header names no client: a health check of the balancer, or a client of an unsupported
 *  family. `length` in bytes. */
export interface ProxyHeader {
  readonly source?: Endpoint
  readonly length: number
}

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const FIXED_BYTES = 16
/** addresses and extensions; real headers are far shorter */
const MAX_PAYLOAD = 4096
const V1_START = Buffer.from('PROXY ')
const V1_MAX = 107
const V1 = /^PROXY (TCP4|TCP6) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n$/
const V1_UNKNOWN = /^PROXY UNKNOWN(?: [\x20-\x7e]*)?\r\n$/

/** Parses the header at the start of `bytes`; undefined while it is incomplete. Throws GatewayError
 *  `request.malformed`, `request.too_large`. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | undefined {
  if (startsLike(bytes, V1_START)) return readVersion1(bytes)
  if (startsLike(bytes, SIGNATURE)) return readVersion2(bytes)
  throw malformed('the connection does not begin with one')
}

/** True when these bytes begin with `start`, or with as much of it as has arrived. */
function startsLike(bytes: Buffer, start: Buffer): boolean {
  const compared = Math.min(bytes.length, start.length)
  return bytes.compare(start, 0, compared, 0, compared) === 0
}

function readVersion1(bytes: Buffer): ProxyHeader | undefined {
  const end = bytes.subarray(0, V1_MAX).indexOf('\r\n')
  if (end < 0) {
    if (bytes.length >= V1_MAX) throw malformed(`its line does not end within ${V1_MAX} bytes`)
    return undefined
  }
  const length = end + 2
  const line = bytes.toString('latin1', 0, length)
  if (V1_UNKNOWN.test(line)) return { length }
  const [, kind, from = '', to = '', port = '', toPort = ''] = V1.exec(line) ?? []
  const source = parseIp(from)
  const family = kind === 'TCP4' ? 4 : 6
  if (source?.family !== family || parseIp(to)?.family !== family || Number(port) > 65_535 || Number(toPort) > 65_535) {
    throw malformed('its line is not `PROXY TCP4 source destination port port`')
  }
  return { source: { ip: unmapIp(source), port: Number(port) }, length }
}

function readVersion2(bytes: Buffer): ProxyHeader | undefined {
  if (bytes.length < FIXED_BYTES) return undefined
  const payload = bytes.readUInt16BE(14)
  if (payload > MAX_PAYLOAD) {
    throw new GatewayError('request.too_large', `the PROXY protocol header is longer than ${MAX_PAYLOAD} bytes`)
  }
  const length = FIXED_BYTES + payload
  if (bytes.length < length) return undefined
  const command = bytes[12]
  if (command === 0x20) return { length }
  if (command !== 0x21) throw malformed('its version or command is unknown')
  const size = ADDRESS_BYTES[bytes[13] ?? 0]
  if (size === undefined) throw malformed('it is not for a TCP connection')
  if (payload < size * 2 + (size === 0 ? 0 : 4)) throw malformed('it is too short for its addresses')
  if (size === 0) return { length }
  checkExtensions(bytes.subarray(FIXED_BYTES + size * 2 + 4, length))
  return { source: { ip: addressAt(bytes, size), port: bytes.readUInt16BE(FIXED_BYTES + size * 2) }, length }
}

function addressAt(bytes: Buffer, size: number): Ip {
  const words = Array.from({ length: size / 4 }, (_, at) => bytes.readUInt32BE(FIXED_BYTES + at * 4))
  return size === 4 ? fromIpv4Number(words[0] ?? 0) : unmapIp(fromIpv6Words(words))
}

/** Family and transport → bytes of one address. UNSPEC and local sockets name no client. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = { 0: 0, 17: 4, 33: 16, 49: 0 }

/** Extensions are skipped; they have to fill the rest exactly. */
function checkExtensions(bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) {
    if (at + 3 > bytes.length) throw malformed('an extension is truncated')
    at += 3 + bytes.readUInt16BE(at + 1)
    if (at > bytes.length) throw malformed('an extension extends beyond its end')
  }
}

function malformed(why: string): GatewayError {
  return new GatewayError('request.malformed', `the PROXY protocol header is malformed: ${why}`)
}

/** Reads the header where `from` requires one, then calls `accept` with the client under the address in it. A missing
 *  or malformed header is recorded and closes the connection. */
export function takeProxyHeader(
  client: ClientConnection,
  { from }: ProxyProtocolRules,
  pipeline: ConnectionPipeline,
  accept: (client: ClientConnection) => void,
): void {
  const { ip } = client.origin.peer
  if (from.some((network) => containsIp(network, ip)))
    client.startHandshake(new HeaderHandshake(client, pipeline, accept))
  else accept(client)
}

class HeaderHandshake implements Handshake {
  readonly #client: ClientConnection
  readonly #pipeline: ConnectionPipeline
  readonly #accept: (client: ClientConnection) => void

  constructor(client: ClientConnection, pipeline: ConnectionPipeline, accept: (client: ClientConnection) => void) {
    this.#client = client
    this.#pipeline = pipeline
    this.#accept = accept
  }

  take(bytes: Buffer): number {
    const header = readProxyHeader(bytes)
    if (header === undefined) return 0
    const { stream, origin } = this.#client
    this.#client.release(header.length)
    this.#accept(new ClientConnection(stream, { ...origin, peer: header.source ?? origin.peer }))
    return 0
  }

  /** Without a reply: the client's protocol is not known yet. */
  refuse(error: GatewayError): void {
    const { stream, origin } = this.#client
    const message = `${error.message}; the listener \`${origin.listener.name}\` requires one from ${origin.peer.ip.text}`
    this.#pipeline.refuse(
      this.#client.clientInfo('http-connect'),
      new GatewayError(error.code, message, { cause: error }),
    )
    stream.destroy()
  }
}
