// What a handler hands back. JSON answers wear Cloudflare's envelope, also those of the lab's own API, so that one
// client reads both.

import type { Json } from '../config/lab-state.ts'
import type { ApiError } from './api-error.ts'

export type Answer = JsonAnswer | TextAnswer | StreamAnswer

export interface JsonAnswer {
  readonly kind: 'json'
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface TextAnswer {
  readonly kind: 'text'
  readonly status: number
  readonly contentType: string
  readonly body: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

/** An event stream (SSE). `start` gets a writer and answers how to stop; the writer says whether the client keeps up. */
export interface StreamAnswer {
  readonly kind: 'stream'
  readonly start: (send: (event: string, data: unknown) => boolean) => () => void
}

export interface Message {
  readonly code: number
  readonly message: string
}

/** `{result, success: true, …}` */
export function ok(result: unknown, options: { status?: number; messages?: readonly Message[] } = {}): JsonAnswer {
  const body = { result, success: true, errors: [], messages: options.messages ?? [] }
  return { kind: 'json', status: options.status ?? 200, body }
}

export interface Paging {
  readonly page: number
  readonly perPage: number
}

/** One page of a list with its `result_info`. Without paging everything is one page, as Cloudflare's Gateway lists are. */
export function listOf(items: readonly unknown[], paging?: Paging): JsonAnswer {
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
  const body = { result, success: true, errors: [], messages: [], result_info: info }
  return { kind: 'json', status: 200, body }
}

/** The refusal in the envelope. Clients are told that the same request will fail again, so that none retries. */
export function failure(error: ApiError): JsonAnswer {
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
