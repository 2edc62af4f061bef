// Cuts questions down before they are asked: leaves out rules that no connection in question can match, as far as that
// is told by comparing constants. What is left answers the question exactly as the whole policy does.

import { conditionOf, type Domain, intersect, isEmpty, type RuleCondition, union } from '../analysis/condition.ts'
import { canonicalListName, type Expression, formatExpression } from '../expression/index.ts'
import type { Account, KnownLists, NamedList } from '../policy/account.ts'
import { withParents } from '../policy/flow-values.ts'
import type { RuleId } from '../policy/ids.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import { type PolicyText, type ProvenRule, readPolicy } from './policy-terms.ts'

/** Most pairs of rules that are compared; beyond that, every rule is kept. */
const MOST_PAIRS = 4_000_000

/** Policies this small are asked about as a whole. */
const SMALL = 100

/** The ids of the rules that can match a connection which meets the condition; undefined: any can. `anySelector`: also
 *  while host selectors are on that are off. */
export function rulesUnder(
  snapshot: Snapshot,
  condition: Expression | undefined,
  anySelector = false,
): ReadonlySet<RuleId> | undefined {
  if (condition === undefined || snapshot.ruleset.active.length <= SMALL) return undefined
  const text = readPolicy(snapshot, anySelector)
  const kept = only(text, [possibleIn([condition], text.lists)]).rules
  return kept.length === text.rules.length ? undefined : new Set(kept.map(({ rule }) => rule.id))
}

/** Of two policies, only rules that can match a connection which one of them decides by a rule that the other does not
 *  have in the same order. All other connections meet the same rules in the same order. */
export function cutToDifferences(before: PolicyText, after: PolicyText): readonly [PolicyText, PolicyText] {
  const whole = [before, after] as const
  if (factsOf(before.snapshot.account) !== factsOf(after.snapshot.account)) return whole
  const changed = changedRules(before, after)
  const all = before.rules.length + after.rules.length
  if (changed.length * all > MOST_PAIRS) return whole
  const regions = changed.map(({ rule, lists }) => possibleIn(rule.expressions, lists))
  return [only(before, regions), only(after, regions)]
}

function only(text: PolicyText, regions: readonly Possible[]): PolicyText {
  const rules = text.rules.filter(({ expressions }) => {
    const own = possibleIn(expressions, text.lists)
    return regions.some((region) => canMeet(own, region))
  })
  return { ...text, rules }
}

/** Everything of an account but its lists, as text. */
function factsOf({ lists: _, name: __, ...facts }: Account): string {
  return JSON.stringify(facts, (_key, value) => (value instanceof Map || value instanceof Set ? [...value] : value))
}

interface ListedRule {
  readonly rule: ProvenRule
  readonly lists: KnownLists
}

/** Rules of either policy outside a longest common sequence. */
function changedRules(before: PolicyText, after: PolicyText): readonly ListedRule[] {
  const [mine, theirs] = [before, after].map((text) => numbered(text)) as [string[], string[]]
  const places = new Map(theirs.map((key, at) => [key, at] as const))
  const kept = longestAscending(mine.map((key) => places.get(key) ?? -1))
  const keptThere = new Set([...kept].map((at) => places.get(mine[at] ?? '')))
  return [
    ...before.rules.filter((_, at) => !kept.has(at)).map((rule) => ({ rule, lists: before.lists })),
    ...after.rules.filter((_, at) => !keptThere.has(at)).map((rule) => ({ rule, lists: after.lists })),
  ]
}

/** What each rule does, as text; rules that do the same are counted. */
function numbered({ rules, snapshot: { account } }: PolicyText): string[] {
  const contents = new Map<string, string>()
  const counts = new Map<string, number>()
  return rules.map(({ rule, expressions, lists }) => {
    const listed = [...lists].map((name) => {
      const known = contents.get(name) ?? textOfList(account.lists.find(({ id }) => canonicalListName(id) === name))
      contents.set(name, known)
      return known
    })
    const key = JSON.stringify([expressions.map(formatExpression), rule.egress, listed])
    const count = counts.get(key) ?? 0
    counts.set(key, count + 1)
    return `${count} ${key}`
  })
}

function textOfList(list: NamedList | undefined): string {
  return list === undefined ? '' : JSON.stringify([list.type, list.items])
}

/** Positions of a longest ascending sequence of these numbers; negative ones are never in it. */
function longestAscending(numbers: readonly number[]): ReadonlySet<number> {
  const ends: number[] = []
  const previous = new Map<number, number | undefined>()
  for (const [at, number] of numbers.entries()) {
    if (number < 0) continue
    let [low, high] = [0, ends.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((numbers[ends[middle] ?? 0] ?? 0) < number) low = middle + 1
      else high = middle
    }
    previous.set(at, ends[low - 1])
    ends[low] = at
  }
  const kept = new Set<number>()
  for (let at = ends.at(-1); at !== undefined; at = previous.get(at)) kept.add(at)
  return kept
}

/** By field: the values that a connection must have for a condition to hold. Fields that may have any are absent. */
type Possible = ReadonlyMap<string, Domain | Hosts>

/** These names, and everything at and below these domains. */
interface Hosts {
  readonly kind: 'hosts'
  readonly names: ReadonlySet<string>
  readonly domains: ReadonlySet<string>
}

const HOST = 'net.fqdn.host'
const NOTHING: Possible = new Map()

function possibleIn(expressions: readonly Expression[], lists: KnownLists): Possible {
  return expressions.map((one) => possibleOf(conditionOf(one, lists))).reduce(both, NOTHING)
}

function possibleOf(condition: RuleCondition): Possible {
  switch (condition.kind) {
    case 'and':
      return condition.items.map(possibleOf).reduce(both, NOTHING)
    case 'or': {
      const [first = NOTHING, ...others] = condition.items.map(possibleOf)
      return others.reduce(either, first)
    }
    case 'any': {
      const domains = domainsOf(condition.item)
      return domains === undefined ? NOTHING : new Map([[HOST, { kind: 'hosts', names: new Set(), domains }]])
    }
    case 'test': {
      const { access, field, domain, missing, test } = condition
      if (missing || domain === undefined || access !== field) return NOTHING
      // lists may compare texts without case; only names are in lower case whatever is asked
      const isFolded = test.kind === 'in-list' && access !== HOST
      if (domain.kind === 'texts' && (domain.excluded || isFolded)) return NOTHING
      if (access !== HOST || domain.kind !== 'texts') return new Map([[field, domain]])
      return new Map([[HOST, { kind: 'hosts', names: domain.texts, domains: new Set() }]])
    }
    default:
      return NOTHING
  }
}

/** The domains of which a name must have one for `any(…)` about its domains to hold. */
function domainsOf(item: RuleCondition): ReadonlySet<string> | undefined {
  if (item.kind === 'test' && item.access === 'net.fqdn.domains[*]') {
    return item.domain?.kind === 'texts' && !item.domain.excluded ? item.domain.texts : undefined
  }
  if (item.kind !== 'or') return undefined
  const all = item.items.map(domainsOf)
  return all.includes(undefined) ? undefined : new Set(all.flatMap((one) => [...(one ?? [])]))
}

function both(a: Possible, b: Possible): Possible {
  const found = new Map(a)
  for (const [field, own] of b) {
    const other = a.get(field)
    // of hosts, either set holds all that are in both
    found.set(
      field,
      other === undefined || other.kind === 'hosts' || own.kind === 'hosts' ? own : intersect(other, own),
    )
  }
  return found
}

function either(a: Possible, b: Possible): Possible {
  const found = new Map<string, Domain | Hosts>()
  for (const [field, own] of a) {
    const other = b.get(field)
    if (own.kind === 'hosts' && other?.kind === 'hosts') {
      found.set(field, {
        kind: 'hosts',
        names: own.names.union(other.names),
        domains: own.domains.union(other.domains),
      })
    } else if (other !== undefined && own.kind !== 'hosts' && other.kind === own.kind) {
      found.set(field, union(own, other, TYPE_OF_PORT.has(field) ? 'Int' : own.kind === 'texts' ? 'Bytes' : 'Ip'))
    }
  }
  return found
}

const TYPE_OF_PORT: ReadonlySet<string> = new Set(['net.dst.port', 'net.src.port'])

function canMeet(a: Possible, b: Possible): boolean {
  for (const [field, own] of a) {
    const other = b.get(field)
    if (other === undefined) continue
    if (own.kind === 'hosts' || other.kind === 'hosts') {
      if (own.kind === 'hosts' && other.kind === 'hosts' && !share(own, other)) return false
    } else if (isEmpty(intersect(own, other))) return false
  }
  return true
}

function share(a: Hosts, b: Hosts): boolean {
  const [few, many] = a.names.size + a.domains.size < b.names.size + b.domains.size ? [a, b] : [b, a]
  return isIn(few, many) || isIn(many, few)
}

/** One of the names or domains of `a` is one of those of `b`, or below one of its domains. */
function isIn(a: Hosts, b: Hosts): boolean {
  for (const name of a.names) {
    if (b.names.has(name) || withParents(name).some((domain) => b.domains.has(domain))) return true
  }
  for (const domain of a.domains) if (withParents(domain).some((parent) => b.domains.has(parent))) return true
  return false
}
