// The distance a connection travels, and the time light in fibre takes for it: from the user to the ingress data
// center, to the egress data center, to the destination. Decides nothing; a lab may add the time as delay.

import type { Decision } from './decision.ts'
import type { Flow } from './flow.ts'
import { distanceKm, type Place } from './place.ts'

/** Great-circle kilometres of each leg; a leg with an unknown end counts as 0. */
export interface Travel {
  readonly toIngressKm: number
  readonly toEgressKm: number
  readonly toOriginKm: number
}

/** The legs of a connection decided so. */
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

/** The sum of the legs, in kilometres. */
export function totalKm({ toIngressKm, toEgressKm, toOriginKm }: Travel): number {
  return toIngressKm + toEgressKm + toOriginKm
}

/** Milliseconds of one round trip. Light in fibre takes 5 µs per kilometre, so 10 ms there and back for 1,000 km;
 *  cables are typically half as long again as the great circle, so 15 ms is close to what is measured. */
export function roundTripMs(travel: Travel, msPer1000Km: number): number {
  return (totalKm(travel) / 1000) * msPer1000Km
}

function legKm(from: Place | undefined, to: Place | undefined): number {
  return from === undefined || to === undefined ? 0 : distanceKm(from, to)
}
