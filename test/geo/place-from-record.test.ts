import { describe, expect, test } from 'vitest'
import { placeFromRecord } from '../../src/geo/mmdb-file.ts'

describe('a record becomes a place', () => {
  test('flat layout (DB-IP City Lite): the continent comes from the country', () => {
    expect(
      placeFromRecord({
        city: 'London',
        country_code: 'GB',
        latitude: 51.51430130004883,
        longitude: -0.09122440218925476,
        postcode: '',
        timezone: '',
      }),
    ).toEqual({ city: 'London', country: 'GB', continent: 'EU', latitude: 51.5143, longitude: -0.0912 })
  })

  test('nested layout (GeoLite2 City): every field from its own place', () => {
    expect(
      placeFromRecord({
        city: { geoname_id: 5506956, names: { en: 'Las Vegas', de: 'Las Vegas' } },
        continent: { code: 'NA', geoname_id: 6255149 },
        country: { iso_code: 'US' },
        location: { latitude: 36.175, longitude: -115.1372, time_zone: 'America/Los_Angeles' },
      }),
    ).toEqual({ city: 'Las Vegas', country: 'US', continent: 'NA', latitude: 36.175, longitude: -115.1372 })
  })

  test('nested layout without a city (GeoLite2 Country): the middle of the country', () => {
    expect(placeFromRecord({ continent: { code: 'EU' }, country: { iso_code: 'NL' } })).toEqual({
      country: 'NL',
      continent: 'EU',
      latitude: 52.5,
      longitude: 5.75,
    })
  })

  test('the registered country stands in where the country is not known', () => {
    expect(placeFromRecord({ registered_country: { iso_code: 'IN' } })).toMatchObject({
      country: 'IN',
      continent: 'AS',
    })
  })

  test('coordinates without a country are a place, too', () => {
    expect(placeFromRecord({ location: { latitude: 47, longitude: 8 } })).toEqual({ latitude: 47, longitude: 8 })
  })

  test.each([
    ['no record', null],
    ['an empty record', {}],
    ['a country nobody knows', { country_code: 'ZZ' }],
    ['fields of the wrong type', { country_code: 7, latitude: 'north', longitude: [] }],
    ['coordinates off the globe', { location: { latitude: 95, longitude: 200 } }],
    ['a bare string', 'GB'],
  ])('%s is no place', (_name, record) => {
    expect(placeFromRecord(record)).toBeUndefined()
  })
})
