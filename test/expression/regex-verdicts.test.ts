// What the engine itself says of patterns ([L15]), recorded from Rust's regex-automata 0.4 with the
// engine's settings: refused, or whether the value matches.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { createRegex } from '../../src/expression/regex/regex.ts'

type Answer = boolean | 'refused'
type Verdict = [pattern: string, value: string, answer: Answer]

function answer(pattern: string, text: string): Answer {
  const result = createRegex(pattern, 10 * 2 ** 20)
  return result.ok ? result.regex.matches(Buffer.from(text).toString('latin1')) : 'refused'
}

describe('a range in a class begins and ends with a literal', () => {
  test.each<Verdict>([
    ['[\\w-.]', 'a', 'refused'],
    ['[\\d-z]', '1', 'refused'],
    ['[a-zA-Z\\d-_]', 'a', 'refused'],
    ['[\\D-a]', 'a', 'refused'],
    ['[\\W-a]', 'a', 'refused'],
    ['[\\s-a]', 'a', 'refused'],
    ['[\\S-a]', 'a', 'refused'],
    ['^[\\w-]+$', 'a-', true],
    ['^[-\\w]+$', 'a-', true],
    ['^[\\w.-]+$', 'a.-', true],
    ['[\\w--a]', 'b', true],
    ['[\\w--a]', 'a', false],
    ['^[\\w-.]+\\.saas\\.test$', 'a', 'refused'],
    ['[\\b-a]', 'a', 'refused'],
    ['[a-\\A]', 'a', 'refused'],
    ['[\\x41-\\x43]', 'B', true],
    ['[a-\\d]', 'a', 'refused'],
  ])('%j on %j: %s', (pattern, text, expected) => {
    expect(answer(pattern, text)).toBe(expected)
  })
})

describe('case is folded before negation', () => {
  test.each<Verdict>([
    ['(?i)^[[:^lower:]]$', 'A', false],
    ['(?i)^[[:^lower:]]$', '1', true],
    ['(?i)^[[:^upper:]]$', 'a', false],
    ['(?i)^[^[:lower:]]$', 'A', false],
    ['(?i)^[^a]$', 'A', false],
    ['(?i)^[[^a]b]$', 'A', false],
    ['(?i)^[a-z--k]$', 'K', false],
    ['(?i)^[a-z&&[^K]]$', 'k', false],
    ['(?i)^[a~~A]$', 'a', false],
    ['(?i)^[\\W]$', 'k', false],
    ['(?i)^\\W$', 'K', false],
    ['(?i)^[^\\Wk]$', 'K', false],
    ['(?i)^[[:^alpha:]k]$', 'K', true],
    ['(?i)^[[:alpha:]--[:lower:]]$', 'A', false],
  ])('%j on %j: %s', (pattern, text, expected) => {
    expect(answer(pattern, text)).toBe(expected)
  })
})

describe('blanks in counts', () => {
  test.each<Verdict>([
    ['^a{ 2 }$', 'aa', true],
    ['^a{2 , 3}$', 'aaa', true],
    ['^a{\u00852}$', 'aa', true],
    ['^a{2\u3000}$', 'aa', true],
    ['a{\ufeff2}', 'aa', 'refused'],
    ['a{1, }', 'a', 'refused'],
    ['^a{1,}$', 'aaa', true],
    ['(?x)^a{1, }$', 'aaa', true],
    ['(?x)^a{1,#x\n}$', 'aaa', true],
    ['(?x)^a{1 2}$', 'aaaaaaaaaaaa', true],
    ['a{1 2}', 'aaaaaaaaaaaa', 'refused'],
    ['(?x)^a{#c\n2}$', 'aa', true],
    ['(?x)^a{2#c\n}$', 'aa', true],
    ['a{,2}', 'a', 'refused'],
    ['a{ }', 'a', 'refused'],
    ['a{2', 'aa', 'refused'],
    ['a{2,3', 'aa', 'refused'],
    ['a{4294967296}', 'a', 'refused'],
    ['^a{\t2\n}$', 'aa', true],
    ['a{ 2 3 }', 'aa', 'refused'],
  ])('%j on %j: %s', (pattern, text, expected) => {
    expect(answer(pattern, text)).toBe(expected)
  })
})

describe('verbose mode ignores white space and comments', () => {
  test.each<Verdict>([
    ['(?x)^a{2} ?$', '', false],
    ['(?x)^a{2} ?$', 'aa', true],
    ['(?x)^a+ ?$', '', true],
    ['(?x)^a+ ?$', 'a', true],
    ['(?x)[ ^a]', 'a', false],
    ['(?x)[ ^a]', 'b', true],
    ['(?x)[^ ]a]', 'a', false],
    ['(?x)[ - a]', '-', true],
    ['(?x)^[a - c]$', 'b', true],
    ['(?x)^[a -#c\n c]$', 'b', true],
    ['(?x)[a - ]', '-', true],
    ['(?x)[a-#]\n]', 'a', true],
    ['(?x)^\u00a0a\u1680b\u2003c\u202fd\u205fe\u3000$', 'abcde', true],
    ['(?x)^\u0085a\u2028$', 'a', true],
    ['(?x)^a\u200e$', 'a', false],
    ['(?x)^a\u200e$', 'a\u200e', true],
    ['(?x)^a\u200f$', 'a', false],
    ['(?x)^a\ufeff$', 'a', false],
    ['(?x)( ?:a)', 'a', true],
    ['(?x)( ?P<n>a)', 'a', true],
    ['(?x)(#c\n?i)A', 'a', true],
    ['(?x)( ?=a)', 'a', 'refused'],
    ['(?x)(? :a)', 'a', 'refused'],
    ['(?x)(?i )a', 'a', 'refused'],
    ['(?x)\\x { 41 }', 'A', true],
    ['(?x)\\x 4 1', 'A', true],
    ['(?x)\\u 0 0 4 1', 'A', true],
    ['\\x { 41 }', 'A', 'refused'],
    ['(?x)\\b{ start }a', 'a', true],
    ['(?x)\\b{sta rt}a', 'a', true],
    ['\\b{ start }a', 'a', 'refused'],
    ['(?x)\\b {start}', 'a', 'refused'],
    ['\\b{2}', 'a', true],
    ['(?x)[[: alpha:]]', 'a', true],
    ['(?x)\\ ', '  ', true],
    ['(?x)\\#', '#', true],
    ['(?x)[\\ ]', ' ', true],
    ['(?x)[ ]', ' ', 'refused'],
    ['(?x)[#]\n]', '#', 'refused'],
    ['(?x)a # b', 'a', true],
    ['(?x)a|#c\nb', 'b', true],
    ['(?x:a b)c d', 'abc d', true],
    ['(?x:a b)c d', 'abcd', false],
    ['(?x)(?-x: )', 'a', false],
    ['(?x)(?-x: )', ' ', true],
    ['(?x)a #(\nb', 'ab', true],
    ['(?x) *', 'a', 'refused'],
    ['(?x)a\\', 'a', 'refused'],
    ['(?x)[a-z & & b]', '&', true],
    ['(?x)[a &&#c\n b]', 'b', false],
    ['(?x)[^-a]', '-', false],
  ])('%j on %j: %s', (pattern, text, expected) => {
    expect(answer(pattern, text)).toBe(expected)
  })
})

describe('names of groups', () => {
  test.each<Verdict>([
    ['(?P<é>a)', 'a', true],
    ['(?<é>a)', 'a', true],
    ['(?P<名>a)', 'a', true],
    ['(?P<a1>a)', 'a', true],
    ['(?P<a.b[0]>a)', 'a', true],
    ['(?P<a²>a)', 'a', true],
    ['(?P<a٣>a)', 'a', true],
    ['(?P<²>a)', 'a', 'refused'],
    ['(?P<٣>a)', 'a', 'refused'],
    ['(?P<1>a)', 'a', 'refused'],
    ['(?P<.>a)', 'a', 'refused'],
    ['(?P<>a)', 'a', 'refused'],
    ['(?P<a b>a)', 'a', 'refused'],
    ['(?P<a-b>a)', 'a', 'refused'],
    ['(?P<a', 'a', 'refused'],
    ['(?P<é>a)(?P<é>b)', 'ab', 'refused'],
    ['(?P=a)', 'a', 'refused'],
    ["(?'a'b)", 'b', 'refused'],
  ])('%j on %j: %s', (pattern, text, expected) => {
    expect(answer(pattern, text)).toBe(expected)
  })
})

describe('repetitions', () => {
  test.each<Verdict>([
    ['^(?:){4294967295}$', '', true],
    ['^(?:){4294967295}b$', 'b', true],
    ['(?:a{200000}){0}b', 'b', true],
    ['^(?:^$){3}$', '', true],
    ['(?:){4294967296}', 'a', 'refused'],
    ['^(?:|a){2}$', 'aa', true],
    ['^(?:^|a){2}$', 'aa', true],
    ['^(?:[a&&b]){0}$', '', true],
    ['[a&&b]{2}', 'a', false],
    ['^[a&&b]*$', '', true],
    ['a{0}?', 'a', true],
    ['^*', 'a', true],
    ['\\b+a', 'a', true],
    ['(?:){0,}b', 'b', true],
    ['(?i)?', 'a', 'refused'],
    ['a|?', 'a', 'refused'],
    ['(?i){2}', 'a', 'refused'],
    ['((?i))?', 'a', true],
    ['^a{2}{0}$', '', true],
  ])('%j on %j: %s', (pattern, text, expected) => {
    expect(answer(pattern, text)).toBe(expected)
  })
})

describe('the rest', () => {
  test.each<Verdict>([
    ['[[:foo:]]', 'f', true],
    ['[[:foo:]]', 'x', false],
    ['[[:toString:]]', 't', true],
    ['[:alpha:]', 'a', true],
    ['[[:alpha]', 'a', 'refused'],
    ['[]', 'a', 'refused'],
    ['[]]', ']', true],
    ['[^]]', ']', false],
    ['[--a]', 'b', false],
    ['[a--]', 'a', true],
    ['[&&a]', 'a', false],
    ['[a&&]', 'a', false],
    ['[a&b]', '&', true],
    ['[a~b]', '~', true],
    ['[a&&b&&c]', 'a', false],
    ['[a-c&&b--b]', 'b', false],
    ['[z--]', 'z', true],
    ['\\<', 'a', true],
    ['[\\<]', '<', 'refused'],
    ['\\U0001F600', '😀', true],
    ['\\U110000', 'a', 'refused'],
    ['\\x{D800}', 'a', 'refused'],
    ['\\x{0000000000000041}', 'A', true],
    ['\\x{100000041}', 'A', 'refused'],
    ['\\8', 'a', 'refused'],
    ['\\_', '_', true],
    ['\\`', '`', true],
    ['\\é', 'é', 'refused'],
    ['[é]', 'é', 'refused'],
    ['[\\xe9]', 'é', false],
    ['[\\x{e9}]', 'a', 'refused'],
    ['[\\u0061]', 'a', true],
    ['[a-é]', 'a', 'refused'],
    ['(?-u)é', 'é', true],
    ['a)', 'a', 'refused'],
    ['(a', 'a', 'refused'],
    ['a|)', 'a', 'refused'],
    ['(?-i:a)', 'a', true],
    ['(?i-i)a', 'a', 'refused'],
    ['(?--i)a', 'a', 'refused'],
    ['(?-)a', 'a', 'refused'],
    ['(?:)', 'a', true],
    ['(?)', 'a', 'refused'],
    ['(?', '', 'refused'],
    ['(?i', '', 'refused'],
  ])('%j on %j: %s', (pattern, text, expected) => {
    expect(answer(pattern, text)).toBe(expected)
  })
})

// counted are groups, brackets, alternations, concatenations, repetitions, unions and class operators
describe('nesting ends at 250', () => {
  test.each<[string, number, (times: number) => string]>([
    ['groups', 250, (times) => `${'(?:'.repeat(times)}a${')'.repeat(times)}`],
    ['groups in concatenations', 125, (times) => `${'(?:a'.repeat(times)}${')'.repeat(times)}`],
    ['groups in alternations', 125, (times) => `${'(?:a|'.repeat(times)}${')'.repeat(times)}`],
    ['alternations of concatenations', 83, (times) => `${'(?:ab|c'.repeat(times)}${')'.repeat(times)}`],
    ['groups behind flags', 125, (times) => `${'(?:(?i)'.repeat(times)}${')'.repeat(times)}`],
    ['repetitions', 250, (times) => `a${'*'.repeat(times)}`],
    ['counted repetitions', 250, (times) => `a${'{1}'.repeat(times)}`],
    ['repeated groups', 125, (times) => `${'(?:'.repeat(times)}a${')*'.repeat(times)}`],
    ['brackets', 250, (times) => `${'['.repeat(times)}a${']'.repeat(times)}`],
    ['unions', 125, (times) => `${'[b'.repeat(times)}a${']'.repeat(times)}`],
    ['class operators', 249, (times) => `[a${'&&a'.repeat(times)}]`],
    ['class operators in brackets', 125, (times) => `${'[a&&'.repeat(times)}a${']'.repeat(times)}`],
    ['a bracket in groups', 249, (times) => `${'(?:'.repeat(times)}[a-z]${')'.repeat(times)}`],
  ])('of %s at %d', (_, most, form) => {
    expect(createRegex(form(most), 10 * 2 ** 20)).toMatchObject({ ok: true })
    expect(createRegex(form(most + 1), 10 * 2 ** 20)).toMatchObject({
      ok: false,
      message: 'exceeds the nesting limit of 250',
    })
  })
  test('far beyond it a pattern is refused all the same', () => {
    for (const text of ['(', '[', '(?:a|', '{1}', '[a&&', '*'].map((part) => `a${part.repeat(200_000)}`)) {
      expect(createRegex(text, 10 * 2 ** 20).ok).toBe(false)
    }
  })
})

// the largest count the engine compiles in 10 MiB, ± 0.5 %
describe('the compiled size', () => {
  test.each<[number, (times: number) => string]>([
    [327148, (times) => `a{${times}}`],
    [108886, (times) => `(?:abc){${times}}`],
    [108886, (times) => `(?:abc){${times},}`],
    [145507, (times) => `a{0,${times}}`],
    [100585, (times) => `a{${times},${2 * times}}`],
    [145507, (times) => `[a-z]{${times}}`],
    [108886, (times) => `\\w{${times}}`],
    [130859, (times) => `.{${times}}`],
    [43578, (times) => `(?i)(?:abc){${times}}`],
    [48461, (times) => `(?:(?:a?)*){${times}}`],
    [72753, (times) => `(?:[a-z]+\\.){${times}}`],
    [108886, (times) => `(a){${times}}`],
    [19653, (times) => `(?:abc|abd|xyz){${times}}`],
    [22582, (times) => `(?:abc|abcd|b){${times}}`],
    [33080, (times) => `(?:abc|[0-9]|x*){${times}}`],
    [145507, (times) => `(?:a|b|c){${times}}`],
    [163573, (times) => `(?:\\ba){${times}}`],
    [163573, (times) => `(?:é){${times}}`],
    [1285, (times) => `(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\\.){${times}}`],
    [327148, (times) => `(?:a{200000}){0}a{${times}}`],
  ])('allows about %d times %s', (most, form) => {
    expect(createRegex(form(Math.floor(most * 0.995)), 10 * 2 ** 20)).toMatchObject({ ok: true })
    expect(createRegex(form(Math.ceil(most * 1.005)), 10 * 2 ** 20)).toMatchObject({ ok: false, tooLarge: true })
  })
})

test.each<[string, boolean, string]>([
  ['two texts of 30,000 bytes', true, `${'a'.repeat(30_000)}|${'b'.repeat(30_000)}`],
  ['two texts of 100,000 bytes', false, `${'a'.repeat(100_000)}|${'b'.repeat(100_000)}`],
  ['5,000 names', true, `^(${Array.from({ length: 5000 }, (_, at) => `host${at}\\.example\\.com`).join('|')})$`],
  ['20,000 names', false, `^(${Array.from({ length: 20_000 }, (_, at) => `host${at}\\.example\\.com`).join('|')})$`],
])('a choice of %s is taken: %s', (_, taken, pattern) => {
  expect(createRegex(pattern, 10 * 2 ** 20).ok).toBe(taken)
})

/** One case: the pattern, values of one code unit per byte, and `!` or a digit for each value. */
type Recorded = readonly [pattern: string, values: readonly string[], verdict: string]

test('every generated pattern is answered as the engine answered it', () => {
  const lines = readFileSync(new URL('./regex-verdicts.ndjson', import.meta.url), 'utf8')
    .trimEnd()
    .split('\n')
  expect(lines).toHaveLength(2000)
  for (const line of lines) {
    const [pattern, values, verdict] = JSON.parse(line) as Recorded
    const result = createRegex(pattern, 10 * 2 ** 20)
    const ours = result.ok ? values.map((value) => (result.regex.matches(value) ? '1' : '0')).join('') : '!'
    expect([pattern, ours]).toEqual([pattern, verdict])
  }
})
