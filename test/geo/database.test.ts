import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { InputError, type Issue } from '../../src/errors/issue.ts'
import {
  attributionOf,
  bundledGeoSources,
  type GeoChanges,
  type GeoDatabase,
  openGeoDatabase,
} from '../../src/geo/database.ts'
import type { GeoSource } from '../../src/geo/mmdb-file.ts'
import { ip } from '../../src/net/ip.ts'
import { type MmdbContents, mmdb } from '../support/mmdb.ts'

const nested: MmdbContents = {
  type: 'GeoLite2-City',
  ipVersion: 6,
  records: {
    '203.0.113.0/24': city('Amsterdam', 'NL', 'EU', 52.37, 4.89),
    '2001:db8:40::/48': city('Los Angeles', 'US', 'NA', 34.05, -118.24),
  },
}
const flat: MmdbContents = {
  type: 'city ipv4',
  ipVersion: 4,
  records: {
    '203.0.113.0/24': { country_code: 'GB', city: 'London', latitude: 51.5, longitude: -0.12 },
    '192.0.2.0/24': { country_code: 'IN' },
  },
}

let folder: string
const opened: GeoDatabase[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'geo-'))
})
afterEach(() => {
  for (const database of opened.splice(0)) database.close()
  rmSync(folder, { recursive: true })
})

describe('the database that comes along', () => {
  test('DB-IP City Lite knows addresses of both families out of the box', async () => {
    const database = open(bundledGeoSources())
    await database.load()
    expect(database.placeOf(ip('8.8.8.8'))).toMatchObject({ country: 'US', continent: 'NA' })
    expect(database.placeOf(ip('2a00:1450:4009::1'))).toMatchObject({ country: 'GB', continent: 'EU' })
    expect(database.placeOf(ip('127.0.0.1'))).toBeUndefined()
    expect(database.files().map((file) => file.type)).toEqual(['city ipv4', 'city ipv6'])
  })

  test('a first lookup before anything was loaded has its answer too, and reads only the file of its family', () => {
    const database = open(bundledGeoSources())
    expect(database.placeOf(ip('8.8.8.8'))?.country).toBe('US')
    expect(database.files().map((file) => file.type)).toEqual(['city ipv4'])
  })
})

describe('any MMDB file by path', () => {
  test('the nested layout of GeoLite2, IPv4 and IPv6 in one file', () => {
    const database = open([{ path: write('GeoLite2-City.mmdb', nested) }])
    expect(database.placeOf(ip('203.0.113.77'))).toEqual({
      city: 'Amsterdam',
      country: 'NL',
      continent: 'EU',
      latitude: 52.37,
      longitude: 4.89,
    })
    expect(database.placeOf(ip('2001:db8:40::9'))?.city).toBe('Los Angeles')
    expect(database.placeOf(ip('2001:db8:41::9'))).toBeUndefined()
  })

  test('the flat layout; an IPv6 address is unknown to an IPv4 file', () => {
    const database = open([{ path: write('flat.mmdb', flat) }])
    expect(database.placeOf(ip('203.0.113.1'))).toMatchObject({ city: 'London', continent: 'EU' })
    expect(database.placeOf(ip('2001:db8:40::9'))).toBeUndefined()
  })

  test('the first file that knows an address answers', () => {
    const database = open([{ path: write('a.mmdb', nested) }, { path: write('b.mmdb', flat) }])
    expect(database.placeOf(ip('203.0.113.1'))?.country).toBe('NL')
    expect(database.placeOf(ip('192.0.2.1'))?.country).toBe('IN')
  })

  test('every missing file is named at once, before anything starts', () => {
    const attempt = () => open([{ path: join(folder, 'a.mmdb') }, { path: join(folder, 'b.mmdb') }])
    expect(issuesOf(attempt).map((issue) => issue.file)).toEqual([join(folder, 'a.mmdb'), join(folder, 'b.mmdb')])
  })

  test.each([
    ['text', Buffer.from('not a database'), 'is not a readable MMDB file'],
    ['nothing', Buffer.alloc(0), 'is not a readable MMDB file'],
    ['half a database', mmdb(nested).subarray(0, 900), 'is not a readable MMDB file'],
    ['a compressed database', gzipSync(mmdb(nested)), 'is compressed'],
  ])('%s is refused in words', async (_name, bytes, words) => {
    const path = join(folder, 'broken.mmdb')
    writeFileSync(path, bytes)
    const failure = await open([{ path }])
      .load()
      .catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(InputError)
    expect((failure as InputError).issues[0]?.message).toBe(`\`${path}\` ${words}`)
  })
})

describe('whom to thank', () => {
  test.each([
    ['GeoLite2-City', 'https://www.maxmind.com/'],
    ['GeoIP2-Country', 'https://www.maxmind.com/'],
    ['city ipv4', 'https://db-ip.com/'],
    ['DBIP-City-Lite', 'https://db-ip.com/'],
  ])('for %s is %s', (type, href) => {
    expect(attributionOf([{ path: 'any', type, builtAt: 0 }]).href).toBe(href)
  })
})

describe('a file that changes', () => {
  test('is read again when a new one is put in its place', async () => {
    const path = write('geo.mmdb', nested)
    const reloaded = Promise.withResolvers<string>()
    const database = open([{ path }], { onReload: reloaded.resolve })
    expect(database.placeOf(ip('203.0.113.1'))?.country).toBe('NL')

    renameSync(write('new.mmdb', flat), path)

    expect(await reloaded.promise).toBe(path)
    expect(database.placeOf(ip('203.0.113.1'))?.country).toBe('GB')
  })

  test('stays as it was when the new one is broken, and says so', async () => {
    const path = write('geo.mmdb', nested)
    const warned = Promise.withResolvers<Issue>()
    const database = open([{ path }], { onWarning: warned.resolve })
    expect(database.placeOf(ip('203.0.113.1'))?.country).toBe('NL')

    writeFileSync(path, 'half a download')

    const warning = await warned.promise
    expect(warning.severity).toBe('warning')
    expect(warning.message).toContain('the contents read before stay in use')
    expect(database.placeOf(ip('203.0.113.2'))?.country).toBe('NL')
  })
})

function open(sources: readonly GeoSource[], told: Partial<GeoChanges> = {}): GeoDatabase {
  const unexpected = (what: unknown) => expect.unreachable(JSON.stringify(what))
  const database = openGeoDatabase(sources, { changes: { onReload: unexpected, onWarning: unexpected, ...told } })
  opened.push(database)
  return database
}

function write(name: string, contents: MmdbContents): string {
  const path = join(folder, name)
  writeFileSync(path, mmdb(contents))
  return path
}

function city(name: string, country: string, continent: string, latitude: number, longitude: number) {
  return {
    city: { names: { en: name } },
    country: { iso_code: country },
    continent: { code: continent },
    location: { latitude, longitude },
  }
}

function issuesOf(attempt: () => unknown): readonly Issue[] {
  try {
    attempt()
  } catch (error) {
    if (error instanceof InputError) return error.issues
    throw error
  }
  return []
}
