// What a flow must have for an expression to be able to be true, derived from its tree: the input of the rule index.
// Sound but incomplete: what cannot be expressed as keys is left out. And whether the keys say all that the expression
// says.

import type { RegexShape } from '../../expression/regex/shape.ts'
import type { Access, Comparison, Expression, IntMember, IpMember, Node, OrderOperator } from '../../expression/tree.ts'
import type { Wildcard } from '../../expression/wildcard.ts'
import type { Ip } from '../../net/ip.ts'
import { type KeyNumber, KeyTable, type PathKeys, type Requirement } from './key-table.ts'
import { prefixesOf } from './prefix-table.ts'

/** A requirement with more keys than this is dropped: it is not worth a lookup each. */
const MOST_KEYS = 20_000

/** Integers one after the other, in memory that grows. */
export class IntegerRow {
  values = new Int32Array(256)
  length = 0

  push(value: number): void {
    if (this.length === this.values.length) {
      const larger = new Int32Array(2 * this.length)
      larger.set(this.values)
      this.values = larger
    }
    this.values[this.length++] = value
  }

  at(index: number): number {
    return this.values[index] ?? 0
  }
}

/** Rules as the index sees them, in order of precedence: their keys as rows of integers, nothing else is kept of their
 *  expressions. Requirements and exclusions are counted over all rules. */
export class IndexedRules {
  readonly table = new KeyTable()
  readonly #reader = new KeyReader(this.table)
  readonly #keys = new IntegerRow()
  /** where the keys of each requirement begin, and behind the last one where they end */
  readonly #starts = new IntegerRow()
  /** per requirement the number of its path if it is simple, else -1 */
  readonly #simplePaths = new IntegerRow()
  /** per rule its first requirement and its first exclusion; then the end */
  readonly #bounds = new IntegerRow()
  readonly #exact = new IntegerRow()

  constructor() {
    this.#starts.push(0)
    this.#bounds.push(0)
  }

  /** Adds a rule that matches where all of these expressions are true. */
  add(expressions: readonly Expression[]): void {
    const read = expressions.map((expression) => this.#reader.read(expression))
    for (const { requirements } of read) for (const requirement of requirements) this.#addRequirement(requirement)
    this.#bounds.push(this.requirementCount)
    for (const { exclusions } of read) for (const exclusion of exclusions) this.#addRequirement(exclusion)
    this.#bounds.push(this.requirementCount)
    this.#exact.push(read.every(({ isExact }) => isExact) ? 1 : 0)
  }

  #addRequirement(requirement: Requirement): void {
    for (const key of requirement) this.#keys.push(key)
    this.#starts.push(this.#keys.length)
    this.#simplePaths.push(this.#simplePathOf(requirement))
  }

  /** The path of a requirement on one text or integer of the connection itself. */
  #simplePathOf(requirement: Requirement): number {
    const { keys } = this.table
    const path = keys[requirement[0] ?? -1]?.path
    if (path === undefined || !path.isSimple) return -1
    for (const number of requirement) {
      const key = keys[number]
      const isSimple =
        key?.kind === 'value' || (path.type === 'Int' && (key?.kind === 'prefix' || key?.kind === 'outside'))
      if (key?.path !== path || !isSimple) return -1
    }
    return path.number
  }

  get length(): number {
    return this.#exact.length
  }

  get requirementCount(): number {
    return this.#starts.length - 1
  }

  /** The first requirement of a rule; its requirements end where its exclusions begin. */
  requirementsFrom(rule: number): number {
    return this.#bounds.at(2 * rule)
  }

  /** The first exclusion of a rule; they end where the next rule begins. */
  exclusionsFrom(rule: number): number {
    return this.#bounds.at(2 * rule + 1)
  }

  /** Whether a rule matches every flow that meets all its requirements and no exclusion. */
  isExact(rule: number): boolean {
    return this.#exact.at(rule) === 1
  }

  simplePath(requirement: number): number {
    return this.#simplePaths.at(requirement)
  }

  /** The keys of a requirement: from here up to where those of the next one begin. */
  keysFrom(requirement: number): number {
    return this.#starts.at(requirement)
  }

  key(at: number): KeyNumber {
    return this.#keys.at(at)
  }

  /** As {@link KeyTable.isFoundExactly}, for one of these requirements. */
  isFoundExactly(requirement: number): boolean {
    for (let at = this.keysFrom(requirement); at < this.keysFrom(requirement + 1); at++) {
      if (!this.table.isFoundExactly(this.key(at))) return false
    }
    return true
  }
}

/** What the index knows of an expression. */
export interface ExpressionKeys {
  /** they must all be met for the expression to be true */
  readonly requirements: readonly Requirement[]
  /** none of them may be met for it to be true: its negated tests of plain fields */
  readonly exclusions: readonly Requirement[]
  /** whether it is true wherever all requirements and no exclusion are met; false when unsure */
  readonly isExact: boolean
}

/** Derives keys of expressions, numbered in one table. */
export class KeyReader {
  readonly #table: KeyTable
  /** of the expression being read: each is asked for up to three times */
  readonly #known = new Map<Comparison, readonly Requirement[]>()
  #missingNotEqual = true

  constructor(table: KeyTable) {
    this.#table = table
  }

  read({ root, scheme }: Expression): ExpressionKeys {
    this.#missingNotEqual = scheme.missingNotEqual
    const keys = {
      requirements: this.#walk(root, false),
      exclusions: this.#excluded(root),
      isExact: this.#isExact(root),
    }
    this.#known.clear()
    return keys
  }

  /** Requirements for the node to be true, or false where `negated`; inside quantifiers: at one position at least. */
  #walk(node: Node, negated: boolean): readonly Requirement[] {
    switch (node.kind) {
      case 'group':
        return this.#walk(node.item, negated)
      case 'not':
        return this.#walk(node.item, !negated)
      case 'quantifier':
        // a false `any` and a true `all` also hold for empty arrays, so nothing is required then
        return (node.op === 'all') === negated ? this.#walk(node.item, negated) : []
      case 'comparison':
        return negated ? this.#ofNegated(node) : this.#ofComparison(node)
      case 'chain': {
        if (node.op === 'xor') return []
        const items = node.items.map((item) => this.#walk(item, negated))
        return (node.op === 'and') === negated ? this.#either(items) : items.flat()
      }
    }
  }

  /** One arm must be true: the union of the best requirement of each, if every arm has one. */
  #either(arms: readonly (readonly Requirement[])[]): Requirement[] {
    const union: KeyNumber[] = []
    for (const arm of arms) {
      let best: Requirement | undefined
      let least = Number.POSITIVE_INFINITY
      for (const requirement of arm) {
        const weight = this.#table.weight(requirement)
        if (best !== undefined && weight >= least) continue
        best = requirement
        least = weight
      }
      if (best === undefined) return []
      for (const key of best) union.push(key)
    }
    return union.length > MOST_KEYS ? [] : [union]
  }

  #ofComparison(comparison: Comparison): readonly Requirement[] {
    const before = this.#known.get(comparison)
    if (before !== undefined) return before
    const made = this.#derive(comparison)
    this.#known.set(comparison, made)
    return made
  }

  /** `not x != v` is `x == v` except where x may be missing and `!=` is false then. */
  #ofNegated({ access, test, type }: Comparison): Requirement[] {
    const isEqual = test.kind === 'order' && test.op === '!=' && (this.#missingNotEqual || type === 'Bools')
    const path = isEqual ? this.#pathOf(access) : undefined
    return isEqual && path !== undefined ? fromOrder(path, '==', test.literal.value) : []
  }

  #derive({ access, test }: Comparison): Requirement[] {
    const path = this.#pathOf(access)
    if (path === undefined) return []
    switch (test.kind) {
      case 'order':
        return fromOrder(path, test.op, test.literal.value)
      case 'in-list':
        return [[path.list(test.list.name)]]
      case 'in-set': {
        const keys: KeyNumber[] = []
        for (const member of test.set.members) {
          if ('value' in member) keys.push(path.value(member.value))
          else for (const key of memberKeys(path, member)) keys.push(key)
          if (keys.length > MOST_KEYS) return []
        }
        return [keys]
      }
      case 'wildcard':
        return textKeys(path, keysOfWildcard(test.pattern))
      case 'matches':
        return textKeys(path, keysOfRegex(test.regex.shape))
      default:
        return []
    }
  }

  #pathOf({ field, indexes, valueType }: Access): PathKeys | undefined {
    if (valueType !== 'Bytes' && valueType !== 'Int' && valueType !== 'Ip') return undefined
    const { slot, name, type: fieldType } = field
    const shape = typeof fieldType === 'string' ? 'scalar' : 'array' in fieldType ? 'array' : 'map'
    const [first, second] = indexes
    const here = (mapKey?: string) =>
      this.#table.path({ slot, mapKey, field: name, type: valueType, isArray: shape !== 'scalar' })
    if (shape === 'scalar') return first === undefined || first.kind === 'each' ? here() : undefined
    if (shape === 'array') return indexes.length === 1 && isElement(first) ? here() : undefined
    return first?.kind === 'key' && indexes.length === 2 && isElement(second) ? here(first.key) : undefined
  }

  #excluded(node: Node): readonly Requirement[] {
    if (node.kind === 'group') return this.#excluded(node.item)
    if (node.kind === 'chain' && node.op === 'and') return node.items.flatMap((item) => this.#excluded(item))
    if (node.kind !== 'not') return []
    const item = ungrouped(node.item)
    return item.kind === 'comparison' && this.#isExactTest(item, 'scalar') ? this.#ofComparison(item) : []
  }

  #isExact(node: Node): boolean {
    switch (node.kind) {
      case 'group':
        return this.#isExact(node.item)
      case 'chain':
        return node.op === 'and' && node.items.every((item) => this.#isExact(item))
      case 'quantifier': {
        // two comparisons in one `any` must hold at one position; only a single one is equivalent to its keys
        const item = ungrouped(node.item)
        return node.op === 'any' && item.kind === 'comparison' && this.#isExactTest(item, 'each')
      }
      case 'comparison':
        return this.#isExactTest(node, 'scalar')
      case 'not': {
        const item = ungrouped(node.item)
        return item.kind === 'comparison' && this.#isExactTest(item, 'scalar')
      }
    }
  }

  /** Whether the test is false for a missing value and otherwise equivalent to its one requirement. */
  #isExactTest(node: Comparison, of: 'scalar' | 'each'): boolean {
    const { access, test } = node
    if (!isRead(access, of)) return false
    if (test.kind !== 'in-set' && !(test.kind === 'order' && test.op === '==')) return false
    const [requirement, another] = this.#ofComparison(node)
    return (
      requirement !== undefined && another === undefined && requirement.every((key) => this.#table.isFoundExactly(key))
    )
  }
}

function ungrouped(node: Node): Node {
  return node.kind === 'group' ? ungrouped(node.item) : node
}

/** A plain field, or every element of a plain array. */
function isRead({ field, indexes }: Access, of: 'scalar' | 'each'): boolean {
  const [first, second] = indexes
  if (of === 'scalar') return typeof field.type === 'string' && first === undefined
  return typeof field.type === 'object' && 'array' in field.type && first?.kind === 'each' && second === undefined
}

function isElement(index: Access['indexes'][number] | undefined): boolean {
  return index?.kind === 'each' || index?.kind === 'element'
}

function fromOrder(path: PathKeys, op: OrderOperator, value: string | number | bigint | Ip): Requirement[] {
  if (op === '!=') return []
  if (typeof value === 'string') return op === '==' ? [[path.value(value)]] : []
  if (typeof value === 'object') return capped(memberKeys(path, addressRange(op, value)))
  if (op === '==') return [[path.value(value)]]
  return capped(intKeys(path, ...integerRange(op, value)))
}

function memberKeys(path: PathKeys, { first, last }: IntMember | Pick<IpMember, 'first' | 'last'>): Requirement {
  if (typeof first === 'object' && typeof last === 'object') {
    const of = first.family === 4 ? 'IPv4' : 'IPv6'
    return prefixesOf({ first: first.words, last: last.words }).map((prefix) => path.prefix(of, prefix))
  }
  if (typeof first === 'object' || typeof last === 'object') return []
  return first === last ? [path.value(first)] : intKeys(path, first, last)
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

function intKeys(path: PathKeys, first: number | bigint, last: number | bigint): Requirement {
  const low = Number(first < 0 ? 0 : first)
  const high = Number(last > WORD ? WORD : last)
  const inside = low <= high && low <= WORD ? path.integers(low, high) : []
  return first < 0 || last > WORD ? [...inside, path.outside()] : inside
}

function textKeys(path: PathKeys, keys: readonly TextKey[] | undefined): Requirement[] {
  if (keys === undefined) return []
  return [keys.map((key) => ('whole' in key ? path.value(key.whole) : path.suffix(key.ending)))]
}

function capped(keys: Requirement): Requirement[] {
  return keys.length > MOST_KEYS ? [] : [keys]
}

/** At least one of these holds for every text that matches. Endings are compared without ASCII case. */
type TextKey = { readonly whole: string } | { readonly ending: string }

/** `*.example.com` ends with `.example.com`. */
function keysOfWildcard({ parts, strict }: Pick<Wildcard, 'parts' | 'strict'>): readonly TextKey[] | undefined {
  const [only] = parts
  if (parts.length === 1 && only !== undefined && strict) return [{ whole: only }]
  return ending(parts.at(-1) ?? '')
}

/** `^(.*\.)?corp\.test$` is `corp.test` or ends with `.corp.test`. */
function keysOfRegex(shape: RegexShape): readonly TextKey[] | undefined {
  switch (shape.kind) {
    case 'equals':
      return shape.texts.map((whole) => ({ whole }))
    case 'ends':
      return ending(shape.text)
    case 'domain':
      return [{ whole: shape.text }, ...(ending(shape.dotted) ?? [])]
    case 'automaton':
      return ending(shape.suffix)
    default:
      return undefined
  }
}

/** The text from its first `.` or `@` on. */
function ending(text: string): readonly TextKey[] | undefined {
  const start = text.search(/[.@]/)
  return start < 0 ? undefined : [{ ending: text.slice(start) }]
}
