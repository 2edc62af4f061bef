// From sessions to what a map can show: sessions that take the same way are one route, however many they are.

import type { Colo, Position, Row } from '../api/shapes.ts'
import { type Tone, toneOf } from '../ui/outcome.tsx'

/** A way through the world; points that are not known are left out. */
export interface Route {
  /** `failed` also where the destination's allowlist refused it */
  readonly tone: Tone
  readonly from: Position | null
  readonly ingress: string
  readonly physical: string
  readonly logical: Position | null
  readonly to: Position | null
  /** sessions open now */
  open: number
  /** when the last one ended, lab time */
  endedAt: number
}

export const FADE_MS = 12_000
export const MOST_ROUTES = 300

export type ColoIndex = ReadonlyMap<string, Colo>

/** Those to draw, busiest and youngest last; at most {@link MOST_ROUTES}. `now`: lab time. */
export function visibleRoutes(routes: Iterable<Route>, now: number): Route[] {
  const visible = [...routes].filter(({ open, endedAt }) => open > 0 || now - endedAt <= FADE_MS)
  return visible.sort((a, b) => a.open - b.open || a.endedAt - b.endedAt).slice(-MOST_ROUTES)
}

export function routeKey(row: Row): string {
  return `${row.user}|${row.ingress}|${row.physical}|${row.egress}|${row.target}|${toneOnMap(row)}`
}

function toneOnMap(row: Row): Tone {
  return row.let_in === false ? 'failed' : toneOf(row)
}

/** The way of a session, not yet counted. */
export function routeOf(row: Row): Route {
  return {
    tone: toneOnMap(row),
    from: row.user_at,
    ingress: row.ingress,
    physical: row.physical,
    logical: row.logical_at,
    to: row.destination_at,
    open: 0,
    endedAt: 0,
  }
}

/** The stations of a route, in order, without doubles. */
export function stationsOf(route: Route, colos: ColoIndex): Position[] {
  const colo = (code: string): Position | null => {
    const found = colos.get(code)
    return found === undefined ? null : [found.longitude, found.latitude]
  }
  const all = [route.from, colo(route.ingress), colo(route.physical), route.to]
  const stations: Position[] = []
  for (const point of all) {
    const last = stations.at(-1)
    if (point === null || (last !== undefined && last[0] === point[0] && last[1] === point[1])) continue
    stations.push(point)
  }
  return stations
}
