// Random rule sets and connections that come again: does the cache of matches ever answer what trying every rule in order would not?
// The same connection object, an equal one made anew, one that differs in a single fact; lists and rules change in between.

import fc from 'fast-check'
import { ip } from '../../src/net/ip.ts'
import { SLOT_SCHEMES } from '../../src/policy/fields.ts'
import type { Device, Flow, Identity } from '../../src/policy/flow.ts'
import { createFlowReader } from '../../src/policy/flow-values.ts'
import type { Rule } from '../../src/policy/rule.ts'
import { compileRuleset, type Ruleset } from '../../src/policy/ruleset.ts'
import { anyExpression } from '../expression/generate.ts'
import { identity, rule } from './build.ts'
import { pick, type Random, randomOf } from './random-of.ts'

export interface CacheAgreement {
  readonly comparisons: number
  readonly matched: number
  /** answers that came from the cache */
  readonly known: number
  readonly disagreements: readonly string[]
}

export interface CacheAgreementOptions {
  readonly seed: number
  readonly comparisons: number
  readonly onProgress?: (done: number) => void
}

/** Connections decided before the rules are others. */
const FLOWS_PER_SET = 400
const RULES_IN_POOL = 300

/** Compares until the budget is used up or something disagrees. The same seed gives the same run. */
export function compareCacheWithScan({ seed, comparisons, onProgress }: CacheAgreementOptions): CacheAgreement {
  const random = randomOf(seed)
  const sources = {
    traffic: fc.sample(anyExpression(SLOT_SCHEMES.traffic, { depth: 1 }), { seed, numRuns: RULES_IN_POOL }),
    identity: fc.sample(anyExpression(SLOT_SCHEMES.identity, { depth: 1 }), { seed, numRuns: RULES_IN_POOL }),
    devicePosture: fc.sample(anyExpression(SLOT_SCHEMES.devicePosture, { depth: 1 }), { seed, numRuns: RULES_IN_POOL }),
  }
  const total = { comparisons: 0, matched: 0, known: 0 }
  while (total.comparisons < comparisons) {
    const disagreement = compareSet(sources, random, total)
    if (disagreement !== undefined) return { ...total, disagreements: [disagreement] }
    onProgress?.(total.comparisons)
  }
  return { ...total, disagreements: [] }
}

type Sources = Readonly<Record<'traffic' | 'identity' | 'devicePosture', readonly string[]>>

function compareSet(
  sources: Sources,
  random: Random,
  total: { -readonly [key in keyof Omit<CacheAgreement, 'disagreements'>]: number },
): string | undefined {
  const hostSelector = random(5) > 0
  let rulesets = [0, 1].map(() => randomRuleset(sources, hostSelector, random))
  const seen: Flow[] = [anyFlow(random)]
  for (let at = 0; at < FLOWS_PER_SET; at++) {
    if (at % 100 === 99) rulesets = rulesets.map((ruleset) => ruleset.withLists(randomLists(random)))
    if (at % 150 === 149) rulesets = rulesets.map((ruleset) => withSomeChanged(ruleset, sources, random))
    const flow = nextFlow(seen, random)
    // either may be in force, as while one configuration replaces the other
    const ruleset = pick(rulesets, random)
    const known = ruleset.cacheCounts.known
    const found = ruleset.firstMatch(flow)
    total.known += ruleset.cacheCounts.known - known
    const values = createFlowReader(ruleset.fields, hostSelector).read(flow)
    const expected = ruleset.active.find((one) => one.matches(values, ruleset.lists))
    total.comparisons++
    if (expected !== undefined) total.matched++
    const passed = ruleset.active.find(
      ({ rule: { precedence } }, at) => precedence < (ruleset.active[at - 1]?.rule.precedence ?? 0),
    )
    if (passed !== undefined) return `rule ${passed.rule.name} is out of order`
    if (found !== expected) {
      return `a scan finds ${expected?.rule.name ?? 'nothing'}, the cache ${found?.rule.name ?? 'nothing'}: ${JSON.stringify(flow)}`
    }
  }
  return undefined
}

function randomRuleset(sources: Sources, hostSelector: boolean, random: Random): Ruleset {
  const rules = Array.from({ length: 1 + random(12) }, (_, at) => randomRule(2 * at, sources, random))
  return compileRuleset(rules, randomLists(random), { hostSelector, expressions: 'default' }).ruleset
}

function randomRule(precedence: number, sources: Sources, random: Random): Rule {
  const some = (of: readonly string[], percent: number) => (random(100) < percent ? pick(of, random) : '')
  return rule({
    precedence,
    enabled: random(10) > 0,
    traffic: some(sources.traffic, 90),
    identity: some(sources.identity, 40),
    devicePosture: some(sources.devicePosture, 15),
  })
}

/** One rule gone, another in the place of one, a new one in between or behind: each now and then, and in any order. */
function withSomeChanged(before: Ruleset, sources: Sources, random: Random): Ruleset {
  const rules = new Map(before.rules.map((one) => [one.precedence, one]))
  for (let count = 1 + random(3); count > 0; count--) {
    const precedence = random(30)
    if (random(3) === 0) rules.delete(precedence)
    else rules.set(precedence, randomRule(precedence, sources, random))
  }
  return before.withRules([...rules.values()]).ruleset
}

/** Seen before, equal to one seen before, one fact away from it, or new. */
function nextFlow(seen: Flow[], random: Random): Flow {
  const dice = random(10)
  const before = pick(seen, random)
  if (dice < 4) return before
  if (dice < 6) return madeAnew(before)
  const flow = dice < 9 ? { ...before, ...anyFact(random) } : anyFlow(random)
  seen.push(flow)
  return flow
}

/** Equal in every fact, and no object or text the same. */
function madeAnew(flow: Flow): Flow {
  const copy = structuredClone(flow)
  return flow.host === undefined ? copy : { ...copy, host: Buffer.from(flow.host).toString() }
}

function anyFlow(random: Random): Flow {
  const facts = Array.from({ length: 20 }, () => anyFact(random))
  return Object.assign({}, plainFlow(random), ...facts)
}

function plainFlow(random: Random): Flow {
  return {
    transport: 'tcp',
    source: { ip: ip('192.0.2.7'), port: 80 },
    virtualNetworkId: 'a',
    destination: { ip: pick(ADDRESSES, random), port: 443 },
    proxiedByCloudflare: false,
    contentCategories: [],
    applications: [],
  }
}

/** Pairs of these have one hash in the cache: it must tell them apart all the same. */
const HOSTS = [
  undefined,
  'a',
  'ab',
  'example.com',
  'www.example.com',
  `${'a.'.repeat(40)}example.com`,
  `${'a.'.repeat(20)}ab${'a.'.repeat(19)}example.com`,
  `a${'b'.repeat(60)}.example.com`,
  `ab${'b'.repeat(59)}.example.com`,
]
const TEXTS = ['', 'a', 'b', 'ab', 'Example', 'example.com', 'exaxple.com', 'xxample.com', '22']
const ADDRESSES = [
  '10.0.0.1',
  '10.1.2.3',
  '192.0.2.7',
  '203.0.113.10',
  '0.0.0.1',
  '::',
  '::1',
  '2001:db8::7',
  'a00:1::',
].map(ip)
const PORTS = [0, 1, 22, 80, 81, 443, 8080]
const NUMBERS = [[], [1], [22], [1, 22], [22, 1], [80, 443]]
const CHECKS = [[], ['a'], ['ab'], ['a', 'b'], ['b', 'a']]
const PLACES = TEXTS.slice(1, 5).map((country) => ({ country, continent: 'a', latitude: 0, longitude: 0 }))
const PEOPLE: readonly (Identity | undefined)[] = [
  undefined,
  identity('a', ['a']),
  identity('a', ['b']),
  identity('ab', ['a', 'Example']),
  identity('www.example.com', [], { a: ['a', 'b'], k: ['ab'] }),
]
const DEVICES: readonly (Device | undefined)[] = [
  undefined,
  ...CHECKS.map((passed, at) => ({
    id: 'd',
    name: 'd',
    posture: { passed, failed: CHECKS[CHECKS.length - 1 - at] ?? [] },
  })),
]

/** One fact of a flow, present or taken away. */
function anyFact(random: Random): Partial<Flow> {
  const facts: readonly (() => Record<string, unknown>)[] = [
    () => ({ transport: pick(['tcp', 'udp'], random) }),
    () => ({ source: { ip: pick(ADDRESSES, random), port: pick(PORTS, random) } }),
    () => ({ destination: { ip: pick(ADDRESSES, random), port: pick(PORTS, random) } }),
    () => ({ internalSource: pick([undefined, ...ADDRESSES], random) }),
    () => ({ identity: pick(PEOPLE, random) }),
    () => ({ device: pick(DEVICES, random) }),
    () => ({ sourcePlace: pick([undefined, ...PLACES], random) }),
    () => ({ destinationPlace: pick([undefined, ...PLACES], random) }),
    () => ({ virtualNetworkId: pick(TEXTS, random) }),
    () => ({ host: pick(HOSTS, random) }),
    () => ({ contentCategories: pick(NUMBERS, random) }),
    () => ({ applications: pick(NUMBERS, random) }),
    () => ({ proxyEndpoint: pick([undefined, ...TEXTS], random) }),
  ]
  return pick(facts, random)()
}

const LIST_NAMES = ['first', 'second', 'in.both', '3f2504e04f8911d39a0c0305e82c3301']
const LIST_ITEMS: Readonly<Record<'IP' | 'DOMAIN' | 'EMAIL' | 'SERIAL', readonly string[]>> = {
  IP: ['10.0.0.0/8', '192.0.2.7', '::1'],
  DOMAIN: ['example.com', 'www.example.com'],
  EMAIL: ['a', 'ab'],
  SERIAL: ['22', '80', 'a'],
}

function randomLists(random: Random) {
  return LIST_NAMES.filter(() => random(4) > 0).map((id) => {
    const type = pick(['IP', 'DOMAIN', 'EMAIL', 'SERIAL'] as const, random)
    return { id, name: id, type, items: LIST_ITEMS[type].filter(() => random(2) === 0) }
  })
}
