// The head of a CONNECT request, read strictly (RFC 9110 section 9.3.6, RFC 9112): whatever two readers could understand
// differently is refused, nothing is repaired. Knows no sockets.

import { GatewayError } from '../../errors/gateway-error.ts'
import type { Target } from '../../net/endpoint.ts'
import { parseAuthority } from '../../net/host.ts'
import { showAuthority } from '../show-authority.ts'

/** A CONNECT request that was understood. `length` is the head's length in bytes, final empty line included. */
export interface ConnectHead {
  readonly target: Target
  readonly authorization?: string
  readonly length: number
}

const CR = 0x0d
const MAX_REQUEST_LINE = 8192

const REQUEST_LINE = /^CONNECT ([^ ]+) HTTP\/(\d)\.(\d)$/
/** A field name, colon, and a value of visible characters, blanks and bytes above 127. */
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/
const CONTROL = /[^\t\x20-\x7e\x80-\xff]/

/** Reads the head at the start of `bytes`; undefined while it is incomplete. Throws GatewayError `request.*`. */
export function readConnectHead(bytes: Buffer): ConnectHead | undefined {
  const text = bytes.toString('latin1')
  const fields: string[] = []
  let requestLine: string | undefined
  let start = 0
  for (;;) {
    const lf = text.indexOf('\n', start)
    if (lf < 0) break
    if (lf === start || text.charCodeAt(lf - 1) !== CR) throw malformed('a line ends in LF without CR')
    const line = text.slice(start, lf - 1)
    start = lf + 1
    if (requestLine === undefined) requestLine = line
    else if (line === '') return understand(requestLine, fields, start)
    else fields.push(line)
  }
  if (requestLine === undefined && bytes.length > MAX_REQUEST_LINE) {
    throw new GatewayError('request.uri_too_long', `the request line is longer than ${MAX_REQUEST_LINE} bytes`)
  }
  return undefined
}

function understand(requestLine: string, lines: readonly string[], length: number): ConnectHead {
  const request = REQUEST_LINE.exec(requestLine)
  if (request === null || CONTROL.test(requestLine))
    throw malformed('the request line is not `CONNECT host:port HTTP/1.1`')
  const [, authority = '', major, minor] = request
  checkVersion(major, minor)
  const fields: string[] = []
  for (const line of lines) {
    const match = FIELD.exec(line)
    if (match === null) throw malformed(describeLine(line))
    fields.push(match[1] ?? '', (match[2] ?? '').trimEnd())
  }
  return { ...understandConnect(authority, fields, minor === '1'), length }
}

/** What a CONNECT asks for, given its authority and its fields as a flat list of names and values. Also used for requests
 *  the HTTP server parsed. Throws `request.malformed`, `request.bad_authority`. */
export function understandConnect(
  authority: string,
  fields: readonly string[],
  needsHost: boolean,
): { readonly target: Target; readonly authorization?: string } {
  let hosts = 0
  let authorization: string | undefined
  for (let at = 0; at < fields.length; at += 2) {
    const value = fields[at + 1] ?? ''
    switch (fields[at]?.toLowerCase()) {
      case 'host':
        hosts++
        if (value === '' || /[\s@/\\,]/.test(value)) throw malformed('the Host field is not a host')
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
  if (hosts === 0 && needsHost) throw malformed('the Host field is missing')
  const target = parseAuthority(authority)
  if (target === undefined) throw badAuthority(authority)
  return authorization === undefined ? { target } : { target, authorization }
}

function checkVersion(major: string | undefined, minor: string | undefined): void {
  if (major === '1' && (minor === '0' || minor === '1')) return
  throw new GatewayError('request.version_not_supported', `the proxy does not speak HTTP/${major}.${minor} here`)
}

function describeLine(line: string): string {
  if (/^[ \t]/.test(line)) return 'a header field is folded over several lines'
  if (/^[^:]*[ \t]+:/.test(line)) return 'there is white space before the colon of a header field'
  if (!line.includes(':')) return 'a header line has no colon'
  return CONTROL.test(line) ? 'a header field holds a control character' : 'a header field has no valid name'
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
