// Array(Bool): comparisons under `[*]`, combined position by position by logical operators, up to the length of the
// shortest operand ([L6] to [L8]).

import type { Chain, Comparison, Node } from '../tree.ts'
import type { FieldValues, Lists, Value } from '../value.ts'
import type { Predicate } from './compile-comparison.ts'
import { readerOf, visitEach } from './compile-comparison.ts'
import { valueTestOf } from './value-test.ts'

/** One boolean per position. */
export type Rows = (values: FieldValues, lists: Lists) => readonly boolean[]

/** `any( … )` or `all( … )` of one comparison: a loop that stops early and allocates nothing. */
export function compileEach(op: 'any' | 'all', node: Comparison): Predicate {
  const { access, test } = node
  const wanted = op === 'any'
  if (!access.mapped && access.indexes.at(-1)?.kind !== 'pairs') return compileBare(wanted, node)
  const passes = valueTestOf(test)
  const [only, second] = access.indexes
  if (only?.kind === 'each' && second === undefined && isArrayField(node)) {
    const { slot } = access.field
    return (values, lists) => {
      const items = values[slot] as readonly Value[] | undefined
      if (items === undefined) return !wanted
      for (let at = 0; at < items.length; at++) if (passes(items[at] as Value, lists) === wanted) return wanted
      return !wanted
    }
  }
  return (values, lists) => visitEach(access, values, (value) => passes(value, lists) === wanted) === wanted
}

/** A bare Array(Bool): when it is missing, both quantifiers are false. */
function compileBare(wanted: boolean, node: Comparison): Predicate {
  const read = readerOf(node.access)
  return (values) => {
    const flags = read(values) as readonly boolean[] | undefined
    return flags !== undefined && flags.includes(wanted) === wanted
  }
}

/** Whether the field itself is an array, so that its first `[*]` visits array elements. */
export function isArrayField(node: Comparison): boolean {
  const { type } = node.access.field
  return typeof type !== 'string' && 'array' in type
}

/** Compiles any node of type Array(Bool). */
export function rowsOf(node: Node): Rows {
  switch (node.kind) {
    case 'group':
      return rowsOf(node.item)
    case 'not': {
      const item = rowsOf(node.item)
      return (values, lists) => item(values, lists).map((flag) => !flag)
    }
    case 'chain': {
      const items = node.items.map(rowsOf)
      return (values, lists) =>
        combineRows(
          node.op,
          items.map((item) => item(values, lists)),
        )
    }
    case 'comparison':
      return comparisonRows(node)
    case 'quantifier':
      throw new RangeError('a quantifier has type Bool')
  }
}

/** Elementwise, truncated to the shortest operand. */
export function combineRows(op: 'or' | 'xor' | 'and', rows: readonly (readonly boolean[])[]): readonly boolean[] {
  const length = Math.min(...rows.map((row) => row.length))
  return Array.from({ length }, (_, at) => {
    const trues = rows.reduce((count, row) => count + (row[at] === true ? 1 : 0), 0)
    if (op === 'or') return trues > 0
    return op === 'and' ? trues === rows.length : trues % 2 === 1
  })
}

function comparisonRows(node: Comparison): Rows {
  if (!node.access.mapped) {
    const read = readerOf(node.access)
    return (values) => (read(values) as readonly boolean[] | undefined) ?? []
  }
  const passes = valueTestOf(node.test)
  return (values, lists) => {
    const row: boolean[] = []
    visitEach(node.access, values, (value) => {
      row.push(passes(value, lists))
      return false
    })
    return row
  }
}

export interface Column {
  /** the number of positions */
  readonly length: (values: FieldValues) => number
  /** the boolean at a position below that length */
  readonly at: (values: FieldValues, lists: Lists, index: number) => boolean
}

/** A comparison or logical operator read position by position, without building arrays; undefined for nodes that
 *  need one. */
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
