import { describe, expect, test } from 'vitest'
import { capacityOf, PlaceholderTable, placeholderOf } from '../../src/dns/placeholder-table.ts'
import { cidr } from '../../src/net/cidr.ts'
import { ip } from '../../src/net/ip.ts'

const [ONE, TWO, SIX] = [ip('198.51.100.1'), ip('198.51.100.2'), ip('2001:db8::1')]

/** A table over ranges and a clock that the test sets. */
function table(v4 = '100.80.0.0/16') {
  const world = { v4, v6: '2606:4700:cf1:4000::/64', now: 0 }
  const placeholders = new PlaceholderTable({
    rangeOf: (family) => cidr(family === 4 ? world.v4 : world.v6),
    now: () => world.now,
    idleMs: 1_000,
    reuseMs: 100,
  })
  return { world, placeholders, give: (name: string, address = ONE) => placeholders.give(name, [address])?.text }
}

function found(placeholders: PlaceholderTable, text: string) {
  const at = placeholders.at(ip(text))
  return at === undefined || at === 'unknown' ? at : at.name
}

describe('a range', () => {
  test.each([
    ['100.80.0.0/16', 65_534, '100.80.0.1', '100.80.255.254'],
    ['100.80.0.0/30', 2, '100.80.0.1', '100.80.0.2'],
    ['100.80.0.0/31', 2, '100.80.0.0', '100.80.0.1'],
    ['100.80.0.7/32', 1, '100.80.0.7', '100.80.0.7'],
    ['2606:4700:cf1:4000::/64', 65_534, '2606:4700:cf1:4000::1', '2606:4700:cf1:4000::fffe'],
    ['2001:db8::/127', 2, '2001:db8::', '2001:db8::1'],
    ['2001:db8::5/128', 1, '2001:db8::5', '2001:db8::5'],
  ])('%s holds %i placeholders, from %s to %s', (range, capacity, first, last) => {
    expect(capacityOf(cidr(range))).toBe(capacity)
    expect(placeholderOf(cidr(range), 1).text).toBe(first)
    expect(placeholderOf(cidr(range), capacity).text).toBe(last)
  })
})

describe('a placeholder', () => {
  test('is the first of the range for the first name, the next for the next, by family', () => {
    const { give } = table()
    expect([give('a.test'), give('b.test'), give('a.test', SIX)]).toEqual([
      '100.80.0.1',
      '100.80.0.2',
      '2606:4700:cf1:4000::1',
    ])
  })

  test('stays with its name while one of the addresses found is the one it stands for, in whatever order they come', () => {
    const { placeholders } = table()
    const given = [[ONE, TWO], [TWO, ONE], [ONE]] as const
    expect(given.map((addresses) => placeholders.give('a.test', addresses)?.text)).toEqual(Array(3).fill('100.80.0.1'))
  })

  test('stands for the address that was resolved: a name that moves gets another, and the old one stays what it was', () => {
    const { placeholders, give } = table()
    expect([give('a.test', ONE), give('a.test', TWO)]).toEqual(['100.80.0.1', '100.80.0.2'])
    expect(placeholders.at(ip('100.80.0.1'))).toMatchObject({ name: 'a.test', address: ONE })
    expect(placeholders.at(ip('100.80.0.2'))).toMatchObject({ name: 'a.test', address: TWO })
  })

  test('is forgotten when nobody has used it for its life, and not a moment earlier', () => {
    const { world, placeholders, give } = table()
    give('a.test')
    world.now = 999
    expect(found(placeholders, '100.80.0.1')).toBe('a.test')
    world.now = 1_998
    expect(found(placeholders, '100.80.0.1')).toBe('a.test')
    world.now = 2_998
    expect(found(placeholders, '100.80.0.1')).toBe('unknown')
  })

  test('is not forgotten under a connection, and lives on from the end of the last one', () => {
    const { world, placeholders, give } = table()
    give('a.test')
    const at = placeholders.at(ip('100.80.0.1'))
    if (at === undefined || at === 'unknown') throw new RangeError('given out just now')
    const release = at.hold()
    world.now = 10_000
    expect(placeholders.list()).toMatchObject([{ name: 'a.test', connections: 1, unusedMs: 0 }])
    release()
    release()
    world.now = 10_999
    expect(placeholders.list()).toMatchObject([{ name: 'a.test', connections: 0, unusedMs: 999 }])
    world.now = 11_000
    expect(placeholders.list()).toEqual([])
  })

  test('is unknown where the range has it and no name does, and none at all outside', () => {
    const { placeholders } = table()
    expect(found(placeholders, '100.80.0.1')).toBe('unknown')
    expect(found(placeholders, '2606:4700:cf1:4000::99')).toBe('unknown')
    expect(found(placeholders, '198.51.100.1')).toBeUndefined()
  })
})

describe('a range that is used up', () => {
  test('takes back what was unused the longest, once clients have let go of it', () => {
    const { world, placeholders, give } = table('100.80.0.0/30')
    give('a.test')
    world.now = 10
    give('b.test')
    world.now = 109
    expect(give('a.test')).toBe('100.80.0.1')
    expect(give('c.test')).toBeUndefined()
    world.now = 110
    expect(give('c.test')).toBe('100.80.0.2')
    expect(found(placeholders, '100.80.0.2')).toBe('c.test')
    expect(give('b.test')).toBeUndefined()
  })

  test('never takes one back that has a connection, however old', () => {
    const { world, placeholders, give } = table('100.80.0.0/31')
    give('a.test')
    give('b.test')
    const at = placeholders.at(ip('100.80.0.0'))
    if (at === undefined || at === 'unknown') throw new RangeError('given out just now')
    const release = at.hold()
    world.now = 900
    expect(give('c.test')).toBe('100.80.0.1')
    expect(give('d.test')).toBeUndefined()
    release()
    world.now = 950
    expect(give('c.test')).toBe('100.80.0.1')
    world.now = 1_001
    expect(give('d.test')).toBe('100.80.0.0')
  })
})

test('a range that is moved serves new names from its new place; what was given out stays good', () => {
  const { world, placeholders, give } = table()
  give('a.test')
  world.v4 = '100.90.0.0/24'
  expect(give('b.test')).toBe('100.90.0.1')
  expect(found(placeholders, '100.80.0.1')).toBe('a.test')
  expect(found(placeholders, '100.80.0.2')).toBeUndefined()
  world.v4 = '100.80.0.0/30'
  expect([give('c.test'), give('d.test')]).toEqual(['100.80.0.2', undefined])
})

test('a whole /16 can be given out, each address once', () => {
  const { give } = table()
  const given = new Set(Array.from({ length: 65_534 }, (_, at) => give(`${at}.test`)))
  expect(given.size).toBe(65_534)
  expect(given.has(undefined)).toBe(false)
  expect(give('one-more.test')).toBeUndefined()
})

test('members of a fleet give out parts of a range that have nothing in common, and no more than their own', () => {
  const range = cidr('100.80.0.0/28')
  const given = [0, 1, 2].map((index) => {
    const table = new PlaceholderTable({ rangeOf: () => range, now: () => 0, part: { index, of: 3 } })
    const ask = (at: number) => table.give(`h${at}.test`, [ip('198.51.100.1')])?.text
    return Array.from({ length: 5 }, (_, at) => ask(at))
  })
  expect(given.map((each) => each.at(-1))).toEqual([undefined, undefined, undefined])
  const all = given.flatMap((each) => each.slice(0, -1))
  expect(new Set(all).size).toBe(12)
  expect(all).not.toContain(undefined)
})
