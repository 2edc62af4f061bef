// Reads one record of an MMDB file as a Place, in either layout: nested as in GeoLite2, GeoIP2 and DB-IP's own files,
// or flat as in the ip-location-db packages. Any field may be missing or of the wrong type.

import { countryFacts, type Place } from '../policy/place.ts'

/** The place in a record. A record without coordinates gets the middle of its country; `undefined` for one without
 *  coordinates and without a known country. */
export function placeFromRecord(record: unknown): Place | undefined {
  const fields = isObject(record) ? readFields(record) : {}
  const country = /^[A-Za-z]{2}$/.test(fields.country ?? '') ? fields.country?.toUpperCase() : undefined
  const known = country === undefined ? undefined : countryFacts(country)
  const point = pointOf(fields.latitude, fields.longitude) ?? known
  if (point === undefined) return undefined
  const continent = fields.continent ?? known?.continent
  return Object.freeze({
    ...(fields.city === undefined ? {} : { city: fields.city }),
    ...(country === undefined ? {} : { country }),
    ...(continent === undefined ? {} : { continent }),
    latitude: point.latitude,
    longitude: point.longitude,
  })
}

interface Fields {
  readonly city?: string | undefined
  readonly country?: string | undefined
  readonly continent?: string | undefined
  readonly latitude?: number | undefined
  readonly longitude?: number | undefined
}

function readFields(record: Readonly<Record<string, unknown>>): Fields {
  return 'country_code' in record ? readFlat(record) : readNested(record)
}

function readFlat(record: Readonly<Record<string, unknown>>): Fields {
  return {
    city: text(record.city),
    country: text(record.country_code),
    latitude: degrees(record.latitude),
    longitude: degrees(record.longitude),
  }
}

function readNested(record: Readonly<Record<string, unknown>>): Fields {
  return {
    city: text(at(record, 'city', 'names', 'en')),
    country: text(at(record, 'country', 'iso_code')) ?? text(at(record, 'registered_country', 'iso_code')),
    continent: text(at(record, 'continent', 'code')),
    latitude: degrees(at(record, 'location', 'latitude')),
    longitude: degrees(at(record, 'location', 'longitude')),
  }
}

function at(record: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), record)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Rounded to four decimals (11 m): flat files hold 32-bit floats, whose further digits are noise. */
function degrees(value: unknown): number | undefined {
  if (typeof value === 'string' && value.trim() !== '') return degrees(Number(value))
  return typeof value === 'number' && Number.isFinite(value) ? Math.round(value * 10_000) / 10_000 : undefined
}

function pointOf(latitude: number | undefined, longitude: number | undefined) {
  if (latitude === undefined || longitude === undefined) return undefined
  return Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180 ? { latitude, longitude } : undefined
}
