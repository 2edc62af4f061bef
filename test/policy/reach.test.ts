// Rules that are never reached: what is found, what it assumes, and that no claim is false for random policies and flows.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { proveReach, whyUnreachable } from '../../src/analysis/unreachable.ts'
import { decide } from '../../src/policy/decide.ts'
import { countryFacts } from '../../src/policy/place.ts'
import type { Rule } from '../../src/policy/rule.ts'
import { account, flow, identity, PLACES, rule, snapshot } from './build.ts'

const SITES = {
  id: '11111111-0000-4000-8000-000000000001',
  name: 'Sites',
  type: 'DOMAIN',
  items: ['a.test', 'b.a.test'],
}
const NETS = { id: '11111111-0000-4000-8000-000000000002', name: 'Nets', type: 'IP', items: ['198.51.100.0/25'] }
const EMPTY = { id: '11111111-0000-4000-8000-000000000003', name: 'None', type: 'IP', items: [] }
const given = account({ lists: [SITES, NETS, EMPTY] })
const sites = '$11111111-0000-4000-8000-000000000001'
const nets = '$11111111-0000-4000-8000-000000000002'

const traffic = (...texts: readonly string[]) =>
  texts.map((text, at) => rule({ name: `R${at + 1}`, precedence: at + 1, traffic: text }))
const told = (rules: readonly Rule[]) =>
  proveReach(snapshot(given, rules)).unreachable.map((proof) => `${proof.rule.name} ${whyUnreachable(proof)}`)

const under = (name: string) => `any(net.fqdn.domains[*] == "${name}")`

test.each<[string, string[], string]>([
  [
    'a subdomain behind its parent',
    [under('a.test'), 'net.fqdn.host == "x.a.test"'],
    'is never reached: rule `R1` (precedence 1) matches whenever it would',
  ],
  [
    'several subdomains behind their parents',
    [`any(net.fqdn.domains[*] in {"a.test" "b.test"})`, 'any(net.fqdn.domains[*] in {"x.a.test" "b.test"})'],
    'is never reached: rule `R1` (precedence 1) matches whenever it would',
  ],
  [
    'a country behind its continent',
    ['net.src.geo.continent == "EU"', 'net.src.geo.country in {"NL" "DE"}'],
    'is never reached where geolocation has countries on their continents: rule `R1` (precedence 1) matches whenever it would',
  ],
  [
    'members behind a list',
    [`net.dst.ip in ${nets}`, 'net.dst.ip in {198.51.100.7 198.51.100.64/26}'],
    'is never reached while the lists are as they are now: rule `R1` (precedence 1) matches whenever it would',
  ],
  [
    'a list behind members',
    [under('a.test'), `any(net.fqdn.domains[*] in ${sites})`],
    'is never reached while the lists are as they are now: rule `R1` (precedence 1) matches whenever it would',
  ],
  [
    'an empty list',
    ['net.dst.port == 1', 'net.dst.ip in $11111111-0000-4000-8000-000000000003'],
    'can never match while the lists are as they are now: its conditions exclude each other',
  ],
  [
    'a list that does not exist',
    ['net.dst.port == 1', 'net.dst.ip in $22222222-0000-4000-8000-000000000002'],
    'can never match while the lists are as they are now: its conditions exclude each other',
  ],
  [
    'two rules together',
    ['net.dst.port < 1000', 'net.dst.port >= 1000', 'net.protocol == "tcp"'],
    'is never reached: rule `R1` (precedence 1) or rule `R2` (precedence 2) matches whenever it would',
  ],
  [
    'two halves of a set',
    [`net.src.geo.country == "NL"`, 'net.src.geo.country == "DE"', 'net.src.geo.country in {"NL" "DE"}'],
    'is never reached: rule `R1` (precedence 1) or rule `R2` (precedence 2) matches whenever it would',
  ],
])('%s is found', (_, texts, why) => {
  expect(told(traffic(...texts))).toEqual([`R${texts.length} ${why}`])
})

test.each<[string, string[]]>([
  ['a parent behind its subdomain', [under('x.a.test'), 'net.fqdn.host == "a.test"']],
  ['a name that only ends alike', [under('a.test'), 'net.fqdn.host == "xa.test"']],
  ['a country on two continents', ['net.src.geo.continent == "AS"', 'net.src.geo.country == "TR"']],
  ['a continent behind its countries', ['net.src.geo.country in {"NL" "DE"}', 'net.src.geo.continent == "EU"']],
  ['two rules with a gap', ['net.dst.port < 1000', 'net.dst.port > 1000', 'net.protocol == "tcp"']],
])('%s is not claimed', (_, texts) => {
  expect(told(traffic(...texts))).toEqual([])
})

const PARTS = [
  under('a.test'),
  under('b.a.test'),
  'net.fqdn.host == "a.test"',
  'net.fqdn.host in {"b.a.test" "c.test"}',
  `any(net.fqdn.domains[*] in ${sites})`,
  'net.src.geo.country == "NL"',
  'net.src.geo.country != "NL"',
  'net.src.geo.country in {"NL" "US"}',
  'net.src.geo.continent == "EU"',
  'net.src.geo.continent != "EU"',
  `net.dst.ip in ${nets}`,
  'net.dst.ip in {198.51.100.0/24}',
  'net.dst.ip == 198.51.100.7',
  'net.dst.port < 443',
  'net.dst.port >= 443',
  'net.dst.port in {80 443}',
]
const PEOPLE = [
  '',
  'any(identity.groups.name[*] in {"A"})',
  'not any(identity.groups.name[*] in {"A"})',
  'identity.email == "x@example.com"',
]
const seed = Number(process.env.SEED ?? 20_261_130)

test(`no rule that is called unreachable ever decides (seed ${seed})`, () => {
  const part = fc.constantFrom(...PARTS)
  const expression = fc.oneof(
    part,
    fc.tuple(part, fc.constantFrom('and', 'or'), part).map(([a, op, b]) => `(${a}) ${op} (${b})`),
    part.map((text) => `not (${text})`),
  )
  const policy = fc.array(fc.tuple(expression, fc.constantFrom(...PEOPLE)), { minLength: 2, maxLength: 7 })
  const places = [PLACES.netherlands, PLACES.lasVegas, undefined].map((place) => {
    const country = place?.country
    const continent = country === undefined ? undefined : countryFacts(country)?.continent
    return place === undefined ? undefined : { ...place, ...(continent === undefined ? {} : { continent }) }
  })
  const hosts = ['a.test', 'b.a.test', 'x.b.a.test', 'c.test', 'xa.test', undefined]
  const who = [identity('x@example.com', ['A']), identity('y@example.com', ['B']), undefined]
  const flows = hosts.flatMap((host) =>
    places.flatMap((sourcePlace) =>
      who.flatMap((person) =>
        ['198.51.100.7:443', '198.51.100.200:80', '192.0.2.7:22'].map((to) =>
          flow({ host, sourcePlace, identity: person, to }),
        ),
      ),
    ),
  )
  let claims = 0
  for (const texts of fc.sample(policy, { seed, numRuns: 400 })) {
    const rules = texts.map(([text, person], at) => rule({ precedence: at + 1, traffic: text, identity: person }))
    const against = snapshot(given, rules)
    const dead = new Set(proveReach(against).unreachable.map((proof) => proof.rule))
    claims += dead.size
    for (const each of flows) {
      const { rule: winner } = decide(against, each)
      if (winner !== null && dead.has(winner)) {
        expect.fail(`rule ${rules.indexOf(winner)} of ${JSON.stringify(texts)} decides ${JSON.stringify(each.host)}`)
      }
    }
  }
  expect(claims).toBeGreaterThan(100)
})
