// Endpoints for tests and load: responses of a given size, delay or status, uploads, and the ways an origin can break
// off. Open to clients that bypass the lab too, because no response depends on the client.

import { createHash } from 'node:crypto'
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as pause } from 'node:timers/promises'

type Tool = (request: IncomingMessage, response: ServerResponse, numbers: readonly number[]) => void | Promise<void>

const MAX_BYTES = 2 ** 30
const MAX_PAUSE_MS = 60_000
const BLOCK = Buffer.alloc(64 * 1024, '0123456789abcdef')

/** Path → handler; capitals stand for whole numbers. */
const TOOLS: Readonly<Record<string, Tool>> = {
  '/bytes/N': bytes,
  '/status/N': status,
  '/delay/MS': delay,
  '/slow': slow,
  '/slow/N/MS': slow,
  '/headers': headers,
  '/upload': upload,
  '/hang': () => {},
  '/close': (request) => void request.socket.end(),
  '/reset': reset,
  '/cut': cut,
}

/** The paths as documented. */
export const TOOL_PATHS: readonly string[] = Object.keys(TOOLS)

const PATTERNS = Object.entries(TOOLS).map(([path, run]) => ({
  pattern: new RegExp(`^${path.replaceAll(/[A-Z]+/g, '(\\d{1,10})')}$`),
  run,
}))

/** Runs the endpoint that a path names; false if it names none. Never rejects: a client that disconnects ends its
 *  request. */
export async function runTool(path: string, request: IncomingMessage, response: ServerResponse): Promise<boolean> {
  for (const { pattern, run } of PATTERNS) {
    const match = pattern.exec(path)
    if (match === null) continue
    try {
      await run(request, response, match.slice(1).map(Number))
    } catch {
      response.destroy()
    }
    return true
  }
  return false
}

/** `/bytes/N`: N bytes (at most 1 GiB) of a repeating pattern, with Content-Length. */
async function bytes(request: IncomingMessage, response: ServerResponse, [size = 0]: readonly number[]): Promise<void> {
  if (size > MAX_BYTES) return plain(response, 400, `at most ${MAX_BYTES} bytes\n`)
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': size,
    'cache-control': 'no-store',
  })
  if (request.method === 'HEAD') return void response.end()
  await pipeline(Readable.from(blocks(size)), response)
}

function* blocks(size: number): Generator<Buffer> {
  for (let left = size; left > 0; left -= BLOCK.length) yield left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left)
}

/** `/status/N`: a response with status N, 200 to 599. */
function status(_request: IncomingMessage, response: ServerResponse, [code = 0]: readonly number[]): void {
  if (code < 200 || code > 599) plain(response, 400, 'a final status is between 200 and 599\n')
  else if (code === 204 || code === 304) response.writeHead(code).end()
  else plain(response, code, `${code} ${STATUS_CODES[code] ?? ''}`.trimEnd().concat('\n'))
}

/** `/delay/MS`: responds after MS milliseconds, at most a minute. */
async function delay(_request: IncomingMessage, response: ServerResponse, [ms = 0]: readonly number[]): Promise<void> {
  await pause(Math.min(ms, MAX_PAUSE_MS), undefined, { signal: whileOpen(response) })
  plain(response, 200, `${ms} ms later\n`)
}

/** `/slow/N/MS` (or `/slow`: 10 times 200): N lines, one every MS milliseconds, each sent at once. */
async function slow(
  _request: IncomingMessage,
  response: ServerResponse,
  [lines = 10, ms = 200]: readonly number[],
): Promise<void> {
  const signal = whileOpen(response)
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
  for (let line = 1; line <= lines; line++) {
    response.write(`line ${line} of ${lines}\n`)
    await pause(Math.min(ms, MAX_PAUSE_MS), undefined, { signal })
  }
  response.end()
}

/** `/headers`: the request head as received, to show what a proxy adds and removes. */
function headers(request: IncomingMessage, response: ServerResponse): void {
  const { rawHeaders } = request
  const fields = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name, rawHeaders[at + 1] ?? '']] : []))
  json(response, { method: request.method, target: request.url, version: request.httpVersion, fields })
}

/** `/upload`: reads the body and returns its length and SHA-256. */
async function upload(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    hash.update(chunk)
  }
  json(response, { bytes: size, sha256: hash.digest('hex') })
}

/** `/reset`: resets the connection (RST) in the middle of the response. */
function reset(request: IncomingMessage, response: ServerResponse): void {
  promise1000Bytes(response, () => request.socket.resetAndDestroy())
}

/** `/cut`: closes the connection (FIN) in the middle of the response. */
function cut(request: IncomingMessage, response: ServerResponse): void {
  promise1000Bytes(response, () => request.socket.end())
}

function promise1000Bytes(response: ServerResponse, then: () => void): void {
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'content-length': 1000 })
  response.write('0123456789', then)
}

function plain(response: ServerResponse, code: number, text: string): void {
  response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' }).end(text)
}

function json(response: ServerResponse, value: unknown): void {
  const text = `${JSON.stringify(value, null, 2)}\n`
  response.writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }).end(text)
}

function whileOpen(response: ServerResponse): AbortSignal {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  return gone.signal
}
