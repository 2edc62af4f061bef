// Serves the lab's own pages to clients that request them through the proxy: browsers that send all traffic through it,
// loopback included, and browsers on other machines, whose loopback is not the lab's. Fetches the sign-in page, /me and
// PAC files from the API and passes on the client's address. The rest of the API cannot be reached through the proxy
// (SS-04).

import { request as askApi, type ClientRequest, type IncomingMessage } from 'node:http'
import type { LabConfig } from '../config/lab-config.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { CHUNKED } from '../http1/framing.ts'
import type { Endpoint, Target } from '../net/endpoint.ts'
import { parseHost } from '../net/host.ts'
import { unmapIp } from '../net/ip.ts'
import type { ForwardRequest } from './http-forward/forward-request.ts'
import { endToEnd } from './http-forward/hop-by-hop.ts'
import type { BodySink, RequestBody, Responder } from './http-forward/responder.ts'

/** The host name for the lab itself, at port 80, for clients that cannot use the API's address. Only this proxy
 *  resolves it. */
export const OWN_NAME = 'egresslab.test'
/** The header field that gives the API the client's address: a secret of this process, a space, and the address. */
export const VOUCHER_FIELD = 'egresslab-client'

/** How the proxy reaches the API for these pages. Plain data, the same for every thread. */
export interface OwnPages {
  /** where the API really listens: an address to connect to, and the port */
  readonly api: { readonly host: string; readonly port: number }
  /** the port by which clients know it */
  readonly port: number
  /** canonical addresses and names that mean the API at its port */
  readonly hosts: readonly string[]
  /** proves to the API that the request comes from the proxy */
  readonly secret: string
}

/** Where the proxy finds the lab's own pages, and the hosts they go by. `port`: by which clients know the API; `forProxy`:
 *  where it listens. */
export function ownPagesOf(
  { api }: Pick<LabConfig, 'api'>,
  { port, forProxy }: { readonly port: number; readonly forProxy: OwnPages['api'] },
  secret: string,
): OwnPages {
  const hosts = [api.host, ...(api.names ?? [])].flatMap((text) => {
    const host = parseHost(text)
    return host === undefined ? [] : [host.kind === 'ip' ? host.ip.text : host.name]
  })
  return { port, api: { host: EVERYWHERE[forProxy.host] ?? forProxy.host, port: forProxy.port }, hosts, secret }
}

const EVERYWHERE: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

interface Asked {
  readonly request: ForwardRequest
  readonly peer: Endpoint
  readonly body: RequestBody | undefined
  readonly responder: Responder
}

/** The sign-in page, the user's own page and the API calls it makes, PAC files, and the assets of these pages. */
const PAGES = /^\/(?:authorize|me|proxy\.pac|pac\/[^/]+|assets\/[^/]+|favicon\.\w+|lab\/v1\/me(?:\/[a-z-]+)?)$/
const API_TIMEOUT_MS = 60_000
const MAX_PAGE_BYTES = 8 * 1024 * 1024

/** True when the target is the lab itself, under any of its names. */
export function isOwnHost(pages: OwnPages | undefined, target: Target): boolean {
  if (pages === undefined) return false
  const host = target.kind === 'name' ? target.name : target.ip.text
  if (host === OWN_NAME) return target.port === 80
  if (target.port !== pages.port) return false
  const isLoopback = target.kind === 'ip' && (host.startsWith('127.') || host === '::1')
  return isLoopback || host === 'localhost' || pages.hosts.includes(host)
}

/** True when the request is for one of the lab's own pages; any other takes the pipeline. */
export function asksOwnPage(pages: OwnPages | undefined, { target, upgrade, path }: ForwardRequest): pages is OwnPages {
  return isOwnHost(pages, target) && upgrade === undefined && PAGES.test(path.replace(/\?.*$/s, ''))
}

/** Answers a request for an own page. Rejects with GatewayError `dial.refused` when the API does not respond. */
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
      reject(
        new GatewayError('dial.refused', 'the API of the lab, which serves this page, does not respond', { cause }),
      )
    }
    const outgoing = askApi({ ...api, method, path, headers, timeout: API_TIMEOUT_MS }, (incoming) => {
      const chunks: Buffer[] = []
      let length = 0
      incoming.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > MAX_PAGE_BYTES) incoming.destroy(new Error('the page is too long'))
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
