import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createIngress } from '../../src/policy/account-tables.ts'
import { createBalancer } from '../../src/policy/balance.ts'
import { decide } from '../../src/policy/decide.ts'
import { COLOS, type Place } from '../../src/policy/place.ts'
import { AMS, account, dedicated, EWR, flow, IAD, identity, LAX, LHR, PLACES, snapshot } from './build.ts'

const trio = account({ dedicatedIps: [AMS, LHR, IAD] })

function chosen(given: typeof trio, user: Place | undefined, userKey = 'alice@example.com', destination?: Place) {
  return createBalancer(given).choose({ family: 4, user, destination, userKey })
}

describe('[B5] the worked example: dedicated IPs at AMS, LHR and IAD', () => {
  test.each([
    ['the Netherlands', PLACES.netherlands, 'AMS'],
    ['England', PLACES.england, 'LHR'],
    ['Seattle', PLACES.seattle, 'IAD'],
    ['Las Vegas', PLACES.lasVegas, 'IAD'],
    ['Mexico City', PLACES.mexico, 'IAD'],
    ['Montréal', PLACES.montreal, 'IAD'],
    ['Anchorage', { latitude: 61.22, longitude: -149.9 }, 'IAD'],
    ["St. John's", { latitude: 47.56, longitude: -52.71 }, 'IAD'],
  ])('a user in %s leaves from there', (_, place, colo) => {
    for (const user of ['alice', 'bob', 'carol']) expect(chosen(trio, place, user)?.dedicated.colo).toBe(colo)
  })
})

test('[B1] an IP whose colo is down is no candidate', () => {
  const down = account({ dedicatedIps: [AMS, LHR, IAD], colosDown: new Set(['AMS']) })
  expect(chosen(down, PLACES.netherlands)?.dedicated).toBe(LHR)
})

test('[B1] with every candidate down there is nothing to choose', () => {
  expect(chosen(account({ dedicatedIps: [AMS], colosDown: new Set(['AMS']) }), PLACES.netherlands)).toBeUndefined()
})

describe('[B2] those within the tolerance of the nearest are tied', () => {
  const between = { latitude: 51.9, longitude: 2.15 }
  const pair = (share: number, km: number) =>
    account({ dedicatedIps: [AMS, LHR], settings: { balanceTolerance: { share, km } } })
  const spread = (given: typeof trio) => {
    const users = Array.from({ length: 40 }, (_, at) => `user-${at}`)
    return new Set(users.map((user) => chosen(given, between, user)?.dedicated.colo)).size
  }

  test('by kilometres where that is more', () => {
    expect(spread(pair(0, 60))).toBe(2)
    expect(spread(pair(0, 1))).toBe(1)
  })

  test('by share where that is more', () => {
    expect(spread(pair(0.5, 0))).toBe(2)
    expect(spread(pair(0.01, 0))).toBe(1)
  })
})

describe('[B3] ties go to the IP nearer the destination', () => {
  const us = account({ dedicatedIps: [IAD, EWR], settings: { balanceTolerance: { share: 0.1, km: 50 } } })
  const middle = { latitude: 39.8, longitude: -75.8 }

  test('when its place is known', () => {
    const boston = { latitude: 42.36, longitude: -71.06 }
    const richmond = { latitude: 37.54, longitude: -77.44 }
    for (const user of ['a', 'b', 'c', 'd']) {
      expect(chosen(us, middle, user, boston)).toMatchObject({ dedicated: EWR, by: 'nearest-destination' })
      expect(chosen(us, middle, user, richmond)).toMatchObject({ dedicated: IAD, by: 'nearest-destination' })
    }
  })

  test('but not when it is about equally far from all of them', () => {
    expect(chosen(us, middle, 'a', PLACES.tokyo)?.by).toBe('user-hash')
  })
})

describe('[B4] what is still tied is split between users', () => {
  const ips = [10, 20, 30, 40].map((octet) => dedicated('LHR', octet))
  const users = Array.from({ length: 4000 }, (_, at) => `user-${at}@example.com`)
  const addressOf = (given: typeof trio, user: string) =>
    chosen(given, PLACES.england, user)?.dedicated.ipv4?.address.text
  const all = account({ dedicatedIps: ips })

  test('evenly', () => {
    const counts = Map.groupBy(users, (user) => addressOf(all, user))
    for (const [, its] of counts) expect(Math.abs(its.length - 1000)).toBeLessThan(150)
  })

  test('the same way in every process and in any order of the account', () => {
    const reversed = account({ dedicatedIps: ips.toReversed() })
    for (const user of users.slice(0, 200)) expect(addressOf(reversed, user)).toBe(addressOf(all, user))
    expect(users.slice(0, 6).map((user) => addressOf(all, user))).toMatchInlineSnapshot(`
      [
        "203.0.113.20",
        "203.0.113.20",
        "203.0.113.30",
        "203.0.113.20",
        "203.0.113.40",
        "203.0.113.30",
      ]
    `)
  })

  test('so that losing an address moves only the users who were on it', () => {
    const without = account({ dedicatedIps: ips.slice(1) })
    for (const user of users) {
      const before = addressOf(all, user)
      if (before !== '203.0.113.10') expect(addressOf(without, user)).toBe(before)
    }
  })
})

describe('[B4] an outage moves only those who were on a lost address', () => {
  const places = fc.record({
    latitude: fc.double({ min: -60, max: 70, noNaN: true }),
    longitude: fc.double({ min: -180, max: 180, noNaN: true }),
  })
  const codes = [...COLOS.keys()]
  const worlds = fc.record({
    colos: fc.uniqueArray(fc.constantFrom(...codes), { minLength: 2, maxLength: 8 }),
    home: fc.constantFrom(...codes),
    lost: fc.uniqueArray(fc.constantFrom(...codes), { maxLength: 3 }),
    lostToo: fc.array(fc.nat({ max: 7 }), { maxLength: 3 }),
    losesHome: fc.boolean(),
    share: fc.constantFrom(0, 0.1, 0.5, 1),
    users: fc.array(fc.option(places, { nil: undefined }), { minLength: 1, maxLength: 6 }),
    destination: fc.option(places, { nil: undefined }),
    family: fc.constantFrom(4 as const, 6 as const),
  })

  test('whatever the account, the users, the destination, and what is lost', () => {
    fc.assert(
      fc.property(worlds, ({ colos, home, lost, lostToo, losesHome, share, users, destination, family }) => {
        const down = new Set([...lost, ...lostToo.flatMap((at) => colos[at] ?? []), ...(losesHome ? [home] : [])])
        const world = (colosDown: Set<string>) =>
          snapshot(
            account({
              dedicatedIps: colos.map((code, at) => dedicated(code, at + 1)),
              settings: { homeColo: home, balanceTolerance: { share, km: 50 } },
              colosDown,
            }),
            [],
          )
        const [whole, hurt] = [world(new Set()), world(down)]
        for (const [at, userPlace] of users.entries()) {
          const asked = flow({
            identity: identity(`user-${at}@example.com`),
            to: family === 4 ? '198.51.100.9:443' : '[2001:db8:9::9]:443',
            ...(userPlace === undefined ? {} : { userPlace }),
            ...(destination === undefined ? {} : { destinationPlace: destination }),
          })
          const before = decide(whole, asked).egress
          const after = decide(hurt, asked).egress
          if (before?.dedicated !== undefined && !down.has(before.dedicated.colo)) {
            expect(after?.address.text).toBe(before.address.text)
          }
          const anyUp = colos.some((code) => !down.has(code))
          expect(after?.dedicated !== undefined && !down.has(after.dedicated.colo)).toBe(anyUp)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('the ingress colo', () => {
  test('is the nearest that is up', () => {
    expect(createIngress(account()).nearest(PLACES.lasVegas)?.code).toBe('LAS')
    const down = createIngress(account({ colosDown: new Set(['LAS']) })).nearest(PLACES.lasVegas)
    expect(down?.code).not.toBe('LAS')
    expect(down?.country).toBe('US')
  })

  test('is the home colo for a user whose place nobody knows, or the nearest up to it', () => {
    const home = (colosDown: string[]) =>
      createIngress(account({ colosDown: new Set(colosDown) })).nearest(undefined)?.code
    expect(home([])).toBe('SFO')
    expect(home(['SFO'])).toBe('SJC')
  })

  test('is nowhere when every colo is down', () => {
    const given = account()
    const dark = createIngress({ ...given, colosDown: new Set(given.colos.keys()) })
    expect(dark.nearest(PLACES.england)).toBeUndefined()
    expect(dark.nearest(undefined)).toBeUndefined()
  })
})

test('[B2] LAX, not AMS, serves Las Vegas with the lab’s five IPs', () => {
  expect(chosen(account({ dedicatedIps: [AMS, LHR, IAD, LAX, EWR] }), PLACES.lasVegas)).toMatchObject({
    dedicated: LAX,
    by: 'nearest-user',
  })
})
