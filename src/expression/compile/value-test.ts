// The test of a comparison as a function of one present value. Constants are prepared here once; the functions allocate
// nothing.

import { equalIp, type Ip } from '../../net/ip.ts'
import { createIpSet } from '../../net/ip-set.ts'
import type { IntLiteral, IntMember, Literal, LiteralSet, OrderOperator, Test } from '../tree.ts'
import type { Lists, Value } from '../value.ts'

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
  const constant: string | number | bigint = literal.value
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
  if (values.length === 1) return (value) => value === a
  if (values.length === 2) return (value) => value === a || value === b
  if (values.length < HASH_FROM)
    return (value) => value === a || value === b || value === c || (value === d && d !== undefined)
  const all = new Set<Value>(values)
  return (value) => all.has(value)
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
