// [L14] and [L15]: wildcards and regular expressions over bytes.

import fc from 'fast-check'
import { RE2JS } from 're2js'
import { describe, expect, test } from 'vitest'
import { createAutomaton } from '../../src/expression/regex/automaton.ts'
import { parsePattern } from '../../src/expression/regex/parse-pattern.ts'
import { createProgram } from '../../src/expression/regex/pattern.ts'
import { createRegex, type RegexResult } from '../../src/expression/regex/regex.ts'
import { marked, remarked, verdict } from './support.ts'

const engine = { mode: 'engine' } as const

describe('wildcards', () => {
  test.each([
    ['"*"', '', true],
    ['"*"', 'a.b\nc', true],
    ['""', '', true],
    ['""', 'a', false],
    ['"a*c"', 'abbc', true],
    ['"a*c"', 'ac', true],
    ['"a*c"', 'acd', false],
    ['"a*a"', 'a', false],
    ['"*.EXAMPLE.com"', 'www.Example.COM', true],
    ['"*.example.com"', 'example.com', false],
    ['"a?c"', 'abc', false],
    ['"a?c"', 'a?c', true],
    ['"[ab]"', 'a', false],
    ['"\\\\*"', '*', true],
    ['"\\\\*"', 'x', false],
    ['"\\\\\\\\"', '\\', true],
    ['r"\\*"', '*', true],
    ['r"*\\**"', 'a*b', true],
    ['r"*\\**"', 'ab', false],
    ['"\\x2a"', 'anything', true],
    ['"*ab*ab*"', 'xabyab', true],
    ['"*ab*ab*"', 'xab', false],
    ['"É*"', 'Éa', true],
    ['"É*"', 'éa', false],
    ['"*a*b*c"', 'aXbXcXc', true],
  ])('wildcard %s on %j: %s', (pattern, value, expected) => {
    expect(verdict(`s wildcard ${pattern}`, { s: value }, engine)).toBe(expected)
  })
  test('strict wildcard minds the case', () => {
    expect(verdict('s strict wildcard "A*"', { s: 'Ab' }, engine)).toBe(true)
    expect(verdict('s strict wildcard "A*"', { s: 'ab' }, engine)).toBe(false)
  })
  test.each([
    ['invalid_wildcard', 's wildcard ‹"**"›'],
    ['invalid_wildcard', 's wildcard ‹"a**b" and b›'],
    ['invalid_wildcard', 's wildcard ‹r"\\?"›'],
    ['invalid_wildcard', 's wildcard ‹r"a\\"›'],
    ['invalid_string', 's wildcard "\\‹*›"'],
    ['syntax', 's wildcard ‹61:62›'],
    ['syntax', 's wildcard‹›'],
  ])('%s %s', (code, text) => {
    expect(remarked(marked(text).source, engine)).toBe(`${code} ${text}`)
  })
})

describe('regex literals', () => {
  test.each([
    ['"a\\.b"', 'a.b', true],
    ['"a\\.b"', 'axb', false],
    ['"a\\\\.b"', 'a\\xb', true],
    ['"\\""', '"', true],
    ['"["]"', '"', true],
    ['"[\\"]"', '"', true],
    ['r"a\\.b"', 'a.b', true],
    ['r#"""#', '"', true],
    ['"[[:alpha:]]"', 'x', true],
  ])('matches %s on %j: %s', (literal, value, expected) => {
    expect(verdict(`s matches ${literal}`, { s: value }, engine)).toBe(expected)
  })
  test.each([
    ['invalid_string', 's matches "‹abc›'],
    ['invalid_string', 's matches "‹[abc"›'],
    ['invalid_string', 's matches "‹a\\›'],
    ['invalid_string', 's matches r‹#"a"›'],
    ['syntax', 's matches ‹61:62›'],
    ['syntax', 's matches ‹/a/›'],
    ['syntax', 's matches‹›'],
    ['invalid_regex', 's matches "‹(›"'],
    ['invalid_regex', 's matches r##"‹*a›"## and b'],
  ])('%s %s', (code, text) => {
    expect(remarked(marked(text).source, engine)).toBe(`${code} ${text}`)
  })
})

function compiled(pattern: string): RegexResult {
  return createRegex(pattern, 10 * 2 ** 20)
}

function matches(pattern: string, text: string): boolean {
  const result = compiled(pattern)
  if (!result.ok) throw new Error(`${pattern}: ${result.message}`)
  return result.regex.matches(Buffer.from(text).toString('latin1'))
}

describe('the regex dialect', () => {
  test.each([
    ['', '', true],
    ['', 'x', true],
    ['b', 'abc', true],
    ['^b', 'abc', false],
    ['c$', 'abc', true],
    ['c$', 'abc\n', false],
    ['\\Aabc\\z', 'abc', true],
    ['a.c', 'a\nc', false],
    ['(?s)a.c', 'a\nc', true],
    ['(?s:a.)c', 'a\nc', true],
    ['a.c', 'a\rc', true],
    ['(?R)a.c', 'a\rc', false],
    ['^.$', 'é', false],
    ['^..$', 'é', true],
    ['^é+$', 'éé', true],
    ['^[^a]{2}$', 'é', true],
    ['(?i)STRASSE', 'strasse', true],
    ['(?i)É', 'é', false],
    ['(?i:a)b', 'Ab', true],
    ['(?i:a)b', 'AB', false],
    ['(?i)[a-c]+$', 'ABC', true],
    ['(?i)[^a]', 'A', false],
    ['a(?i)b|c', 'C', true],
    ['(a(?i)b)c', 'aBC', false],
    ['\\d', '٣', false],
    ['\\w', 'é', false],
    ['\\W\\W', 'é', true],
    ['^\\s+$', ' \t\n\v\f\r', true],
    ['\\bfoo\\b', 'a foo b', true],
    ['\\bfoo\\b', 'afoob', false],
    ['\\Boo', 'foo', true],
    ['\\<foo', 'a foo', true],
    ['\\<oo', 'foo', false],
    ['foo\\>', 'foo bar', true],
    ['fo\\>', 'foo', false],
    ['\\b{start}foo\\b{end}', 'a foo', true],
    ['\\b{start-half}-', 'a -', true],
    ['\\b{start-half}-', 'a-', false],
    ['-\\b{end-half}', '-a', false],
    ['(?mR)^b$', 'a\r\nb\r\nc', true],
    ['(?mR)^b$', 'a\rb\rc', true],
    ['(?mR)a$\\r\\n^b', 'a\r\nb', true],
    ['(?mR)\\r$\\n', '\r\n', false],
    ['(?mR)\\r^\\n', '\r\n', false],
    ['(?m)^b$', 'a\r\nb\r\nc', false],
    ['(?m)^b$', 'a\nb\nc', true],
    ['^b$', 'a\nb\nc', false],
    ['(?x) a b # comment\n c', 'abc', true],
    ['(?x) a\\ b [ c d ]', 'a bc', true],
    ['(?U)a+b', 'aab', true],
    ['(?P<n>a)(?<m>b)', 'ab', true],
    ['(?:a|b|)c', 'c', true],
    ['a{2}', 'aa', true],
    ['^a{2,3}$', 'aaaa', false],
    ['^a{2,}$', 'aaaa', true],
    ['^a{0}$', '', true],
    ['a**', '', true],
    ['a{2}{3}', 'aaaaaa', true],
    ['^a{1001}$', 'a'.repeat(1001), true],
    ['^a{1001}$', 'a'.repeat(1000), false],
    ['^(a{40}){40}$', 'a'.repeat(1600), true],
    ['^(a{40}){40}$', 'a'.repeat(1599), false],
    ['^(?:a{2,3}){400,1200}$', 'a'.repeat(801), true],
    ['[a-z&&[^aeiou]]', 'e', false],
    ['[a-z&&[^aeiou]]', 'f', true],
    ['^[a-z--b]$', 'b', false],
    ['^[a-g~~c-k]$', 'd', false],
    ['^[a-g~~c-k]$', 'k', true],
    ['^[[:alpha:][:digit:]]+$', 'a1', true],
    ['^[[:^alpha:]]$', 'a', false],
    ['^[]a]+$', ']a', true],
    ['^[^]]$', ']', false],
    ['^[a-]+$', 'a-', true],
    ['^[-a]+$', 'a-', true],
    ['^[\\]\\-\\\\]+$', ']-\\', true],
    ['^[\\d\\s]+$', '1 2', true],
    ['^[a-c[x-z]]+$', 'ay', true],
    ['[a&&b]', 'ab', false],
    ['\\x41\\x{42}\\u0043', 'ABC', true],
    ['\\x{e9}', 'é', true],
    ['\\u00e9', 'é', true],
    ['\\U000000e9', 'é', true],
    ['\\xc3\\xa9', 'é', true],
    ['[\\xc3][\\x80-\\xff]', 'é', true],
    ['\\t\\n\\r\\f\\v\\a', '\t\n\r\f\v\u0007', true],
    ['\\.\\*\\+\\?\\(\\)\\|\\[\\]\\{\\}\\^\\$\\\\\\-\\/\\@\\ ', '.*+?()|[]{}^$\\-/@ ', true],
    ['}', '}', true],
    [']', ']', true],
    ['^*$', '', true],
    ['(?-i)a', 'A', false],
    ['(?i-s)A', 'a', true],
    ['x*', '', true],
    ['(|a)+b', 'aab', true],
  ])('%j on %j: %s', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected)
  })

  test.each([
    ['(?=a)', 'look-around'],
    ['(?!a)', 'look-around'],
    ['(?<=a)b', 'look-around'],
    ['(?<!a)b', 'look-around'],
    ['(a)\\1', 'backreferences'],
    ['\\0', 'backreferences'],
    ['\\p{L}', '\\p'],
    ['\\PL', '\\p'],
    ['[é]', 'Unicode not allowed'],
    ['[\\u00e9]', 'Unicode not allowed'],
    ['(?u)a', 'Unicode mode'],
    ['(?u:a)', 'Unicode mode'],
    ['\\Z', 'unrecognized escape'],
    ['\\Q', 'unrecognized escape'],
    ['\\e', 'unrecognized escape'],
    ['\\', 'incomplete escape'],
    ['(', 'unclosed group'],
    ['(?:a', 'unclosed group'],
    ['a)', 'unopened group'],
    ['[a', 'unclosed character class'],
    ['[]', 'unclosed character class'],
    ['[z-a]', 'the start must be <= the end'],
    ['[a-\\d]', 'must be a literal'],
    ['[\\b]', 'invalid escape sequence found in character class'],
    ['*', 'missing expression'],
    ['a|*', 'missing expression'],
    ['(?i)*', 'missing expression'],
    ['(*)', 'missing expression'],
    ['{1}', 'missing expression'],
    ['a{', 'unclosed counted repetition'],
    ['a{x}', 'valid decimal'],
    ['a{,2}', 'valid decimal'],
    ['a{3,2}', 'the start must be <= the end'],
    ['(?z)', 'unrecognized flag'],
    ['(?ii)', 'duplicate flag'],
    ['(?i-)', 'dangling flag negation'],
    ['(?i--s)', 'flag negation operator repeated'],
    ['(?)', 'missing expression'],
    ['(?P<>a)', 'capture group name'],
    ['(?P<1>a)', 'capture group name'],
    ['(?P<a>b)(?P<a>c)', 'duplicate capture group name'],
    ['\\x{110000}', 'not a Unicode scalar'],
    ['\\x{}', 'hexadecimal literal empty'],
    ['\\xg0', 'invalid hexadecimal digit'],
    ['('.repeat(300) + ')'.repeat(300), 'nesting limit'],
    ['['.repeat(300), 'nesting limit'],
  ])('%s is refused: %s', (pattern, message) => {
    const result = compiled(pattern)
    expect(result.ok ? 'accepted' : result.message).toContain(message)
  })
})

describe('shapes', () => {
  test.each([
    ['', 'always'],
    ['.*', 'always'],
    ['a?', 'always'],
    ['^', 'always'],
    ['^abc$', 'equals'],
    ['^(a|b|cd?)$', 'equals'],
    ['^abc', 'starts'],
    ['^abc.*', 'starts'],
    ['abc$', 'ends'],
    ['.*\\.example\\.com$', 'ends'],
    ['^.*\\.example\\.com$', 'ends'],
    ['abc', 'contains'],
    ['.*abc.*', 'contains'],
    ['(^|\\.)example\\.com$', 'domain'],
    ['^(.*\\.)?example\\.com$', 'domain'],
    ['^(?s:.*\\.)?example\\.com$', 'domain'],
    ['^[a-z]+\\.example\\.com$', 'automaton'],
    ['a|b', 'automaton'],
    ['(?i)a', 'automaton'],
    ['^a\\b', 'automaton'],
  ])('%s is %s', (pattern, kind) => {
    const result = compiled(pattern)
    expect(result.ok && result.regex.shape.kind).toBe(kind)
  })

  test('simplified patterns say what the pattern says', () => {
    const atom = fc.constantFrom(
      'a',
      'b',
      '\\.',
      '.',
      '.*',
      'a?',
      '(a|b)',
      '(^|\\.)',
      '(.*\\.)?',
      '^',
      '$',
      '[ab]',
      'b+',
      '(?s:.)*',
      '\\n',
    )
    const pattern = fc.array(atom, { maxLength: 5 }).map((atoms) => atoms.join(''))
    const value = fc.string({ unit: fc.constantFrom('a', 'b', '.', '\n', 'c'), maxLength: 6 })
    fc.assert(
      fc.property(pattern, value, (source, text) => {
        expect(matches(source, text)).toBe(new RegExp(source).test(text))
      }),
      { numRuns: Number(process.env.EGRESSLAB_FUZZ ?? 3000) },
    )
  })

  // the platform's dot also excludes carriage returns; the values hold none
  test('any pattern of the common syntax says what the platform says of it', () => {
    const leaf = fc.constantFrom(
      'a',
      'b',
      'ab',
      '[ab]',
      '[^a]',
      '\\d',
      '\\w',
      '\\W',
      '\\s',
      '.',
      '\\b',
      '\\B',
      '^',
      '$',
      '1',
      '_',
    )
    const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
      pattern: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        leaf,
        fc.tuple(tie('pattern'), tie('pattern')).map((parts) => parts.join('')),
        fc.tuple(tie('pattern'), tie('pattern')).map((parts) => `(?:${parts.join('|')})`),
        fc
          .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '{2}', '{1,2}', '{0,3}', '*?'))
          .map(([item, count]) => `(?:${item})${count}`),
      ),
    }))
    const value = fc.string({ unit: fc.constantFrom('a', 'b', '1', '_', ' ', '\n', '-'), maxLength: 7 })
    fc.assert(
      fc.property(pattern, value, (source, text) => {
        const answer = matches(source, text)
        expect(answer).toBe(new RegExp(source).test(text))
        expect(answer).toBe(RE2JS.compile(source).test(text))
      }),
      { numRuns: Number(process.env.EGRESSLAB_FUZZ ?? 3000) },
    )
  })
})

test('an automaton that forgets its states stays right', () => {
  const matchesText = createAutomaton(createProgram(parsePattern('(?s)^.*a.{6}$').pattern), 100)
  const text = Array.from({ length: 3000 }, (_, at) => 'abbabaabbaab'[(at * at + (at >> 3)) % 12]).join('')
  for (let end = 7; end < 300; end++) expect(matchesText(text.slice(0, end))).toBe(text[end - 7] === 'a')
  expect(matchesText(text)).toBe(text.at(-7) === 'a')
})

describe('linear time', () => {
  // patterns that take a backtracking engine longer than the test may run
  const hostile = 'a'.repeat(30_000)
  test.each([
    ['^(a+)+$', `${hostile}b`],
    ['^(a|a)*$', `${hostile}b`],
    ['^(a|aa)+$', `${hostile}b`],
    ['(a*)*b', hostile],
    ['^(([a-z])+.)+[A-Z]([a-z])+$', hostile],
    ['(x+x+)+y', 'x'.repeat(30_000)],
    ['^(\\w+\\s?)*$', `${'word '.repeat(6000)}!`],
    ['^([a-zA-Z0-9_.-])+@(([a-zA-Z0-9-])+\\.)+([a-zA-Z0-9]{2,4})+$', `${hostile}@${'a.'.repeat(5000)}!`],
    ['(.*)*(.*)*(.*)*x', hostile],
    ['(?:a?){60}a{60}$', `${'a'.repeat(59)}b`],
  ])('%s', (pattern, value) => {
    expect(matches(pattern, value)).toBe(false)
  })
})
