// From sessions to what a map can show: sessions that take the same way are one route, however many they are.

import type { Colo, Position, Row } from '../api/shapes.ts'
import { type Tone, toneOf } from '../ui/outcome.tsx'

/** A way through the world; points that are not known are left out. */
export interface Route {
  readonly key: string
  readonly tone: Tone
  readonly from: Position | null
  readonly ingress: string
  readonly physical: string
  readonly logical: Position | null
  readonly logicalName: string
  readonly to: Position | null
  readonly egress: string
  readonly target: string
  readonly user: string
  /** open ones, and those that finished within {@link FADE_MS} */
  open: number
  total: number
  /** when the last one ended, machine time; 0 while one is open */
  endedAt: number
}

export const FADE_MS = 12_000
export const MOST_ROUTES = 300

export type ColoIndex = ReadonlyMap<string, Colo>

/** Routes of these sessions, busiest and youngest last; at most {@link MOST_ROUTES}. `now`: lab time. */
export function routesOf(rows: readonly Row[], now: number): Route[] {
  const routes = new Map<string, Route>()
  // the newest are at the end, and the old finished ones in front of them are not looked at
  for (let at = rows.length - 1; at >= 0; at--) {
    const row = rows[at]
    if (row === undefined) continue
    const endedAt = row.open ? 0 : row.at + row.ms
    if (!row.open && now - endedAt > FADE_MS) continue
    addTo(routes, row, endedAt)
  }
  return [...routes.values()].sort((a, b) => a.open - b.open || a.endedAt - b.endedAt).slice(-MOST_ROUTES)
}

export function routeKey(row: Row): string {
  return `${row.user}|${row.ingress}|${row.physical}|${row.egress}|${row.target}|${toneOf(row)}`
}

function addTo(routes: Map<string, Route>, row: Row, endedAt: number): void {
  const key = routeKey(row)
  const known = routes.get(key)
  if (known !== undefined) {
    known.total++
    if (row.open) known.open++
    known.endedAt = known.open > 0 ? 0 : Math.max(known.endedAt, endedAt)
    return
  }
  routes.set(key, {
    key,
    tone: toneOf(row),
    from: row.user_at,
    ingress: row.ingress,
    physical: row.physical,
    logical: row.logical_at,
    logicalName: row.logical,
    to: row.destination_at,
    egress: row.egress,
    target: row.target,
    user: row.user,
    open: row.open ? 1 : 0,
    total: 1,
    endedAt,
  })
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
