// Expressions as conditions for proofs: negations pushed down to single tests, groups removed, tests as sets of values
// where possible, exact enough to prove that one set contains another. Never evaluated.

import {
  type Access,
  type Comparison,
  type Expression,
  formatNode,
  type Literal,
  type LiteralSet,
  type Node,
  type OrderOperator,
  type Test,
} from '../expression/index.ts'
import { fromIpv4Number, fromIpv6Words, type Ip } from '../net/ip.ts'

export type RuleCondition =
  | { readonly kind: 'and' | 'or'; readonly items: readonly RuleCondition[] }
  | { readonly kind: 'any' | 'all'; readonly item: RuleCondition; readonly accesses: ReadonlySet<string> }
  | TestCondition
  /** a part of which only the text is known */
  | { readonly kind: 'opaque'; readonly text: string; readonly negated: boolean }

/** One test of the values an access finds. */
export interface TestCondition {
  readonly kind: 'test'
  readonly field: string
  /** field and indexes, equal for every spelling */
  readonly access: string
  readonly type: 'Int' | 'Ip' | 'Bytes'
  /** whether the condition is true for a missing value; not used inside quantifiers */
  readonly missing: boolean
  /** accepted values; undefined if they are not a plain set */
  readonly domain: Domain | undefined
  readonly test: Test
  readonly negated: boolean
  readonly text: string
}

/** The condition that every connection meets. */
export const ALWAYS: RuleCondition = { kind: 'and', items: [] }

/** The condition that an expression states. */
export function conditionOf(expression: Expression): RuleCondition {
  return convert(expression.root, false, expression.scheme.missingNotEqual)
}

function convert(node: Node, negated: boolean, missingNotEqual: boolean): RuleCondition {
  switch (node.kind) {
    case 'group':
      return convert(node.item, negated, missingNotEqual)
    case 'not':
      return convert(node.item, !negated, missingNotEqual)
    case 'comparison':
      return convertComparison(node, negated, missingNotEqual)
    case 'quantifier': {
      const accesses = new Set(accessesOf(node.item))
      const kind = (node.op === 'any') === negated ? 'all' : 'any'
      return { kind, item: convert(node.item, negated, missingNotEqual), accesses }
    }
    case 'chain': {
      if (node.op === 'xor') return { kind: 'opaque', text: formatNode(node), negated }
      const items = node.items.map((item) => convert(item, negated, missingNotEqual))
      return { kind: (node.op === 'and') === negated ? 'or' : 'and', items }
    }
  }
}

function convertComparison(node: Comparison, negated: boolean, missingNotEqual: boolean): RuleCondition {
  const { access, test, type } = node
  const { valueType } = access
  const text = formatNode(node)
  if (valueType !== 'Int' && valueType !== 'Ip' && valueType !== 'Bytes') return { kind: 'opaque', text, negated }
  const plain = domainOf(test)
  const whenMissing = test.kind === 'order' && test.op === '!=' && missingNotEqual
  return {
    kind: 'test',
    field: access.field.name,
    access: pathOf(access),
    type: valueType,
    missing: type === 'Bool' && whenMissing !== negated,
    domain: plain !== undefined && negated ? complement(plain, valueType) : plain,
    test,
    negated,
    text,
  }
}

function accessesOf(node: Node): string[] {
  if (node.kind === 'comparison') return [pathOf(node.access)]
  return node.kind === 'chain' ? node.items.flatMap(accessesOf) : accessesOf(node.item)
}

function pathOf({ field, indexes }: Access): string {
  const steps = indexes.map((index) => {
    if (index.kind === 'element') return `[${index.at}]`
    return index.kind === 'key' ? `[${JSON.stringify(index.key)}]` : index.kind === 'each' ? '[*]' : '[pairs]'
  })
  return field.name + steps.join('')
}

// Integers and addresses are ranges on one line, texts a finite set or the complement of one.

/** Ranges are sorted and disjoint, and include both ends. */
export type Domain =
  | { readonly kind: 'ranges'; readonly ranges: readonly ValueRange[] }
  | { readonly kind: 'texts'; readonly texts: ReadonlySet<string>; readonly excluded: boolean }

export type ValueRange = readonly [first: bigint, last: bigint]

const LEAST_INT = -(2n ** 63n)
const GREATEST_INT = 2n ** 63n - 1n
/** IPv6 addresses follow the IPv4 ones. */
export const IPV6_START = 2n ** 32n
export const GREATEST_IP = IPV6_START + 2n ** 128n - 1n

const WHOLE = { Int: [LEAST_INT, GREATEST_INT], Ip: [0n, GREATEST_IP] } as const

/** The present values a test accepts; undefined if they are not a plain set. */
export function domainOf(test: Test): Domain | undefined {
  if (test.kind === 'order') return orderDomain(test.op, test.literal)
  return test.kind === 'in-set' ? setDomain(test.set) : undefined
}

/** All values of the type outside the domain. */
export function complement(domain: Domain, type: 'Int' | 'Ip' | 'Bytes'): Domain {
  if (domain.kind === 'texts') return { ...domain, excluded: !domain.excluded }
  const [least, greatest] = type === 'Ip' ? WHOLE.Ip : WHOLE.Int
  const gaps: ValueRange[] = []
  let from = least
  for (const [first, last] of domain.ranges) {
    if (first > from) gaps.push([from, first - 1n])
    from = last + 1n
  }
  if (from <= greatest) gaps.push([from, greatest])
  return { kind: 'ranges', ranges: gaps }
}

/** The values in both. Both domains must be of one type. */
export function intersect(a: Domain, b: Domain): Domain {
  if (a.kind === 'texts' && b.kind === 'texts') return intersectTexts(a, b)
  if (a.kind !== 'ranges' || b.kind !== 'ranges') return a
  const both = a.ranges.flatMap(([first, last]) =>
    b.ranges.flatMap(([other, end]): ValueRange[] => {
      const range: ValueRange = [first > other ? first : other, last < end ? last : end]
      return range[0] <= range[1] ? [range] : []
    }),
  )
  return { kind: 'ranges', ranges: both }
}

/** The values in either. Both domains must be of this type. */
export function union(a: Domain, b: Domain, type: 'Int' | 'Ip' | 'Bytes'): Domain {
  return complement(intersect(complement(a, type), complement(b, type)), type)
}

/** Whether `b` contains all of `a`. Both domains must be of one type. */
export function isWithin(a: Domain, b: Domain): boolean {
  if (a.kind === 'texts' && b.kind === 'texts') return textsWithin(a, b)
  if (a.kind !== 'ranges' || b.kind !== 'ranges') return false
  return a.ranges.every(([first, last]) => b.ranges.some(([from, to]) => from <= first && last <= to))
}

/** Whether the domain contains no value. */
export function isEmpty(domain: Domain): boolean {
  return domain.kind === 'ranges' ? domain.ranges.length === 0 : !domain.excluded && domain.texts.size === 0
}

type Texts = Extract<Domain, { kind: 'texts' }>

function intersectTexts(a: Texts, b: Texts): Texts {
  if (a.excluded && b.excluded) return { kind: 'texts', texts: a.texts.union(b.texts), excluded: true }
  if (a.excluded) return { kind: 'texts', texts: b.texts.difference(a.texts), excluded: false }
  return {
    kind: 'texts',
    texts: b.excluded ? a.texts.difference(b.texts) : a.texts.intersection(b.texts),
    excluded: false,
  }
}

function textsWithin(a: Texts, b: Texts): boolean {
  if (a.excluded) return b.excluded && b.texts.isSubsetOf(a.texts)
  return b.excluded ? a.texts.isDisjointFrom(b.texts) : a.texts.isSubsetOf(b.texts)
}

function orderDomain(op: OrderOperator, literal: Literal): Domain | undefined {
  if (literal.type === 'Bytes') {
    if (op !== '==' && op !== '!=') return undefined
    return { kind: 'texts', texts: new Set([literal.value]), excluded: op === '!=' }
  }
  const at = literal.type === 'Int' ? BigInt(literal.value) : pointOf(literal.value)
  const [least, greatest] = literal.type === 'Int' ? WHOLE.Int : familyOf(literal.value)
  if (op === '!=') return complement({ kind: 'ranges', ranges: [[at, at]] }, literal.type)
  return { kind: 'ranges', ranges: nonEmpty(rangeOfOrder(op, at, least, greatest)) }
}

function rangeOfOrder(op: Exclude<OrderOperator, '!='>, at: bigint, least: bigint, greatest: bigint): ValueRange {
  switch (op) {
    case '==':
      return [at, at]
    case '<':
      return [least, at - 1n]
    case '<=':
      return [least, at]
    case '>':
      return [at + 1n, greatest]
    case '>=':
      return [at, greatest]
  }
}

function nonEmpty(range: ValueRange): readonly ValueRange[] {
  return range[0] <= range[1] ? [range] : []
}

function setDomain(set: LiteralSet): Domain {
  if (set.type === 'Bytes')
    return { kind: 'texts', texts: new Set(set.members.map(({ value }) => value)), excluded: false }
  if (set.type === 'Int') return rangesOf(set.members.map(({ first, last }) => [BigInt(first), BigInt(last)]))
  return rangesOf(set.members.map(({ first, last }) => [pointOf(first), pointOf(last)]))
}

/** The domain of ranges given in any order; overlaps are merged. */
export function rangesOf(ranges: readonly ValueRange[]): Domain {
  const merged: [bigint, bigint][] = []
  for (const [first, last] of ranges.toSorted((a, b) => (a[0] < b[0] ? -1 : 1))) {
    const open = merged.at(-1)
    if (open !== undefined && first <= open[1] + 1n) open[1] = last > open[1] ? last : open[1]
    else merged.push([first, last])
  }
  return { kind: 'ranges', ranges: merged }
}

/** An address as a point on the line of both families. */
export function pointOf({ family, words }: Ip): bigint {
  const value = words.reduce((sum, word) => sum * 2n ** 32n + BigInt(word), 0n)
  return family === 4 ? value : IPV6_START + value
}

/** The address at a point of that line. */
export function addressAt(point: bigint): Ip {
  if (point < IPV6_START) return fromIpv4Number(Number(point))
  const value = point - IPV6_START
  return fromIpv6Words([96n, 64n, 32n, 0n].map((shift) => Number((value >> shift) & 0xffffffffn)))
}

function familyOf({ family }: Ip): ValueRange {
  return family === 4 ? [0n, IPV6_START - 1n] : [IPV6_START, GREATEST_IP]
}
