// Evaluates HCL expressions. What cannot be known here is a value of its own, with the place it is written at.

import { callFunction } from './hcl-functions.ts'
import type { AccessStep, ForIntro, HclExpression, TemplatePart } from './hcl-syntax.ts'
import {
  equalValues,
  type HclPlace,
  type HclValue,
  isObject,
  membersOf,
  numberOfValue,
  objectFrom,
  textOfValue,
  UnknownValue,
  unknownIn,
} from './hcl-values.ts'

export interface HclScope {
  /** The value of a name; undefined if there is none. */
  readonly valueOf: (name: string) => HclValue | undefined
  /** the folder that `file("…")` starts from */
  readonly folder: string
}

/** The value of an expression. Never throws for what is written in it. */
export function evaluateHcl(expression: HclExpression, scope: HclScope): HclValue {
  const { at } = expression
  switch (expression.kind) {
    case 'literal':
      return expression.value
    case 'template':
      return evaluateTemplate(expression.parts, scope, at)
    case 'tuple':
      return expression.items.map((item) => evaluateHcl(item, scope))
    case 'object':
      return evaluateObject(expression.entries, scope)
    case 'variable':
      return scope.valueOf(expression.name) ?? new UnknownValue(`\`${expression.name}\` is not known here`, at)
    case 'access':
      return lookedUp(expression) ?? step(evaluateHcl(expression.of, scope), expression.step, scope, at)
    case 'call':
      return evaluateCall(expression, scope)
    case 'for':
      return evaluateFor(expression, scope)
    case 'conditional': {
      const condition = evaluateHcl(expression.condition, scope)
      if (condition instanceof UnknownValue) return condition
      return evaluateHcl(isTrue(condition) ? expression.yes : expression.no, scope)
    }
    case 'unary':
      return evaluateUnary(expression.operator, evaluateHcl(expression.item, scope), at)
    case 'binary':
      return evaluateBinary(expression, scope)
  }
}

/** `data.TYPE.NAME`: asked of a provider when Terraform plans. */
function lookedUp(expression: HclExpression): UnknownValue | undefined {
  const path = pathOf(expression)
  if (path?.[0] !== 'data' || path.length < 3) return undefined
  return new UnknownValue(`\`${path.slice(0, 3).join('.')}\` is looked up when Terraform plans`, expression.at)
}

/** `a.b.c` as its parts; undefined for anything else. */
function pathOf(expression: HclExpression): string[] | undefined {
  if (expression.kind === 'variable') return [expression.name]
  if (expression.kind !== 'access' || expression.step.kind !== 'attribute') return undefined
  const path = pathOf(expression.of)
  return path === undefined ? undefined : [...path, expression.step.name]
}

function step(value: HclValue, access: AccessStep, scope: HclScope, at: HclPlace): HclValue {
  if (value instanceof UnknownValue) return value
  if (access.kind === 'splat') {
    const items = Array.isArray(value) ? (value as readonly HclValue[]) : value === null ? [] : [value]
    return items.map((item) => access.steps.reduce((inside, next) => step(inside, next, scope, at), item))
  }
  const key = access.kind === 'attribute' ? access.name : evaluateHcl(access.key, scope)
  if (key instanceof UnknownValue) return key
  if (Array.isArray(value)) {
    const index = numberOfValue(key)
    const item = index === undefined ? undefined : (value as readonly HclValue[])[index]
    return item === undefined
      ? new UnknownValue(`the list has no element ${textOfValue(key) ?? 'of this kind'}`, at)
      : item
  }
  const name = textOfValue(key) ?? ''
  if (!isObject(value)) return new UnknownValue(`a text or number has no member \`${name}\``, at)
  return Object.hasOwn(value, name) ? (value[name] ?? null) : new UnknownValue(`there is no \`${name}\` here`, at)
}

function evaluateObject(entries: readonly (readonly [HclExpression, HclExpression])[], scope: HclScope): HclValue {
  const members: (readonly [string, HclValue])[] = []
  for (const [key, value] of entries) {
    const name = evaluateHcl(key, scope)
    if (name instanceof UnknownValue) return name
    members.push([textOfValue(name) ?? '', evaluateHcl(value, scope)])
  }
  return objectFrom(members)
}

function evaluateCall(call: HclExpression & { readonly kind: 'call' }, scope: HclScope): HclValue {
  const { name, at } = call
  if (name === 'try' || name === 'can') {
    const first = call.args.map((arg) => evaluateHcl(arg, scope)).find((value) => !(value instanceof UnknownValue))
    if (name === 'can') return first !== undefined
    return first ?? new UnknownValue('no argument of `try` has a value', at)
  }
  const given = call.args.map((arg) => evaluateHcl(arg, scope))
  const last = call.expands ? given.pop() : undefined
  const args = last === undefined ? given : [...given, ...(membersOf(last) ?? []).map(([, member]) => member)]
  const unknown = args.find((arg) => arg instanceof UnknownValue) ?? (last instanceof UnknownValue ? last : undefined)
  if (unknown !== undefined) return unknown
  return callFunction(name, args, { at, folder: scope.folder })
}

/** A scope with the names of one turn. */
function withNames({ keyName, valueName }: ForIntro, key: HclValue, value: HclValue, scope: HclScope): HclScope {
  return {
    ...scope,
    valueOf: (name) => (name === valueName ? value : name === keyName ? key : scope.valueOf(name)),
  }
}

function evaluateFor(loop: HclExpression & { readonly kind: 'for' }, scope: HclScope): HclValue {
  const collection = evaluateHcl(loop.collection, scope)
  if (collection instanceof UnknownValue) return collection
  const members = membersOf(collection)
  if (members === undefined) return new UnknownValue('`for` needs a list or a map', loop.at)
  const results: (readonly [string, HclValue])[] = []
  for (const [key, value] of members) {
    const inside = withNames(loop, key, value, scope)
    const condition = loop.condition === undefined ? true : evaluateHcl(loop.condition, inside)
    if (condition instanceof UnknownValue) return condition
    if (!isTrue(condition)) continue
    const name = loop.key === undefined ? '' : evaluateHcl(loop.key, inside)
    if (name instanceof UnknownValue) return name
    results.push([textOfValue(name) ?? '', evaluateHcl(loop.result, inside)])
  }
  if (loop.key === undefined) return results.map(([, value]) => value)
  if (loop.groups !== true) return objectFrom(results)
  const groups = Map.groupBy(results, ([name]) => name)
  return objectFrom([...groups].map(([name, group]) => [name, group.map(([, value]) => value)] as const))
}

function isTrue(value: HclValue): boolean {
  return value === true || value === 'true'
}

function evaluateUnary(operator: string, value: HclValue, at: HclPlace): HclValue {
  if (value instanceof UnknownValue) return value
  if (operator === '!') return !isTrue(value)
  const number = numberOfValue(value)
  return number === undefined ? new UnknownValue('`-` needs a number', at) : -number
}

const ARITHMETIC: Readonly<Record<string, (a: number, b: number) => number | boolean>> = {
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '%': (a, b) => a % b,
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
}

function evaluateBinary(operation: HclExpression & { readonly kind: 'binary' }, scope: HclScope): HclValue {
  const { operator, at } = operation
  const [left, right] = [evaluateHcl(operation.left, scope), evaluateHcl(operation.right, scope)]
  const unknown = unknownIn(left) ?? unknownIn(right)
  if (unknown !== undefined) return unknown
  if (operator === '==') return equalValues(left, right)
  if (operator === '!=') return !equalValues(left, right)
  if (operator === '&&') return isTrue(left) && isTrue(right)
  if (operator === '||') return isTrue(left) || isTrue(right)
  const [a, b] = [numberOfValue(left), numberOfValue(right)]
  const compute = ARITHMETIC[operator]
  if (compute === undefined || a === undefined || b === undefined) {
    return new UnknownValue(`\`${operator}\` needs numbers`, at)
  }
  return compute(a, b)
}

/** A template of one value alone is that value; anything else is text. */
function evaluateTemplate(parts: readonly TemplatePart[], scope: HclScope, at: HclPlace): HclValue {
  const [only] = parts
  if (parts.length === 1 && typeof only === 'object' && only.kind === 'value') return evaluateHcl(only.value, scope)
  let text = ''
  for (const part of parts) {
    const value = typeof part === 'string' ? part : evaluatePart(part, scope, at)
    if (value instanceof UnknownValue) return value
    const shown = textOfValue(value)
    if (shown === undefined) return new UnknownValue('a list or a map cannot stand in a text', at)
    text += shown
  }
  return text
}

function evaluatePart(part: Exclude<TemplatePart, string>, scope: HclScope, at: HclPlace): HclValue {
  if (part.kind === 'value') return evaluateHcl(part.value, scope)
  if (part.kind === 'if') {
    const condition = evaluateHcl(part.condition, scope)
    if (condition instanceof UnknownValue) return condition
    return evaluateTemplate(['', ...(isTrue(condition) ? part.yes : part.no)], scope, at)
  }
  const collection = evaluateHcl(part.collection, scope)
  if (collection instanceof UnknownValue) return collection
  let text = ''
  for (const [key, value] of membersOf(collection) ?? []) {
    const turn = evaluateTemplate(['', ...part.body], withNames(part, key, value, scope), at)
    if (typeof turn !== 'string') return turn
    text += turn
  }
  return text
}
