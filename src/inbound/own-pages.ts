// The lab's own pages, for clients that ask the proxy for them: browsers that send everything through it, loopback too, and browsers on other
// machines, whose own loopback is not the lab's. Serves the sign-in page, /me and PAC files, and hands them on from the API with word of who
// asked. Everything else of the API stays out of reach of the proxy (SS-04).

import { request as askApi, type ClientRequest, type IncomingMessage } from 'node:http'
import { GatewayError } from '../errors/gateway-error.ts'
import { CHUNKED } from '../http1/framing.ts'
import type { Endpoint, Target } from '../net/endpoint.ts'
import { unmapIp } from '../net/ip.ts'
import type { ForwardRequest } from './http-forward/forward-request.ts'
import { endToEnd } from './http-forward/hop-by-hop.ts'
import type { BodySink, RequestBody } from './http-forward/request-body.ts'
import type { Responder } from './http-forward/responder.ts'

/** A name that only the lab's proxy knows itself by, at port 80, for clients that cannot use the API's address. */
export const OWN_NAME = 'egresslab.test'
/** Tells the API whom the proxy asks for: a secret of this process, a blank, and the client's address. */
export const VOUCHER_FIELD = 'egresslab-client'

/** Plain data, the same for every thread. */
export interface OwnPages {
  /** where the API really listens: an address to connect to, and the port */
  readonly api: { readonly host: string; readonly port: number }
  /** hosts that stand for the API at its port: addresses and names in their one spelling */
  readonly hosts: readonly string[]
  /** what the API knows the proxy by */
  readonly secret: string
}

interface Asked {
  readonly request: ForwardRequest
  readonly peer: Endpoint
  readonly body: RequestBody | undefined
  readonly responder: Responder
}

/** Sign-in, a person's own page with what it asks of the API, PAC files, and the files these pages are made of. */
const PAGES = /^\/(?:authorize|me|proxy\.pac|pac\/[^/]+|assets\/[^/]+|favicon\.\w+|lab\/v1\/me(?:\/[a-z-]+)?)$/
const PATIENCE_MS = 60_000
const MOST_BYTES = 8 * 1024 * 1024

/** Is it the lab itself that is asked for, by whatever name? */
export function isOwnHost(pages: OwnPages | undefined, target: Target): boolean {
  if (pages === undefined) return false
  const host = target.kind === 'name' ? target.name : target.ip.text
  if (host === OWN_NAME) return target.port === 80
  if (target.port !== pages.api.port) return false
  const isLoopback = target.kind === 'ip' && (host.startsWith('127.') || host === '::1')
  return isLoopback || host === 'localhost' || pages.hosts.includes(host)
}

/** Is this a request for one of the lab's own pages? Any other goes its usual way. */
export function asksOwnPage(pages: OwnPages | undefined, { target, upgrade, path }: ForwardRequest): pages is OwnPages {
  return isOwnHost(pages, target) && upgrade === undefined && PAGES.test(path.replace(/\?.*$/s, ''))
}

/** Answers it. Throws a GatewayError where the API does not answer. */
export async function serveOwnPage(pages: OwnPages, asked: Asked): Promise<void> {
  const { request, responder } = asked
  if (request.expectsContinue) {
    responder.interim({ status: 100, reason: 'Continue', fields: [], body: 0 })
    responder.flush()
  }
  const { incoming, body } = await ask(pages, asked)
  const isHead = request.method === 'HEAD'
  const length = isHead ? (incoming.headers['content-length'] ?? '0') : String(body.length)
  responder.head({
    status: incoming.statusCode ?? 502,
    reason: incoming.statusMessage ?? '',
    fields: [...endToEnd(incoming.rawHeaders, LENGTH), 'Content-Length', length],
    body: isHead ? 0 : body.length,
  })
  if (!isHead && body.length > 0) responder.body(body)
  responder.end([])
}

const LENGTH = new Set(['content-length'])
const VOUCHER = new Set([VOUCHER_FIELD])

function ask(
  { api, secret }: OwnPages,
  { request, peer, body }: Asked,
): Promise<{ readonly incoming: IncomingMessage; readonly body: Buffer }> {
  const { method, path, host, fields, signIn, contentLength } = request
  const headers = [
    'Host',
    host,
    ...endToEnd(fields, VOUCHER),
    VOUCHER_FIELD,
    `${secret} ${unmapIp(peer.ip).text}`,
    'Connection',
    'close',
  ]
  if (signIn.lab !== undefined) headers.push('Cookie', signIn.lab)
  if (request.bodyLength === CHUNKED) headers.push('Transfer-Encoding', 'chunked')
  else if (contentLength !== undefined) headers.push('Content-Length', contentLength)
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) => {
      reject(new GatewayError('dial.refused', 'the API of the lab, which has this page, does not answer', { cause }))
    }
    const outgoing = askApi({ ...api, method, path, headers, timeout: PATIENCE_MS }, (incoming) => {
      const chunks: Buffer[] = []
      let length = 0
      incoming.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > MOST_BYTES) incoming.destroy(new Error('the page is too long'))
        else chunks.push(chunk)
      })
      incoming.once('error', fail)
      incoming.once('end', () => resolve({ incoming, body: Buffer.concat(chunks) }))
    })
    outgoing.once('timeout', () => outgoing.destroy(new Error('no answer in time')))
    outgoing.once('error', fail)
    if (body === undefined) outgoing.end()
    else body.start(sinkOf(outgoing, body))
  })
}

function sinkOf(outgoing: ClientRequest, body: RequestBody): BodySink {
  outgoing.on('drain', () => body.resume())
  outgoing.once('close', () => body.stop())
  return {
    write: (bytes) => outgoing.write(Buffer.from(bytes)),
    end: () => void outgoing.end(),
    flush: () => outgoing.flushHeaders(),
  }
}
