// The data center a user's device connects to: the nearest that is up ([T4]). The only place that
// prepares an account's geography, so that a distance is computed once.

import type { Account } from './account.ts'
import type { Colo, Place } from './place.ts'

/** Finds the nearest colo that is up; caches the result per place. */
export interface Ingress {
  /** The nearest colo that is up. Without a place: the account's home colo, or the nearest to it that is up.
   *  Undefined when every colo is down. */
  nearest(place: Place | undefined): Colo | undefined
}

/** Prepares the colos of an account. Throws RangeError for an account without colos. */
export function createIngress(account: Account): Ingress {
  const up = [...account.colos.values()].filter((colo) => !account.colosDown.has(colo.code))
  const vectors = new Float64Array(up.flatMap(toUnitVector))
  const home = homeColo(account)
  const homeUp = account.colosDown.has(home.code) ? search(up, vectors, home) : home
  const known = new WeakMap<Place, Colo>()
  return {
    nearest(place) {
      if (place === undefined) return homeUp
      const before = known.get(place)
      if (before !== undefined) return before
      const found = search(up, vectors, place)
      if (found !== undefined) known.set(place, found)
      return found
    },
  }
}

/** The colo of users whose place is unknown, up or down. Throws RangeError for an account without colos. */
export function homeColo(account: Account): Colo {
  const home = account.colos.get(account.settings.homeColo) ?? account.colos.values().next().value
  if (home === undefined) throw new RangeError('an account needs at least one colo')
  return home
}

/** On the unit sphere the nearest point is the one with the greatest dot product; ties go to the earlier colo. */
function search(colos: readonly Colo[], vectors: Float64Array, place: ColoPosition): Colo | undefined {
  const [x, y, z] = toUnitVector(place)
  let best: Colo | undefined
  let closeness = Number.NEGATIVE_INFINITY
  for (let at = 0; at < colos.length; at++) {
    const i = at * 3
    const dot = x * (vectors[i] ?? 0) + y * (vectors[i + 1] ?? 0) + z * (vectors[i + 2] ?? 0)
    if (dot > closeness) {
      closeness = dot
      best = colos[at]
    }
  }
  return best
}

interface ColoPosition {
  readonly latitude: number
  readonly longitude: number
}

function toUnitVector({ latitude, longitude }: ColoPosition): [number, number, number] {
  const phi = (latitude * Math.PI) / 180
  const lambda = (longitude * Math.PI) / 180
  return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)]
}
