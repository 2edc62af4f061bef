// What a handler hands back. JSON answers wear Cloudflare's envelope, also those of the lab's own API, so that one
// client reads both.

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Json } from '../config/lab-state.ts'
import type { ApiError } from './api-error.ts'
import type { SessionPage } from './ports.ts'

export type ApiResponse = JsonResponse | TextResponse | StreamResponse

export interface JsonResponse {
  readonly kind: 'json'
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface TextResponse {
  readonly kind: 'text'
  readonly status: number
  readonly contentType: string
  readonly body: string | Uint8Array
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
}

/** An event stream (SSE). `start` gets a writer and a way to end the stream, and answers how to stop; the writer says whether the client
 *  keeps up. */
export interface StreamResponse {
  readonly kind: 'stream'
  readonly start: (send: SendEvent, end: () => void) => () => void
}

/** Sends one event; `id`: by which a client that comes back says where it was. False: the client does not keep up. */
export type SendEvent = (event: string, data: unknown, id?: string) => boolean

export interface ApiMessage {
  readonly code: number
  readonly message: string
}

/** `{result, success: true, …}` */
export function ok(result: unknown, options: { status?: number; messages?: readonly ApiMessage[] } = {}): JsonResponse {
  const body = { result, success: true, errors: [], messages: options.messages ?? [] }
  return { kind: 'json', status: options.status ?? 200, body }
}

export interface Paging {
  readonly page: number
  readonly perPage: number
}

/** One page of a list with its `result_info`. Without paging everything is one page, as Cloudflare's Gateway lists are. */
export function listOf(items: readonly unknown[], paging?: Paging, messages: readonly ApiMessage[] = []): JsonResponse {
  const total = items.length
  const { page, perPage } = paging ?? { page: 1, perPage: Math.max(total, 1) }
  const result = items.slice((page - 1) * perPage, page * perPage)
  const info = {
    page,
    per_page: perPage,
    count: result.length,
    total_count: total,
    total_pages: Math.ceil(total / perPage),
  }
  const body = { result, success: true, errors: [], messages, result_info: info }
  return { kind: 'json', status: 200, body }
}

/** The refusal in the envelope. Clients are told that the same request will fail again, so that none retries. */
export function failure(error: ApiError): JsonResponse {
  const errors = error.problems.map(({ code, message, pointer, details }) => ({
    code,
    message,
    ...(pointer === undefined ? {} : { source: { pointer } }),
    ...(details === undefined ? {} : { details: details as Json }),
  }))
  return {
    kind: 'json',
    status: error.status,
    body: { result: null, success: false, errors, messages: [] },
    headers: { 'x-should-retry': 'false', ...error.headers },
  }
}

const CAUTION = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
} as const

/** A client that reads slower than events come is dropped once this much waits for it. */
const MAX_WAITING_BYTES = 1024 * 1024
const HEARTBEAT_MS = 15_000

/** Sends the answer; `revision` is the state's, for `If-Match`. */
export function send(request: IncomingMessage, response: ServerResponse, answer: ApiResponse, revision: number): void {
  if (response.destroyed) return
  // what is left of a refused body is not read: the connection ends with the answer
  if (!request.complete) response.setHeader('connection', 'close')
  const common = { ...CAUTION, 'egresslab-revision': String(revision) }
  if (answer.kind === 'stream') {
    stream(request, response, answer, common)
    return
  }
  const isJson = answer.kind === 'json'
  const body = isJson ? `${JSON.stringify(answer.body)}\n` : answer.body
  response.writeHead(answer.status, {
    ...common,
    'content-type': isJson ? 'application/json' : answer.contentType,
    'content-length': Buffer.byteLength(body),
    ...answer.headers,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

function stream(
  request: IncomingMessage,
  response: ServerResponse,
  answer: StreamResponse,
  common: Readonly<Record<string, string>>,
): void {
  // a proxy in front that buffers answers would hold events back (nginx asks for this field)
  response.writeHead(200, { ...common, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
  if (request.method === 'HEAD') {
    response.end()
    return
  }
  const write = (text: string): boolean => {
    if (response.writableLength > MAX_WAITING_BYTES) response.destroy()
    return !response.destroyed && !response.writableEnded && response.write(text)
  }
  write(': egresslab\n\n')
  const writeEvent: SendEvent = (event, data, id) =>
    write(`event: ${event}\ndata: ${JSON.stringify(data)}\n${id === undefined ? '' : `id: ${id}\n`}\n`)
  const stop = answer.start(writeEvent, () => response.end())
  let untaken = 0
  const heartbeat = setInterval(() => {
    const waiting = response.writableLength
    // nothing of what waited at the last heartbeat was taken since: nobody is there
    if (untaken > 0 && waiting >= untaken) response.destroy()
    untaken = waiting
    write(': still here\n\n')
  }, HEARTBEAT_MS)
  heartbeat.unref()
  response.on('close', () => {
    clearInterval(heartbeat)
    stop()
  })
}

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

/** The file, or 304 where the browser has this very one (RFC 9110 section 13.1.2). Files whose names carry their hash stay for good. */
export function sendPage(page: SessionPage, headers: IncomingHttpHeaders): TextResponse {
  const { contentType, body, etag, immutable = false } = page
  const known = etag !== undefined && (headers['if-none-match'] ?? '').split(/\s*,\s*/).includes(etag)
  return {
    kind: 'text',
    status: known ? 304 : 200,
    contentType,
    body: known ? '' : body,
    headers: {
      'content-security-policy': CONTENT_SECURITY_POLICY,
      'cross-origin-opener-policy': 'same-origin',
      'cache-control': immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
      ...(etag === undefined ? {} : { etag }),
    },
  }
}

/** Is a person coming here by a link or the address bar? Pages may be linked to from anywhere; what they show is asked for anew. */
export function isNavigation(method: string, headers: IncomingHttpHeaders): boolean {
  return method === 'GET' && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'
}
