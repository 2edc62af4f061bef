// The SOCKS4 and 4a handshake. The user id may carry parameters like any user name, but proves nothing: these clients
// are admitted only where the listener requires no password.

import { GatewayError } from '../../errors/gateway-error.ts'
import type { Endpoint, Target } from '../../net/endpoint.ts'
import { parseTarget } from '../../net/host.ts'
import { fromIpv4Number } from '../../net/ip.ts'
import type { ConnectionPipeline } from '../../proxy/pipeline.ts'
import { openTunnel } from '../../proxy/tunnel.ts'
import type { ClientConnection, Handshake } from '../client-connection.ts'
import { closeAfterReply } from '../close-after-reply.ts'

const GRANTED = 0x5a

/** The handshake of one client: its request, decided and dialled, and the reply. */
export class Socks4Handshake implements Handshake {
  readonly #client: ClientConnection
  readonly #pipeline: ConnectionPipeline

  constructor(client: ClientConnection, pipeline: ConnectionPipeline) {
    this.#client = client
    this.#pipeline = pipeline
  }

  take(bytes: Buffer): number {
    const request = readSocks4Request(bytes)
    if (request === undefined) return 0
    this.#client.release(request.length)
    const { stream } = this.#client
    const { target, user } = request
    const clientInfo = this.#client.clientInfo('socks4')
    const credentials = { username: user, password: '', scheme: 'user-id' } as const
    const arrival = user === '' ? { ...clientInfo, target } : { ...clientInfo, target, credentials }
    void openTunnel(this.#pipeline, arrival, {
      stream,
      accept: ({ upstream }) => void stream.write(formatSocks4Reply(GRANTED, upstream.publicEndpoint)),
      refuse: (error) => this.#sendRefusal(error),
    })
    return 0
  }

  refuse(error: GatewayError): void {
    this.#pipeline.refuse(this.#client.clientInfo('socks4'), error)
    this.#sendRefusal(error)
  }

  #sendRefusal(error: GatewayError): void {
    closeAfterReply(this.#client.stream, this.#client.origin.clock, formatSocks4Reply(socks4Refusal(error)))
  }
}

export interface Socks4Request {
  readonly target: Target
  /** the user id as sent; not a secret, version 4 has none */
  readonly user: string
  /** bytes used */
  readonly length: number
}

const HEAD = 8
const MAX_TEXT = 255

/** Parses the request at the start of `bytes`; undefined while it is incomplete. Throws GatewayError
 *  `request.malformed`, `request.unsupported_command`, `request.bad_authority` (SK-07). Source: SOCKS4 and 4a protocol
 *  memos. */
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
  // 0.0.0.x with x not zero: a host name follows (4a)
  if (address === 0 || address > 0xff) {
    const target = address === 0 ? undefined : parseTarget(fromIpv4Number(address).text, port)
    return { target: required(target), user: user.text, length: user.end }
  }
  const name = readText(bytes, user.end, 'host name')
  if (name === undefined) return undefined
  return { target: required(parseTarget(name.text, port)), user: user.text, length: name.end }
}

/** Formats a reply of 8 bytes. `bound` is the egress address; an IPv6 address does not fit version 4 and is sent as
 *  zeros. */
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
  throw new GatewayError('request.bad_authority', 'the SOCKS4 request has no valid destination')
}

/** The reply code for a failure: 93 when it is about who the client is, 91 for everything else. */
export function socks4Refusal(error: GatewayError): number {
  return error.code.startsWith('identity.') ? 0x5d : 0x5b
}
