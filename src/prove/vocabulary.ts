// Everything that the policies and conditions in question say of each field: where its values have to be cut into
// classes. Reads expressions; evaluates nothing.

import { domainOf, pointOf } from '../analysis/condition.ts'
import {
  afterLead,
  type BackwardScan,
  backwardScan,
  type Comparison,
  type Expression,
  formatNode,
  type KnownContents,
  type Node,
  partsOf,
  type Quantifier,
  type Test,
} from '../expression/index.ts'
import type { IpRange } from '../net/ip-set.ts'
import type { KnownLists } from '../policy/account.ts'
import type { TextTests } from './text-classes.ts'

/** A part of an expression that is asked as a whole: outside quantifiers a comparison, else the outermost quantifier. */
export interface Leaf {
  readonly node: Comparison | Quantifier
  readonly lists: KnownLists
  readonly fields: ReadonlySet<string>
  readonly missingNotEqual: boolean
}

/** Comparisons of one field, with the lists they mean. */
export interface FieldTest {
  readonly node: Comparison
  readonly lists: KnownLists
}

/** The vocabulary of one question: expressions are added one by one, then it is asked for what each field is
 *  compared with. */
export class ProofVocabulary {
  readonly #leaves: Leaf[] = []
  readonly #tests = new Map<string, FieldTest[]>()

  /** All leaves of the expressions added so far. */
  get leaves(): readonly Leaf[] {
    return this.#leaves
  }

  add(expression: Expression, lists: KnownLists): void {
    const { missingNotEqual } = expression.scheme
    for (const node of leavesOf(expression.root)) {
      const comparisons = comparisonsOf(node)
      this.#leaves.push({ node, lists, missingNotEqual, fields: new Set(comparisons.map(fieldOf)) })
    }
    for (const node of partsOf(expression).comparisons) {
      const before = this.#tests.get(fieldOf(node)) ?? []
      before.push({ node, lists })
      this.#tests.set(fieldOf(node), before)
    }
  }

  testsOf(field: string): readonly FieldTest[] {
    return this.#tests.get(field) ?? []
  }

  /** The first value of each stretch of numbers or addresses (as points of one line) that no test of the field cuts, nor
   *  `also`. `every`: the values to list one by one where a test looks at single bits. */
  cutsOf(field: string, also: readonly IpRange[] = [], every: readonly bigint[] = []): Set<bigint> {
    const cuts = new Set<bigint>()
    const add = (first: bigint, last: bigint) => cuts.add(first).add(last + 1n)
    for (const { first, last } of also) add(pointOf(first), pointOf(last))
    for (const { node, lists } of this.testsOf(field)) {
      const { test } = node
      const domain = domainOf(test)
      if (domain?.kind === 'ranges') for (const [first, last] of domain.ranges) add(first, last)
      if (test.kind === 'bits') for (const value of every) cuts.add(value)
      if (test.kind === 'in-list') {
        for (const { first, last } of lists.get(test.list.name)?.ranges() ?? []) add(pointOf(first), pointOf(last))
      }
    }
    return cuts
  }
}

/** Text tests, collected. */
export class TextTestCollector implements TextTests {
  readonly equal = new Set<string>()
  readonly folded = new Set<string>()
  readonly #scans = new Map<string, BackwardScan>()

  get scans(): readonly BackwardScan[] {
    return [...this.#scans.values()]
  }

  /** `wrap`: makes of the test of a part of the text one of the whole. */
  add({ node: { test }, lists }: FieldTest, wrap: TextWrap = AS_IT_IS): void {
    for (const { text, folded } of constantsOf(test, lists)) (folded ? this.folded : this.equal).add(wrap.text(text))
    const key = `${wrap.text('')} ${keyOf(test)}`
    const scan = this.#scans.has(key) ? undefined : backwardScan(test)
    if (scan !== undefined) this.#scans.set(key, wrap.scan(scan))
  }

  addScan(key: string, scan: BackwardScan): void {
    this.#scans.set(key, scan)
  }
}

export interface TextWrap {
  readonly text: (text: string) => string
  readonly scan: (scan: BackwardScan) => BackwardScan
}

/** Values of one key of a map, in texts of the form `key=value`. */
export function afterKey(key: string): TextWrap {
  return { text: (text) => `${key}=${text}`, scan: (scan) => afterLead(`${key}=`, scan) }
}

const AS_IT_IS: TextWrap = { text: (text) => text, scan: (scan) => scan }

function keyOf(test: Test): string {
  switch (test.kind) {
    case 'contains':
      return `contains ${test.literal.value}`
    case 'order':
      return `${test.op} ${test.literal.text}`
    case 'matches':
      return `matches ${test.text}`
    case 'wildcard':
      return `wildcard ${test.strict} ${test.text}`
    default:
      return test.kind
  }
}

function constantsOf(test: Test, lists: KnownLists): readonly { readonly text: string; readonly folded: boolean }[] {
  if (test.kind === 'order' && test.literal.type === 'Bytes') return [{ text: test.literal.value, folded: false }]
  if (test.kind === 'in-set' && test.set.type === 'Bytes') {
    return test.set.members.map(({ value }) => ({ text: value, folded: false }))
  }
  if (test.kind !== 'in-list') return []
  const contents = lists.get(test.list.name)
  if (contents === undefined) return []
  const folded = ignoresCase(contents)
  return [...contents.texts].map((text) => ({ text, folded }))
}

/** Lists of names and addresses keep their texts in lower case and compare them so. */
function ignoresCase(contents: KnownContents): boolean {
  const texts = [...contents.texts]
  const lettered = texts.find((text) => /[a-z]/.test(text))
  return lettered !== undefined && !texts.some((text) => /[A-Z]/.test(text)) && contents.has(lettered.toUpperCase())
}

/** Whether a quantifier only asks if one of some constants is among the elements. */
export function isPlainMembership(node: Node): boolean {
  if (node.kind === 'quantifier') return node.op === 'any' && isPlainMembership(node.item)
  if (node.kind === 'group') return isPlainMembership(node.item)
  if (node.kind === 'chain') return node.op === 'or' && node.items.every(isPlainMembership)
  if (node.kind !== 'comparison') return false
  const { test } = node
  return (test.kind === 'order' && test.op === '==') || test.kind === 'in-set' || test.kind === 'in-list'
}

/** Equal for leaves of one meaning in every policy; lists may differ between policies. */
export function keyOfLeaf({ node, lists, missingNotEqual }: Leaf, text = formatNode(node)): string {
  const named = comparisonsOf(node).some(({ test }) => test.kind === 'in-list')
  return `${missingNotEqual ? '' : 'm'}${named ? numberOf(lists) : ''} ${text}`
}

const numbers = new WeakMap<KnownLists, number>()
let count = 0

function numberOf(lists: KnownLists): number {
  const known = numbers.get(lists) ?? ++count
  numbers.set(lists, known)
  return known
}

function leavesOf(node: Node): (Comparison | Quantifier)[] {
  if (node.kind === 'comparison' || node.kind === 'quantifier') return [node]
  return node.kind === 'chain' ? node.items.flatMap(leavesOf) : leavesOf(node.item)
}

/** Every comparison in a node. */
export function comparisonsOf(node: Node): Comparison[] {
  if (node.kind === 'comparison') return [node]
  return node.kind === 'chain' ? node.items.flatMap(comparisonsOf) : comparisonsOf(node.item)
}

function fieldOf({ access }: Comparison): string {
  return access.field.name
}
