// Whether an expression is true exactly when its requirements are met and its exclusions are not. If so, a flow for
// which that holds matches, and the expression need not be evaluated. Answers no when unsure.

import type { Access, Comparison, Expression, Node } from '../../expression/tree.ts'
import { type Requirement, requirementsOfNode } from './index-keys.ts'

/** Whether the requirements and exclusions of this expression, taken together, are equivalent to it. */
export function isExact({ root, scheme }: Expression): boolean {
  return isExactNode(root, scheme.missingNotEqual)
}

/** What must not be met for the expression to be true: its negated tests of plain fields, as requirements. */
export function exclusionsOf({ root, scheme }: Expression): Requirement[] {
  return excluded(root, scheme.missingNotEqual)
}

function excluded(node: Node, missingNotEqual: boolean): Requirement[] {
  if (node.kind === 'group') return excluded(node.item, missingNotEqual)
  if (node.kind === 'chain' && node.op === 'and') return node.items.flatMap((item) => excluded(item, missingNotEqual))
  if (node.kind !== 'not') return []
  const item = ungrouped(node.item)
  return isExactTest(item, missingNotEqual) ? requirementsOfNode(item, missingNotEqual) : []
}

/** Whether the node is a test that is false for a missing value and otherwise equivalent to its one requirement. */
function isExactTest(node: Node, missingNotEqual: boolean): boolean {
  return node.kind === 'comparison' && isExactComparison(node, 'scalar', missingNotEqual)
}

/** Whether finding one of its keys in a table is equivalent to the requirement. Lists and endings are found by
 *  hashes, which may collide. */
export function isFoundExactly(requirement: Requirement): boolean {
  return requirement.every(({ kind }) => kind === 'value' || kind === 'prefix')
}

function isExactNode(node: Node, missingNotEqual: boolean): boolean {
  switch (node.kind) {
    case 'group':
      return isExactNode(node.item, missingNotEqual)
    case 'chain':
      return node.op === 'and' && node.items.every((item) => isExactNode(item, missingNotEqual))
    case 'quantifier': {
      // two comparisons in one `any` must hold at one position; only a single one is equivalent to its keys
      const item = ungrouped(node.item)
      return node.op === 'any' && item.kind === 'comparison' && isExactComparison(item, 'each', missingNotEqual)
    }
    case 'comparison':
      return isExactTest(node, missingNotEqual)
    case 'not':
      return isExactTest(ungrouped(node.item), missingNotEqual)
  }
}

function ungrouped(node: Node): Node {
  return node.kind === 'group' ? ungrouped(node.item) : node
}

function isExactComparison(node: Comparison, of: 'scalar' | 'each', missingNotEqual: boolean): boolean {
  const { access, test } = node
  if (!isRead(access, of)) return false
  if (test.kind !== 'in-set' && !(test.kind === 'order' && test.op === '==')) return false
  const [requirement, another] = requirementsOfNode(node, missingNotEqual)
  return requirement !== undefined && another === undefined && isFoundExactly(requirement)
}

/** A plain field, or every element of a plain array. */
function isRead({ field, indexes }: Access, of: 'scalar' | 'each'): boolean {
  const [first, second] = indexes
  if (of === 'scalar') return typeof field.type === 'string' && first === undefined
  return typeof field.type === 'object' && 'array' in field.type && first?.kind === 'each' && second === undefined
}
