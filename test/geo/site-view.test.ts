import { describe, expect, test } from 'vitest'
import { siteViewOf } from '../../src/geo/site-view.ts'
import { ip } from '../../src/net/ip.ts'
import { createAccountTables } from '../../src/policy/account-tables.ts'
import { AMS, account, LHR } from '../policy/build.ts'

const MOVE = Date.parse('2026-12-15T00:00:00Z')
const nowhere = () => undefined
const london = { city: 'London', country: 'GB', continent: 'EU' }

describe("another site's view of an address", () => {
  const moving = createAccountTables(account({ dedicatedIps: [AMS, { ...LHR, geolocationUpdatedAt: MOVE }] }))

  test('[G2] until its geolocation is updated, a dedicated IP is seen in the home country, and its move is foreseen', () => {
    expect(siteViewOf(moving, nowhere, ip('203.0.113.20'), MOVE - 1)).toEqual({
      place: { country: 'US', continent: 'NA', latitude: 38, longitude: -97 },
      changesAt: MOVE,
      comingPlace: expect.objectContaining(london),
    })
  })

  test('[G2] from that instant on it is seen at its new place', () => {
    const view = siteViewOf(moving, nowhere, ip('203.0.113.20'), MOVE)
    expect(view).toEqual({ place: expect.objectContaining(london) })
    expect(view?.place).not.toHaveProperty('code')
  })

  test('[G2] the same goes for every address of its IPv6 range', () => {
    expect(siteViewOf(moving, nowhere, ip('2001:db8:20::7'), MOVE - 1)?.place.country).toBe('US')
    expect(siteViewOf(moving, nowhere, ip('2001:db8:20::7'), MOVE)?.place.city).toBe('London')
  })

  test('[G1] a dedicated IP without a date is seen at its place at all times', () => {
    expect(siteViewOf(moving, nowhere, ip('203.0.113.10'), 0)?.place.city).toBe('Amsterdam')
  })

  test("of addresses that are not the account's, the geo database speaks", () => {
    const place = { country: 'JP', latitude: 36, longitude: 138 }
    expect(siteViewOf(moving, () => place, ip('192.0.2.1'), 0)).toEqual({ place })
    expect(siteViewOf(moving, nowhere, ip('192.0.2.1'), 0)).toBeUndefined()
  })
})
