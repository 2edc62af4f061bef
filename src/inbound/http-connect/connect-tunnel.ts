// CONNECT: reads the head, opens the tunnel, and answers 200 (without fields, unless the listener annotates) or an error. After a 407 the connection
// stays open for a second try, unless the client has already sent bytes behind its request (TU-04).

import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { httpErrorText } from '../../errors/http-error-answer.ts'
import { formatHead, traceparentIn } from '../../http1/fields.ts'
import type { Target } from '../../net/endpoint.ts'
import { parseConnectTarget } from '../../net/host.ts'
import type { Arrival } from '../../proxy/arrival.ts'
import type { ConnectionPipeline } from '../../proxy/pipeline.ts'
import { openTunnel, type TunnelClient } from '../../proxy/tunnel.ts'
import type { ByteStream } from '../../transport/byte-stream.ts'
import type { ClientConnection, Handshake } from '../client-connection.ts'
import { closeAfterReply } from '../close-after-reply.ts'
import { credentialsStillMissing, parseProxyCredentials, showAuthority } from '../proxy-credentials.ts'

const ESTABLISHED_LINE = 'HTTP/1.1 200 Connection established'
const ESTABLISHED = Buffer.from(formatHead(ESTABLISHED_LINE, []))

/** A CONNECT request, whichever reader parsed it. */
export interface ConnectRequest {
  readonly target: Target
  readonly authorization?: string
  /** the trace it belongs to, by its client */
  readonly traceparent?: string
}

/** The handshake of one CONNECT (RFC 9110 section 9.3.6). */
export class ConnectHandshake implements Handshake {
  readonly #client: ClientConnection
  readonly #pipeline: ConnectionPipeline
  readonly #awaitRetry: (client: ClientConnection) => void

  /** `awaitRetry`: takes a client that may try again after a 407 */
  constructor(client: ClientConnection, pipeline: ConnectionPipeline, awaitRetry: (client: ClientConnection) => void) {
    this.#client = client
    this.#pipeline = pipeline
    this.#awaitRetry = awaitRetry
  }

  take(bytes: Buffer): number {
    const head = readConnectHead(bytes)
    if (head === undefined) return 0
    if (this.#client.mustAuthenticate && head.authorization === undefined) throw credentialsStillMissing()
    const early = this.#client.release(head.length) > 0
    openConnect(this.#client, this.#pipeline, head, { early, awaitRetry: this.#awaitRetry })
    return 0
  }

  refuse(error: GatewayError): void {
    this.#pipeline.refuse(this.#client.clientInfo('http-connect'), error)
    closeAfterReply(this.#client.stream, this.#client.origin.clock, httpErrorText(error, 'close'))
  }
}

/** Opens the tunnel a CONNECT asks for, answers the client and relays; failures are recorded. `early`: bytes followed
 *  the head, so a refusal closes the connection without reading them. `awaitRetry`: takes the client after a 407 that
 *  keeps the connection open. */
export function openConnect(
  client: ClientConnection,
  pipeline: ConnectionPipeline,
  request: ConnectRequest,
  options: { readonly early: boolean; readonly awaitRetry: (client: ClientConnection) => void },
): void {
  const { stream } = client
  const clientInfo = client.clientInfo('http-connect')
  const tunnelClient: TunnelClient = {
    stream,
    accept: ({ annotation }) =>
      void stream.write(annotation.length === 0 ? ESTABLISHED : Buffer.from(formatHead(ESTABLISHED_LINE, annotation))),
    refuse: (error) => {
      if (error.rendering.http !== 407 || options.early || hasSentMore(stream)) {
        closeAfterReply(stream, client.origin.clock, httpErrorText(error, 'close'))
        return
      }
      stream.write(Buffer.from(httpErrorText(error, 'keep-alive')))
      client.mustAuthenticate = true
      options.awaitRetry(client)
    },
  }
  const { target, traceparent } = request
  let arrival: Arrival = traceparent === undefined ? { ...clientInfo, target } : { ...clientInfo, target, traceparent }
  if (request.authorization !== undefined) {
    try {
      arrival = { ...arrival, credentials: parseProxyCredentials(request.authorization) }
    } catch (thrown) {
      const error = asGatewayError(thrown)
      pipeline.refuse(clientInfo, error)
      tunnelClient.refuse(error)
      return
    }
  }
  void openTunnel(pipeline, arrival, tunnelClient)
}

/** True when the client has sent anything since its request, or has closed. What it sent stays in the stream. */
function hasSentMore(stream: ByteStream): boolean {
  const bytes = stream.read()
  if (bytes === undefined) return stream.isClosed || stream.hasEnded
  stream.unread(Buffer.from(bytes))
  return true
}

// The head of a CONNECT request, parsed strictly (RFC 9110 section 9.3.6, RFC 9112): what two parsers could read
// differently is refused, nothing is repaired.

/** A parsed CONNECT request. `length` is the length of the head in bytes, including the final empty line. */
export interface ConnectHead extends ConnectRequest {
  readonly length: number
}

const CR = 0x0d
const DOT = 0x2e
const COLON = 0x3a
const MAX_REQUEST_LINE = 8192

const METHOD = 'CONNECT '
/** behind the authority: ` HTTP/1.1` */
const VERSION = ' HTTP/'
const VERSION_LENGTH = 9

/** What a byte may be part of: of a field name, of text (visible characters, blanks and bytes above 127), of the space
 *  around text. A table, because a regular expression for each line costs more than all else of reading a head. */
const NAME = 1
const TEXT = 2
const BLANK = 4
const KINDS = Uint8Array.from({ length: 256 }, (_, code) => {
  const character = String.fromCharCode(code)
  const name = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(character) ? NAME : 0
  const blank = /[ \t]/.test(character) ? BLANK : 0
  return name | blank | (/[\t\x20-\x7e\x80-\xff]/.test(character) ? TEXT : 0)
})

/** Reads the head at the start of `bytes`; undefined while it is incomplete. Throws GatewayError `request.*`. */
export function readConnectHead(bytes: Buffer): ConnectHead | undefined {
  const text = bytes.toString('latin1')
  const length = lengthOf(text)
  if (length > 0) return understand(text, length)
  if (bytes.length > MAX_REQUEST_LINE && !text.includes('\n')) {
    throw new GatewayError('request.uri_too_long', `the request line is longer than ${MAX_REQUEST_LINE} bytes`)
  }
  return undefined
}

/** Of a whole head, its empty line included; 0 while that has not come. */
function lengthOf(text: string): number {
  let start = 0
  for (;;) {
    const lf = text.indexOf('\n', start)
    if (lf < 0) return 0
    if (lf === start || text.charCodeAt(lf - 1) !== CR) throw malformed('a line ends in LF without CR')
    if (lf === start + 1 && start > 0) return lf + 1
    start = lf + 1
  }
}

/** Every line of `text` up to `length` ends in CR and LF, the last one is empty. */
function understand(text: string, length: number): ConnectHead {
  const end = text.indexOf('\n') - 1
  const blank = end - VERSION_LENGTH
  const fits =
    text.startsWith(METHOD) &&
    text.indexOf(' ', METHOD.length) === blank &&
    blank > METHOD.length &&
    text.startsWith(VERSION, blank) &&
    text.charCodeAt(end - 2) === DOT &&
    isAll(TEXT, text, METHOD.length, blank)
  const major = digitAt(text, end - 3)
  const minor = digitAt(text, end - 1)
  if (!fits || major < 0 || minor < 0) throw malformed('the request line is not `CONNECT host:port HTTP/1.1`')
  checkVersion(major, minor)
  const fields = readFields(text, end + 2, length - 2)
  return { ...understandConnect(text.slice(METHOD.length, blank), fields), length }
}

/** Names and values of the lines between `start` and `end`, in turns. */
function readFields(text: string, start: number, end: number): string[] {
  const fields: string[] = []
  for (let at = start; at < end; ) {
    const lf = text.indexOf('\n', at)
    let colon = at
    while ((kindAt(text, colon) & NAME) !== 0) colon++
    let from = colon + 1
    while (from < lf - 1 && (kindAt(text, from) & BLANK) !== 0) from++
    let to = lf - 1
    while (to > from && (kindAt(text, to - 1) & BLANK) !== 0) to--
    if (colon === at || text.charCodeAt(colon) !== COLON || !isAll(TEXT, text, from, to)) {
      throw malformed(describeLine(text.slice(at, lf - 1)))
    }
    fields.push(text.slice(at, colon), text.slice(from, to))
    at = lf + 1
  }
  return fields
}

function kindAt(text: string, at: number): number {
  return KINDS[text.charCodeAt(at)] ?? 0
}

function isAll(kind: number, text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if ((kindAt(text, at) & kind) === 0) return false
  return true
}

function digitAt(text: string, at: number): number {
  const digit = text.charCodeAt(at) - 0x30
  return digit >= 0 && digit <= 9 ? digit : -1
}

/** What a CONNECT asks for, given its authority and its fields as a flat list of names and values. The target alone
 *  decides: a Host field may be missing or empty, as mitmproxy 8 sends it. Also used for requests the HTTP server
 *  parsed. Throws `request.malformed`, `request.bad_authority`. */
export function understandConnect(authority: string, fields: readonly string[]): ConnectRequest {
  let hosts = 0
  let authorization: string | undefined
  for (let at = 0; at < fields.length; at += 2) {
    const value = fields[at + 1] ?? ''
    switch (fields[at]?.toLowerCase()) {
      case 'host':
        hosts++
        if (/[\s@/\\,]/.test(value)) throw malformed('the Host field is not a host')
        break
      case 'transfer-encoding':
        throw malformed('a CONNECT request has no body, so it takes no Transfer-Encoding')
      case 'content-length':
        if (value !== '0') throw malformed('a CONNECT request has no body, so it takes no Content-Length')
        break
      case 'proxy-authorization':
        if (authorization !== undefined) throw malformed('there are two Proxy-Authorization fields')
        authorization = value
    }
  }
  if (hosts > 1) throw malformed('there are two Host fields')
  const target = parseConnectTarget(authority)
  if (target === undefined) throw badAuthority(authority)
  const traceparent = traceparentIn(fields)
  return {
    target,
    ...(authorization === undefined ? {} : { authorization }),
    ...(traceparent === undefined ? {} : { traceparent }),
  }
}

function checkVersion(major: number, minor: number): void {
  if (major === 1 && minor <= 1) return
  throw new GatewayError('request.version_not_supported', `the proxy does not speak HTTP/${major}.${minor} here`)
}

function describeLine(line: string): string {
  if (/^[ \t]/.test(line)) return 'a header field is folded over several lines'
  if (/^[^:]*[ \t]+:/.test(line)) return 'there is white space before the colon of a header field'
  if (!line.includes(':')) return 'a header line has no colon'
  return !isAll(TEXT, line, 0, line.length)
    ? 'a header field contains a control character'
    : 'a header field has no valid name'
}

function badAuthority(authority: string): GatewayError {
  return new GatewayError(
    'request.bad_authority',
    `\`${showAuthority(authority)}\` is not a \`host:port\` to connect to`,
  )
}

function malformed(why: string): GatewayError {
  return new GatewayError('request.malformed', why)
}
