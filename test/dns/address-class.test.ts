import { describe, expect, it } from 'vitest'
import { classifyAddress } from '../../src/dns/destination-guard.ts'
import { ip } from '../../src/net/ip.ts'

describe('an address is', () => {
  it.each([
    ['public', ['1.1.1.1', '93.184.216.34', '198.51.100.7', '203.0.113.10', '2606:4700::1111', '2001:db8::1']],
    ['loopback', ['127.0.0.1', '127.255.255.255', '127.0.20.7', '::1']],
    ['private', ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', 'fd12::1']],
    [
      'forbidden',
      ['0.0.0.0', '0.1.2.3', '::', '169.254.1.1', 'fe80::1', 'fec0::1', '224.0.0.1', '239.255.255.250', 'ff02::1'],
    ],
    ['forbidden', ['255.255.255.255', '240.0.0.1', '192.0.0.8', '100::1', '64:ff9b:1::a00:1']],
    ['forbidden', ['169.254.169.254', '100.100.100.200', 'fd00:ec2::254', '::ffff:169.254.169.254']],
    ['forbidden', ['100.80.0.1', '100.80.255.255', '2606:4700:cf1:4000::1']],
  ])('%s: %j (SS-05)', (kind, addresses) => {
    for (const address of addresses) expect([address, classifyAddress(ip(address)).kind]).toEqual([address, kind])
  })

  it.each([
    ['compatible', '::127.0.0.1'],
    ['mapped', '::ffff:127.0.0.1'],
    ['translated', '::ffff:0:127.0.0.1'],
    ['NAT64', '64:ff9b::127.0.0.1'],
    ['NAT64', '64:ff9b::a9fe:a9fe'],
    ['6to4', '2002:7f00:1::'],
    ['6to4', '2002:a00:1::1'],
    ['Teredo', '2001:0:53aa:64c::80ff:fffe'],
    ['ISATAP', '2001:db8::5efe:10.0.0.1'],
    ['ISATAP', 'fd00:1::200:5efe:127.0.0.1'],
  ])('not public because of the local address inside it, %s: %s (SS-02)', (_form, address) => {
    expect(classifyAddress(ip(address)).kind).not.toBe('public')
  })

  it.each(['64:ff9b::1.1.1.1', '2002:101:101::1', '2001:db8::5efe:1.1.1.1'])(
    'public with a public one inside: %s',
    (address) => {
      expect(classifyAddress(ip(address)).kind).toBe('public')
    },
  )
})
