// A request's body, within limits (AP-04): as JSON by size, nesting, encoding, and no key that means something to JavaScript; or as
// bytes of one kind.

import type { IncomingMessage } from 'node:http'
import type { Json, JsonObject } from '../config/lab-state.ts'
import { ApiError, requestError } from './api-error.ts'

export const MAX_BODY_BYTES = 1024 * 1024
const MAX_DEPTH = 32

/** The JSON object a request carries; an empty one for an empty body. `form` array: an array, as `items` of an object. Throws ApiError,
 *  and {@link ClientLeft}. */
export async function readJsonObject(
  request: IncomingMessage,
  form: 'object' | 'array' = 'object',
): Promise<JsonObject> {
  if (mediaTypeOf(request) !== 'application/json') throw requestError('wrongContentType')
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (encoding !== 'identity') throw requestError('wrongContentType', 'compressed bodies are not supported')
  const text = await readText(request)
  if (text.trim() === '') return {}
  const value = parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value) !== (form === 'array')) {
    throw requestError('invalidJson', `the body must be a JSON ${form}`)
  }
  checkShape(value, 1)
  const twice = repeatedKey(text)
  if (twice !== undefined) throw requestError('invalidJson', `the body has the key ${twice} twice in one object`)
  return Array.isArray(value) ? { items: value } : (value as JsonObject)
}

/** The bytes a request carries, of exactly this kind. Throws ApiError, and {@link ClientLeft}. */
export async function readBytes(
  request: IncomingMessage,
  { mediaType, maxBytes }: { readonly mediaType: string; readonly maxBytes: number },
): Promise<Buffer> {
  if (mediaTypeOf(request) !== mediaType)
    throw requestError('wrongContentType', `this request needs \`content-type: ${mediaType}\``)
  return readWhole(request, maxBytes)
}

function mediaTypeOf(request: IncomingMessage): string | undefined {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
}

async function readText(request: IncomingMessage): Promise<string> {
  const whole = await readWhole(request, MAX_BODY_BYTES)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(whole)
  } catch {
    throw requestError('invalidJson', 'the body is not UTF-8')
  }
}

async function readWhole(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const declared = Number(request.headers['content-length'] ?? 0)
  const tooLarge = () => requestError('bodyTooLarge', `the body is larger than ${maxBytes} bytes`)
  if (declared > maxBytes) throw tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxBytes) throw tooLarge()
      chunks.push(chunk)
    }
  } catch (thrown) {
    throw thrown instanceof ApiError
      ? thrown
      : new ClientLeft('the client closed the connection before the whole body arrived')
  }
  return Buffer.concat(chunks)
}

/** Nobody is there any more to be answered, and nothing is wrong with the API. */
export class ClientLeft extends Error {
  override readonly name = 'ClientLeft'
}

function parse(text: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : ''
    throw requestError('invalidJson', `the body is not JSON: ${reason}`)
  }
}

function checkShape(value: Json, depth: number): void {
  if (typeof value !== 'object' || value === null) return
  if (depth > MAX_DEPTH) throw requestError('invalidJson', `the body is nested deeper than ${MAX_DEPTH} levels`)
  for (const [key, member] of Object.entries(value)) {
    if (key === '__proto__') throw requestError('invalidJson', 'the body has a key `__proto__`')
    checkShape(member, depth + 1)
  }
}

/** A key that stands twice in one object, as written; `text` is known to be JSON. The parser would silently take the last. */
function repeatedKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = []
  let last = ''
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:]/g)) {
    if (token === '{') open.push(new Set())
    else if (token === '[') open.push(undefined)
    else if (token === '}' || token === ']') open.pop()
    else if (token !== ':') last = token
    else {
      const key = String(JSON.parse(last))
      const keys = open.at(-1)
      if (keys?.has(key)) return last
      keys?.add(key)
    }
  }
  return undefined
}
