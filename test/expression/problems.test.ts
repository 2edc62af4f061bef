// Several problems at once, their drawing, and the limits at their edge and one past it.

import { describe, expect, test } from 'vitest'
import { drawProblem, parseExpression } from '../../src/expression/index.ts'
import { located, parsed, problemsOf, remarked, scheme } from './support.ts'

describe('independent problems are reported together, without false followers', () => {
  test.each([
    ['x == 1 and y == 2 or z', ['unknown_field 0-1 "x"', 'unknown_field 11-12 "y"', 'unknown_field 21-22 "z"']],
    ['i == "1" and p == "x"', ['syntax 5-21 "\\"1\\" and p == \\"x\\""', 'syntax 18-21 "\\"x\\""']],
    ['(x == 1) and not (y)', ['unknown_field 1-2 "x"', 'unknown_field 18-19 "y"']],
    ['any(x[*] == 1) and all(ss == "a")', ['unknown_field 4-5 "x"', 'type_mismatch 26-28 "=="']],
    ['i == 089 and i == 080', ['invalid_integer 5-8 "089"', 'invalid_integer 18-21 "080"']],
    ['i == 1 AND b OR x', ['syntax 6-17 " AND b OR x"', 'syntax 12-17 " OR x"', 'unknown_field 16-17 "x"']],
    ['s matches "(" and s wildcard "**"', ['invalid_regex 11-12 "("', 'invalid_wildcard 29-33 "\\"**\\""']],
    ['s == "\\n" and x', ['invalid_string 7-8 "n"', 'unknown_field 14-15 "x"']],
    ['b and (c or ss[*] == "a") and x', ['type_mismatch 24-31 ") and x"', 'unknown_field 30-31 "x"']],
    ['i in {1, 2} and x', ['syntax 7-17 ", 2} and x"', 'unknown_field 16-17 "x"']],
    [
      'any(b) and any(ss[*] == "a" or x) and y',
      ['type_mismatch 4-5 "b"', 'syntax 28-39 "or x) and y"', 'unknown_field 38-39 "y"'],
    ],
    ['b) and x', ['syntax 1-8 ") and x"', 'unknown_field 7-8 "x"']],
    ['x', ['unknown_field 0-1 "x"']],
    ['(x', ['unknown_field 1-2 "x"']],
    ['x == (y', ['unknown_field 0-1 "x"']],
    ['s == "abc and x', ['invalid_string 6-15 "abc and x"']],
    ['any(x[*] == 1', ['unknown_field 4-5 "x"']],
    ['', ['syntax 0-0 ""']],
    ['b and', ['syntax 5-5 ""']],
    ['b xx c', ['syntax 1-6 " xx c"']],
  ])('%s', (source, expected) => {
    expect(problemsOf(source).map((problem) => located(source, problem))).toEqual(expected)
  })

  // every way a problem is noted, and a drawing of each costs as much as the source is long
  test.each([
    ['unknown names', 'x or ', 'x'],
    ['text left over', 'i == 1 x and ', 'b'],
    ['left-over brackets', 'b) or ', 'b'],
    ['arguments of the wrong type', 'any(b) and ', 'b'],
    ['operands of two types', 'any((ss[*] == "a" and b)) or ', 'b'],
    ['regular expressions', 's matches "(" or ', 'b'],
    ['nested problems', 'not (x or (any(x) and x)) or ', 'b'],
  ])('a hundred problems are enough: %s', (_, repeated, last) => {
    expect(problemsOf(repeated.repeat(8000) + last)).toHaveLength(100)
  })
  test('a hundred warnings are enough, and the expression is still taken', () => {
    const source = `${'s matches "\\\\." or '.repeat(300)}b`
    expect(parseExpression(source, scheme)).toMatchObject({ ok: true, warnings: { length: 100 } })
  })

  test('operators inside quotes and brackets are no place to go on', () => {
    expect(problemsOf('x == "a and b" and b').length).toBe(1)
    expect(problemsOf('x == r#"a" and "b"# and b').length).toBe(1)
    expect(problemsOf('x in {"a" "and"} and b').length).toBe(1)
    expect(problemsOf('x == "\\" and y" and b').length).toBe(1)
  })
})

describe('drawing', () => {
  test('one line, 1-based line and column, carets under the span, then the hint', () => {
    const source = 'b and\n  i == "22" and\n  b'
    expect(drawProblem(source, problemsOf(source)[0] ?? fail())).toBe(
      [
        'Filter parsing error (2:8):',
        '  i == "22" and',
        '       ^^^^^^^^ expected digit',
        'hint: write the number without quotes: `22`',
      ].join('\n'),
    )
  })
  test('an empty span is one caret', () => {
    expect(drawProblem('b and', problemsOf('b and')[0] ?? fail())).toBe(
      [
        'Filter parsing error (1:6):',
        'b and',
        '     ^ expected identifier character',
        'hint: a condition is missing here',
      ].join('\n'),
    )
  })
  test('columns count characters; a tab takes one column', () => {
    const source = 's == "𝒳"\tand x'
    expect(drawProblem(source, problemsOf(source)[0] ?? fail())).toBe(
      ['Filter parsing error (1:14):', 's == "𝒳" and x', '             ^ unknown identifier `x`'].join('\n'),
    )
  })
})

function fail(): never {
  throw new Error('no problem')
}

describe('limits', () => {
  const nested = (open: string, depth: number, inner: string, close: string) =>
    open.repeat(depth) + inner + close.repeat(depth)
  test.each([
    ['groups', '(', 'b', ')'],
    ['negations', '!', 'b', ''],
    ['words of negation', 'not ', 'b', ''],
  ])('%s: 128 deep are taken, 129 are not', (_name, open, inner, close) => {
    expect(parseExpression(nested(open, 128, inner, close), scheme).ok).toBe(true)
    const [problem] = problemsOf(nested(open, 129, inner, close))
    const length = nested(open, 129, inner, close).length
    expect(problem).toMatchObject({ code: 'expression.limit_exceeded', span: [128 * open.length, length] })
  })
  test('quantifiers share the counter and are reported at their bracket', () => {
    expect(parseExpression(`${'('.repeat(127)}any(bb)${')'.repeat(127)}`, scheme).ok).toBe(true)
    const source = `${'('.repeat(128)}any (bb)${')'.repeat(128)}`
    expect(remarked(source)).toBe(`limit_exceeded ${'('.repeat(128)}any ‹(bb)${')'.repeat(128)}›`)
  })
  test('siblings do not add up', () => {
    const source = Array.from({ length: 300 }, () => '(b)').join(' or ')
    expect(parsed(source).root.kind).toBe('chain')
  })
  test('255 hashes are taken, 256 are not', () => {
    const raw = (count: number) => `s == r${'#'.repeat(count)}"x"${'#'.repeat(count)}`
    expect(parseExpression(raw(255), scheme).ok).toBe(true)
    expect(remarked(raw(256))).toBe(`limit_exceeded s == r‹${raw(256).slice(6)}›`)
  })
  test('a regular expression above its size is refused, below it taken', () => {
    const limits = { regexBytes: 3_200 }
    expect(parseExpression('s matches "a{100}"', scheme, { limits }).ok).toBe(true)
    expect(remarked('s matches "a{101}"', { limits })).toBe('limit_exceeded s matches "‹a{101}›"')
    expect(remarked('s matches "((a{1000}){1000}){1000}"')).toBe('limit_exceeded s matches "‹((a{1000}){1000}){1000}›"')
  })
  test('stars are unlimited unless a limit is set', () => {
    const stars = 'a*'.repeat(50)
    expect(parseExpression(`s wildcard "${stars}"`, scheme).ok).toBe(true)
    expect(parseExpression(`s wildcard "${stars}"`, scheme, { limits: { wildcardStars: 50 } }).ok).toBe(true)
    expect(remarked('s wildcard "*a*"', { limits: { wildcardStars: 1 } })).toBe('limit_exceeded s wildcard ‹"*a*"›')
  })
  test('source at the limit is taken, one character more is not', () => {
    const limits = { sourceLength: 10 }
    expect(parseExpression('b'.padEnd(10), scheme, { limits }).ok).toBe(true)
    expect(problemsOf('b'.padEnd(11), { limits })[0]).toMatchObject({
      code: 'expression.limit_exceeded',
      span: [10, 11],
    })
  })
})
