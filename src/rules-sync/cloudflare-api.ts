// A client of Cloudflare's API as far as `rules` needs it: both ways of logging in, the envelope and its errors, pages, a time
// limit, and another try where the API asks for one. Knows no resource.

import { setTimeout as pause } from 'node:timers/promises'
import { type Dispatcher, request } from 'undici'
import { errnoOf, messageOf } from '../errors/thrown.ts'

/** One call may take so long, ms. */
const TIMEOUT_MS = 30_000
const MOST_TRIES = 3
/** Between tries where the API does not say how long, ms; doubled with each. */
const PAUSE_MS = 500
/** Who is told to wait longer is told so by an error. */
const LONGEST_PAUSE_MS = 60_000
/** What an endless list is ended by. */
const MOST_PAGES = 10_000

export type ApiCredentials = { readonly token: string } | { readonly email: string; readonly key: string }

/** A refusal of the API, or no answer. `message` is for people: the API's own words and numbers where it has some. */
export class CloudflareApiError extends Error {
  override readonly name = 'CloudflareApiError'
}

/** Calls the API with one set of credentials. Rejects with an InputError that has the API's own messages, and never
 *  a secret. */
export class CloudflareApi {
  readonly #base: string
  readonly #through: { readonly dispatcher?: Dispatcher }
  readonly #headers: Readonly<Record<string, string>>

  /** `baseUrl` ends in `/client/v4`. */
  constructor(baseUrl: string, credentials: ApiCredentials, dispatcher?: Dispatcher) {
    this.#base = baseUrl
    this.#through = dispatcher === undefined ? {} : { dispatcher }
    this.#headers =
      'token' in credentials
        ? { authorization: `Bearer ${credentials.token}` }
        : { 'x-auth-email': credentials.email, 'x-auth-key': credentials.key }
  }

  /** One call; answers the `result` of the envelope. Throws a CloudflareApiError. */
  async call(method: ApiMethod, path: string, body?: unknown): Promise<unknown> {
    return (await this.#envelope(method, path, body)).result
  }

  /** Everything in a list, page by page. Throws a CloudflareApiError. */
  async *list(path: string): AsyncGenerator<unknown> {
    for (let page = 1; page <= MOST_PAGES; page++) {
      const numbered = page === 1 ? path : `${path}${path.includes('?') ? '&' : '?'}page=${page}`
      const { result, result_info: info } = await this.#envelope('GET', numbered)
      const items = Array.isArray(result) ? result : []
      yield* items
      if (items.length === 0 || !hasMore(Object(info), page)) return
    }
  }

  async #envelope(method: ApiMethod, path: string, body?: unknown): Promise<Envelope> {
    for (let tries = 1; ; tries++) {
      const answer = await this.#send(method, path, body)
      if (answer.status < 300 && answer.envelope !== undefined) return answer.envelope
      const waitMs = tries < MOST_TRIES ? pauseAfter(answer, method, tries) : undefined
      if (waitMs === undefined) throw new CloudflareApiError(wordsOf(answer))
      await pause(waitMs)
    }
  }

  async #send(method: ApiMethod, path: string, body: unknown): Promise<ApiAnswer> {
    try {
      const {
        statusCode,
        headers,
        body: answer,
      } = await request(this.#base + path, {
        method,
        headers: { ...this.#headers, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...this.#through,
      })
      const text = await answer.text()
      return { status: statusCode, headers, text, envelope: envelopeIn(text) }
    } catch (thrown) {
      const late = thrown instanceof DOMException && thrown.name === 'TimeoutError'
      const why = late ? `no answer within ${TIMEOUT_MS / 1000} s` : messageOf(thrown) || errnoOf(thrown)
      throw new CloudflareApiError(`connection error: ${why}`, { cause: thrown })
    }
  }
}

type ApiMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

interface Envelope {
  readonly result?: unknown
  readonly result_info?: unknown
  readonly errors?: unknown
}

interface ApiAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** absent: the answer is no JSON object */
  readonly envelope: Envelope | undefined
}

function envelopeIn(text: string): Envelope | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

/** By what the API says of the whole; a list that says nothing has one page. */
function hasMore(info: Readonly<Record<string, unknown>>, page: number): boolean {
  const { total_pages: pages, total_count: count, per_page: size } = info
  if (typeof pages === 'number') return page < pages
  return typeof count === 'number' && typeof size === 'number' && page * size < count
}

/** How long to wait before another try, ms; undefined: there is no point in one. What creates something is sent again only
 *  where it was certainly not carried out. */
function pauseAfter({ status, headers }: ApiAnswer, method: ApiMethod, tries: number): number | undefined {
  const told = headers['x-should-retry']
  const isPassing = status === 429 || (method !== 'POST' && (status === 408 || status >= 500))
  if (told === 'false' || !(isPassing || told === 'true')) return undefined
  const wanted = headers['retry-after']
  const after = typeof wanted === 'string' ? waitIn(wanted) : undefined
  const waitMs = after ?? PAUSE_MS * 2 ** (tries - 1)
  return waitMs <= LONGEST_PAUSE_MS ? waitMs : undefined
}

/** Retry-After (RFC 9110 section 10.2.3): seconds, or a date. */
function waitIn(text: string): number | undefined {
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}

function wordsOf({ status, text, envelope }: ApiAnswer): string {
  const errors: readonly unknown[] = Array.isArray(envelope?.errors) ? envelope.errors : []
  const told = errors.map((error) => `${String(Object(error).message)} (${String(Object(error).code)})`).join('; ')
  if (told !== '') return `${status}: ${told}`
  if (status < 300) return `${status}: the answer is not JSON, so this is not Cloudflare's API`
  const [line = ''] = text.trim().split('\n')
  return line === '' ? `${status}: no explanation` : `${status}: ${line.slice(0, 200)}`
}
