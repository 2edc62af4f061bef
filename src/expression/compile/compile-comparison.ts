// Comparisons without `[*]`: one value, found or missing. The forms that rules consist of get closures of their own, so
// that the common comparison is one load and one test.

import type { Ip } from '../../net/ip.ts'
import { createIpSet } from '../../net/ip-set.ts'
import type { Access, Comparison, Index, Test } from '../tree.ts'
import type { FieldValues, Lists, Value } from '../value.ts'
import { valueTestOf } from './value-test.ts'

/** A compiled expression: whether a connection with these values matches, given these lists. */
export type Predicate = (values: FieldValues, lists: Lists) => boolean

/** Compiles a comparison of type Bool. A missing value is false for every operator; for `!=` the scheme decides. */
export function compileComparison(node: Comparison, missingNotEqual: boolean): Predicate {
  const { access, test } = node
  const direct = access.indexes.length === 0 ? compileDirect(access.field.slot, test) : undefined
  if (direct !== undefined) return direct
  const read = readerOf(access)
  const passes = valueTestOf(test)
  const whenMissing = test.kind === 'order' && test.op === '!=' && missingNotEqual
  return (values, lists) => {
    const value = read(values)
    return value === undefined ? whenMissing : passes(value, lists)
  }
}

function compileDirect(slot: number, test: Test): Predicate | undefined {
  if (test.kind === 'truth') return (values) => values[slot] === true
  if (test.kind === 'order' && test.op === '==' && test.literal.type !== 'Ip') {
    const constant = test.literal.value
    return (values) => values[slot] === constant
  }
  if (test.kind === 'in-list') {
    const { name } = test.list
    return (values, lists) => {
      const value = values[slot]
      return value !== undefined && (lists.get(name)?.has(value) ?? false)
    }
  }
  if (test.kind !== 'in-set') return undefined
  if (test.set.type === 'Ip') {
    const addresses = createIpSet(test.set.members)
    return (values) => {
      const value = values[slot]
      return value !== undefined && addresses.has(value as Ip)
    }
  }
  const [a, b, ...others] = test.set.members.map((member) => ('first' in member ? member.first : member.value))
  const isSmall = others.length === 0 && a !== undefined
  if (!isSmall || test.set.members.some((member) => 'first' in member && member.first !== member.last)) return undefined
  if (b === undefined) return (values) => values[slot] === a
  return (values) => values[slot] === a || values[slot] === b
}

/** Reads the value of an access without `[*]`; undefined is missing. */
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

/** Calls `visit` with every value a mapped access reaches, in order, and stops when `visit` returns true. What does
 *  not exist below a `[*]` is skipped. Returns whether it stopped. */
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
