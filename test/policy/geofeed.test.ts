// The geofeed as those read it who run geolocation databases: strictly by RFC 8805.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatGeofeed } from '../../src/analysis/geofeed.ts'
import { loadConfig } from '../../src/config/load.ts'
import { cidr, parseCidr } from '../../src/net/cidr.ts'
import { equalIp } from '../../src/net/ip.ts'
import { countryFacts } from '../../src/policy/place.ts'
import { AMS, account } from './build.ts'

interface FeedEntry {
  readonly prefix: string
  readonly country: string
  readonly region: string
  readonly city: string
}

/** Reads a feed; throws for what section 2.1 does not allow. */
function readGeofeed(text: string): FeedEntry[] {
  if (!text.endsWith('\n') || text.includes('\r')) throw new SyntaxError('lines end in a line feed')
  const entries = text
    .slice(0, -1)
    .split('\n')
    .filter((line) => !line.startsWith('#') && line.trim() !== '')
    .map((line) => {
      const fields = fieldsOf(line)
      if (fields.length !== 5) throw new SyntaxError(`five fields, not ${fields.length}: ${line}`)
      const [prefix = '', country = '', region = '', city = '', postal = ''] = fields
      const network = parseCidr(prefix)
      if (network === undefined || !prefix.includes('/')) throw new SyntaxError(`no prefix: ${prefix}`)
      if (!equalIp(network.base, cidr(prefix.replace(/\/.*/, '')).base)) throw new SyntaxError(`host bits: ${prefix}`)
      if (country !== '' && countryFacts(country) === undefined) throw new SyntaxError(`no ISO 3166-1 code: ${country}`)
      if (region !== '' && !region.startsWith(`${country}-`)) throw new SyntaxError(`no ISO 3166-2 code: ${region}`)
      if (postal !== '') throw new SyntaxError('postal codes are deprecated (section 2.1.1.5)')
      return { prefix, country, region, city }
    })
  if (new Set(entries.map(({ prefix }) => prefix)).size !== entries.length) throw new SyntaxError('a prefix twice')
  return entries
}

/** RFC 4180 section 2. */
function fieldsOf(line: string): string[] {
  const fields = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)]
  if (fields.map(([whole]) => whole).join('') !== line) throw new SyntaxError(`not CSV: ${line}`)
  return fields.map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '')
}

test('[G3] the shipped account’s feed is read as what it owns and where that is', () => {
  const { account: named, dedicatedIps } = loadConfig('config/lab.yaml')
  const entries = readGeofeed(formatGeofeed({ ...named, dedicatedIps }))
  const owned = dedicatedIps.flatMap(({ ipv4, ipv6, geolocation: { city, country } }) => [
    { prefix: `${ipv4?.address.text}/32`, city, country, region: '' },
    { prefix: ipv6?.range.text, city, country, region: '' },
  ])
  expect(new Set(entries)).toEqual(new Set(owned))
  expect(entries.length).toBe(10)
})

test('[G3] a feed says where addresses will be seen, however far databases are behind', () => {
  const late = { ...AMS, geolocationUpdatedAt: Date.UTC(2999, 0) }
  expect(readGeofeed(formatGeofeed(account({ dedicatedIps: [late] })))[0]).toMatchObject({
    country: 'NL',
    city: 'Amsterdam',
  })
})

test('[G3] whatever a city or an account is called, the feed stays readable', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (city, name) => {
      fc.pre(!/[\r\n]/.test(city))
      const place = { city, country: 'NL', latitude: 0, longitude: 0 }
      const feed = formatGeofeed({ name, dedicatedIps: [{ ...AMS, geolocation: place }] })
      expect(readGeofeed(feed).map((entry) => entry.city)).toEqual([city, city])
    }),
    { numRuns: 200 },
  )
})

test('the reader of these tests is strict', () => {
  const bad = [
    '203.0.113.1/24,NL,,,\n',
    '203.0.113.0/24,XX,,,\n',
    '203.0.113.0/24,NL,,\n',
    '203.0.113.0,NL,,,\n',
    '203.0.113.0/24,NL,,"a,\n',
  ]
  for (const line of bad) expect(() => readGeofeed(line), line).toThrow(SyntaxError)
})
