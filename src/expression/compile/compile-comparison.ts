// Comparisons without `[*]`: one value, found or missing. The forms that rules consist of get closures of their own, so
// that the common comparison is one load and one test.

import { equalIp, type Ip } from '../../net/ip.ts'
import { createIpSet } from '../../net/ip-set.ts'
import type {
  Access,
  Comparison,
  Index,
  IntLiteral,
  IntMember,
  Literal,
  LiteralSet,
  OrderOperator,
  Test,
} from '../tree.ts'
import type { FieldValues, Lists, Value } from '../value.ts'

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
    return isOneOf(slot, test.literal.value, undefined)
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
  return isOneOf(slot, a, b)
}

/** V8 learns for each place in the source, not for each closure, what is compared there: a place that sees texts and numbers
 *  compares them in the most general way. So each type has places of its own, here and in the tests below. */
function isOneOf(slot: number, a: string | number | bigint, b: string | number | bigint | undefined): Predicate {
  if (typeof a === 'string') {
    if (b === undefined) return (values) => values[slot] === a
    return (values) => values[slot] === a || values[slot] === b
  }
  if (typeof a !== 'number' || typeof b === 'bigint')
    return (values) => values[slot] === a || (values[slot] === b && b !== undefined)
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

// The test of a comparison as a function of one present value. Constants are prepared here once; the functions allocate
// nothing.

/** Whether a value passes. The value must have the type the comparison was checked for. */
export type ValueTest = (value: Value, lists: Lists) => boolean

/** Sets of at least this many members are hashed instead of compared one by one. */
const HASH_FROM = 5

/** Prepares the test of a comparison ([L5]). */
export function valueTestOf(test: Test): ValueTest {
  switch (test.kind) {
    case 'truth':
      return (value) => value === true
    case 'order':
      return orderTest(test.op, test.literal)
    case 'in-set':
      return setTest(test.set)
    case 'in-list': {
      const { name } = test.list
      return (value, lists) => {
        const list = lists.get(name)
        return list?.has(value) ?? false
      }
    }
    case 'bits':
      return bitsTest(test.mask)
    case 'contains': {
      const { value: part } = test.literal
      return (value) => (value as string).includes(part)
    }
    case 'matches': {
      const { regex } = test
      return (value) => regex.matches(value as string)
    }
    case 'wildcard': {
      const { pattern } = test
      return (value) => pattern.matches(value as string)
    }
  }
}

function orderTest(op: OrderOperator, literal: Literal): ValueTest {
  if (literal.type === 'Ip') return ipOrderTest(op, literal.value)
  if (typeof literal.value === 'string') return textOrderTest(op, literal.value)
  const constant = literal.value
  switch (op) {
    case '==':
      return (value) => value === constant
    case '!=':
      return (value) => value !== constant
    case '<':
      return (value) => (value as typeof constant) < constant
    case '<=':
      return (value) => (value as typeof constant) <= constant
    case '>':
      return (value) => (value as typeof constant) > constant
    case '>=':
      return (value) => (value as typeof constant) >= constant
  }
}

function textOrderTest(op: OrderOperator, constant: string): ValueTest {
  switch (op) {
    case '==':
      return (value) => value === constant
    case '!=':
      return (value) => value !== constant
    case '<':
      return (value) => (value as string) < constant
    case '<=':
      return (value) => (value as string) <= constant
    case '>':
      return (value) => (value as string) > constant
    case '>=':
      return (value) => (value as string) >= constant
  }
}

/** Addresses of different families are unequal and unordered. */
function ipOrderTest(op: OrderOperator, constant: Ip): ValueTest {
  const { family } = constant
  const compare = (value: Value) => compareWords((value as Ip).words, constant.words)
  switch (op) {
    case '==':
      return (value) => equalIp(value as Ip, constant)
    case '!=':
      return (value) => !equalIp(value as Ip, constant)
    case '<':
      return (value) => (value as Ip).family === family && compare(value) < 0
    case '<=':
      return (value) => (value as Ip).family === family && compare(value) <= 0
    case '>':
      return (value) => (value as Ip).family === family && compare(value) > 0
    case '>=':
      return (value) => (value as Ip).family === family && compare(value) >= 0
  }
}

function compareWords(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < a.length; at++) {
    const difference = (a[at] as number) - (b[at] as number)
    if (difference !== 0) return difference
  }
  return 0
}

function setTest(set: LiteralSet): ValueTest {
  if (set.type === 'Ip') {
    const addresses = createIpSet(set.members)
    return (value) => addresses.has(value as Ip)
  }
  if (set.type === 'Bytes') return oneOfTest(set.members.map((member) => member.value))
  if (set.members.every((member) => member.first === member.last)) return oneOfTest(set.members.map((m) => m.first))
  return rangesTest(set.members)
}

function oneOfTest(values: readonly (string | number | bigint)[]): ValueTest {
  const [a, b, c, d] = values
  if (values.length === 0) return () => false
  if (typeof a === 'string' && values.length < HASH_FROM) return oneOfTexts(a, b, c, d)
  if (values.length === 1) return (value) => value === a
  if (values.length === 2) return (value) => value === a || value === b
  if (values.length < HASH_FROM)
    return (value) => value === a || value === b || value === c || (value === d && d !== undefined)
  const all = new Set<Value>(values)
  return (value) => all.has(value)
}

function oneOfTexts(...[a, b, c, d]: readonly (string | number | bigint | undefined)[]): ValueTest {
  if (b === undefined) return (value) => value === a
  if (c === undefined) return (value) => value === a || value === b
  return (value) => value === a || value === b || value === c || (value === d && d !== undefined)
}

/** Sorted, merged ranges of integers, searched by bisection. */
function rangesTest(members: readonly IntMember[]): ValueTest {
  const firsts: (number | bigint)[] = []
  const lasts: (number | bigint)[] = []
  for (const { first, last } of members.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))) {
    const previous = lasts.at(-1)
    if (previous !== undefined && first <= previous) {
      if (last > previous) lasts[lasts.length - 1] = last
    } else {
      firsts.push(first)
      lasts.push(last)
    }
  }
  const [first, last] = [firsts[0], lasts[0]]
  if (firsts.length === 1 && first !== undefined && last !== undefined) {
    return (value) => (value as number) >= first && (value as number) <= last
  }
  return (value) => {
    let low = 0
    let high = firsts.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((firsts[middle] as number) <= (value as number)) low = middle + 1
      else high = middle
    }
    return low > 0 && (value as number) <= (lasts[low - 1] as number)
  }
}

/** 64-bit two's complement. The low 31 bits of any exact number can be tested with JavaScript's own operator. */
function bitsTest(literal: IntLiteral): ValueTest {
  const mask = BigInt(literal.value)
  const low = Number(mask)
  if (mask >= 0n && mask < 0x80000000n) {
    return (value) =>
      typeof value === 'number' ? (value & low) !== 0 : (BigInt.asUintN(64, value as bigint) & mask) !== 0n
  }
  const wide = BigInt.asUintN(64, mask)
  return (value) => (BigInt.asUintN(64, BigInt(value as number | bigint)) & wide) !== 0n
}
