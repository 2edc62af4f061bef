// Tells people that the connections of an egress IP to one destination are running out ([E7]): at 80, 95 and 100 %, and not
// again and again while they go up and down around a mark.

import { formatEndpoint } from '../net/endpoint.ts'
import type { PortPressure } from '../outbound/port-leases.ts'

/** How long the same mark of the same destination is not told of again. */
const QUIET_MS = 60_000
/** Marks remembered at one time; the oldest is forgotten first. */
const MAX_REMEMBERED = 1_000

/** Passes sentences to `warn`. `now`: monotonic ms. */
export function createPressureWarning(
  warn: (message: string) => void,
  now: () => number = () => performance.now(),
): (pressure: PortPressure) => void {
  const told = new Map<string, number>()
  return ({ egress, destination, percent, used, limit }) => {
    const where = formatEndpoint(destination)
    const key = `${egress.text} ${where} ${percent}`
    const before = told.get(key)
    if (before !== undefined && now() - before < QUIET_MS) return
    told.delete(key)
    told.set(key, now())
    const [oldest] = told.keys()
    if (told.size > MAX_REMEMBERED && oldest !== undefined) told.delete(oldest)
    const next = percent === 100 ? '; the next one is refused with `egress.ports_exhausted`' : ''
    warn(`${used} of ${limit} connections from \`${egress.text}\` to \`${where}\` are in use (${percent} %)${next}`)
  }
}
