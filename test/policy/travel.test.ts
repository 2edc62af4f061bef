import { describe, expect, test } from 'vitest'
import { roundTripMs, totalKm, travelOf } from '../../src/outbound/distant-dial.ts'
import { COLOS, type Colo } from '../../src/policy/place.ts'

function colo(code: string): Colo {
  const found = COLOS.get(code)
  if (found === undefined) throw new RangeError(code)
  return found
}

const rounded = ({ toIngressKm, toEgressKm, toOriginKm }: ReturnType<typeof travelOf>) =>
  [toIngressKm, toEgressKm, toOriginKm].map((km) => Math.round(km / 10) * 10)

describe('the way of a connection', () => {
  const lasVegas = { latitude: 36.17, longitude: -115.14 }

  test('goes from the user over ingress and physical egress to the destination', () => {
    const way = travelOf(
      { userPlace: lasVegas, destinationPlace: colo('IAD') },
      { ingressColo: colo('LAS'), physicalColo: colo('LAX') },
    )
    expect(rounded(way)).toEqual([10, 380, 3670])
    expect(Math.round(totalKm(way) / 10) * 10).toBe(4060)
  })

  test('starts at the place of the source address where nobody said where the user is', () => {
    const way = travelOf({ sourcePlace: colo('SYD') }, { ingressColo: colo('LHR'), physicalColo: colo('LHR') })
    expect(rounded(way)).toEqual([17_020, 0, 0])
  })

  test('is as long as what is known of it: an unknown end adds nothing', () => {
    expect(totalKm(travelOf({}, { ingressColo: colo('LHR'), physicalColo: null }))).toBe(0)
  })

  test('takes its round trip: 10 ms there and back for 1,000 km of fibre, 15 with detours', () => {
    const way = { toIngressKm: 400, toEgressKm: 600, toOriginKm: 1000 }
    expect(roundTripMs(way, 10)).toBe(20)
    expect(roundTripMs(way, 15)).toBe(30)
  })
})
