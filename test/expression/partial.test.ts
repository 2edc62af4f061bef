import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compilePartial, type FieldValues } from '../../src/expression/index.ts'
import { anyExpression, anyLists, anyValues } from './generate.ts'
import { interpret } from './oracle.ts'
import { parsed, scheme, valuesOf } from './support.ts'

/** What an expression comes to when these facts are known and every other field is not. */
function partial(source: string, facts: Readonly<Record<string, unknown>>, missing: readonly string[] = []) {
  const known = new Set([...Object.keys(facts), ...missing])
  return compilePartial(parsed(source), (field) => known.has(field))(valuesOf(facts), new Map())
}

describe('an expression of which some fields are known', () => {
  test.each([
    ['i == 1', { i: 1 }, true],
    ['i == 1', { i: 2 }, false],
    ['j == 1', { i: 1 }, undefined],
    ['i == 1 and j == 1', { i: 1 }, undefined],
    ['i == 1 and j == 1', { i: 2 }, false],
    ['i == 1 or j == 1', { i: 1 }, true],
    ['i == 1 or j == 1', { i: 2 }, undefined],
    ['not (i == 1 or j == 1)', { i: 1 }, false],
    ['i == 1 xor j == 1', { i: 1 }, undefined],
    ['i == 1 xor i == 2 xor i == 3', { i: 2 }, true],
    ['any(ss[*] == "a")', { ss: ['a'] }, true],
    ['any(ss[*] == "a")', { ss: [] }, false],
    ['all(ss[*] == "a")', { ss: [] }, true],
    ['any((ss[*] == "a" and tt[*] == "b"))', { ss: ['c'] }, undefined],
    ['i == 1 and any(tt[*] == "b")', { i: 2 }, false],
  ] as const)('%s with %j is %j', (source, facts, result) => {
    expect(partial(source, facts)).toBe(result)
  })

  test('knows of a field that it has no value', () => {
    expect(partial('s == "a"', {}, ['s'])).toBe(false)
    expect(partial('s != "a"', {}, ['s'])).toBe(true)
    expect(partial('s == "a" and i == 1', {}, ['s'])).toBe(false)
  })
})

test('a definite answer holds whatever the unknown fields are', () => {
  const known = new Set(['i', 's', 'ss', 'mm'])
  const slots = [...scheme.fields.values()].filter(({ name }) => known.has(name)).map(({ slot }) => slot)
  let definite = 0
  const holds = (source: string, facts: FieldValues, others: FieldValues, lists: Parameters<typeof interpret>[2]) => {
    const expression = parsed(source)
    const answer = compilePartial(expression, (field) => known.has(field))(facts, lists)
    if (answer === undefined) return
    definite++
    const whole = others.map((value, slot) => (slots.includes(slot) ? facts[slot] : value))
    expect(interpret(expression, whole, lists)).toBe(answer)
  }
  const fields = ['i', 'j', 's', 't', 'ss', 'tt', 'mm', 'b']
  fc.assert(fc.property(anyExpression(scheme, { fields }), anyValues(scheme), anyValues(scheme), anyLists(), holds), {
    numRuns: 4_000,
    seed: 8914,
  })
  expect(definite).toBeGreaterThan(1_000)
})
