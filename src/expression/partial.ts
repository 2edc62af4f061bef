// Evaluates an expression when only some fields are known: three-valued, `undefined` meaning that it depends on the
// others. Sound and incomplete: a definite result holds for every value of the unknown fields.

import { compileNode } from './compile/compile.ts'
import type { Expression, Node } from './tree.ts'
import type { FieldValues, Lists } from './value.ts'

/** True or false if that holds for all values of the unknown fields; undefined if it depends on them, or may. */
export type PartialPredicate = (known: FieldValues, lists: Lists) => boolean | undefined

/** Compiles a filter for evaluation with only the fields `isKnown` accepts. A known field without a value is
 *  missing. */
export function compilePartial({ root, scheme }: Expression, isKnown: (field: string) => boolean): PartialPredicate {
  return partialOf(root, scheme.missingNotEqual, isKnown)
}

function partialOf(node: Node, missingNotEqual: boolean, isKnown: (field: string) => boolean): PartialPredicate {
  if (speaksOnlyOf(node, isKnown)) return compileNode(node, missingNotEqual)
  switch (node.kind) {
    case 'group':
      return partialOf(node.item, missingNotEqual, isKnown)
    case 'not': {
      const item = partialOf(node.item, missingNotEqual, isKnown)
      return (known, lists) => negation(item(known, lists))
    }
    case 'chain': {
      const items = node.items.map((item) => partialOf(item, missingNotEqual, isKnown))
      if (node.op === 'xor') return (known, lists) => parity(items, known, lists)
      const settling = node.op === 'or'
      return (known, lists) => settled(items, settling, known, lists)
    }
    // nothing is known of the positions of an unknown array
    case 'quantifier':
    case 'comparison':
      return () => undefined
  }
}

function speaksOnlyOf(node: Node, isKnown: (field: string) => boolean): boolean {
  if (node.kind === 'comparison') return isKnown(node.access.field.name)
  if (node.kind === 'chain') return node.items.every((item) => speaksOnlyOf(item, isKnown))
  return speaksOnlyOf(node.item, isKnown)
}

function negation(value: boolean | undefined): boolean | undefined {
  return value === undefined ? undefined : !value
}

/** One `true` decides an `or`, one `false` an `and`; otherwise one unknown leaves it open. */
function settled(
  items: readonly PartialPredicate[],
  settling: boolean,
  known: FieldValues,
  lists: Lists,
): boolean | undefined {
  let isOpen = false
  for (const item of items) {
    const value = item(known, lists)
    if (value === settling) return settling
    if (value === undefined) isOpen = true
  }
  return isOpen ? undefined : !settling
}

function parity(items: readonly PartialPredicate[], known: FieldValues, lists: Lists): boolean | undefined {
  let odd = false
  for (const item of items) {
    const value = item(known, lists)
    if (value === undefined) return undefined
    if (value) odd = !odd
  }
  return odd
}
