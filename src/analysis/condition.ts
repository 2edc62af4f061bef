// Expressions as conditions for proofs: negations pushed down to single tests, groups removed, tests as sets of values
// where possible. Never evaluated.

import { type Access, type Comparison, type Expression, formatNode, type Node, type Test } from '../expression/index.ts'
import { complement, type Domain, domainOf } from './value-domain.ts'

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
