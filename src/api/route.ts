// One route as a value: the same table serves requests, the OpenAPI document and the documentation's check.

import type { TSchema } from 'typebox'
import type { Draft, JsonObject } from '../config/lab-state.ts'
import type { Answer } from './answer.ts'
import type { RateLimiter } from './lab/rate-limit.ts'
import type { Tally } from './lab/tally.ts'
import type { ApiPorts } from './ports.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** JSON Schema (2020-12 as far as ajv's default dialect goes). */
export type Schema = { readonly [key: string]: unknown }

export interface QueryParameter {
  readonly name: string
  readonly schema: Schema
  readonly description: string
}

export type Answers =
  /** the envelope around one result */
  | { readonly kind: 'result'; readonly schema: TSchema }
  /** the envelope around items, with their `result_info` */
  | { readonly kind: 'list'; readonly schema: TSchema }
  /** JSON without an envelope */
  | { readonly kind: 'json'; readonly schema: Schema }
  | { readonly kind: 'bytes'; readonly mediaType: string; readonly description: string }
  /** an event stream (SSE): the data of each event by the event's name */
  | { readonly kind: 'events'; readonly events: Readonly<Record<string, TSchema>> }

export interface Route {
  readonly method: Method
  /** `{name}` stands for one path segment */
  readonly path: string
  /** what it does, one clause, for the documentation */
  readonly summary: string
  /** `token`: the API token; `user`: a user's own proxy credentials; `open`: anybody who may reach the port */
  readonly access: 'token' | 'user' | 'open'
  /** what it answers when all is well; refusals are alike everywhere */
  readonly answers: Answers
  readonly query?: readonly QueryParameter[]
  /** what clients add of their own is let pass; on other routes of the lab's own it is refused */
  readonly unknownQuery?: 'ignored'
  /** what the body must be; routes without take no body */
  readonly body?: Schema
  /** it tells of connections as they are at this moment */
  readonly looksAtTraffic?: true
  /** the body is no JSON but bytes of this kind */
  readonly takes?: { readonly mediaType: string; readonly maxBytes: number }
  readonly handle: (call: Call) => Answer | Promise<Answer>
}

/** One request, checked against its route. */
export interface Call {
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** validated; an empty object where the route takes none */
  readonly body: JsonObject
  /** the body where the route takes bytes; empty elsewhere */
  readonly bytes: Buffer
  /** the address of whoever calls */
  readonly peer: string
  /** `http://127.0.0.1:8090` as the client addressed it */
  readonly baseUrl: string
  /** the email of whoever called, on routes for users; '' elsewhere */
  readonly user: string
  /** what stood behind the user name they gave: choices for connections */
  readonly choices: string
  /** the password they proved it with; '' elsewhere. Never to be shown or logged. */
  readonly password: string
  readonly ports: ApiPorts
  /** what finished sessions added up to since the server started */
  readonly tally: Tally
  readonly rateLimiter: RateLimiter
  /** The store's change, held to the request's `If-Match` revision where it has one (AP-06). */
  readonly change: <T>(edit: (draft: Draft) => T) => T
}
