// Spellings of addresses: what is one, and which one (RFC 4291 section 2.2, RFC 5952).

import { describe, expect, test } from 'vitest'
import { compareIp, equalIp, ip, parseIp, unmapIp } from '../../src/net/ip.ts'

describe('an address', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['1::', '1::'],
    ['2001:DB8::1', '2001:db8::1'],
    ['::1.2.3.4', '::102:304'],
    ['::ffff:1.2.3.4', '::ffff:102:304'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
    ['1:2:3:4:5::1.2.3.4', '1:2:3:4:5:0:102:304'],
    ['::1:2:3:4:5:6:7', '0:1:2:3:4:5:6:7'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['0001:0000::', '1::'],
  ])('%s is %s', (text, canonical) => {
    expect(parseIp(text)?.text).toBe(canonical)
  })
  test.each([
    '',
    '10',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '10.0.0.1.1',
    '10.0.0.1/32',
    ' 10.0.0.1',
    '0x0a000001',
    ':',
    ':1',
    '1:',
    '1:::2',
    '1:2:3:4:5:6:7',
    '1:2:3:4::5:6:7:8',
    '1:2:3:4:5:6:7::8',
    '1:2:3:4:5:6:7:1.2.3.4',
    '1:2:3:4:5:6::1.2.3.4',
    '12345::',
    '::g',
    '::ffff:1.2.3',
    '::ffff:01.2.3.4',
    '::1.2.3.4:5',
    'fe80::1%eth0',
    '[::1]',
  ])('%j is none', (text) => {
    expect(parseIp(text)).toBeUndefined()
  })
})

test('equal means the same family too, and IPv4 sorts before IPv6', () => {
  expect(equalIp(ip('10.0.0.1'), ip('::ffff:10.0.0.1'))).toBe(false)
  expect(equalIp(unmapIp(ip('::ffff:10.0.0.1')), ip('10.0.0.1'))).toBe(true)
  expect(compareIp(ip('255.255.255.255'), ip('::'))).toBeLessThan(0)
  expect(compareIp(ip('200.0.0.1'), ip('100.0.0.1'))).toBeGreaterThan(0)
  expect(compareIp(ip('::1:0:0'), ip('::ffff:ffff'))).toBeGreaterThan(0)
})
