import { describe, expect, test } from 'vitest'
import { cidr, containsIp } from '../../src/net/cidr.ts'
import { ip } from '../../src/net/ip.ts'
import type { Account } from '../../src/policy/account.ts'
import { decide } from '../../src/policy/decide.ts'
import type { Flow } from '../../src/policy/flow.ts'
import type { Rule } from '../../src/policy/rule.ts'
import { AMS, account, colo, EWR, flow, identity, LAX, PLACES, rule, snapshot, VNETS, via } from './build.ts'

const alice = identity('alice@example.com', ['Finance'])

function decided(given: Account, rules: readonly Rule[], its: Flow) {
  const {
    outcome,
    rule: decider,
    reason,
    egress,
    ingressColo,
    physicalColo,
    logical,
  } = decide(snapshot(given, rules), its)
  return {
    outcome,
    rule: decider?.name ?? null,
    reason,
    from: egress?.address.text ?? null,
    fallback: egress?.fallback ?? null,
    ingress: ingressColo.code,
    physical: physicalColo?.code ?? null,
    logical: logical === null ? null : `${logical.colo.code} ${logical.place.city}`,
  }
}

const toBank = rule({
  name: 'Finance to the bank',
  precedence: 1000,
  traffic: 'any(net.fqdn.domains[*] == "bank.saas.test")',
  identity: 'any(identity.groups[*].name == "Finance")',
  egress: via(20, 30),
})
const bankFlow = flow({ identity: alice, host: 'bank.saas.test', userPlace: PLACES.england })

describe('[E1] each outcome with its rule, address and reason', () => {
  test('dedicated: a matching rule has egress settings', () => {
    expect(decided(account(), [toBank], bankFlow)).toEqual({
      outcome: 'dedicated',
      rule: 'Finance to the bank',
      reason: 'rule `Finance to the bank` (precedence 1000) sends this to 203.0.113.20 at LHR',
      from: '203.0.113.20',
      fallback: false,
      ingress: 'LHR',
      physical: 'LHR',
      logical: 'LHR London',
    })
  })

  test('dedicated-fallback: the primary’s colo is down', () => {
    expect(decided(account({ colosDown: new Set(['LHR']) }), [toBank], bankFlow)).toMatchObject({
      outcome: 'dedicated-fallback',
      rule: 'Finance to the bank',
      reason:
        'rule `Finance to the bank` (precedence 1000) sends this to 203.0.113.20; its colo LHR is down, so the fallback 203.0.113.30 is used',
      from: '203.0.113.30',
      fallback: true,
      physical: 'IAD',
      logical: `IAD ${colo('IAD').city}`,
    })
  })

  test('unroutable: the primary’s colo is down and there is no fallback', () => {
    const alone = { ...toBank, egress: via(20) }
    expect(decided(account({ colosDown: new Set(['LHR']) }), [alone], bankFlow)).toMatchObject({
      outcome: 'unroutable',
      rule: 'Finance to the bank',
      reason:
        'rule `Finance to the bank` (precedence 1000) sends this to 203.0.113.20; its colo LHR is down and the rule has no fallback',
      from: null,
      physical: null,
      logical: null,
    })
  })

  test('unroutable: the fallback’s colo is down as well', () => {
    expect(decided(account({ colosDown: new Set(['LHR', 'IAD']) }), [toBank], bankFlow)).toMatchObject({
      outcome: 'unroutable',
      reason:
        'rule `Finance to the bank` (precedence 1000) sends this to 203.0.113.20; its colo LHR is down, and so is IAD, the colo of its fallback 203.0.113.30',
      from: null,
    })
  })

  test('[R6] default: the fallback is `0.0.0.0`, shared egress at the colo nearest the user', () => {
    const shared = { ...toBank, egress: via(20, '0.0.0.0') }
    expect(decided(account({ colosDown: new Set(['LHR']) }), [shared], bankFlow)).toMatchObject({
      outcome: 'default',
      rule: 'Finance to the bank',
      reason:
        'rule `Finance to the bank` (precedence 1000) sends this to 203.0.113.20; its colo LHR is down, so the fallback `0.0.0.0`, shared egress, is used at MAN',
      ingress: 'MAN',
      physical: 'MAN',
      logical: 'MAN Manchester',
    })
  })

  test('[R4] default: the matching rule has no egress settings', () => {
    const plain = { ...toBank, egress: null }
    expect(decided(account({ dedicatedIps: [] }), [plain], bankFlow)).toMatchObject({
      outcome: 'default',
      rule: 'Finance to the bank',
      reason:
        'rule `Finance to the bank` (precedence 1000) uses shared egress, which leaves from LHR, the data center nearest the user',
      physical: 'LHR',
    })
  })

  test('[E2] balanced: no rule matched', () => {
    expect(decided(account(), [toBank], flow({ userPlace: PLACES.netherlands }))).toMatchObject({
      outcome: 'balanced',
      rule: null,
      reason:
        "no rule matched; the account's dedicated IPs are balanced and 203.0.113.10 at AMS is nearest the user (35 km)",
      from: '203.0.113.10',
      ingress: 'AMS',
      physical: 'AMS',
      logical: 'AMS Amsterdam',
    })
  })

  test('[E2] default: no rule matched and the setting says so', () => {
    const given = account({ settings: { noRuleMatched: 'default' } })
    expect(decided(given, [], flow({ userPlace: PLACES.netherlands }))).toMatchObject({
      outcome: 'default',
      rule: null,
      reason: 'no rule matched and the account uses shared egress in that case, so shared egress at AMS is used',
    })
  })

  test('default: no rule matched and the account has no dedicated IPs', () => {
    expect(decided(account({ dedicatedIps: [] }), [], flow({ userPlace: PLACES.india }))).toMatchObject({
      outcome: 'default',
      reason: 'no rule matched and the account has no dedicated IPs, so shared egress at BOM is used',
      logical: 'BOM Mumbai',
    })
  })

  test('default: no rule matched and every dedicated IP is down', () => {
    const given = account({ dedicatedIps: [AMS], colosDown: new Set(['AMS']) })
    expect(decided(given, [], flow({ userPlace: PLACES.india }))).toMatchObject({
      outcome: 'default',
      reason:
        'no rule matched and no dedicated IP of this family is at a data center that is up, so shared egress at BOM is used',
    })
  })

  test('unroutable: every colo is down', () => {
    const given = account()
    const dark = { ...given, colosDown: new Set(given.colos.keys()) }
    expect(decided(dark, [toBank], bankFlow)).toMatchObject({
      outcome: 'unroutable',
      reason: 'every data center is down, so no connection can leave',
      ingress: 'SFO',
    })
  })

  test('unroutable: the account does not own what the rule names', () => {
    expect(decided(account({ dedicatedIps: [AMS] }), [toBank], bankFlow)).toMatchObject({
      outcome: 'unroutable',
      reason: 'rule `Finance to the bank` (precedence 1000) sends this to 203.0.113.20, which the account does not own',
    })
    const lost = decided(
      account({ dedicatedIps: [AMS] }),
      [toBank],
      flow({ identity: alice, host: 'bank.saas.test', to: '[2001:db8:f00::7]:443' }),
    )
    expect(lost.reason).toBe(
      'rule `Finance to the bank` (precedence 1000) sends this to 2001:db8:20::/64, which the account does not own',
    )
  })
})

describe('[E1] exempt: no rule is consulted', () => {
  const everything = rule({ name: 'everything', egress: via(10, 20) })
  const networks = [
    { id: 'r8', network: cidr('10.0.0.0/8'), virtualNetworkId: VNETS.default, tunnelId: 'wide', comment: '' },
    { id: 'r16', network: cidr('10.1.0.0/16'), virtualNetworkId: VNETS.default, tunnelId: 'narrow', comment: '' },
    { id: 'r6', network: cidr('fd00:1::/48'), virtualNetworkId: VNETS.default, tunnelId: 'six', comment: '' },
    { id: 'emea', network: cidr('172.16.0.0/12'), virtualNetworkId: VNETS.emea, tunnelId: 'emea', comment: '' },
  ]
  const names = [
    { id: 'h1', hostname: 'wiki.corp.test', tunnelId: 'wiki', comment: '' },
    { id: 'h2', hostname: '*.corp.test', tunnelId: 'corp', comment: '' },
  ]
  const routed = account({ privateRoutes: networks, hostnameRoutes: names })

  test('private routes, the most specific first', () => {
    expect(decide(snapshot(routed, [everything]), flow({ to: '10.1.2.3:80' })).exempt).toEqual({
      kind: 'private-route',
      routeId: 'r16',
      tunnelId: 'narrow',
    })
    expect(decide(snapshot(routed, [everything]), flow({ to: '10.2.2.3:80' })).exempt).toMatchObject({ routeId: 'r8' })
    expect(decide(snapshot(routed, [everything]), flow({ to: '[fd00:1::9]:80' })).exempt).toMatchObject({
      routeId: 'r6',
    })
    expect(decided(routed, [everything], flow({ to: '10.1.2.3:80' }))).toMatchObject({
      outcome: 'exempt',
      rule: null,
      reason: '10.1.2.3 is behind tunnel narrow by a private route: egress rules do not apply; shared egress at SFO',
    })
  })

  test('[D5] a public host name leaves from the connector’s own address, where it is declared for the family', () => {
    const own = account({
      privateRoutes: networks,
      hostnameRoutes: names,
      tunnelEgress: new Map([
        ['wiki', [ip('192.0.2.9')]],
        ['narrow', [ip('192.0.2.8')]],
      ]),
    })
    const wiki = decide(snapshot(own, [everything]), flow({ host: 'wiki.corp.test', to: '198.51.100.7:443' }))
    expect([wiki.outcome, wiki.egress?.address.text]).toEqual(['exempt', '192.0.2.9'])
    expect(wiki.reason).toBe(
      "`wiki.corp.test` is behind tunnel wiki by a host name route: egress rules do not apply; its connector's own address 192.0.2.9",
    )
    const egressOf = (to: string, host?: string) =>
      decide(snapshot(own, [everything]), flow(host === undefined ? { to } : { host, to })).egress?.address.text
    expect(egressOf('[2001:db8:f00::7]:443', 'wiki.corp.test')).toMatch(/^2001:db8:5a:/)
    // the private side of a tunnel sees no public address
    expect(egressOf('10.1.2.3:80')).toMatch(/^198\.18\./)
  })

  test('only routes of the virtual network in force', () => {
    const its = flow({ to: '172.16.0.9:80' })
    expect(decided(routed, [everything], its).outcome).toBe('dedicated')
    expect(decided(routed, [everything], { ...its, virtualNetworkId: VNETS.emea }).outcome).toBe('exempt')
  })

  test('host name routes before private ones, the exact name before the wildcard', () => {
    const exemptOf = (host: string) => decide(snapshot(routed, [everything]), flow({ host, to: '10.1.2.3:80' })).exempt
    expect(exemptOf('wiki.corp.test')).toMatchObject({ kind: 'hostname-route', tunnelId: 'wiki' })
    expect(exemptOf('a.b.corp.test')).toMatchObject({ kind: 'hostname-route', tunnelId: 'corp' })
    expect(exemptOf('corp.test')).toMatchObject({ kind: 'private-route' })
    expect(decided(routed, [], flow({ host: 'a.corp.test' })).reason).toBe(
      '`a.corp.test` is behind tunnel corp by a host name route: egress rules do not apply; shared egress at SFO',
    )
  })

  test('a transport whose proxying is switched off', () => {
    const off = account({ settings: { udpProxying: false } })
    expect(decided(off, [everything], flow({ transport: 'udp' }))).toMatchObject({
      outcome: 'exempt',
      reason: 'the account does not proxy UDP: egress rules do not apply; shared egress at SFO',
    })
    expect(decided(off, [everything], flow()).outcome).toBe('dedicated')
    expect(decided(account({ settings: { tcpProxying: false } }), [everything], flow()).outcome).toBe('exempt')
  })

  test('DNS resolved by Gateway', () => {
    expect(decided(account(), [everything], flow({ gatewayDns: true }))).toMatchObject({
      outcome: 'exempt',
      reason: 'DNS queries are resolved by Gateway itself: egress rules do not apply; shared egress at SFO',
    })
  })
})

describe('[E4] IPv6 has no fallback', () => {
  const six = { ...bankFlow, destination: flow({ to: '[2001:db8:f00::7]:443' }).destination }

  test('the range works while its colo is down, without counting as a fallback', () => {
    const result = decide(snapshot(account({ colosDown: new Set(['LHR']) }), [{ ...toBank, egress: via(20) }]), six)
    expect(result).toMatchObject({ outcome: 'dedicated', egress: { fallback: false }, physicalColo: { code: 'MAN' } })
    expect(result.reason).toBe(
      'rule `Finance to the bank` (precedence 1000) sends this to 2001:db8:20::/64, which works from every data center and leaves from MAN',
    )
  })

  test('the address inside the /64 is the user’s own, time after time', () => {
    const addressOf = (its: Flow) => decide(snapshot(account(), [toBank]), its).egress?.address
    const first = addressOf(six)
    expect(first && containsIp(cidr('2001:db8:20::/64'), first)).toBe(true)
    expect(addressOf({ ...six, source: { ...six.source, port: 1 } })?.text).toBe(first?.text)
    expect(addressOf({ ...six, identity: { ...alice, email: 'zoe@example.com' } })?.text).not.toBe(first?.text)
  })
})

describe('[E5] the worked example: LAX primary, EWR secondary, a user in Las Vegas', () => {
  const given = account({ dedicatedIps: [LAX, EWR] })
  const rules = [rule({ name: 'all via LAX', precedence: 1, egress: via(40, 50) })]
  const cases = [
    ['espn.com', false, '198.51.100.30:443', 'LAX'],
    ['cloudflare.com', true, '104.16.132.229:443', 'LAS'],
    ['espn.com', false, '[2001:db8:f00::30]:443', 'LAS'],
    ['cloudflare.com', true, '[2606:4700::6810:84e5]:443', 'LAS'],
  ] as const

  test.each(cases)('to %s (proxied: %s) at %s leaves physically from %4$s', (host, proxied, to, physical) => {
    const its = flow({ host, to, proxiedByCloudflare: proxied, userPlace: PLACES.lasVegas })
    for (const by of [rules, []]) {
      expect(decided(given, by, its)).toMatchObject({ ingress: 'LAS', physical, logical: 'LAX Los Angeles' })
    }
  })

  test('and says that a proxied destination is reached from the colo nearest the user', () => {
    const its = flow({ host: 'cloudflare.com', proxiedByCloudflare: true, userPlace: PLACES.lasVegas })
    expect(decided(given, rules, its).reason).toBe(
      'rule `all via LAX` (precedence 1) sends this to 203.0.113.40; Cloudflare proxies the destination, so it is reached from LAS, the data center nearest the user',
    )
  })
})

test('a BYOIP address is logically where the databases say it is, physically at its colo', () => {
  const byoip = { ...LAX, geolocation: { city: 'Toronto', country: 'CA', latitude: 43.7, longitude: -79.4 } }
  expect(decided(account({ dedicatedIps: [byoip] }), [], flow({ userPlace: PLACES.lasVegas }))).toMatchObject({
    physical: 'LAX',
    logical: 'LAX Toronto',
  })
})

test('a user without a place is taken to be where the source address is, else at the home colo', () => {
  expect(decided(account(), [], flow({ sourcePlace: PLACES.england })).ingress).toBe('LHR')
  expect(decided(account(), [], flow()).ingress).toBe('SFO')
})
