import { expect, test } from 'vitest'
import colos from '../../src/policy/colos.json' with { type: 'json' }
import { countryFacts } from '../../src/policy/place.ts'

test.each([
  ['GB', 'EU'],
  ['NL', 'EU'],
  ['US', 'NA'],
  ['IN', 'AS'],
  ['BR', 'SA'],
  ['ZA', 'AF'],
  ['AU', 'OC'],
  ['AQ', 'AN'],
])('%s lies in %s', (country, continent) => {
  expect(countryFacts(country)?.continent).toBe(continent)
})

test('every country with a data center is known', () => {
  expect(colos.filter((colo) => countryFacts(colo.country) === undefined)).toEqual([])
})

test('no other text is a country, not even a property every object has', () => {
  for (const text of ['', 'gb', 'ZZ', 'constructor', '__proto__']) expect(countryFacts(text)).toBeUndefined()
})
