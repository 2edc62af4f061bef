// Reading the MaxMind DB format: mapped, by pages and from memory the answers are the same, and no byte of a file that is wrong, cut off
// or replaced ends the process.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bundledGeoSources } from '../../src/geo/database.ts'
import { inMemory, type MmdbBytes, openInPlace } from '../../src/geo/mmdb-bytes.ts'
import { MmdbFile } from '../../src/geo/mmdb-file.ts'
import { MmdbReader } from '../../src/geo/mmdb-reader.ts'
import { fromIpv4Number, fromIpv6Words, type Ip, ip } from '../../src/net/ip.ts'
import { mmdb } from '../support/mmdb.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mmdb-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Always the same, over the whole range. */
function addresses(family: 4 | 6, count: number): Ip[] {
  let seed = 7
  const next = () => (seed = (Math.imul(seed, 0x5bd1e995) ^ (seed >>> 15)) >>> 0)
  return Array.from({ length: count }, () =>
    family === 4 ? fromIpv4Number(next()) : fromIpv6Words([0x20000000 | (next() >>> 4), next(), next(), next()]),
  )
}

const SMALL = mmdb({
  type: 'test',
  ipVersion: 6,
  records: { '203.0.113.0/24': { city: 'x'.repeat(400), number: 70_000, part: 0.5 }, '2001:db8::/32': { city: 'six' } },
})
const small = (name: string, bytes = SMALL) => {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}

test.each(bundledGeoSources())(
  'the database that comes along reads the same mapped, by pages and from memory: $path',
  (source) => {
    const { path, family = 4 } = source
    const ways: MmdbBytes[] = [openInPlace(path), openInPlace(path, false), inMemory(readFileSync(path))]
    const readers = ways.map((bytes) => new MmdbReader(bytes))
    for (const address of addresses(family, 2000)) {
      const [mapped, paged, held] = readers.map((reader) => JSON.stringify(reader.record(address)))
      expect([address.text, mapped, paged]).toEqual([address.text, held, held])
    }
    for (const bytes of ways) bytes.close()
  },
)

describe.each([
  ['mapped', true],
  ['by pages', false],
])('%s', (_name, mayMap) => {
  test('texts, numbers and nesting come as they were written', () => {
    const bytes = openInPlace(small(`values-${mayMap}.mmdb`), mayMap)
    const reader = new MmdbReader(bytes)
    expect(reader.record(ip('203.0.113.9'))).toEqual({ city: 'x'.repeat(400), number: 70_000, part: 0.5 })
    expect(reader.record(ip('2001:db8::1'))).toEqual({ city: 'six' })
    expect(reader.record(ip('198.51.100.1'))).toBeNull()
    bytes.close()
  })

  test('a file that is replaced stays the one that was opened', () => {
    const path = small(`replaced-${mayMap}.mmdb`)
    const bytes = openInPlace(path, mayMap)
    const reader = new MmdbReader(bytes)
    renameSync(
      small('new.mmdb', mmdb({ type: 'new', ipVersion: 4, records: { '203.0.113.0/24': { city: 'new' } } })),
      path,
    )
    expect(bytes.isIntact()).toBe(true)
    expect(reader.record(ip('2001:db8::1'))).toEqual({ city: 'six' })
    bytes.close()
  })
})

test('an installed file that is cut off while it is mapped ends nothing: it knows no address until it is whole again', () => {
  const path = small('cut.mmdb')
  const script = `
    import { truncateSync, writeFileSync, readFileSync } from 'node:fs'
    import { MmdbFile } from ${JSON.stringify(join(import.meta.dirname, '../../src/geo/mmdb-file.ts'))}
    import { ip } from ${JSON.stringify(join(import.meta.dirname, '../../src/net/ip.ts'))}
    const whole = readFileSync(${JSON.stringify(path)})
    const file = new MmdbFile({ path: ${JSON.stringify(path)}, isInstalled: true })
    const known = () => file.record(ip('2001:db8::1'))?.city ?? null
    const seen = [known()]
    truncateSync(${JSON.stringify(path)}, 0)
    seen.push(known())
    await file.reload().catch(({ message }) => seen.push(message.includes('not a readable MMDB file')))
    seen.push(known())
    writeFileSync(${JSON.stringify(path)}, whole)
    seen.push(known())
    console.log(JSON.stringify(seen))`
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  expect({ status, seen: stdout.trim() }).toEqual({ status: 0, seen: '["six",null,true,null,"six"]' })
})

describe('bytes that are wrong are an absent record, or no database', () => {
  test('every single changed byte', () => {
    for (let at = 0; at < SMALL.length; at++) {
      const changed = Buffer.from(SMALL)
      changed[at] = 0xff - (changed[at] ?? 0)
      try {
        new MmdbReader(inMemory(changed)).record(ip('203.0.113.9'))
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(RangeError)
      }
    }
  })

  test('a record that unfolds without end is given up', () => {
    const bytes = mmdb({ type: 'bomb', ipVersion: 4, records: { '203.0.113.0/24': { a: 1, b: 2 } } })
    // a map's first key becomes a pointer to the map itself
    const map = bytes.indexOf(Buffer.from([0xe2, 0x41, 0x61]))
    bytes[map + 1] = 0x20
    bytes[map + 2] = 0
    const path = small('bomb.mmdb', bytes)
    expect(() => new MmdbReader(inMemory(bytes)).record(ip('203.0.113.9'))).toThrow(RangeError)
    const file = new MmdbFile({ path, isInstalled: true })
    expect(file.record(ip('203.0.113.9'))).toBeNull()
    file.close()
  })
})
