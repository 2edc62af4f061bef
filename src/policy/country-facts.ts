// What is known of countries when a database says nothing but their code: continent and a point in their middle.
// Facts from public tables (countries.json); where tables differ on a continent, GeoNames' view is kept (RU and CY in EU,
// TR in AS, TL in OC), because the GeoLite2 databases hold the same.

import countries from './countries.json' with { type: 'json' }

export interface CountryFacts {
  /** AF AN AS EU NA OC SA */
  readonly continent: string
  /** degrees, about the middle of the country */
  readonly latitude: number
  readonly longitude: number
}

const facts: ReadonlyMap<string, CountryFacts> = new Map(Object.entries(countries))

/** Facts by ISO 3166 alpha-2 code in capitals (and XK); `undefined` for any other text. */
export function countryFacts(code: string): CountryFacts | undefined {
  return facts.get(code)
}
