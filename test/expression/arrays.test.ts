// [L6] to [L8]: indexes, `[*]`, elementwise logic, quantifiers.

import { describe, expect, test } from 'vitest'
import { marked, remarked, verdict } from './support.ts'

const engine = { mode: 'engine' } as const

describe('indexes', () => {
  const facts = {
    ii: [10, 20, 30],
    m: { k: 'v', '': 'empty', é: 'accent' },
    mm: { z: ['z0'], a: ['a0', 'a1'] },
    aa: [[1, 2], [3], []],
    mb: { x: true, y: false },
    bb: [true, false],
  }
  test.each([
    ['ii[0] == 10', true],
    ['ii[0x1] == 20', true],
    ['ii[02] == 30', true],
    ['ii[3] == 10', false],
    ['ii[4294967295] == 1', false],
    ['m["k"] == "v"', true],
    ['m["K"] == "v"', false],
    ['m[""] == "empty"', true],
    ['m["\\x6b"] == "v"', true],
    ['m["\\xc3\\xa9"] == "accent"', true],
    ['mm["a"][1] == "a1"', true],
    ['any(mm["a"][*] == "a1")', true],
    ['any(mm[*][*] == "z0")', true],
    ['all(mm[*][0] in {"a0" "z0"})', true],
    ['all(mm[*][1] == "a1")', true],
    ['any(mm[*][7] != "x")', false],
    ['any(aa[*][*] == 3)', true],
    ['any(aa[*][1] == 2)', true],
    ['all(aa[*][1] == 2)', true],
    ['aa[1][0] == 3', true],
    ['mb["x"]', true],
    ['mb["y"]', false],
    ['bb[0] and not bb[1]', true],
    ['any((mb[*]))', true],
    ['all((mb[*]))', false],
    ['any(m[*] == "accent")', true],
    ['all(mm["nope"][*] == "x")', true],
  ])('%s is %s', (source, expected) => {
    expect(verdict(source, facts, engine)).toBe(expected)
  })

  test.each([
    ['type_mismatch', 'ii‹["k"]› == 1'],
    ['type_mismatch', 'm‹[0]› == "v"'],
    ['type_mismatch', 'i‹[0]› == 1'],
    ['type_mismatch', 'i‹[*]› == 1'],
    ['type_mismatch', 'ii[0]‹[0]› == 1'],
    ['type_mismatch', 'p‹[*]› in {10.0.0.0/8}'],
    ['invalid_index', 'ii[‹-1] == 1›'],
    ['invalid_index', 'ii[‹4294967296] == 1›'],
    ['invalid_index', 'ii[‹] == 1›'],
    ['invalid_index', 'ii[‹x] == 1›'],
    ['invalid_index', 'm[‹r"k"] == "v"›'],
    ['invalid_index', 'm[‹"\\xff"] == "v"›'],
    ['invalid_string', 'm["\\‹n›"] == "v"'],
    ['syntax', 'ii[0 ‹== 1›'],
    ['syntax', 'ii[0‹, 1] == 1›'],
    ['syntax', 'ii[*‹*] == 1›'],
  ])('%s %s', (code, text) => {
    expect(remarked(marked(text).source, engine)).toBe(`${code} ${text}`)
  })
})

describe('a mapped comparison is no filter', () => {
  test.each([
    ['ss[*] == "a"‹›'],
    ['bb‹›'],
    ['not ss[*] == "a"‹›'],
    ['(ss[*] == "a")‹›'],
    ['ss[*] == "a" or ss[*] == "b"‹›'],
    ['ss[*] == "a"‹ garbage›'],
  ])('%s', (text) => {
    expect(remarked(marked(text).source, engine)).toBe(`type_mismatch ${text}`)
  })
})

describe('elementwise logic', () => {
  const facts = { ss: ['a', 'b', 'c'], tt: ['a', 'x'], bb: [true, false, true], ii: [] }
  test.each([
    ['any((ss[*] == "a" or ss[*] == "b"))', true],
    ['all((ss[*] == "a" or ss[*] == "b"))', false],
    ['all((ss[*] == "a" or ss[*] == "b") or ss[*] == "c")', true],
    ['any((ss[*] == "a" and tt[*] == "a"))', true],
    ['any((ss[*] == "b" and tt[*] == "x"))', true],
    ['any((ss[*] == "c" and tt[*] == "x"))', false],
    ['any((ss[*] == "c" or tt[*] == "nope"))', false],
    ['all((ss[*] != "c" or tt[*] == "nope"))', true],
    ['any((ss[*] == "a" or ii[*] == 1))', false],
    ['all((ss[*] == "nope" or ii[*] == 1))', true],
    ['any((ss[*] == "a" xor bb))', true],
    ['all((ss[*] == "a" xor not bb[*]))', false],
    ['any((ss[*] == "c" ^^ tt[*] == "a" ^^ ss[*] == "a"))', false],
    ['all(not ss[*] == "z")', true],
    ['any(not ss[*] == "a")', true],
    ['not any(ss[*] == "a")', false],
    ['any(!(ss[*] in {"a" "b" "c"}))', false],
    ['any(bb)', true],
    ['all(bb)', false],
    ['any((bb and not bb))', false],
    ['any(bb)and all(not ii[*] == 1)', true],
  ])('%s is %s', (source, expected) => {
    expect(verdict(source, facts, engine)).toBe(expected)
  })

  test.each([
    ['b or ss[*] == "a"‹›'],
    ['ss[*] == "a" and b‹›'],
    ['any((ss[*] == "a" and b‹)) and c›'],
    ['any((b or ss[*] == "a"‹))›'],
    ['b or ss[*] == "a" and c‹›'],
    ['ss[*] == "a" or b or ‹c›'],
  ])('array and Bool do not combine: %s', (text) => {
    expect(remarked(marked(text).source, engine)).toBe(`type_mismatch ${text}`)
  })
})

describe('quantifiers', () => {
  test.each([
    ['any(ss[*] == "a")', { ss: [] }, false],
    ['all(ss[*] == "a")', { ss: [] }, true],
    ['any(bb)', { bb: [] }, false],
    ['all(bb)', { bb: [] }, true],
    ['any(not ss[*] == "a" or ss[*] == "a")', { ss: ['q'] }, true],
    ['any((ss[*] == "x") or ss[*] == "a")', { ss: ['a'] }, true],
    ['any((mb[*]))', { mb: { flag: true } }, true],
  ])('%s of %j is %s', (source, facts, expected) => {
    expect(verdict(source, facts, engine)).toBe(expected)
  })

  test.each([
    ['type_mismatch', 'any(‹i == 1›)'],
    ['type_mismatch', 'any(‹b›)'],
    ['type_mismatch', 'any( ‹b› )'],
    ['type_mismatch', 'any(‹ss›)'],
    ['type_mismatch', 'any(‹ss[*]›)'],
    ['type_mismatch', 'any(‹bb[*]›)'],
    ['type_mismatch', 'any(‹m›)'],
    ['type_mismatch', 'any(‹"x"›)'],
    ['type_mismatch', 'any(‹r#"x"#›)'],
    ['type_mismatch', 'any(‹any(ss[*] == "a")›)'],
    ['type_mismatch', 'any(‹(b)›)'],
    ['type_mismatch', 'any(‹not b›)'],
    ['type_mismatch', 'any(‹not b or c›)'],
    ['type_mismatch', 'any(‹4430›)'],
    ['type_mismatch', 'any(ss ‹==› "a")'],
    ['syntax', 'any(ss[*] == "a" ‹or ss[*] == "b")›'],
    ['syntax', 'any(ss[*] == "a"‹, ss[*] == "b")›'],
    ['syntax', 'any(ss[*] == "a"‹›'],
    ['syntax', 'any(‹)›'],
    ['syntax', 'any(‹›'],
    ['unknown_field', '‹any›'],
    ['unknown_field', '‹any›[*] == 1'],
    ['unknown_field', 'any(‹nope›[*] == 1)'],
    ['unknown_field', 'any(‹10.0.0.1›)'],
    ['syntax', 'any(‹dead.beef[*] == "x")›'],
    ['unknown_field', '‹some›(ss[*] == "a")'],
  ])('%s %s', (code, text) => {
    expect(remarked(marked(text).source, engine)).toBe(`${code} ${text}`)
  })
})
