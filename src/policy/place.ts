// Places on the globe: data centers, and where users and addresses are.

import table from './colos.json' with { type: 'json' }
import countries from './countries.json' with { type: 'json' }
import type { ColoCode } from './ids.ts'

/** A place on the globe. `country` is ISO 3166 alpha-2 in capitals, `continent` one of AF AN AS EU NA OC SA; degrees
 *  are WGS 84, north and east positive. */
export interface Place {
  readonly city?: string
  readonly country?: string
  readonly continent?: string
  readonly latitude: number
  readonly longitude: number
}

/** A data center. `code` is its IATA-like code; degrees as in {@link Place}. */
export interface Colo {
  readonly code: ColoCode
  readonly city: string
  readonly country: string
  readonly latitude: number
  readonly longitude: number
}

const EARTH_RADIUS_KM = 6371.0088

/** Great-circle distance in kilometres (haversine on the mean earth radius). */
export function distanceKm(a: Readonly<Coordinates>, b: Readonly<Coordinates>): number {
  const half = (degrees: number) => Math.sin((degrees * Math.PI) / 360) ** 2
  const cos = (degrees: number) => Math.cos((degrees * Math.PI) / 180)
  const chord = half(b.latitude - a.latitude) + cos(a.latitude) * cos(b.latitude) * half(b.longitude - a.longitude)
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(chord)))
}

interface Coordinates {
  latitude: number
  longitude: number
}

/** Every colo by its code. */
export const COLOS: ReadonlyMap<string, Colo> = new Map(
  table.map(({ code, city, country, lat, lon }) => {
    return [code, Object.freeze({ code, city, country, latitude: lat, longitude: lon })] as const
  }),
)

export interface CountryFacts {
  /** AF AN AS EU NA OC SA */
  readonly continent: string
  /** degrees, about the middle of the country */
  readonly latitude: number
  readonly longitude: number
}

/** Facts of every country by ISO 3166 alpha-2 code in capitals, and of XK. */
export const COUNTRIES: ReadonlyMap<string, CountryFacts> = new Map(Object.entries(countries))

/** Facts by ISO 3166 alpha-2 code in capitals (and XK); `undefined` for any other text. */
export function countryFacts(code: string): CountryFacts | undefined {
  return COUNTRIES.get(code)
}
