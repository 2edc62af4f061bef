// Which commands make prefixes a machine's own, on each system, and which are left out with a reason.

import { expect, test } from 'vitest'
import { isOwn, type OwnAddresses } from '../../src/config/stand-ins.ts'
import { changeOf, changesFor, NONLOCAL_BIND, showCommand } from '../../src/host-addresses/change-machine.ts'
import { cidr } from '../../src/net/cidr.ts'

const WANTED = [cidr('203.0.113.10'), cidr('2001:db8:10::/64')]
const NOTHING: OwnAddresses = { prefixes: [], ipv6NonlocalBind: false }
const byRoute = (...prefixes: string[]) => prefixes.map((text) => ({ prefix: cidr(text), by: 'route' as const }))

function added(own: OwnAddresses, system: NodeJS.Platform): string[] {
  return changesFor(WANTED, own, system).changes.map(({ add }) => showCommand(add))
}

test('Linux: a local route for each prefix, and the switch that IPv6 needs', () => {
  expect(added(NOTHING, 'linux')).toEqual([
    'ip -4 route add local 203.0.113.10/32 dev lo',
    'ip -6 route add local 2001:db8:10::/64 dev lo',
    'sysctl -q -w net.ipv6.ip_nonlocal_bind=1',
  ])
})

test('what is there already is not added: an address inside a wider route, an address of an interface, the switch', () => {
  expect(added({ prefixes: byRoute('203.0.113.0/24', '2001:db8:10::/64'), ipv6NonlocalBind: true }, 'linux')).toEqual(
    [],
  )
  expect(added({ prefixes: byRoute('203.0.113.0/24', '2001:db8::/32'), ipv6NonlocalBind: false }, 'linux')).toEqual([
    'sysctl -q -w net.ipv6.ip_nonlocal_bind=1',
  ])
})

test('without IPv6 its ranges are left out, and IPv4 is not', () => {
  const { changes, impossible } = changesFor(WANTED, { prefixes: [], ipv6NonlocalBind: undefined }, 'linux')
  expect(changes.map(({ what }) => what)).toEqual(['203.0.113.10/32'])
  expect(impossible).toEqual([{ prefix: '2001:db8:10::/64', why: 'IPv6 is switched off on this machine' }])
})

test('macOS: an alias of lo0 for each single address; ranges are left out', () => {
  expect(added(NOTHING, 'darwin')).toEqual(['ifconfig lo0 inet 203.0.113.10 netmask 255.255.255.255 alias'])
  expect(changesFor(WANTED, NOTHING, 'darwin').impossible).toMatchObject([{ prefix: '2001:db8:10::/64' }])
  expect(showCommand(changeOf('203.0.113.10/32', 'darwin').remove)).toBe('ifconfig lo0 inet 203.0.113.10 -alias')
})

test('elsewhere nothing can be added', () => {
  expect(changesFor(WANTED, NOTHING, 'win32')).toMatchObject({ changes: [], impossible: [{}, {}] })
})

test('the way back of each change undoes it', () => {
  expect(showCommand(changeOf('2001:db8:10::/64', 'linux').remove)).toBe(
    'ip -6 route del local 2001:db8:10::/64 dev lo',
  )
  expect(showCommand(changeOf(NONLOCAL_BIND, 'linux').remove)).toBe('sysctl -q -w net.ipv6.ip_nonlocal_bind=0')
})

test('an IPv6 range is own only where all of it can be bound; one address of an interface binds by itself', () => {
  const range = cidr('2001:db8:10::/64')
  expect(isOwn({ prefixes: byRoute('2001:db8:10::/64'), ipv6NonlocalBind: false }, range)).toBe(false)
  expect(isOwn({ prefixes: byRoute('2001:db8:10::/64'), ipv6NonlocalBind: true }, range)).toBe(true)
  expect(isOwn({ prefixes: byRoute('2001:db8:10::/80'), ipv6NonlocalBind: true }, range)).toBe(false)
  const one = { prefix: cidr('2001:db8::7'), interface: 'eth0', by: 'address' as const }
  expect(isOwn({ prefixes: [one], ipv6NonlocalBind: false }, cidr('2001:db8::7'))).toBe(true)
})
