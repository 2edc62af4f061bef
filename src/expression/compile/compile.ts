// Compiles an expression into closures, one per node, specialised by operator and constant. Evaluation cannot fail,
// does not allocate for plain comparisons, and does no tracing.

import type { Chain, Comparison, Expression, Node, Quantifier } from '../tree.ts'
import type { FieldValues, Lists, Value } from '../value.ts'
import { compileComparison, type Predicate, readerOf, valueTestOf, visitEach } from './compile-comparison.ts'

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

// Array(Bool): comparisons under `[*]`, combined position by position by logical operators, up to the length of the
// shortest operand ([L6] to [L8]).

/** One boolean per position. */
export type Rows = (values: FieldValues, lists: Lists) => readonly boolean[]

/** `any( … )` or `all( … )` of one comparison: a loop that stops early and allocates nothing. */
function compileEach(op: 'any' | 'all', node: Comparison): Predicate {
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
function rowsOf(node: Node): Rows {
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
function compileColumn(node: Node): Column | undefined {
  if (node.kind === 'group') return compileColumn(node.item)
  if (node.kind === 'chain') return compileColumnChain(node)
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

function compileColumnChain(chain: Chain): Column | undefined {
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

// Partial evaluation, when only some fields are known: three-valued, `undefined` meaning that it depends on the others.
// Sound and incomplete: a definite result holds for every value of the unknown fields.

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
