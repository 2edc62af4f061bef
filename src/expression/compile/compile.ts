// Compiles an expression into closures, one per node, specialised by operator and constant. Evaluation cannot fail,
// does not allocate for plain comparisons, and does no tracing.

import type { Chain, Expression, Node, Quantifier } from '../tree.ts'
import type { Predicate } from './compile-comparison.ts'
import { compileComparison } from './compile-comparison.ts'
import { compileColumn, compileEach, rowsOf } from './compile-rows.ts'

/** Compiles a filter. Its values are indexed by the slots of the expression's scheme. */
export function compileExpression(expression: Expression): Predicate {
  return compileNode(expression.root, expression.scheme.missingNotEqual)
}

/** Compiles one node of type Bool, as for the parts of a rule that an index could not look up. */
export function compileNode(node: Node, missingNotEqual: boolean): Predicate {
  switch (node.kind) {
    case 'group':
      return compileNode(node.item, missingNotEqual)
    case 'not': {
      const item = compileNode(node.item, missingNotEqual)
      return (values, lists) => !item(values, lists)
    }
    case 'chain':
      return compileChain(node, missingNotEqual)
    case 'quantifier':
      return compileQuantifier(node)
    case 'comparison':
      return compileComparison(node, missingNotEqual)
  }
}

function compileChain(chain: Chain, missingNotEqual: boolean): Predicate {
  const items = chain.items.map((item) => compileNode(item, missingNotEqual))
  const [a, b, c, d] = items as [Predicate, Predicate, Predicate?, Predicate?]
  if (chain.op === 'xor') {
    return (values, lists) => {
      let odd = false
      for (const item of items) if (item(values, lists)) odd = !odd
      return odd
    }
  }
  if (chain.op === 'and') {
    if (c === undefined) return (values, lists) => a(values, lists) && b(values, lists)
    if (d === undefined) return (values, lists) => a(values, lists) && b(values, lists) && c(values, lists)
    return (values, lists) => {
      for (const item of items) if (!item(values, lists)) return false
      return true
    }
  }
  if (c === undefined) return (values, lists) => a(values, lists) || b(values, lists)
  if (d === undefined) return (values, lists) => a(values, lists) || b(values, lists) || c(values, lists)
  return (values, lists) => {
    for (const item of items) if (item(values, lists)) return true
    return false
  }
}

function compileQuantifier(node: Quantifier): Predicate {
  const { op, item } = node
  if (item.kind === 'comparison') return compileEach(op, item)
  const column = compileColumn(item)
  if (column !== undefined) {
    const { length, at } = column
    return (values, lists) => {
      const count = length(values)
      for (let index = 0; index < count; index++) if (at(values, lists, index) === (op === 'any')) return op === 'any'
      return op === 'all'
    }
  }
  const rows = rowsOf(item)
  return op === 'any'
    ? (values, lists) => rows(values, lists).includes(true)
    : (values, lists) => !rows(values, lists).includes(false)
}
