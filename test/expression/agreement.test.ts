// Three ways to run an expression must agree: closures, trace, and the plain interpreter of oracle.ts; and printing must
// change nothing. Runs more with EGRESSLAB_FUZZ=<runs>; the seed is printed on failure.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compileExpression, formatExpression, parseExpression, traceExpression } from '../../src/expression/index.ts'
import { anyExpression, anyLists, anyValues } from './generate.ts'
import { interpret } from './oracle.ts'
import { parsed, scheme } from './support.ts'

const numRuns = Number(process.env.EGRESSLAB_FUZZ ?? 3000)
const expressions = anyExpression(scheme)
const values = anyValues(scheme)
const lists = anyLists()

test('closures, trace and a plain interpreter give the same verdict', () => {
  let matches = 0
  fc.assert(
    fc.property(expressions, values, lists, (source, facts, contents) => {
      const expression = parsed(source)
      const expected = interpret(expression, facts, contents)
      expect(compileExpression(expression)(facts, contents)).toBe(expected)
      expect(traceExpression(expression)(facts, contents).result).toBe(expected)
      if (expected) matches++
    }),
    { numRuns },
  )
  expect(matches).toBeGreaterThan(numRuns / 5)
  expect(matches).toBeLessThan((4 * numRuns) / 5)
})

test('the normal form is accepted, stays as it is, and means the same', () => {
  fc.assert(
    fc.property(expressions, values, lists, (source, facts, contents) => {
      const expression = parsed(source)
      const once = formatExpression(expression)
      const again = parsed(once)
      expect(formatExpression(again)).toBe(once)
      expect(compileExpression(again)(facts, contents)).toBe(compileExpression(expression)(facts, contents))
    }),
    { numRuns },
  )
})

test('any text is either an expression or a list of problems inside the source, never an exception', () => {
  const pieces = fc.constantFrom(
    'and',
    ' or ',
    'not',
    '(',
    ')',
    '"',
    'r#"',
    '{',
    '}',
    's',
    ' i',
    '==',
    'in',
    '$',
    '80',
    '10.0.0.0/8',
    '[*]',
    'any(',
    '\\',
    '\t',
    '\n',
    ',',
    '..',
    'ss[*]',
    '𝒳',
    'AND',
    'matches "[',
  )
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(pieces, { maxLength: 14 }).map((all) => all.join('')),
  )
  fc.assert(
    fc.property(text, fc.constantFrom('engine', 'default', 'lenient'), (source, mode) => {
      const result = parseExpression(source, scheme, { mode: mode as 'engine' })
      if (result.ok) return
      expect(result.problems.length).toBeGreaterThan(0)
      const length = Array.from(source).length
      for (const { span } of result.problems) {
        expect(span[0]).toBeGreaterThanOrEqual(0)
        expect(span[1]).toBeGreaterThanOrEqual(span[0])
        expect(span[1]).toBeLessThanOrEqual(length)
      }
    }),
    { numRuns },
  )
})
