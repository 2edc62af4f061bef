// The fields, lists and patterns of an expression, for callers that must know which facts to fetch or which advice
// applies.

import { characterSpan } from './problem.ts'
import type { Regex } from './regex/regex.ts'
import type { Access, Comparison, Expression, Node, Quantifier, Span } from './tree.ts'

export interface ExpressionParts {
  /** names of fields, in order of first use */
  readonly fields: readonly string[]
  /** canonical names of lists, in order of first use */
  readonly lists: readonly string[]
  /** patterns with their positions (characters, between the quotes) */
  readonly regexes: readonly { readonly regex: Regex; readonly field: string; readonly span: Span }[]
  readonly quantifiers: readonly Quantifier[]
  readonly comparisons: readonly Comparison[]
}

/** Calls `enter` on every node, parents first, left to right. */
export function visitNodes(node: Node, enter: (node: Node) => void): void {
  enter(node)
  if (node.kind === 'chain') for (const item of node.items) visitNodes(item, enter)
  else if (node.kind !== 'comparison') visitNodes(node.item, enter)
}

/** Collects the parts of an expression. */
export function partsOf(expression: Expression): ExpressionParts {
  const quantifiers: Quantifier[] = []
  const comparisons: Comparison[] = []
  visitNodes(expression.root, (node) => {
    if (node.kind === 'quantifier') quantifiers.push(node)
    if (node.kind === 'comparison') comparisons.push(node)
  })
  const unique = (names: readonly string[]) => [...new Set(names)]
  return {
    fields: unique(comparisons.map(({ access }) => access.field.name)),
    lists: unique(comparisons.flatMap(({ test }) => (test.kind === 'in-list' ? [test.list.name] : []))),
    regexes: comparisons.flatMap(({ access, test }) =>
      test.kind === 'matches'
        ? [{ regex: test.regex, field: access.field.name, span: characterSpan(expression.source, test.span) }]
        : [],
    ),
    quantifiers,
    comparisons,
  }
}

/** Adds the names of an expression's fields and of its lists to these sets, in order of first use. */
export function addNames(node: Node, fields: Set<string>, lists: Set<string>): void {
  if (node.kind === 'chain') for (const item of node.items) addNames(item, fields, lists)
  else if (node.kind !== 'comparison') addNames(node.item, fields, lists)
  else {
    fields.add(node.access.field.name)
    if (node.test.kind === 'in-list') lists.add(node.test.list.name)
  }
}

/** Whether the expression reads this field, or one whose name begins with it and a dot. */
export function usesField(expression: Expression, name: string): boolean {
  const isOne = ({ field }: Access) => field.name === name || field.name.startsWith(`${name}.`)
  return partsOf(expression).comparisons.some(({ access }) => isOne(access))
}
