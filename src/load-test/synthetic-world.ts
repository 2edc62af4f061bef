// A realistic synthetic account of any size: people in groups, sites, networks, lists of 10,000 items, and rules of three
// conditions over them. Kept apart from any engine, so that rivals can be given the very same rules.

import { createRandom, type Random } from './random.ts'

export interface SyntheticRule {
  readonly conditions: readonly SyntheticCondition[]
  readonly expressions: { readonly traffic: string; readonly identity: string }
}

export interface SyntheticList {
  /** UUID */
  readonly id: string
  readonly of: 'prefix' | 'email' | 'domain'
  readonly items: readonly string[]
}

export interface SyntheticPerson {
  readonly email: string
  readonly groups: readonly string[]
}

export interface SyntheticWorld {
  readonly rules: readonly SyntheticRule[]
  readonly lists: readonly SyntheticList[]
  readonly people: readonly SyntheticPerson[]
  readonly vnets: readonly string[]
  readonly domains: readonly string[]
  readonly countries: readonly string[]
}

/** Shares of rules with a regular expression and with a negated condition. */
const REGEX_SHARE = 0.02
const NEGATED_SHARE = 0.05
const LIST_ITEMS = 10_000
const COUNTRIES = 'AU BR CA CH CN DE DK ES FI FR GB IE IN IT JP KR MX NL NO NZ PL PT SE SG US ZA'.split(' ')
const PORTS: readonly (readonly (readonly [number, number])[])[] = [
  [[443, 443]],
  [
    [80, 80],
    [443, 443],
  ],
  [[1, 1023]],
  [[1024, 65535]],
  [
    [443, 443],
    [8000, 8999],
  ],
]

/** A world of `size` rules; the same size and seed give the same world. People, groups, sites and networks grow with it. */
export function createSyntheticWorld(size: number, seed = 1): SyntheticWorld {
  const random = createRandom(seed)
  const scale = Math.max(20, Math.round(size / 2))
  const groups = Array.from({ length: Math.max(10, Math.round(size / 5)) }, (_, at) => `group-${at}`)
  const vnets = Array.from({ length: Math.max(4, Math.round(Math.sqrt(size))) }, () => randomUuid(random))
  const domains = Array.from({ length: scale }, (_, at) => `site-${at}.${random.pick(['test', 'example', 'invalid'])}`)
  const people = Array.from({ length: Math.max(50, scale) }, (_, at) => ({
    email: `person-${at}@example.com`,
    groups: random.sample(groups, 1 + random.below(8)),
  }))
  const lists = createLists(random)
  const world = { lists, people, vnets, domains, countries: COUNTRIES }
  const rules = Array.from({ length: size }, () => createRule(random, world, groups))
  return { ...world, rules }
}

function createLists(random: Random): SyntheticList[] {
  return Array.from({ length: 6 }, (_, at) => {
    const of = (['prefix', 'email', 'domain'] as const)[at % 3] ?? 'prefix'
    return {
      id: randomUuid(random),
      of,
      items: Array.from({ length: LIST_ITEMS }, (_, item) => listItem(of, at, item)),
    }
  })
}

function listItem(of: SyntheticList['of'], list: number, item: number): string {
  if (of === 'prefix') return `11.${list}.${item >> 8}.${item & 255}`
  return of === 'email' ? `listed-${list}-${item}@example.com` : `listed-${list}-${item}.test`
}

function createRule(random: Random, world: Omit<SyntheticWorld, 'rules'>, groups: readonly string[]): SyntheticRule {
  const second: SyntheticCondition = random.chance(REGEX_SHARE)
    ? { kind: 'regex', pattern: `^(www|api|cdn)[0-9]*\\.site-${random.below(world.domains.length)}\\.`, negated: false }
    : { kind: 'port', ranges: random.pick(PORTS), negated: random.chance(NEGATED_SHARE) }
  const third: SyntheticCondition = random.chance(0.5)
    ? { kind: 'country', countries: random.sample(COUNTRIES, 4), negated: random.chance(NEGATED_SHARE) }
    : { kind: 'vnet', id: random.pick(world.vnets), negated: random.chance(NEGATED_SHARE) }
  const conditions = [subject(random, world, groups), second, third]
  const text = (slot: 'traffic' | 'identity') =>
    conditions
      .filter((condition) => slotOf(condition) === slot)
      .map(toExpression)
      .join(' and ')
  return { conditions, expressions: { traffic: text('traffic'), identity: text('identity') } }
}

/** The condition that says whom or what the rule is about. */
function subject(random: Random, world: Omit<SyntheticWorld, 'rules'>, groups: readonly string[]): SyntheticCondition {
  const negated = false
  const dice = random.next()
  if (dice < 0.25) return { kind: 'group', names: random.sample(groups, 1 + random.below(2)), negated }
  if (dice < 0.45) {
    const emails = random.sample(world.people, 1 + random.below(3)).map((person) => person.email)
    return { kind: 'email', emails, negated }
  }
  if (dice < 0.7) return { kind: 'prefix', prefixes: [randomPrefix(random)], negated }
  if (dice < 0.95) return { kind: 'domain', domains: random.sample(world.domains, 1 + random.below(3)), negated }
  const list = random.pick(world.lists)
  return { kind: 'list', of: list.of, id: list.id, negated }
}

function randomPrefix(random: Random): string {
  const [a, b] = [random.below(256), random.below(256)]
  if (random.chance(0.1)) return `2001:db8:${a.toString(16)}:${b.toString(16)}::/64`
  return random.chance(0.1) ? `10.${a}.${b & 0xf0}.0/20` : `10.${a}.${b}.0/24`
}

function randomUuid(random: Random): string {
  const hex = (digits: number) => Array.from({ length: digits }, () => random.below(16).toString(16)).join('')
  return `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`
}

// One condition of a synthetic rule, apart from any language, so that the same rule can be written for egresslab and for
// the engines it is compared with.

/** `negated` turns the whole condition around; a negated condition is true of a connection without the value. */
export type SyntheticCondition = { readonly negated: boolean } & (
  | { readonly kind: 'group'; readonly names: readonly string[] }
  | { readonly kind: 'email'; readonly emails: readonly string[] }
  | { readonly kind: 'vnet'; readonly id: string }
  | { readonly kind: 'prefix'; readonly prefixes: readonly string[] }
  | { readonly kind: 'domain'; readonly domains: readonly string[] }
  | { readonly kind: 'country'; readonly countries: readonly string[] }
  | { readonly kind: 'port'; readonly ranges: readonly (readonly [number, number])[] }
  | { readonly kind: 'list'; readonly of: 'prefix' | 'email' | 'domain'; readonly id: string }
  | { readonly kind: 'regex'; readonly pattern: string }
)

/** Fields of which slot the condition speaks. */
function slotOf(condition: SyntheticCondition): 'traffic' | 'identity' {
  if (condition.kind === 'list') return condition.of === 'email' ? 'identity' : 'traffic'
  return condition.kind === 'group' || condition.kind === 'email' ? 'identity' : 'traffic'
}

/** The condition as a Gateway expression. */
function toExpression(condition: SyntheticCondition): string {
  const text = positive(condition)
  return condition.negated ? `not(${text})` : text
}

function positive(condition: SyntheticCondition): string {
  switch (condition.kind) {
    case 'group':
      return `any(identity.groups.name[*] in {${quoted(condition.names)}})`
    case 'email':
      return condition.emails.length === 1
        ? `identity.email == ${quoted(condition.emails)}`
        : `identity.email in {${quoted(condition.emails)}}`
    case 'vnet':
      return `net.vnet_id == "${condition.id}"`
    case 'prefix':
      return `net.dst.ip in {${condition.prefixes.join(' ')}}`
    case 'domain':
      return `any(net.fqdn.domains[*] in {${quoted(condition.domains)}})`
    case 'country':
      return `net.dst.geo.country in {${quoted(condition.countries)}}`
    case 'port':
      return `net.dst.port in {${condition.ranges.map(([from, to]) => (from === to ? from : `${from}..${to}`)).join(' ')}}`
    case 'list':
      return LIST_TESTS[condition.of].replace('$', `$${condition.id}`)
    case 'regex':
      return `net.fqdn.host matches r"${condition.pattern}"`
  }
}

const LIST_TESTS = {
  prefix: 'net.dst.ip in $',
  email: 'identity.email in $',
  domain: 'any(net.fqdn.domains[*] in $)',
} as const

function quoted(items: readonly string[]): string {
  return items.map((item) => `"${item}"`).join(' ')
}
