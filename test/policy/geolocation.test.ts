import { describe, expect, test } from 'vitest'
import { formatGeofeed } from '../../src/analysis/geofeed.ts'
import { locationSeen } from '../../src/geo/site-view.ts'
import { ip } from '../../src/net/ip.ts'
import { createAccountTables } from '../../src/policy/account-tables.ts'
import { AMS, account, LAX } from './build.ts'

const UPDATED = Date.UTC(2026, 5, 1)
const moved = account({
  dedicatedIps: [AMS, { ...LAX, geolocationUpdatedAt: UPDATED }],
  settings: { homeCountry: 'GB' },
})
const tables = createAccountTables(moved)

describe('[G2] other sites learn of a location late', () => {
  test.each(['203.0.113.40', '2001:db8:40::1234'])(
    'until the day they see the account’s home country: %s',
    (address) => {
      expect(locationSeen(tables, ip(address), UPDATED - 1)).toEqual({ country: 'GB', known: false })
    },
  )
  test.each(['203.0.113.40', '2001:db8:40::1234'])('from that day on the new one: %s', (address) => {
    expect(locationSeen(tables, ip(address), UPDATED)).toMatchObject({
      country: 'US',
      city: 'Los Angeles',
      known: true,
    })
  })
})

test('[G1] an address without such a date is where its colo is', () => {
  expect(locationSeen(tables, ip('203.0.113.10'), 0)).toMatchObject({ country: 'NL', city: 'Amsterdam', known: true })
})

test('shared egress is where its colo is', () => {
  const [first] = moved.colos.values()
  expect(locationSeen(tables, ip('198.18.0.1'), 0)).toMatchObject({ city: first?.city, country: first?.country })
  expect(locationSeen(tables, ip('2001:db8:5a::1'), 0)).toMatchObject({ city: first?.city })
})

test('addresses that are not the account’s are nowhere', () => {
  for (const address of ['198.51.100.1', '198.18.255.1', '2001:db8:99::1']) {
    expect(locationSeen(tables, ip(address), UPDATED)).toBeUndefined()
  }
})

test('[G3] the geofeed has a line per address and range, in order, with CSV quoting (RFC 8805)', () => {
  const quoted = { ...AMS, geolocation: { city: 'Washington, "D.C."', country: 'US', latitude: 0, longitude: 0 } }
  expect(formatGeofeed(account({ dedicatedIps: [LAX, quoted] }))).toBe(
    [
      '# Geofeed (RFC 8805) of Test account',
      '203.0.113.10/32,US,,"Washington, ""D.C.""",',
      '203.0.113.40/32,US,,Los Angeles,',
      '2001:db8:10::/64,US,,"Washington, ""D.C.""",',
      '2001:db8:40::/64,US,,Los Angeles,',
      '',
    ].join('\n'),
  )
})
