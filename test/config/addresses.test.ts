// `addresses`: which egress addresses are bound themselves, given what the machine answers for.

import { expect, test } from 'vitest'
import { checkConfigText } from '../../src/config/load.ts'
import type { OwnAddresses } from '../../src/config/stand-ins.ts'
import { cidr } from '../../src/net/cidr.ts'

const OWN: OwnAddresses = {
  prefixes: ['203.0.113.10', '2001:db8:10::/64', '198.18.0.0/23'].map((text) => ({ prefix: cidr(text), by: 'route' })),
  ipv6NonlocalBind: true,
}

/** What is bound for each dedicated IP, and for shared IPv4 egress. */
function bound(text: string, own = OWN) {
  const { config, issues } = checkConfigText('lab.yaml', text, { own, hasIpv6Loopback: true })
  expect(issues).toEqual([])
  return {
    dedicated: config?.dedicatedIps.map(({ ipv4, ipv6 }) => [
      ...(ipv4?.standIns ?? []).map((ip) => ip.text),
      ...(ipv6?.isItself === true ? ['the range'] : []),
      ...(ipv6?.standIns ?? []).map((ip) => ip.text),
    ]),
    shared: config?.sharedEgress.ipv4.standIns.text,
  }
}

const IPS = `dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }
`
const STAND_INS = [
  ['127.0.10.10', '127.0.16.10', '::1'],
  ['127.0.10.20', '127.0.16.20', '::1'],
]

test('auto: each address on its own; what the machine has is bound itself, and an IPv4 stand-in stays for IPv6 origins that have one', () => {
  expect(bound(IPS)).toEqual({
    dedicated: [['203.0.113.10', 'the range', '127.0.16.10'], STAND_INS[1]],
    shared: '198.18.0.0/16',
  })
  expect(bound(IPS, { prefixes: [], ipv6NonlocalBind: false })).toEqual({
    dedicated: STAND_INS,
    shared: '127.18.0.0/16',
  })
})

test('stand-ins: never', () => {
  expect(bound(`addresses: stand-ins\n${IPS}`)).toEqual({ dedicated: STAND_INS, shared: '127.18.0.0/16' })
})

test('real: dedicated ones always; the start finds out whether they are there', () => {
  expect(bound(`addresses: real\n${IPS}`, { prefixes: [], ipv6NonlocalBind: false })).toEqual({
    dedicated: [
      ['203.0.113.10', 'the range', '127.0.16.10'],
      ['203.0.113.20', 'the range', '127.0.16.20'],
    ],
    shared: '127.18.0.0/16',
  })
})

test('what an entry names stands, and what an exit realises is not bound here', () => {
  const text = `addresses: real
dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, stand_ins: { ipv4: 127.0.99.1 } }
  - { colo: LHR, ipv4: 203.0.113.20, exit: { socks5: "127.0.0.1:1080" } }
`
  expect(bound(text).dedicated).toEqual([['127.0.99.1'], ['127.0.10.20']])
})

test('freebind and transparent bind the addresses themselves, whether or not this machine has them; a device alone does not', () => {
  const text = `dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.40, ipv6: "2001:db8:40::/64", bind: { freebind: true } }
  - { colo: LHR, ipv4: 203.0.113.41, bind: { transparent: true }, stand_ins: { ipv4: 127.0.99.1 } }
  - { colo: IAD, ipv4: 203.0.113.42, bind: { device: wg0 } }
shared_egress: { bind: { transparent: true } }
`
  expect(bound(text)).toEqual({
    dedicated: [['203.0.113.40', 'the range', '127.0.16.40'], ['127.0.99.1'], ['127.0.10.42']],
    shared: '198.18.0.0/16',
  })
})

test.each([
  [
    'bind: { device: wg0 }, exit: { socks5: "127.0.0.1:1080" }',
    'an address with an `exit` is not bound here, so `bind` has no effect',
  ],
  ['bind: { device: "a b" }', '`a b` is not the name of a network device such as `eth1`'],
  [
    'bind: { device: wg0 } }]\nengine: node # {[',
    'the engine `node` can only bind addresses of this machine, by whatever device the routes say',
  ],
  [
    'exit: { socks5: "127.0.0.1:1080", device: wg0 } }]\nengine: node # {[',
    'the engine `node` can only bind addresses of this machine, by whatever device the routes say',
  ],
])('%s is refused and says why', (entry, message) => {
  const text = `dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10, ${entry} }]\n`
  const { issues } = checkConfigText('lab.yaml', text, { own: OWN, hasIpv6Loopback: true })
  expect(issues.map((issue) => issue.message)).toEqual([message])
})
