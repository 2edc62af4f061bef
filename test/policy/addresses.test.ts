import { describe, expect, test } from 'vitest'
import { cidr, containsIp } from '../../src/net/cidr.ts'
import { ip } from '../../src/net/ip.ts'
import { hash32 } from '../../src/policy/balance.ts'
import {
  createSharedAddresses,
  findDedicatedByIpv4,
  findDedicatedByIpv6,
  userAddressIn,
  userKeyOf,
} from '../../src/policy/egress-address.ts'
import { SuffixTable } from '../../src/policy/matcher/hash-tables.ts'
import { PrefixTable, prefixesOf } from '../../src/policy/matcher/prefix-table.ts'
import { account, flow, identity, LHR } from './build.ts'

describe('[R5] [R7] dedicated addresses are found as rules write them', () => {
  test.each([
    ['203.0.113.20', LHR],
    ['203.0.113.99', undefined],
    ['not an address', undefined],
  ])('IPv4 `%s`', (written, owner) => {
    expect(findDedicatedByIpv4(account(), written)).toBe(owner)
  })

  test.each([
    ['2001:db8:20::/64', LHR],
    ['2001:DB8:0020::/64', LHR],
    ['2001:db8:20::5/64', LHR],
    ['2001:db8:20::/56', undefined],
    ['2001:db8:99::/64', undefined],
    ['', undefined],
  ])('IPv6 `%s`', (written, owner) => {
    expect(findDedicatedByIpv6(account(), written)).toBe(owner)
  })
})

describe('[E4] a user’s address inside a range', () => {
  const range = cidr('2001:db8:10::/64')

  test('lies in it, is the same every time, and differs between users', () => {
    const alice = userAddressIn(range, 'alice@example.com')
    expect(containsIp(range, alice)).toBe(true)
    expect(userAddressIn(range, 'alice@example.com').text).toBe(alice.text)
    expect(userAddressIn(range, 'bob@example.com').text).not.toBe(alice.text)
    expect(alice.text).toMatchInlineSnapshot(`"2001:db8:10:0:699c:9dc8:1961:ef88"`)
  })

  test('keeps the host part when the range differs', () => {
    const [a, b] = ['2001:db8:10::/64', '2001:db8:20::/64'].map((text) => userAddressIn(cidr(text), 'alice'))
    expect(a?.words.slice(2)).toEqual(b?.words.slice(2))
  })

  test.each(['2001:db8::/127', '2001:db8::/128', '2001:db8::/33', '2001:db8::/96'])('stays inside %s', (text) => {
    for (const user of ['a', 'b', 'c']) expect(containsIp(cidr(text), userAddressIn(cidr(text), user))).toBe(true)
  })

  test('is never the network’s own', () => {
    for (let at = 0; at < 50; at++) expect(userAddressIn(cidr('2001:db8::/127'), `u${at}`).text).toBe('2001:db8::1')
  })
})

test('a user is known by email, else id, else device, else source address', () => {
  expect(userKeyOf(flow({ identity: identity('alice@example.com') }))).toBe('alice@example.com')
  expect(userKeyOf(flow({ identity: { ...identity(''), id: 'u1' } }))).toBe('u1')
  expect(userKeyOf(flow({ device: { id: 'd1', name: '', posture: { passed: [], failed: [] } } }))).toBe('d1')
  expect(userKeyOf(flow())).toBe('192.0.2.9')
})

describe('shared egress', () => {
  const shared = createSharedAddresses(account())
  const codes = [...account().colos.keys()]

  test('counts colos from the first host of each range', () => {
    const [first = '', second = ''] = codes
    expect(shared.egressOf(first, 4)).toMatchObject({
      address: { text: '198.18.0.1' },
      standIns: [{ text: '127.18.0.1' }],
    })
    expect(shared.egressOf(second, 4).address.text).toBe('198.18.0.2')
    expect(shared.egressOf(first, 6)).toMatchObject({
      address: { text: '2001:db8:5a::1' },
      standIns: [{ text: '127.19.0.1' }],
    })
  })

  test('gives every colo its own address', () => {
    expect(new Set(codes.map((code) => shared.egressOf(code, 4).address.text)).size).toBe(codes.length)
  })

  test('repeats the first address where a range is too short', () => {
    const given = account()
    const tiny = { ...given.sharedEgress, ipv4: { range: cidr('198.18.0.0/30'), standIns: cidr('127.18.0.0/16') } }
    const last = codes.at(-1) ?? ''
    expect(createSharedAddresses({ ...given, sharedEgress: tiny }).egressOf(last, 4).address.text).toBe('198.18.0.1')
  })
})

test('the hash is fixed: other processes and later versions must spread users alike', () => {
  expect([hash32(''), hash32('a'), hash32('alice@example.com'), hash32('alice@example.com', 7)]).toMatchInlineSnapshot(`
    [
      2872998923,
      444641715,
      1337026280,
      1349584911,
    ]
  `)
})

describe('prefixes of a range', () => {
  test.each([
    ['10.0.0.0', '10.255.255.255', ['10.0.0.0/8']],
    ['10.0.0.1', '10.0.0.4', ['10.0.0.1/32', '10.0.0.2/31', '10.0.0.4/32']],
    ['0.0.0.0', '255.255.255.255', ['0.0.0.0/0']],
    ['255.255.255.254', '255.255.255.255', ['255.255.255.254/31']],
    ['::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', ['::/0']],
    ['2001:db8::ffff:ffff', '2001:db8::1:0:0', ['2001:db8::ffff:ffff/128', '2001:db8::1:0:0/128']],
  ])('%s to %s', (first, last, prefixes) => {
    expect(prefixesOf({ first: ip(first).words, last: ip(last).words })).toEqual(
      prefixes.map(cidr).map(({ base, length }) => ({ words: base.words, length })),
    )
  })
})

test('a prefix table shows every covering prefix, the innermost first', () => {
  const texts = ['0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24', '10.2.0.0/16', '255.255.255.255/32']
  const entries = texts
    .map(cidr)
    .map(({ base, length, text }) => ({ prefix: { words: base.words, length }, entry: texts.indexOf(text) }))
  const table = new PrefixTable(1, entries)
  const covering = (address: string) => {
    const found: string[] = []
    table.visitNumber(ip(address).words[0] ?? 0, { visit: (entry) => found.push(texts[entry] ?? '') })
    return found
  }
  expect(covering('10.1.2.3')).toEqual(['10.1.2.0/24', '10.1.0.0/16', '10.0.0.0/8', '0.0.0.0/0'])
  expect(covering('10.1.3.0')).toEqual(['10.1.0.0/16', '10.0.0.0/8', '0.0.0.0/0'])
  expect(covering('10.2.255.255')).toEqual(['10.2.0.0/16', '10.0.0.0/8', '0.0.0.0/0'])
  expect(covering('11.0.0.0')).toEqual(['0.0.0.0/0'])
  expect(covering('255.255.255.255')).toEqual(['255.255.255.255/32', '0.0.0.0/0'])
})

test('a suffix table finds endings of names and mail addresses, whatever the case', () => {
  const suffixes = ['.example.com', '.com', '@corp.example.com']
  const table = new SuffixTable(suffixes.map((suffix, entry) => ({ suffix, entry })))
  const endings = (text: string) => {
    const found: string[] = []
    table.visit(text, { visit: (entry) => found.push(suffixes[entry] ?? '') })
    return found
  }
  expect(endings('www.EXAMPLE.com')).toEqual(['.com', '.example.com'])
  expect(endings('bob@corp.example.com')).toEqual(['.com', '.example.com', '@corp.example.com'])
  expect(endings('example.com')).toEqual(['.com'])
  expect(endings('com')).toEqual([])
})
