// A second, deliberately plain interpreter of the tree, written from the language's description only: bigints for
// integers and addresses, byte arrays for text, arrays for everything under `[*]`. The compiled modes must agree with it.

import type { Access, Expression, FieldValues, Index, Lists, Node, Test, Value } from '../../src/expression/index.ts'
import type { Ip } from '../../src/net/ip.ts'

/** The verdict of a filter. */
export function interpret(expression: Expression, values: FieldValues, lists: Lists): boolean {
  return asBool(evaluate(expression.root, { values, lists, missingNotEqual: expression.scheme.missingNotEqual }))
}

interface Context {
  readonly values: FieldValues
  readonly lists: Lists
  readonly missingNotEqual: boolean
}

type Result = boolean | boolean[]

function asBool(result: Result): boolean {
  if (typeof result !== 'boolean') throw new Error('not a Bool')
  return result
}

function evaluate(node: Node, context: Context): Result {
  switch (node.kind) {
    case 'group':
      return evaluate(node.item, context)
    case 'not': {
      const item = evaluate(node.item, context)
      return Array.isArray(item) ? item.map((flag) => !flag) : !item
    }
    case 'chain': {
      const [first, ...rest] = node.items.map((item) => evaluate(item, context))
      return rest.reduce<Result>((left, right) => combine(node.op, left, right), first ?? false)
    }
    case 'quantifier': {
      if (node.item.kind === 'comparison' && node.item.test.kind === 'truth' && !node.item.access.mapped) {
        const flags = reach(node.item.access, context)[0] as boolean[] | undefined
        if (flags === undefined) return false
      }
      const flags = evaluate(node.item, context) as boolean[]
      return node.op === 'any' ? flags.some(Boolean) : flags.every(Boolean)
    }
    case 'comparison': {
      const found = reach(node.access, context)
      if (node.access.mapped) return found.map((value) => passes(node.test, value, context))
      const [value] = found
      if (node.type === 'Bools') return (value as boolean[] | undefined) ?? []
      if (value !== undefined) return passes(node.test, value, context)
      return node.test.kind === 'order' && node.test.op === '!=' && context.missingNotEqual
    }
  }
}

function combine(op: 'or' | 'xor' | 'and', left: Result, right: Result): Result {
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.slice(0, right.length).map((flag, at) => asBool(combine(op, flag, right[at] ?? false)))
  }
  if (op === 'or') return asBool(left) || asBool(right)
  return op === 'and' ? asBool(left) && asBool(right) : asBool(left) !== asBool(right)
}

function reach(access: Access, context: Context): Value[] {
  let found: Value[] = [context.values[access.field.slot]].filter((value) => value !== undefined)
  for (const index of access.indexes) found = found.flatMap((value) => follow(value, index))
  return found
}

function follow(value: Value, index: Index): Value[] {
  if (index.kind === 'element') return (value as Value[]).slice(index.at, index.at + 1)
  const map = value as ReadonlyMap<string, Value>
  if (index.kind === 'key') return [map.get(index.key)].filter((item) => item !== undefined)
  if (index.kind === 'pairs')
    return [...map].flatMap(([key, items]) => (items as string[]).map((item) => `${key}=${item}`))
  if (Array.isArray(value)) return value
  return value instanceof Map ? [...map.values()] : [value]
}

function passes(test: Test, value: Value, context: Context): boolean {
  switch (test.kind) {
    case 'truth':
      return value === true
    case 'order': {
      const order = compare(value, test.literal.value)
      if (order === undefined) return test.op === '!='
      return {
        '==': order === 0,
        '!=': order !== 0,
        '<': order < 0,
        '<=': order <= 0,
        '>': order > 0,
        '>=': order >= 0,
      }[test.op]
    }
    case 'in-set':
      return test.set.members.some((member) => {
        if (!('first' in member)) return compare(value, member.value) === 0
        const low = compare(value, member.first)
        const high = compare(value, member.last)
        return low !== undefined && high !== undefined && low >= 0 && high <= 0
      })
    case 'in-list':
      return context.lists.get(test.list.name)?.has(value) ?? false
    case 'bits':
      return (BigInt.asUintN(64, BigInt(value as number)) & BigInt.asUintN(64, BigInt(test.mask.value))) !== 0n
    case 'contains':
      return bytes(value as string).includes(bytes(test.literal.value))
    case 'matches':
      return test.regex.matches(value as string)
    case 'wildcard':
      return wildcard(test.pattern.parts.join('\0'), test.strict ? (value as string) : lower(value as string))
  }
}

/** Recursion over the pattern, `\0` standing for a star. */
function wildcard(pattern: string, value: string): boolean {
  if (pattern === '') return value === ''
  if (pattern[0] !== '\0') return value[0] === pattern[0] && wildcard(pattern.slice(1), value.slice(1))
  return wildcard(pattern.slice(1), value) || (value !== '' && wildcard(pattern, value.slice(1)))
}

function lower(text: string): string {
  return [...text].map((unit) => (unit >= 'A' && unit <= 'Z' ? unit.toLowerCase() : unit)).join('')
}

function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

/** Negative, zero, positive; undefined for addresses of two families. */
function compare(left: Value, right: Value): number | undefined {
  if (typeof left === 'string') return Buffer.compare(bytes(left), bytes(right as string))
  if (typeof left === 'object' && 'words' in left) {
    if (left.family !== (right as Ip).family) return undefined
    return order(numberOf(left), numberOf(right as Ip))
  }
  return order(BigInt(left as number), BigInt(right as number))
}

function order(left: bigint, right: bigint): number {
  return left < right ? -1 : left > right ? 1 : 0
}

function numberOf(address: Ip): bigint {
  return address.words.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n)
}
