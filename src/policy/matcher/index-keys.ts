// What a flow must have for an expression to be able to be true, derived from its tree: the input of the rule index and
// of the proofs that a rule is unreachable. Sound but incomplete: what cannot be expressed as keys is left out.

import type { Access, Comparison, Expression, IntMember, IpMember, Node, OrderOperator } from '../../expression/tree.ts'
import type { Ip } from '../../net/ip.ts'
import { keysOfRegex, keysOfWildcard, type TextKey } from './pattern-keys.ts'
import { type Prefix, prefixesOf } from './prefix-table.ts'

/** Where in a flow's values a key is looked up: a field, or one key of a map. In arrays any element counts. */
export interface FieldPathKey {
  readonly slot: number
  readonly mapKey: string | undefined
  readonly field: string
  /** type of the values found there */
  readonly type: 'Bytes' | 'Int' | 'Ip'
  /** whether several values may be found there */
  readonly isArray: boolean
  /** equal exactly for equal paths */
  readonly id: string
}

/** One thing a flow may have. */
export type IndexKey = KeyTest & {
  /** equal exactly for equal keys of equal paths */
  readonly id: string
}

type KeyTest =
  | { readonly kind: 'value'; readonly path: FieldPathKey; readonly value: string | number | bigint }
  | {
      readonly kind: 'prefix'
      readonly path: FieldPathKey
      readonly of: 'Int' | 'IPv4' | 'IPv6'
      readonly prefix: Prefix
    }
  /** an integer outside 0 … 2^32-1 */
  | { readonly kind: 'outside'; readonly path: FieldPathKey }
  | { readonly kind: 'list'; readonly path: FieldPathKey; readonly name: string }
  /** text with this ending, compared without ASCII case; the ending starts with `.` or `@` */
  | { readonly kind: 'suffix'; readonly path: FieldPathKey; readonly suffix: string }

/** A flow meets it when it has at least one of the keys. */
export type Requirement = readonly IndexKey[]

/** A requirement with more keys than this is dropped: it is not worth a lookup each. */
const MOST_KEYS = 20_000

/** Requirements that must all be met for the expression to be true. */
export function requirementsOf(expression: Expression): Requirement[] {
  return walk(expression.root, false, expression.scheme.missingNotEqual)
}

/** Like {@link requirementsOf}, for a part of an expression. */
export function requirementsOfNode(node: Node, missingNotEqual: boolean): Requirement[] {
  return walk(node, false, missingNotEqual)
}

/** Requirements for the node to be true, or false where `negated`; inside quantifiers: at one position at least. */
function walk(node: Node, negated: boolean, missingNotEqual: boolean): Requirement[] {
  switch (node.kind) {
    case 'group':
      return walk(node.item, negated, missingNotEqual)
    case 'not':
      return walk(node.item, !negated, missingNotEqual)
    case 'quantifier':
      // a false `any` and a true `all` also hold for empty arrays, so nothing is required then
      return (node.op === 'all') === negated ? walk(node.item, negated, missingNotEqual) : []
    case 'comparison':
      return negated ? fromComparison(node, true, missingNotEqual) : fromPositive(node, missingNotEqual)
    case 'chain': {
      if (node.op === 'xor') return []
      const items = node.items.map((item) => walk(item, negated, missingNotEqual))
      return (node.op === 'and') === negated ? either(items) : items.flat()
    }
  }
}

/** One arm must be true: the union of the best requirement of each, if every arm has one. */
function either(arms: readonly Requirement[][]): Requirement[] {
  const union: IndexKey[] = []
  for (const arm of arms) {
    const best = arm.reduce<Requirement | undefined>(
      (a, b) => (a === undefined || weight(b) < weight(a) ? b : a),
      undefined,
    )
    if (best === undefined) return []
    union.push(...best)
  }
  return union.length > MOST_KEYS ? [] : [union]
}

/** Computed twice: for the index, and to see whether they are exact. Negated comparisons are rare and not cached. */
const known = new WeakMap<Comparison, Requirement[]>()

function fromPositive(comparison: Comparison, missingNotEqual: boolean): Requirement[] {
  const before = known.get(comparison)
  if (before !== undefined) return before
  const made = fromComparison(comparison, false, missingNotEqual)
  known.set(comparison, made)
  return made
}

function fromComparison({ access, test, type }: Comparison, negated: boolean, missingNotEqual: boolean): Requirement[] {
  const path = pathOf(access)
  if (path === undefined) return []
  if (negated) {
    // `not x != v` is `x == v` except where x may be missing and `!=` is false then
    const equal = test.kind === 'order' && test.op === '!=' && (missingNotEqual || type === 'Bools')
    return equal ? fromOrder(path, '==', test.literal.value) : []
  }
  switch (test.kind) {
    case 'order':
      return fromOrder(path, test.op, test.literal.value)
    case 'in-list':
      return [[withId({ kind: 'list', path, name: test.list.name })]]
    case 'in-set':
      return capped(
        test.set.members.flatMap((member) =>
          'value' in member ? valueKey(path, member.value) : memberKeys(path, member),
        ),
      )
    case 'wildcard':
      return textKeys(path, keysOfWildcard(test.pattern))
    case 'matches':
      return textKeys(path, keysOfRegex(test.regex.shape))
    default:
      return []
  }
}

function pathOf({ field, indexes, valueType }: Access): FieldPathKey | undefined {
  if (valueType !== 'Bytes' && valueType !== 'Int' && valueType !== 'Ip') return undefined
  const shape = typeof field.type === 'string' ? 'scalar' : 'array' in field.type ? 'array' : 'map'
  const [first, ...rest] = indexes
  const here = {
    slot: field.slot,
    mapKey: undefined,
    field: field.name,
    type: valueType,
    isArray: shape !== 'scalar',
    id: field.name,
  }
  if (shape === 'scalar') return first === undefined || first.kind === 'each' ? here : undefined
  if (shape === 'array') return indexes.length === 1 && isElement(first) ? here : undefined
  if (first?.kind !== 'key' || rest.length !== 1 || !isElement(rest[0])) return undefined
  return { ...here, mapKey: first.key, id: `${field.name}[${JSON.stringify(first.key)}]` }
}

function isElement(index: Access['indexes'][number] | undefined): boolean {
  return index?.kind === 'each' || index?.kind === 'element'
}

function fromOrder(path: FieldPathKey, op: OrderOperator, value: string | number | bigint | Ip): Requirement[] {
  if (op === '!=') return []
  if (typeof value === 'string') return op === '==' ? [[...valueKey(path, value)]] : []
  if (typeof value === 'object') return capped(memberKeys(path, addressRange(op, value)))
  if (op === '==') return [[...valueKey(path, value)]]
  return capped(intKeys(path, integerRange(op, value)))
}

function withId(test: KeyTest): IndexKey {
  return { ...test, id: test.path.id + idOf(test) }
}

function idOf(test: KeyTest): string {
  switch (test.kind) {
    case 'value':
      return typeof test.value === 'string' ? `"${test.value}` : `=${test.value}`
    case 'prefix':
      return `${test.of}/${test.prefix.words.join(',')}/${test.prefix.length}`
    case 'outside':
      return ' outside'
    case 'list':
      return `$${test.name}`
    case 'suffix':
      return `~${test.suffix}`
  }
}

function valueKey(path: FieldPathKey, value: string | number | bigint): readonly IndexKey[] {
  return [withId({ kind: 'value', path, value })]
}

function memberKeys(path: FieldPathKey, member: IntMember | Pick<IpMember, 'first' | 'last'>): readonly IndexKey[] {
  const { first, last } = member
  if (typeof first === 'object' && typeof last === 'object') {
    const of = first.family === 4 ? 'IPv4' : 'IPv6'
    return prefixesOf({ first: first.words, last: last.words }).map((prefix) =>
      withId({ kind: 'prefix', path, of, prefix }),
    )
  }
  if (typeof first === 'object' || typeof last === 'object') return []
  return first === last ? valueKey(path, first) : intKeys(path, [first, last])
}

function addressRange(op: OrderOperator, value: Ip): { first: Ip; last: Ip } {
  const least = { ...value, words: value.words.map(() => 0) }
  const greatest = { ...value, words: value.words.map(() => 0xffffffff) }
  if (op === '==') return { first: value, last: value }
  return op === '<' || op === '<=' ? { first: least, last: value } : { first: value, last: greatest }
}

const BEYOND = 2n ** 63n
const WORD = 0xffffffff

/** One end more than `<` and `>` mean: a key too many costs a lookup, a key too few would be wrong. */
function integerRange(op: OrderOperator, value: number | bigint): [number | bigint, number | bigint] {
  return op === '<' || op === '<=' ? [-BEYOND, value] : [value, BEYOND]
}

function intKeys(path: FieldPathKey, [first, last]: readonly [number | bigint, number | bigint]): readonly IndexKey[] {
  const low = Number(first < 0 ? 0 : first)
  const high = Number(last > WORD ? WORD : last)
  const keys: IndexKey[] = []
  if (low <= high && low <= WORD) {
    for (const prefix of prefixesOf({ first: [low], last: [high] }))
      keys.push(withId({ kind: 'prefix', path, of: 'Int', prefix }))
  }
  if (first < 0 || last > WORD) keys.push(withId({ kind: 'outside', path }))
  return keys
}

function textKeys(path: FieldPathKey, keys: readonly TextKey[] | undefined): Requirement[] {
  if (keys === undefined) return []
  return [
    keys.map((key) => {
      if ('whole' in key) return withId({ kind: 'value', path, value: key.whole })
      return withId({ kind: 'suffix', path, suffix: key.ending })
    }),
  ]
}

function capped(keys: readonly IndexKey[]): Requirement[] {
  return keys.length > MOST_KEYS ? [] : [keys]
}

/** How likely a flow of a typical office has such a key, from 0 to 1: a first estimate, refined by how often rules
 *  name it. */
export function likelihood(key: IndexKey): number {
  switch (key.kind) {
    case 'value':
      return LIKELIHOODS[key.path.field] ?? 0.1
    case 'prefix':
      return key.of === 'Int'
        ? 0.5 ** Math.max(1, (key.prefix.length - 16) / 2)
        : 0.5 ** (key.prefix.length / (key.of === 'IPv4' ? 2.5 : 10))
    case 'outside':
      return 0.001
    case 'list':
      // all lists are searched at once, behind a filter: a value that is in none of them costs nothing
      return 0.002
    case 'suffix':
      return 0.02
  }
}

const LIKELIHOODS: Readonly<Record<string, number>> = {
  'net.protocol': 0.9,
  'net.dst.port': 0.3,
  'net.src.port': 0.0001,
  'net.vnet_id': 0.3,
  'net.src.geo.continent': 0.3,
  'net.dst.geo.continent': 0.3,
  'proxy.endpoint': 0.3,
  'net.fqdn.host': 0.005,
  'net.fqdn.domains': 0.01,
  'identity.email': 0.0005,
  'identity.name': 0.0005,
}

/** Sum over the keys: roughly the share of flows that meet the requirement. */
function weight(requirement: Requirement): number {
  let sum = 0
  for (const key of requirement) sum += likelihood(key)
  return sum
}

/** A rule as the index sees it. It can match only flows that meet all of the requirements. */
export interface IndexedRule {
  readonly requirements: readonly Requirement[]
  /** the rule cannot match a flow that meets any of these */
  readonly exclusions: readonly Requirement[]
  /** the rule matches every flow that meets all requirements and no exclusion */
  readonly isExact: boolean
}

// Which values belong to the user, which to the host name and which to the single connection: the index caches results
// per user, so it must know which values stay the same with the user.

export type FieldOrigin = 'user' | 'host' | 'flow'

/** Where a field's value comes from. */
export function fieldOriginOf(field: string): FieldOrigin {
  if (field.startsWith('identity.')) return 'user'
  return field === 'net.fqdn.host' || field === 'net.fqdn.domains' ? 'host' : 'flow'
}
