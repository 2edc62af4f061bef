// The sessions this page knows, oldest first. Bounded: when there are too many the oldest go. Changes are announced by a
// counter, a few times a second, never per session.

import { signal } from '@preact/signals'
import type { Row } from '../api/shapes.ts'

export const MOST_ROWS = 20_000
const SPARE = 2_000

/** Grows with every change of {@link rows}. */
export const version = signal(0)
/** Rows that were thrown away to make room, or never sent because there were too many. */
export const leftOut = signal(0)

let rows: Row[] = []
const byId = new Map<string, Row>()

/** Every row, oldest first. Not to be changed. */
export function allRows(): readonly Row[] {
  return rows
}

export function findRow(id: string): Row | undefined {
  return byId.get(id)
}

/** Begins anew with what the lab knows now. */
export function reset(finished: readonly Row[], open: readonly Row[]): void {
  byId.clear()
  rows = [...finished, ...open].sort((a, b) => a.at - b.at)
  for (const row of rows) byId.set(row.id, row)
  version.value++
}

/** Takes a beat in: new rows at the end, finished ones in the place they have. */
export function merge(opened: readonly Row[], finished: readonly Row[], skipped: number): void {
  for (const row of opened) add(row)
  for (const row of finished) {
    const known = byId.get(row.id)
    if (known === undefined) add(row)
    else Object.assign(known, row)
  }
  if (skipped > 0) leftOut.value += skipped
  if (rows.length > MOST_ROWS + SPARE) trim()
  version.value++
}

function add(row: Row): void {
  if (byId.has(row.id)) return
  const own = { ...row }
  byId.set(row.id, own)
  rows.push(own)
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
