// Puts an answer on the wire, with the same cautious headers on every one.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Answer, StreamAnswer } from './answer.ts'

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
export function send(request: IncomingMessage, response: ServerResponse, answer: Answer, revision: number): void {
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
  answer: StreamAnswer,
  common: Readonly<Record<string, string>>,
): void {
  response.writeHead(200, { ...common, 'content-type': 'text/event-stream' })
  if (request.method === 'HEAD') {
    response.end()
    return
  }
  const write = (text: string): boolean => {
    if (response.writableLength > MAX_WAITING_BYTES) response.destroy()
    return !response.destroyed && response.write(text)
  }
  write(': egresslab\n\n')
  const stop = answer.start((event, data) => write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`))
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
