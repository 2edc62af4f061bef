// DNS queries over HTTP in the form of RFC 8484, without TLS, on the API's port.
// And what Gateway DNS has given out.

import { requestError } from '../api-error.ts'
import type { DnsPort } from '../ports.ts'
import { type ApiResponse, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { PLACEHOLDERS } from '../shapes/lab.ts'

const MEDIA_TYPE = 'application/dns-message'
const PATH = '/dns-query'
/** `dns` of a GET: base64url without padding (RFC 8484 section 6). */
const ENCODED = /^[\w-]{16,5500}$/

export const DNS_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'queries Gateway DNS (RFC 8484): `dns` is a DNS message in base64url',
    access: 'open',
    answers: { kind: 'bytes', mediaType: MEDIA_TYPE, description: 'a DNS message' },
    unknownQuery: 'ignored',
    query: [
      {
        name: 'dns',
        schema: { type: 'string', pattern: '^[A-Za-z0-9_-]{16,}$' },
        description: 'a DNS message in base64url without padding',
      },
    ],
    handle: (call) => answer(call, encodedMessage(call.query)),
  },
  {
    method: 'POST',
    path: PATH,
    summary: `queries Gateway DNS (RFC 8484): the body is a DNS message, \`${MEDIA_TYPE}\``,
    access: 'open',
    answers: { kind: 'bytes', mediaType: MEDIA_TYPE, description: 'a DNS message' },
    unknownQuery: 'ignored',
    takes: { mediaType: MEDIA_TYPE, maxBytes: 4_096 },
    handle: (call) => answer(call, call.bytes),
  },
  {
    method: 'GET',
    path: '/lab/v1/dns/placeholders',
    summary: 'placeholders in use: the address, the name behind it and the number of its connections',
    access: 'token',
    answers: { kind: 'result', schema: PLACEHOLDERS },
    handle: ({ ports }) => ok(portOf(ports.dns).placeholders()),
  },
]

async function answer({ ports, peer }: RouteCall, message: Buffer): Promise<ApiResponse> {
  const reply = await portOf(ports.dns).answer(message, peer)
  if (reply.kind === 'stranger') throw requestError('foreignClient')
  if (reply.kind === 'silence') throw requestError('invalidField', 'this is not a DNS query')
  return {
    kind: 'text',
    status: 200,
    contentType: MEDIA_TYPE,
    body: reply.message,
    headers: { 'cache-control': `max-age=${reply.ttl}` },
  }
}

function encodedMessage(query: URLSearchParams): Buffer {
  const text = query.get('dns') ?? ''
  if (ENCODED.test(text)) return Buffer.from(text, 'base64url')
  throw requestError('invalidField', '`dns` must be a DNS message in base64url without padding')
}

function portOf(port: DnsPort | undefined): DnsPort {
  if (port !== undefined) return port
  throw requestError('noDns')
}
