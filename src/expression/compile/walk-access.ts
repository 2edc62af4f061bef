// Following an access through a connection's values: to the one value it names, or over all values a `[*]` visits
// (wirefilter section 7).

import type { Access, Index } from '../tree.ts'
import type { FieldValues, Value } from '../value.ts'

/** The value an access without `[*]` names; undefined is missing. */
export function readerOf(access: Access): (values: FieldValues) => Value | undefined {
  const { slot } = access.field
  const { indexes } = access
  const [first] = indexes
  if (first === undefined) return (values) => values[slot]
  if (indexes.length === 1) return (values) => step(values[slot], first)
  return (values) => {
    let value = values[slot]
    for (const index of indexes) value = step(value, index)
    return value
  }
}

/** Calls `visit` with every value a mapped access reaches, in order; stops early when `visit` answers true. What does
 *  not exist below a `[*]` is skipped. Answers whether it stopped. */
export function visitEach(access: Access, values: FieldValues, visit: (value: Value) => boolean): boolean {
  return descend(values[access.field.slot], access.indexes, 0, visit)
}

function descend(
  value: Value | undefined,
  indexes: readonly Index[],
  depth: number,
  visit: (value: Value) => boolean,
): boolean {
  if (value === undefined) return false
  const index = indexes[depth]
  if (index === undefined) return visit(value)
  if (index.kind === 'pairs') return visitPairs(value as ReadonlyMap<string, readonly string[]>, visit)
  if (index.kind !== 'each') return descend(step(value, index), indexes, depth + 1, visit)
  if (Array.isArray(value)) {
    for (const item of value as readonly Value[]) if (descend(item, indexes, depth + 1, visit)) return true
    return false
  }
  if (!(value instanceof Map)) return descend(value, indexes, depth + 1, visit)
  for (const item of (value as ReadonlyMap<string, Value>).values()) {
    if (descend(item, indexes, depth + 1, visit)) return true
  }
  return false
}

function visitPairs(map: ReadonlyMap<string, readonly string[]>, visit: (value: Value) => boolean): boolean {
  for (const [key, items] of map) for (const item of items) if (visit(`${key}=${item}`)) return true
  return false
}

function step(value: Value | undefined, index: Index): Value | undefined {
  if (value === undefined) return undefined
  if (index.kind === 'element') return (value as readonly Value[])[index.at]
  if (index.kind === 'key') return (value as ReadonlyMap<string, Value>).get(index.key)
  throw new RangeError('a mapped access has no single value')
}
