// Finds the route of a path. Own code: routes are a table anyway, and what is needed is one exact match per segment,
// `405` with `Allow`, and no guessing about slashes, dots or encodings (AP-05).

import type { TSchema } from 'typebox'
import type { Draft, JsonObject, Role } from '../config/lab-state.ts'
import type { AuditedChange } from '../store/audit-log.ts'
import type { AccessControl, Caller } from './access-control.ts'
import { requestError } from './api-error.ts'
import type { SessionTotals } from './lab/session-totals.ts'
import type { ApiPorts } from './ports.ts'
import type { LabSite } from './request-site.ts'
import type { ApiResponse } from './response.ts'

export type RouteMatch =
  | { readonly kind: 'route'; readonly route: Route; readonly params: Readonly<Record<string, string>> }
  | { readonly kind: 'method'; readonly allow: readonly Method[] }
  | { readonly kind: 'none' }

export type Router = (method: string, path: string) => RouteMatch

interface Node {
  readonly literal: Map<string, Node>
  parameter?: Node
  readonly routes: Map<string, { readonly route: Route; readonly names: readonly string[] }>
}

/** A router over these routes. Throws a RangeError when two routes are the same. */
export function createRouter(routes: readonly Route[]): Router {
  const root = newNode()
  for (const route of routes) addRoute(root, route)
  return (method, path) => {
    const segments = segmentsOf(path)
    const found = find(root, segments, 0, [])
    if (found === undefined || found.node.routes.size === 0) return { kind: 'none' }
    const match = found.node.routes.get(method)
    if (match === undefined) return { kind: 'method', allow: [...found.node.routes.keys()] as Method[] }
    const pairs = match.names.map((name, at) => [name, found.values[at] ?? ''] as const)
    return { kind: 'route', route: match.route, params: Object.fromEntries(pairs) }
  }
}

function addRoute(root: Node, route: Route): void {
  const names: string[] = []
  let node = root
  for (const segment of segmentsOf(route.path)) {
    if (segment.startsWith('{')) {
      names.push(segment.slice(1, -1))
      node.parameter ??= newNode()
      node = node.parameter
    } else {
      const next = node.literal.get(segment) ?? newNode()
      node.literal.set(segment, next)
      node = next
    }
  }
  if (node.routes.has(route.method)) throw new RangeError(`${route.method} ${route.path} is defined twice`)
  node.routes.set(route.method, { route, names })
}

/** A literal segment wins over a parameter; where it leads nowhere, the parameter is tried. */
function find(
  node: Node,
  segments: readonly string[],
  at: number,
  values: readonly string[],
): { node: Node; values: readonly string[] } | undefined {
  const segment = segments[at]
  if (segment === undefined) return { node, values }
  const next = node.literal.get(segment)
  const byName = next === undefined ? undefined : find(next, segments, at + 1, values)
  if (byName !== undefined && byName.node.routes.size > 0) return byName
  return node.parameter === undefined || segment === ''
    ? byName
    : find(node.parameter, segments, at + 1, [...values, segment])
}

/** The decoded segments of a path without its query. Throws ApiError for encodings that do not decode. */
function segmentsOf(path: string): string[] {
  try {
    return path.split('/').slice(1).map(decodeURIComponent)
  } catch {
    throw requestError('invalidPath')
  }
}

function newNode(): Node {
  return { literal: new Map(), routes: new Map() }
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** JSON Schema (2020-12 as far as ajv's default dialect goes). */
export type RouteSchema = { readonly [key: string]: unknown }

export interface QueryParameter {
  readonly name: string
  readonly schema: RouteSchema
  readonly description: string
}

export type Answers =
  /** the envelope around one result */
  | { readonly kind: 'result'; readonly schema: TSchema }
  /** the envelope around items, with their `result_info` */
  | { readonly kind: 'list'; readonly schema: TSchema }
  /** JSON without an envelope */
  | { readonly kind: 'json'; readonly schema: RouteSchema }
  | { readonly kind: 'bytes'; readonly mediaType: string; readonly description: string }
  /** an event stream (SSE): the data of each event by the event's name */
  | { readonly kind: 'events'; readonly events: Readonly<Record<string, TSchema>> }

export interface Route {
  readonly method: Method
  /** `{name}` stands for one path segment */
  readonly path: string
  /** what it does, one clause, for the documentation */
  readonly summary: string
  /** `token`: a token of the role; `user`: a user's own proxy credentials; `open`: anybody who may reach the port;
   *  `local`: a token of the role, or anybody on this machine, as health checks of service managers and containers are */
  readonly access: 'token' | 'user' | 'open' | 'local'
  /** the least role of the token; absent: viewer for GET, admin for everything else */
  readonly role?: Role
  /** what it answers when all is well; refusals are alike everywhere */
  readonly answers: Answers
  readonly query?: readonly QueryParameter[]
  /** what clients add of their own is let pass; on other routes of the lab's own it is refused */
  readonly unknownQuery?: 'ignored'
  /** what the body must be; routes without take no body */
  readonly body?: RouteSchema
  /** it tells of connections as they are at this moment */
  readonly looksAtTraffic?: true
  /** the body is no JSON but bytes of this kind */
  readonly takes?: { readonly mediaType: string; readonly maxBytes: number }
  readonly handle: (call: RouteCall) => ApiResponse | Promise<ApiResponse>
}

/** One request, checked against its route. */
export interface RouteCall extends Caller {
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** validated; an empty object where the route takes none */
  readonly body: JsonObject
  /** the body where the route takes bytes; empty elsewhere */
  readonly bytes: Buffer
  /** the address of whoever calls */
  readonly peer: string
  /** the address by which the client asked */
  readonly site: LabSite
  /** what a browser holds of its sign-in; '' for nothing. Never to be shown or logged. */
  readonly sessionCookie: string
  /** the last event a client that follows a stream anew has seen; '' where it says nothing */
  readonly lastEventId: string
  readonly ports: ApiPorts
  /** what finished sessions added up to since the server started */
  readonly tally: SessionTotals
  readonly rateLimiter: RateLimiter
  readonly access: AccessControl
  /** For the audit: a change of something that is no document of the state. */
  readonly noteChange: (change: AuditedChange) => void
  /** The store's change, held to the request's `If-Match` revision where it has one (AP-06). */
  readonly change: <T>(edit: (draft: Draft) => T) => T
}

/** So many requests in so many seconds. */
export interface ApiRateLimit {
  readonly requests: number
  readonly seconds: number
}

export interface RateLimiter {
  limit: ApiRateLimit | null
  /** Counts one request at this lab time (epoch ms). Throws ApiError 429 when it is one too many. */
  take(now: number): void
}
