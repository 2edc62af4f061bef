// Decisions are kept and given out again: they must be those that an account nobody has asked before would give.

import { expect, test } from 'vitest'
import { ip } from '../../src/net/ip.ts'
import { decide } from '../../src/policy/decide.ts'
import { compileRuleset, createSnapshot } from '../../src/policy/ruleset.ts'
import { AMS, account, flow, IAD, identity, LAX, PLACES, rule, via } from './build.ts'
import { pick, randomOf } from './random-of.ts'

const rules = [
  rule({ traffic: 'net.dst.port == 1', egress: null }),
  rule({ traffic: 'net.dst.port == 2', egress: via(10) }),
  rule({ traffic: 'net.dst.port == 3', egress: via(20, 30) }),
  rule({ traffic: 'net.dst.port == 4', egress: via(40, '0.0.0.0') }),
  rule({ traffic: 'net.dst.port == 5', egress: via(99) }),
]
const { ruleset } = compileRuleset(rules, [], { hostSelector: true, expressions: 'default' })
const snapshots = [
  account(),
  account({ colosDown: new Set(['LHR', 'LAX']) }),
  account({ settings: { noRuleMatched: 'default' } }),
  account({ settings: { balanceTolerance: { share: 10, km: 20_000 } } }),
  account({ dedicatedIps: [AMS, LAX, IAD] }),
  account({ dedicatedIps: [] }),
].map((each) => createSnapshot(1, each, ruleset))
const places = [undefined, ...Object.values(PLACES)]
const people = [undefined, ...['a', 'b', 'c', 'd'].map((name) => identity(`${name}@example.com`))]
const addresses = ['198.51.100.7', '203.0.113.9', '2001:db8:f00::1', '2001:db8:f00::2']

test('[E4] [E5] [B4] a decision given out again is the one that was made for the very same circumstances', () => {
  const random = randomOf(20_261_122)
  for (let at = 0; at < 3000; at++) {
    const own = pick(snapshots, random)
    const [userPlace, destinationPlace, person] = [pick(places, random), pick(places, random), pick(people, random)]
    const connection = {
      ...flow({ proxiedByCloudflare: random(3) === 0 }),
      destination: { ip: ip(pick(addresses, random)), port: random(7) },
      ...(userPlace === undefined ? {} : { userPlace }),
      ...(destinationPlace === undefined ? {} : { destinationPlace }),
      ...(person === undefined ? {} : { identity: person }),
    }
    const given = decide(own, connection)
    const anew = decide(createSnapshot(1, own.account, ruleset), connection)
    expect(given).toEqual(anew)
  }
})
