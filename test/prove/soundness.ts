// Random policies and what is proven of them, held against random connections that know nothing of the classes proofs
// are made of. Used by the tests with a small budget and by scripts/fuzz-prove.ts with a large one.

import { partsOf } from '../../src/expression/index.ts'
import { ip } from '../../src/net/ip.ts'
import { decide } from '../../src/policy/decide.ts'
import { type Decision, nameOfEgress } from '../../src/policy/decision.ts'
import type { Device, Flow, Identity } from '../../src/policy/flow.ts'
import { COUNTRIES, type Place } from '../../src/policy/place.ts'
import type { Rule } from '../../src/policy/rule.ts'
import { RuleParser } from '../../src/policy/rule-expressions.ts'
import { compileRuleset, createSnapshot, type Snapshot } from '../../src/policy/ruleset.ts'
import { compareSubjects } from '../../src/prove/compare.ts'
import { effectOf } from '../../src/prove/policy-terms.ts'
import { Proof } from '../../src/prove/proof.ts'
import type { World } from '../../src/prove/subject.ts'
import { VNETS } from '../policy/build.ts'
import { pick, type Random, randomOf } from '../policy/random-of.ts'
import { LIST_ITEMS, randomSnapshot } from './agreement.ts'

export interface Soundness {
  readonly policies: number
  readonly proven: number
  readonly refuted: number
  readonly undecided: number
  /** proven, and a connection says otherwise; or equal by construction, and refuted */
  readonly faults: readonly string[]
}

const WORLD: World = {
  people: [],
  groups: [],
  devices: [],
  networks: Object.values(VNETS),
  endpoints: ['abc.proxy.cloudflare-gateway.com'],
  destinations: [],
  isClosed: false,
}
const TIMEOUT_MS = 60_000
const OWNED = ['AMS', 'LHR', 'IAD', 'LAX', 'EWR']

/** Asks every policy how its connections can end, and whether a policy made of it is the same; then lets connections
 *  answer. Stops at the first fault. */
export async function holdProofsAgainstConnections(
  seed: number,
  policies: number,
  connections: number,
  onPolicy: (done: number) => void = () => {},
): Promise<Soundness> {
  const random = randomOf(seed)
  const flows = Array.from({ length: connections }, () => randomFlow(random))
  const told = { policies: 0, proven: 0, refuted: 0, undecided: 0 }
  const count = (answer: boolean | undefined) => {
    told[answer === undefined ? 'undecided' : answer ? 'proven' : 'refuted']++
  }
  for (; told.policies < policies; told.policies++) {
    onPolicy(told.policies)
    const before = randomSnapshot(seed + told.policies, random)
    for (const fault of [
      await faultInEnds(before, flows, random, count),
      await faultInComparison(before, flows, random, count),
    ]) {
      if (fault !== undefined) return { ...told, faults: [`seed ${seed}, policy ${told.policies}: ${fault}`] }
    }
  }
  return { ...told, faults: [] }
}

type Count = (answer: boolean | undefined) => void

/** Ends that no connection is said to have. */
async function faultInEnds(snapshot: Snapshot, flows: readonly Flow[], random: Random, count: Count) {
  const proof = await Proof.open({ policies: [snapshot], world: WORLD, conditions: [] })
  const impossible = new Set<string>()
  try {
    const ends = proof.policies[0]?.ends ?? []
    const named = Map.groupBy(ends, (end) => `${end.rule?.id} ${end.outcome === 'balanced' ? '' : effectOf(end)}`)
    for (const [name, own] of named) {
      const found = await proof.find({
        where: [`(or false ${own.map(({ when }) => when).join(' ')})`],
        colosDown: proof.outages.all.size,
        people: 'anybody',
        wantsOrdinary: false,
        isFound: () => true,
        timeoutMs: TIMEOUT_MS,
      })
      count(found.kind === 'unknown' ? undefined : found.kind === 'none')
      if (found.kind === 'none') impossible.add(name)
    }
    for (const name of proof.policies[0]?.text.rules ?? []) {
      for (const effect of ['exempt', 'refused', 'shared egress']) {
        if (!named.has(`${name.rule.id} ${effect}`)) impossible.add(`${name.rule.id} ${effect}`)
      }
    }
  } finally {
    proof.close()
  }
  for (const flow of flows) {
    const decision = decide(withOutages(snapshot, random), flow)
    const name = `${decision.rule?.id} ${decision.outcome === 'balanced' ? '' : effect(decision)}`
    if (impossible.has(name)) return `${name} is proven impossible; ${shown(snapshot)}; ${JSON.stringify(flow, asText)}`
  }
  return undefined
}

/** A policy made of this one, which may be the same for every connection, or must be. */
async function faultInComparison(before: Snapshot, flows: readonly Flow[], random: Random, count: Count) {
  const { rules, isEqual } = pick(CHANGES, random)(before, random)
  const { ruleset } = compileRuleset(rules, before.account.lists, before.account.settings)
  const after = createSnapshot(1, before.account, ruleset)
  const sides = [before, after].map((snapshot) => ({ snapshot, world: WORLD })) as [Side, Side]
  const { isSame, reason } = await compareSubjects(...sides, { timeoutMs: TIMEOUT_MS })
  count(isSame)
  const texts = `${shown(before)} and ${shown(after)}`
  if (isEqual && isSame === false) return `equal by construction, and refuted: ${texts}`
  if (isEqual && isSame === undefined && !/not told exactly/.test(reason)) return `not decided: ${reason}: ${texts}`
  if (isSame !== true) return undefined
  for (const flow of flows) {
    const seed = random(2 ** 31)
    const [one, other] = [before, after].map((each) => decide(withOutages(each, randomOf(seed)), flow))
    if (one === undefined || other === undefined || effect(one) === effect(other)) continue
    return `proven the same: ${texts}; ${JSON.stringify(flow, asText)}`
  }
  return undefined
}

interface Side {
  readonly snapshot: Snapshot
  readonly world: World
}

type Change = (snapshot: Snapshot, random: Random) => { readonly rules: readonly Rule[]; readonly isEqual: boolean }

const both = (rule: Rule, also: string) => ({
  ...rule,
  traffic: rule.traffic === '' ? also : `(${rule.traffic}) and ${also}`,
})

/** Ways to make a policy of another, and whether it must be the same. */
const CHANGES: readonly Change[] = [
  // De Morgan
  ({ ruleset: { rules } }) => ({
    isEqual: true,
    rules: rules.map((rule) =>
      rule.traffic === '' ? rule : { ...rule, traffic: `not (not (${rule.traffic}) or net.dst.port == 0)` },
    ),
  }),
  // lists inline
  ({ ruleset: { rules }, account }) => ({ isEqual: true, rules: rules.map((rule) => inlined(rule, account)) }),
  // other precedences
  ({ ruleset: { rules } }) => ({
    isEqual: true,
    rules: rules.map((rule) => ({ ...rule, precedence: rule.precedence * 10 + 7 })),
  }),
  // one rule as two
  ({ ruleset: { rules } }) => ({
    isEqual: true,
    rules: rules.flatMap((rule) => [
      { ...both(rule, 'net.dst.port < 443'), precedence: rule.precedence * 2 },
      { ...both(rule, 'net.dst.port >= 443'), precedence: rule.precedence * 2 + 1, id: rule.id.replace(/^0/, '1') },
    ]),
  }),
  // the order turned round
  ({ ruleset: { rules } }) => ({
    isEqual: false,
    rules: rules.map((rule) => ({ ...rule, precedence: 100 - rule.precedence })),
  }),
  // without one
  ({ ruleset: { rules } }, random) => ({ isEqual: false, rules: rules.toSpliced(random(rules.length), 1) }),
  // one leaves as another does
  ({ ruleset: { rules } }, random) => {
    const at = random(rules.length)
    return {
      isEqual: false,
      rules: rules.map((rule, each) => (each === at ? { ...rule, egress: pick(rules, random).egress } : rule)),
    }
  },
]

/** `in $list` of texts and addresses as `in {…}`, where every item can be written so. */
function inlined(rule: Rule, { lists, settings }: Snapshot['account']): Rule {
  const written = new Map(lists.map(({ id, items }) => [id, items] as const))
  const parser = new RuleParser(settings.expressions)
  const replace = (text: string) =>
    text.replace(/(net\.(?:src|dst)\.ip in )\$(first|second|in\.both)/g, (whole, head, name) => {
      const list = lists.find(({ id }) => id === name)
      const items = (written.get(name) ?? [])
        .filter((item) => /^[0-9:][0-9a-f.:/-]+$/.test(item))
        .map((item) => item.replace('-', '..'))
      return list?.type !== 'IP' || items.length === 0 ? whole : `${head}{${items.join(' ')}}`
    })
  const traffic = replace(rule.traffic)
  const made = { ...rule, traffic }
  return parser.parse(made).expressions.some(({ expression }) => partsOf(expression).comparisons.length === 0)
    ? rule
    : made
}

function effect({ outcome, egress }: Decision): string {
  if (outcome === 'exempt' || outcome === 'balanced') return outcome
  if (egress === null) return 'refused'
  return egress.dedicated === undefined ? 'shared egress' : nameOfEgress(egress)
}

/** Some data centers with dedicated IPs down. */
function withOutages(snapshot: Snapshot, random: Random): Snapshot {
  const down = OWNED.filter(() => random(6) === 0)
  if (down.length === 0) return snapshot
  const known = outages.get(snapshot) ?? new Map<string, Snapshot>()
  outages.set(snapshot, known)
  const key = down.join()
  const { account, ruleset } = snapshot
  const made =
    known.get(key) ?? createSnapshot(1, { ...account, colosDown: new Set([...account.colosDown, ...down]) }, ruleset)
  known.set(key, made)
  return made
}

const outages = new WeakMap<Snapshot, Map<string, Snapshot>>()

const TEXTS = [
  '',
  'a',
  'b',
  'ab',
  'Example',
  'example.com',
  'www.example.com',
  'naïve',
  'x*y',
  'c\nd',
  '𝒳',
  'k=a',
  'EXAMPLE',
  'x',
  ...LIST_ITEMS,
]
const LABELS = ['www', 'example', 'com', 'a', 'b', 'ab', 'x', 'test', 'k', '1a', 'exple', 'ex-ple', 'xn--nave-6pa']
const ADDRESSES = [
  '10.0.0.1',
  '10.1.2.3',
  '10.0.0.9',
  '192.0.2.0',
  '192.0.2.7',
  '192.0.2.9',
  '192.0.2.10',
  '203.0.113.10',
  '9.9.9.9',
  '::',
  '::1',
  '::f',
  '::10',
  '2001:db8::7',
  '2001:db9::',
  '::ffff:10.0.0.1',
  'ffff::',
  '255.255.255.255',
  '0.0.0.1',
]
const NUMBERS = [1, 22, 79, 80, 81, 120, 121, 442, 443, 444, 8080, 65_535]
const KEYS = ['a', 'b', 'k', 'k=a', '', 'other']
const COUNTRY_CODES = [...COUNTRIES.keys()]

/** A connection there can be, made of what rules speak of and of what they do not. */
function randomFlow(random: Random): Flow {
  const hasUser = random(5) > 0
  const device = random(2) === 0 ? randomDevice(random) : undefined
  return {
    transport: pick(['tcp', 'udp'] as const, random),
    source: { ip: pick(ADDRESSES.map(ip), random), port: pick(NUMBERS, random) },
    internalSource: device !== undefined && random(2) === 0 ? ip(pick(ADDRESSES, random)) : undefined,
    identity: hasUser ? randomIdentity(random) : undefined,
    device,
    sourcePlace: randomPlace(random),
    destinationPlace: randomPlace(random),
    userPlace: randomPlace(random),
    virtualNetworkId: pick(Object.values(VNETS), random),
    host: random(4) === 0 ? undefined : randomHost(random),
    destination: { ip: pick(ADDRESSES.map(ip), random), port: pick(NUMBERS, random) },
    proxiedByCloudflare: false,
    contentCategories: some(NUMBERS, random),
    applications: some(NUMBERS, random),
    proxyEndpoint: random(2) === 0 ? undefined : 'abc.proxy.cloudflare-gateway.com',
  }
}

function randomHost(random: Random): string {
  if (random(4) === 0) return pick(['example.com', 'www.example.com', 'a', 'ab', 'com', 'x.www.example.com'], random)
  return Array.from({ length: 1 + random(4) }, () => pick(LABELS, random)).join('.')
}

function randomIdentity(random: Random): Identity {
  const attributes = () => new Map(some(KEYS, random).map((key) => [key, some(TEXTS, random)] as const))
  const text = () => pick(TEXTS, random)
  const groups = Array.from({ length: random(4) }, () => ({ id: text(), name: text(), email: text() }))
  return { id: 'u', email: text(), name: text(), groups, samlAttributes: attributes(), oidcClaims: attributes() }
}

function randomDevice(random: Random): Device {
  const passed = some(TEXTS, random)
  return { id: 'd', name: 'd', posture: { passed, failed: some(TEXTS, random).filter((one) => !passed.includes(one)) } }
}

function randomPlace(random: Random): Place | undefined {
  const country = pick([...COUNTRY_CODES, 'GB', 'US', 'a'], random)
  const facts = COUNTRIES.get(country) ?? { latitude: 0, longitude: 0 }
  return random(4) === 0 ? undefined : { country, ...facts }
}

function some<T>(items: readonly T[], random: Random): T[] {
  return [...new Set(Array.from({ length: random(4) }, () => pick(items, random)))]
}

function shown({ ruleset: { rules } }: Snapshot): string {
  return rules
    .map(({ id, precedence, traffic, identity, devicePosture, egress }) =>
      JSON.stringify({ id: id.slice(-4), precedence, traffic, identity, devicePosture, via: egress?.ipv4 }),
    )
    .join('; ')
}

function asText(_: string, value: unknown): unknown {
  return value instanceof Map ? [...value] : value
}
