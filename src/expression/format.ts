// The normal form: the tree printed as text ([A4]). Single spaces, one spelling per operator,
// values in canonical form; nothing is sorted or simplified, and parentheses are kept.

import type { Expression, LiteralSet, Node, Test } from './tree.ts'

/** Prints an expression in normal form. Parsing the result in the same mode gives an expression of the same meaning,
 *  whose normal form is the same text. */
export function formatExpression(expression: Expression): string {
  return formatNode(expression.root)
}

/** Prints one node in normal form. */
export function formatNode(node: Node): string {
  switch (node.kind) {
    case 'chain':
      return node.items.map(formatNode).join(` ${node.op} `)
    case 'not':
      return node.item.kind === 'group' ? `not${formatNode(node.item)}` : `not ${formatNode(node.item)}`
    case 'group':
      return `(${formatNode(node.item)})`
    case 'quantifier':
      return `${node.op}(${formatNode(node.item)})`
    case 'comparison': {
      const test = formatTest(node.test)
      return test === '' ? node.access.text : `${node.access.text} ${test}`
    }
  }
}

function formatTest(test: Test): string {
  switch (test.kind) {
    case 'truth':
      return ''
    case 'order':
      return `${test.op} ${test.literal.text}`
    case 'in-set':
      return `in ${formatSet(test.set)}`
    case 'in-list':
      return `in $${test.list.text}`
    case 'bits':
      return `& ${test.mask.text}`
    case 'contains':
      return `contains ${test.literal.text}`
    case 'matches':
      return `matches ${test.text}`
    case 'wildcard':
      return `${test.strict ? 'strict wildcard' : 'wildcard'} ${test.text}`
  }
}

function formatSet(set: LiteralSet): string {
  return `{${set.members.map((member) => member.text).join(' ')}}`
}
