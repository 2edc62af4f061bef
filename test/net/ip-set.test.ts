import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cidr } from '../../src/net/cidr.ts'
import { compareIp, fromIpv4Number, fromIpv6Words, type Ip, ip } from '../../src/net/ip.ts'
import { createIpSet, type IpRange, rangeOfCidr } from '../../src/net/ip-set.ts'

function setOf(...members: string[]) {
  return createIpSet(
    members.map((member) => {
      const [first = '', last] = member.split('-')
      return last === undefined ? rangeOfCidr(cidr(first)) : { first: ip(first), last: ip(last) }
    }),
  )
}

const written = (ranges: readonly IpRange[]) => ranges.map(({ first, last }) => `${first.text}-${last.text}`)

describe('the range of a prefix', () => {
  test.each([
    ['10.0.0.0/8', '10.0.0.0-10.255.255.255'],
    ['0.0.0.0/0', '0.0.0.0-255.255.255.255'],
    ['192.0.2.1/32', '192.0.2.1-192.0.2.1'],
    ['192.0.2.129/25', '192.0.2.128-192.0.2.255'],
    ['::/0', '::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['2001:db8::/33', '2001:db8::-2001:db8:7fff:ffff:ffff:ffff:ffff:ffff'],
    ['2001:db8::/64', '2001:db8::-2001:db8::ffff:ffff:ffff:ffff'],
  ])('%s is %s', (prefix, range) => {
    expect(written([rangeOfCidr(cidr(prefix))])).toEqual([range])
  })
})

describe('merging', () => {
  test.each([
    [
      ['10.0.0.5-10.0.0.9', '10.0.0.1-10.0.0.3'],
      ['10.0.0.1-10.0.0.3', '10.0.0.5-10.0.0.9'],
    ],
    [['10.0.0.1-10.0.0.3', '10.0.0.4-10.0.0.9'], ['10.0.0.1-10.0.0.9']],
    [['10.0.0.1-10.0.0.9', '10.0.0.2-10.0.0.3'], ['10.0.0.1-10.0.0.9']],
    [['10.0.0.0/9', '10.128.0.0/9', '10.0.0.0/8'], ['10.0.0.0-10.255.255.255']],
    [['::1-::ffff:ffff', '::1:0:0-::1:0:5'], ['::1-::1:0:5']],
    [
      ['255.255.255.255', '0.0.0.0'],
      ['0.0.0.0-0.0.0.0', '255.255.255.255-255.255.255.255'],
    ],
    [
      ['::', '255.255.255.255'],
      ['255.255.255.255-255.255.255.255', '::-::'],
    ],
    [[], []],
  ])('%j becomes %j', (members, expected) => {
    const set = setOf(...members)
    expect(written(set.ranges())).toEqual(expected)
    expect(set.size).toBe(expected.length)
  })
})

test('families never mix', () => {
  expect(setOf('0.0.0.0/0').has(ip('::ffff:10.0.0.1'))).toBe(false)
  expect(setOf('::/0').has(ip('10.0.0.1'))).toBe(false)
})

test('membership is what looking through all ranges says', () => {
  const v4 = fc.integer({ min: 0, max: 40 }).map((n) => fromIpv4Number(n))
  const v6 = fc
    .tuple(fc.constantFrom(0, 1, 0xffffffff), fc.integer({ min: 0, max: 8 }))
    .map(([a, b]) => fromIpv6Words([0, 0, a, b]))
  const rangeOf = (address: fc.Arbitrary<Ip>) =>
    fc.tuple(address, address).map(([a, b]) => (compareIp(a, b) <= 0 ? { first: a, last: b } : { first: b, last: a }))
  const ranges = fc.array(fc.oneof(rangeOf(v4), rangeOf(v6)), { maxLength: 8 })
  fc.assert(
    fc.property(ranges, fc.array(fc.oneof(v4, v6), { minLength: 1, maxLength: 10 }), (all, addresses) => {
      const set = createIpSet(all)
      for (const address of addresses) {
        const expected = all.some(
          ({ first, last }) =>
            first.family === address.family && compareIp(first, address) <= 0 && compareIp(address, last) <= 0,
        )
        expect(set.has(address)).toBe(expected)
      }
    }),
  )
})
