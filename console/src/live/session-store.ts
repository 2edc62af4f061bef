// The sessions this page knows, oldest first, and what they add up to: routes, people, places, values to filter by. Sums are kept
// up as sessions come and go, never counted anew, so that thousands of open sessions cost nothing while they do nothing.
// Bounded: when there are too many the oldest go. Changes are announced by a counter, a few times a second.

import { signal } from '@preact/signals'
import type { Position, Row } from '../api/shapes.ts'
import { type Route, routeKey, routeOf } from '../map/routes.ts'
import { FACETS, type Facet, facetOf } from './facets.ts'

export const MOST_ROWS = 20_000
const SPARE = 2_000
const MOST_PEOPLE = 12
const MOST_VALUES = 500

/** Grows with every change of the rows. */
export const version = signal(0)
/** Grows when a person, a data center or a value to filter by was seen for the first time. */
export const firstSeen = signal(0)
/** Sessions that were thrown away to make room, or never sent because there were too many. */
export const leftOut = signal(0)

export const people = new Map<string, Position>()
export const usedColos = new Set<string>()
export const values: Readonly<Record<Facet, Set<string>>> = {
  user: new Set(),
  vnet: new Set(),
  rule: new Set(),
  egress: new Set(),
  outcome: new Set(),
  let_in: new Set(),
  member: new Set(),
}

let rows: Row[] = []
const byId = new Map<string, Row>()
const routes = new Map<string, Route>()

/** Every row, oldest first. Not to be changed. */
export function allRows(): readonly Row[] {
  return rows
}

/** Routes with open sessions, and those whose last one ended; not to be changed. */
export function allRoutes(): ReadonlyMap<string, Route> {
  return routes
}

/** Begins anew with what the lab knows now. */
export function reset(finished: readonly Row[], open: readonly Row[]): void {
  byId.clear()
  routes.clear()
  rows = []
  for (const row of [...finished, ...open].sort((a, b) => a.at - b.at)) add(row)
  version.value++
}

/** Takes a beat in: new rows at the end, finished ones in the place they have. */
export function merge(opened: readonly Row[], finished: readonly Row[], skipped: number): void {
  for (const row of opened) add(row)
  for (const row of finished) {
    const known = byId.get(row.id)
    if (known === undefined) add(row)
    else finish(known, row)
  }
  if (skipped > 0) leftOut.value += skipped
  if (rows.length > MOST_ROWS + SPARE) trim()
  version.value++
}

/** Forgets routes that nothing has taken since (lab time, epoch ms). */
export function forgetRoutes(before: number): void {
  for (const [key, { open, endedAt }] of routes) if (open === 0 && endedAt < before) routes.delete(key)
}

function add(row: Row): void {
  if (byId.has(row.id)) return
  const own = { ...row }
  byId.set(row.id, own)
  rows.push(own)
  countRoute(own, own.open ? 1 : 0)
  see(own)
}

function finish(known: Row, row: Row): void {
  if (known.open) countRoute(known, -1)
  Object.assign(known, row)
  countRoute(known, 0)
  see(known)
}

function countRoute(row: Row, opened: 1 | 0 | -1): void {
  const key = routeKey(row)
  const route = routes.get(key) ?? routeOf(row)
  route.open += opened
  if (!row.open) route.endedAt = Math.max(route.endedAt, row.at + row.ms)
  routes.set(key, route)
}

function see(row: Row): void {
  let isNew = false
  for (const facet of FACETS) isNew = remember(values[facet], facetOf(row, facet), MOST_VALUES) || isNew
  for (const code of [row.ingress, row.physical]) isNew = (code !== '' && remember(usedColos, code, 40)) || isNew
  if (row.user_at !== null && row.user !== '' && !people.has(row.user) && people.size < MOST_PEOPLE) {
    people.set(row.user, row.user_at)
    isNew = true
  }
  if (isNew) firstSeen.value++
}

function remember(set: Set<string>, value: string, most: number): boolean {
  if (set.has(value) || set.size >= most) return false
  set.add(value)
  return true
}

/** Open sessions stay, however old. */
function trim(): void {
  let surplus = rows.length - MOST_ROWS
  rows = rows.filter((row) => {
    if (surplus <= 0 || row.open) return true
    surplus--
    byId.delete(row.id)
    leftOut.value++
    return false
  })
}
