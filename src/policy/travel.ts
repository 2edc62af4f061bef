// How far a connection travels, and how long light in a fibre would take: from the user to the data center they come in at, on
// to the one it leaves from, and on to the destination. Decides nothing; a lab may add the time to what it really takes.

import type { Decision } from './decision.ts'
import type { Flow } from './flow.ts'
import { distanceKm, type Place } from './place.ts'

/** Great-circle kilometres of each leg; one whose end nobody knows counts as 0. */
export interface Travel {
  readonly toIngressKm: number
  readonly toEgressKm: number
  readonly toOriginKm: number
}

/** The legs of a connection that was decided so. */
export function travelOf(
  { userPlace, sourcePlace, destinationPlace }: Pick<Flow, 'userPlace' | 'sourcePlace' | 'destinationPlace'>,
  { ingressColo, physicalColo }: Pick<Decision, 'ingressColo' | 'physicalColo'>,
): Travel {
  const egress = physicalColo ?? ingressColo
  return {
    toIngressKm: legKm(userPlace ?? sourcePlace, ingressColo),
    toEgressKm: legKm(ingressColo, egress),
    toOriginKm: legKm(egress, destinationPlace),
  }
}

export function totalKm({ toIngressKm, toEgressKm, toOriginKm }: Travel): number {
  return toIngressKm + toEgressKm + toOriginKm
}

/** Milliseconds of one round trip. Light in fibre takes 5 µs per kilometre, there and back 10 ms for 1,000 km; cables are longer
 *  than the great circle, by half as a rule, so 15 ms is near what people measure. */
export function roundTripMs(travel: Travel, msPer1000Km: number): number {
  return (totalKm(travel) / 1000) * msPer1000Km
}

function legKm(from: Place | undefined, to: Place | undefined): number {
  return from === undefined || to === undefined ? 0 : distanceKm(from, to)
}
