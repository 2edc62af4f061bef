// Logical expressions over plain `field[*]` comparisons, evaluated one position at a time without making arrays. Declines
// whatever is not of that form; compile-rows.ts then does it the general way.

import type { Chain, Node } from '../tree.ts'
import type { FieldValues, Lists, Value } from '../value.ts'
import { isArrayField } from './compile-rows.ts'
import { valueTestOf } from './value-test.ts'

export interface Column {
  /** how many positions there are */
  readonly length: (values: FieldValues) => number
  /** the boolean at a position below that length */
  readonly at: (values: FieldValues, lists: Lists, index: number) => boolean
}

export function compileColumn(node: Node): Column | undefined {
  if (node.kind === 'group') return compileColumn(node.item)
  if (node.kind === 'chain') return compileChain(node)
  if (node.kind === 'not') {
    const item = compileColumn(node.item)
    return item && { length: item.length, at: (values, lists, index) => !item.at(values, lists, index) }
  }
  if (node.kind !== 'comparison' || !isArrayField(node)) return undefined
  const [only, second] = node.access.indexes
  if (only?.kind !== 'each' || second !== undefined) return undefined
  const { slot } = node.access.field
  const passes = valueTestOf(node.test)
  return {
    length: (values) => (values[slot] as readonly Value[] | undefined)?.length ?? 0,
    at: (values, lists, index) => passes((values[slot] as readonly Value[])[index] as Value, lists),
  }
}

function compileChain(chain: Chain): Column | undefined {
  const columns = chain.items.map(compileColumn)
  const items = columns.filter((column) => column !== undefined)
  if (items.length < columns.length) return undefined
  const length = (values: FieldValues) => {
    let least = Number.POSITIVE_INFINITY
    for (const item of items) least = Math.min(least, item.length(values))
    return least
  }
  if (chain.op === 'xor') {
    return {
      length,
      at: (values, lists, index) => {
        let odd = false
        for (const item of items) if (item.at(values, lists, index)) odd = !odd
        return odd
      },
    }
  }
  const decisive = chain.op === 'or'
  return {
    length,
    at: (values, lists, index) => {
      for (const item of items) if (item.at(values, lists, index) === decisive) return decisive
      return !decisive
    },
  }
}
