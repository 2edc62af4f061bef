// The telling mode and the visitor.

import { describe, expect, test } from 'vitest'
import { decisiveParts, partsOf, type Trace, traceExpression, usesField } from '../../src/expression/index.ts'
import { type Facts, listsOf, parsed, valuesOf } from './support.ts'

function traced(source: string, facts: Facts): Trace {
  return traceExpression(parsed(source))(valuesOf(facts), listsOf({ words: ['a'] }))
}

function outline(trace: Trace): unknown {
  const line = `${trace.text} = ${trace.result}`
  return trace.children.length === 0 ? line : [line, ...trace.children.map(outline)]
}

describe('trace', () => {
  test('every part is evaluated, also behind what decided', () => {
    expect(outline(traced('i == 1 and (s == "x" or not b)', { i: 2, s: 'x', b: true }))).toEqual([
      'i == 1 and (s == "x" or not b) = false',
      'i == 1 = false',
      ['(s == "x" or not b) = true', ['s == "x" or not b = true', 's == "x" = true', ['not b = false', 'b = true']]],
    ])
  })
  test('a comparison tells its field, its value and its place', () => {
    expect(traced('b and p in {10.0.0.0/8}', { b: true, p: '10.1.2.3' }).children[1]).toMatchObject({
      kind: 'comparison',
      text: 'p in {10.0.0.0/8}',
      span: [6, 23],
      field: 'p',
      value: '10.1.2.3',
      result: true,
    })
  })
  test('a missing value is undefined', () => {
    const trace = traced('i != 1', {})
    expect(trace).toMatchObject({ result: true, field: 'i', value: undefined })
  })
  test('under a quantifier each position is told', () => {
    const trace = traced('all((ss[*] == "a" or ss[*] == "b"))', { ss: ['a', 'c'] })
    expect(trace).toMatchObject({ kind: 'quantifier', op: 'all', result: false })
    expect(trace.children[0]).toMatchObject({ positions: [true, false], result: false })
    expect(trace.children[0]?.children[0]?.children[0]).toMatchObject({ value: ['a', 'c'], positions: [true, false] })
  })
  test('spans count characters', () => {
    expect(traced('s == "𝒳" and b', {}).children[1]).toMatchObject({ text: 'b', span: [13, 14] })
  })
  test('an implied quantifier is shown as what it was read as', () => {
    const expression = parsed('net.src.ip[*] in {10.0.0.0/8}', { mode: 'lenient' })
    expect(traceExpression(expression)(valuesOf({}), listsOf({})).text).toBe('any(net.src.ip[*] in {10.0.0.0/8})')
  })
})

describe('decisive parts', () => {
  const facts = { i: 2, s: 'x', b: true, c: false, ss: ['a'] }
  test.each([
    ['i == 1 and b and c', ['i == 1', 'c']],
    ['b and s == "x"', ['b', 's == "x"']],
    ['i == 1 or b', ['b']],
    ['i == 1 or c', ['i == 1', 'c']],
    ['not (i == 1 or b)', ['b']],
    ['b xor c', ['b', 'c']],
    ['any(ss[*] == "z") and b', ['any(ss[*] == "z")']],
  ])('%s: %j', (source, expected) => {
    expect(decisiveParts(traced(source, facts)).map((part) => part.text)).toEqual(expected)
  })
})

test('the visitor names fields, lists, patterns and quantifiers', () => {
  const source = 's matches "^a" and p in $3F2504E04F8911D39A0C0305E82C3301 and any(ss[*] in $words) and not s == "x"'
  const expression = parsed(source)
  const parts = partsOf(expression)
  expect(parts.fields).toEqual(['s', 'p', 'ss'])
  expect(parts.lists).toEqual(['3f2504e04f8911d39a0c0305e82c3301', 'words'])
  expect(parts.regexes.map(({ regex, field, span }) => [regex.pattern, field, source.slice(...span)])).toEqual([
    ['^a', 's', '^a'],
  ])
  expect(parts.quantifiers.map(({ op }) => op)).toEqual(['any'])
  expect(parts.comparisons.length).toBe(4)
})

test('usesField takes a whole name or a family of names', () => {
  const expression = parsed('any(identity.groups[*].name == "x")')
  expect(usesField(expression, 'identity')).toBe(true)
  expect(usesField(expression, 'identity.groups.name')).toBe(true)
  expect(usesField(expression, 'ident')).toBe(false)
})
