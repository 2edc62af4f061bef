// [L5], [L6], [L10] and [L11]: which operator fits which type, what each means, precedence, missing values, sets.

import { describe, expect, test } from 'vitest'
import { createScheme } from '../../src/expression/index.ts'
import { marked, remarked, verdict } from './support.ts'

const engine = { mode: 'engine' } as const

describe('which operator fits which type', () => {
  const literal = { Int: '1', Bytes: '"x"', Ip: '10.0.0.1' } as const
  const fields = { Int: 'i', Bytes: 's', Ip: 'p' } as const
  const all = ['==', '!=', '<', '<=', '>', '>=', 'eq', 'ne', 'lt', 'le', 'gt', 'ge']
  for (const type of ['Int', 'Bytes', 'Ip'] as const) {
    test.each(all)(`${type} %s`, (operator) => {
      expect(typeof verdict(`${fields[type]} ${operator} ${literal[type]}`, {}, engine)).toBe('boolean')
    })
    test(`${type} in a set and in a list`, () => {
      expect(verdict(`${fields[type]} in {}`, {}, engine)).toBe(false)
      expect(verdict(`${fields[type]} in $any`, {}, engine)).toBe(false)
    })
  }
  test.each([
    ['s ‹&› 1'],
    ['p ‹bitwise_and› 1'],
    ['i ‹contains› "1"'],
    ['p ‹matches› "1"'],
    ['i ‹~› "1"'],
    ['p ‹wildcard› "1"'],
    ['i ‹strict wildcard› "1"'],
    ['ss ‹==› "x"'],
    ['ss ‹in› {"x"}'],
    ['m ‹eq› "x"'],
    ['mm["k"] ‹==› "x"'],
    ['ii ‹&› 1'],
  ])('%s', (text) => {
    expect(remarked(marked(text).source, engine)).toBe(`type_mismatch ${text}`)
  })
  test.each([
    ['syntax', 'i ‹"x"›'],
    ['syntax', 'i‹›'],
    ['syntax', 's ‹! in {"x"}›'],
    ['syntax', 's ‹not in {"x"}›'],
    ['syntax', 's ‹!in {"x"}›'],
    ['syntax', 's ‹= "x"›'],
    ['syntax', 's ‹IN {"x"}›'],
    ['syntax', 'i ‹=> 1›'],
    ['syntax', 'b‹ == 1›'],
    ['syntax', 'b‹ true›'],
    ['syntax', 'i == ‹j›'],
    ['syntax', 'i == 1‹ == 1›'],
  ])('%s %s', (code, text) => {
    expect(remarked(marked(text).source, engine)).toBe(`${code} ${text}`)
  })
  test('a list of a type without lists is refused from `in` through the name', () => {
    const bare = createScheme({ i: 'Int' }, { listTypes: ['Bytes'] })
    expect(() => verdict('i in $x', {}, { scheme: bare })).toThrow('"span":[2,7]')
  })
})

describe('order', () => {
  test.each([
    ['i < 2', { i: 1 }, true],
    ['i <= 1', { i: 1 }, true],
    ['i > 9007199254740992', { i: '9007199254740993' }, true],
    ['i < -9223372036854775807', { i: '-9223372036854775808' }, true],
    ['i >= 9007199254740993', { i: 5 }, false],
    ['s < "b"', { s: 'a' }, true],
    ['s < "aa"', { s: 'a' }, true],
    ['s > "a"', { s: 'aa' }, true],
    ['s < "\\xff"', { s: 'é' }, true],
    ['s > "\\xef\\xbf\\xbd"', { s: '𝒳' }, true],
    ['s == "A"', { s: 'a' }, false],
    ['p < 10.0.0.2', { p: '10.0.0.1' }, true],
    ['p >= 200.0.0.0', { p: '255.0.0.0' }, true],
    ['p < ::', { p: '10.0.0.1' }, false],
    ['p >= ::', { p: '10.0.0.1' }, false],
    ['p != ::', { p: '10.0.0.1' }, true],
    ['p == ::ffff:10.0.0.1', { p: '10.0.0.1' }, false],
    ['p > 2001:db8::ffff', { p: '2001:db8::1:0' }, true],
  ])('%s of %j is %s', (source, facts, expected) => {
    expect(verdict(source, facts, engine)).toBe(expected)
  })
})

describe('bitwise and', () => {
  test.each([
    ['i & 1', 3, true],
    ['i & 4', 3, false],
    ['i bitwise_and 0x10', 16, true],
    ['i & -1', 0, false],
    ['i & -1', 8, true],
    ['i & 1', -1, true],
    ['i & 0x4000000000000000', '4611686018427387904', true],
    ['i & 1', '9007199254740993', true],
    ['i & -9223372036854775808', -1, true],
    ['i & -9223372036854775808', 5, false],
    ['i & 0', -1, false],
    ['i & 0x80000000', '2147483648', true],
    ['i & 0x7fffffff', '4294967296', false],
  ])('%s of %s is %s', (source, value, expected) => {
    expect(verdict(source, { i: value }, engine)).toBe(expected)
  })
})

describe('contains', () => {
  test.each([
    ['"b"', 'abc', true],
    ['""', '', true],
    ['""', 'x', true],
    ['"B"', 'abc', false],
    ['"\\xa9"', 'é', true],
    ['62:63', 'abc', true],
    ['r"c"', 'ab', false],
  ])('%s in %j: %s', (literal, value, expected) => {
    expect(verdict(`s contains ${literal}`, { s: value }, engine)).toBe(expected)
  })
})

describe('sets', () => {
  test.each([
    ['i in {}', { i: 1 }, false],
    ['i in {1-1}', { i: -1 }, true],
    ['i in {80 443 80 443}', { i: 443 }, true],
    ['i in {1..5 3..9}', { i: 9 }, true],
    ['i in {1..5 3..4}', { i: 5 }, true],
    ['i in {1..5 8..9}', { i: 7 }, false],
    ['i in {9007199254740992..9007199254740994}', { i: '9007199254740993' }, true],
    ['i in {1 2 3 4 5 6 7 8}', { i: 8 }, true],
    ['i in {1 2 3}', { i: 4 }, false],
    ['i in {1 2 3 4}', { i: 4 }, true],
    ['s in {"a""b"}', { s: 'b' }, true],
    ['s in {"a" r"b" 63:64}', { s: 'cd' }, true],
    ['s in {"a"\n"b"\r\n}', { s: 'c' }, false],
    ['p in {10.0.0.1 ::1 192.0.2.0/24 2001:db8::1..2001:db8::9}', { p: '2001:db8::5' }, true],
    ['p in {10.0.0.1 ::1 192.0.2.0/24}', { p: '192.0.2.255' }, true],
    ['p in {10.0.0.1 ::1 192.0.2.0/24}', { p: '192.0.3.0' }, false],
    ['not i in {1}', { i: 2 }, true],
  ])('%s of %j is %s', (source, facts, expected) => {
    expect(verdict(source, facts, engine)).toBe(expected)
  })
  test.each([
    ['syntax', 'i in {1‹, 2}›'],
    ['syntax', 'i in {‹"1"}›'],
    ['syntax', 'i in {‹$list}›'],
    ['syntax', 'i in {1‹›'],
    ['syntax', 'i in {‹›'],
    ['syntax', 'i in ‹(1)›'],
    ['syntax', 'i in ‹1›'],
    ['syntax', 'p in {‹"10.0.0.0/8"}›'],
    ['syntax', 's in {"a"‹›'],
    ['invalid_string', 's in {‹8}›'],
    ['invalid_string', 's in {"a"‹, ›"b"}'],
    ['invalid_string', 's in {ab‹c›d}'],
  ])('%s %s', (code, text) => {
    expect(remarked(marked(text).source, engine)).toBe(`${code} ${text}`)
  })
})

describe('logic', () => {
  const facts = { b: true, c: false }
  test.each([
    ['b or b and c', true],
    ['(b or b) and c', false],
    ['b xor b or b', true],
    ['b xor b and c', true],
    ['c or b xor b', false],
    ['b xor b xor b', true],
    ['b ^^ c', true],
    ['not c and b', true],
    ['not (c or b)', false],
    ['not b or b', true],
    ['not not b', true],
    ['!c && !c', true],
    ['b || c && c', true],
    ['b and b and b and b and c', false],
    ['c or c or c or c or b', true],
  ])('%s is %s', (source, expected) => {
    expect(verdict(source, facts, engine)).toBe(expected)
  })
  test('operators of every level may follow each other at any length', () => {
    const source = Array.from({ length: 5000 }, () => 'b and c xor b or c').join(' xor ')
    expect(verdict(source, facts, engine)).toBe(true)
  })
  test('a chain of any length is flat and costs no nesting', () => {
    expect(verdict(Array.from({ length: 20_000 }, () => 'b').join(' and '), facts, engine)).toBe(true)
  })
})

describe('missing values', () => {
  test.each([
    ['i == 1', false],
    ['i != 1', true],
    ['i >= 0', false],
    ['i <= 0', false],
    ['i & -1', false],
    ['s == ""', false],
    ['s contains ""', false],
    ['s matches ""', false],
    ['s wildcard "*"', false],
    ['s in $list', false],
    ['s in {""}', false],
    ['p != 10.0.0.1', true],
    ['p in {0.0.0.0/0 ::/0}', false],
    ['b', false],
    ['not b', true],
    ['not i == 1', true],
    ['not i != 1', false],
    ['m["k"] != "x"', true],
    ['ss[0] != "x"', true],
    ['ss[0] == "x"', false],
    ['mm["k"][3] != "x"', true],
    ['any(ss[*] != "x")', false],
    ['all(ss[*] != "x")', true],
    ['all(ss[*] == "x")', true],
    ['any(bb)', false],
    ['all(bb)', false],
    ['any((bb))', false],
    ['all((bb))', true],
    ['all((bb[*]))', true],
    ['all(not bb)', true],
  ])('%s is %s', (source, expected) => {
    expect(verdict(source, {}, { ...engine, lists: { list: [''] } })).toBe(expected)
  })

  test('the scheme may say that a missing value is not unequal either', () => {
    const strict = createScheme({ i: 'Int', m: { map: 'Int' } }, { missingNotEqual: false })
    expect(verdict('i != 1', {}, { scheme: strict })).toBe(false)
    expect(verdict('m["k"] != 1', {}, { scheme: strict })).toBe(false)
    expect(verdict('not i != 1', {}, { scheme: strict })).toBe(true)
    expect(verdict('i != 1', { i: 2 }, { scheme: strict })).toBe(true)
  })
})

describe('lists', () => {
  const lists = { office: ['10.0.0.0/8', '2001:db8::/32', '192.0.2.1'], words: ['a', 'b'], ports: [22, 443] }
  test.each([
    ['p in $office', { p: '10.1.1.1' }, true],
    ['p in $office', { p: '192.0.2.2' }, false],
    ['p in $office', { p: '2001:db8::1' }, true],
    ['s in $words', { s: 'a' }, true],
    ['s in $words', { s: 'A' }, false],
    ['i in $ports', { i: 22 }, true],
    ['i in $ports', { i: 23 }, false],
    ['any(ss[*] in $words)', { ss: ['x', 'b'] }, true],
    ['all(ss[*] in $words)', { ss: ['x', 'b'] }, false],
    ['s in $unknown', { s: 'a' }, false],
  ])('%s of %j is %s', (source, facts, expected) => {
    expect(verdict(source, facts, { ...engine, lists })).toBe(expected)
  })
})
