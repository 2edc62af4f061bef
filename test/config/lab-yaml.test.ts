// What scripts rely on of the shipped configuration (config/lab.yaml): pinned here, value by value.

import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'

const lab = loadConfig('config/lab.yaml', { hasIpv6Loopback: true })

test('five cities, each with its IPv4 address, its /64 and stand-ins with the same last number', () => {
  const seen = lab.dedicatedIps.map(({ colo, ipv4, ipv6 }) => [
    colo,
    ipv4?.address.text,
    ipv4?.standIns.map(({ text }) => text),
    ipv6?.range.text,
    ipv6?.standIns.map(({ text }) => text),
  ])
  expect(seen).toEqual([
    ['AMS', '203.0.113.10', ['127.0.10.10'], '2001:db8:10::/64', ['127.0.16.10', '::1']],
    ['LHR', '203.0.113.20', ['127.0.10.20'], '2001:db8:20::/64', ['127.0.16.20', '::1']],
    ['IAD', '203.0.113.30', ['127.0.10.30'], '2001:db8:30::/64', ['127.0.16.30', '::1']],
    ['LAX', '203.0.113.40', ['127.0.10.40'], '2001:db8:40::/64', ['127.0.16.40', '::1']],
    ['EWR', '203.0.113.50', ['127.0.10.50'], '2001:db8:50::/64', ['127.0.16.50', '::1']],
  ])
})

test('LC-05: on a machine without ::1 the IPv6 ranges go by their IPv4 stand-ins alone', () => {
  const [first] = loadConfig('config/lab.yaml', { hasIpv6Loopback: false }).dedicatedIps
  expect(first?.ipv6?.standIns.map(({ text }) => text)).toEqual(['127.0.16.10'])
})

test('four people with the published passwords, and a Finance group of one', () => {
  const seen = lab.users.map(({ identity, password }) => [
    identity.email,
    password?.kind === 'plain' ? password.text.reveal() : undefined,
    identity.groups.map(({ name }) => name),
  ])
  expect(seen).toEqual([
    ['alice@example.com', 'lab-alice', ['Finance']],
    ['bob@example.com', 'lab-bob', ['Engineering']],
    ['carol@example.com', 'lab-carol', ['Engineering']],
    ['dave@example.com', 'lab-dave', ['Engineering']],
  ])
})

test('every person comes from a device of their own', () => {
  const owner = new Map(lab.devices.map(({ device, user }) => [device.id, user]))
  expect(lab.users.map(({ defaultDevice }) => owner.get(defaultDevice ?? ''))).toEqual(
    lab.users.map(({ identity }) => identity.email),
  )
})

test('three virtual networks, one of them the default, and a rule for each of the others', () => {
  expect(lab.virtualNetworks.map(({ name, isDefault }) => [name, isDefault])).toEqual([
    ['default', true],
    ['vnet-AMER', false],
    ['vnet-EMEA', false],
  ])
  const egressOf = (name: string) => {
    const id = lab.virtualNetworks.find((network) => network.name === name)?.id ?? '?'
    return lab.rules.find(({ traffic }) => traffic.includes(id))?.egress?.ipv4
  }
  expect(egressOf('vnet-AMER')).toBe('203.0.113.40')
  expect(egressOf('vnet-EMEA')).toBe('203.0.113.20')
})

test('Finance reaches the bank from London, with Ashburn to fall back on, and the bank lets in just those', () => {
  const rule = lab.rules.find(({ name }) => name === 'Finance to the bank')
  expect(rule?.egress).toEqual({ ipv4: '203.0.113.20', ipv4Fallback: '203.0.113.30', ipv6: '2001:db8:20::/64' })
  const bank = lab.origins.find(({ name }) => name === 'bank.saas.test')
  expect(bank?.allow.map(({ text }) => text)).toEqual(['203.0.113.20/32', '203.0.113.30/32'])
})

test('the catch-all is there, goes to shared egress and is off', () => {
  expect(lab.rules.at(-1)).toMatchObject({
    enabled: false,
    egress: null,
    traffic: 'net.protocol in {"tcp" "udp"}',
  })
  expect(lab.rules.filter(({ enabled }) => !enabled)).toHaveLength(1)
})

test('origins of every kind stand on the loopback interface, on ports that need no root', () => {
  expect(lab.origins.map(({ name, kind }) => `${kind} ${name}`)).toEqual([
    'echo ipv4.icanhazip.com',
    'echo ipv6.icanhazip.com',
    'echo ifconfig.me',
    'saas bank.saas.test',
    'saas payroll.saas.test',
    'search search.saas.test',
    'site espn.com',
    'site cloudflare.com',
    'echo partner.test',
    'udp-echo udp-echo.test',
  ])
  const addresses = lab.destinations.flatMap((destination) => destination.addresses)
  expect(addresses.map((address) => [address.public.text, address.standIn.text])).toEqual([
    ['198.51.100.4', '127.0.20.4'],
    ['2001:db8:f00::6', '127.0.26.6'],
    ['198.51.100.5', '127.0.20.5'],
    ['2001:db8:f00::5', '127.0.26.5'],
    ['198.51.100.20', '127.0.20.20'],
    ['198.51.100.21', '127.0.20.21'],
    ['198.51.100.30', '127.0.20.30'],
    ['2001:db8:f00::30', '127.0.26.30'],
    ['198.51.100.40', '127.0.20.40'],
    ['2001:db8:f00::40', '127.0.26.40'],
    ['104.16.132.229', '127.0.20.229'],
    ['2606:4700::6810:84e5', '127.0.26.229'],
    ['198.51.100.150', '127.0.20.150'],
    ['198.51.100.7', '127.0.20.7'],
  ])
  const web = [
    [80, 10_080],
    [443, 10_443],
  ]
  for (const { public: address, ports } of addresses) {
    expect([...ports]).toEqual(address.text === '198.51.100.7' ? [[7, 10_007]] : web)
  }
})

test('one door on 127.0.0.1:8080 that asks for credentials, and the API on 127.0.0.1:8090', () => {
  expect(lab.listeners).toEqual([{ name: 'main', host: '127.0.0.1', port: 8080, authentication: 'required' }])
  expect(lab.api).toMatchObject({ host: '127.0.0.1', port: 8090, names: [] })
})

test('passwords do not show when the configuration is printed', () => {
  expect(JSON.stringify(lab)).not.toContain('lab-alice')
})

test('ports from zero and another network of stand-ins, so that labs do not collide', () => {
  const other = loadConfig('config/lab.yaml', { portsFromZero: true, standInNetwork: '127.37.0.0/16' })
  expect(other.listeners.map(({ port }) => port)).toEqual([0])
  expect(other.api.port).toBe(0)
  expect(other.dedicatedIps[0]?.ipv4?.standIns[0]?.text).toBe('127.37.10.10')
  expect(other.destinations[0]?.addresses[0]?.standIn.text).toBe('127.37.20.4')
  expect(other.destinations[0]?.addresses[0]?.ports.get(80)).toBe(10_080)
})

test('every configured place says its continent, for `net.dst.geo.continent` and `net.src.geo.continent`', () => {
  const continentOf = (name: string) => lab.destinations.find((one) => one.name === name)?.place?.continent
  expect([continentOf('bank.saas.test'), continentOf('espn.com')]).toEqual(['EU', 'NA'])
  expect(lab.users.flatMap(({ place }) => (place === undefined ? [] : [place.continent]))).toEqual(['EU', 'NA'])
})
