// Finds the route of a path. Own code: routes are a table anyway, and what is needed is one exact match per segment,
// `405` with `Allow`, and no guessing about slashes, dots or encodings (AP-05).

import { requestError } from './api-error.ts'
import type { Method, Route } from './route.ts'

export type Found =
  | { readonly kind: 'route'; readonly route: Route; readonly params: Readonly<Record<string, string>> }
  | { readonly kind: 'method'; readonly allow: readonly Method[] }
  | { readonly kind: 'none' }

export type Router = (method: string, path: string) => Found

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
  if (node.routes.has(route.method)) throw new RangeError(`${route.method} ${route.path} is there twice`)
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
