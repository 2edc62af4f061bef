// [L3.1] to [L3.3]: trimming, white space, no word boundaries, identifiers.

import { describe, expect, test } from 'vitest'
import { marked, remarked, verdict } from './support.ts'

const engine = { mode: 'engine' } as const
const facts = { i: 443, j: 2, s: 'xyz', b: true, c: false, p: '10.0.0.1', ss: ['a', 'b'], m: { k: 'v' } }

describe('accepted, and true of the facts', () => {
  test.each([
    '  b  ',
    '\n\t\u0085\u00a0\u1680\u2000\u2028\u202f\u205f\u3000b\u3000\u2029\v\f ',
    'i eq443',
    's contains"x"',
    'i in{443}',
    'i==443',
    'i\n==\r\n443',
    'c or!c',
    '(i == 443)and(j == 2)',
    'i == 443 andb',
    'notc',
    'not\n\nc',
    '!c',
    '! ! b',
    'any(ss[ * ] == "a")',
    'any (ss[*]=="a")',
    'all\n( ss[*] in{"a""b"} )',
    'm[ "k" ] == "v"',
    '( ( b ) )',
    'j in {1..3}and b',
    'i == 443or c',
    's~"y"',
    'b&&b||c^^c',
  ])('%j', (source) => {
    expect(verdict(source, facts, engine)).toBe(true)
  })
})

describe('refused at the marked place', () => {
  test.each([
    ['syntax', '‹›'],
    ['syntax', '‹›   '],
    ['syntax', '‹\ufeffb›'],
    ['syntax', 'i‹\t== 443›'],
    ['syntax', 'b‹\tand b›'],
    ['syntax', 'b‹ # comment›'],
    ['syntax', 'b‹ // comment›'],
    ['syntax', 'b‹;›'],
    ['syntax', 'i == 443‹ AND b›'],
    ['unknown_field', '‹Not› b'],
    ['unknown_field', '‹Any›(ss[*] == "a")'],
    ['unknown_field', '‹I› == 1'],
    ['unknown_field', '‹nope› == 1 and b'],
    ['unknown_field', '‹net.dst› == 1'],
    ['unknown_field', '‹net.dst.port.x› == 1'],
    ['unknown_field', '‹true›'],
    ['unknown_field', '‹1› == i'],
    ['syntax', 'net.‹.dst.port == 1›'],
    ['syntax', 'net.‹›'],
    ['syntax', 'net.‹ dst == 1›'],
    ['syntax', 'm ‹["k"] == "v"›'],
    ['syntax', 's ‹strict  wildcard "x"›'],
    ['syntax', 'b and‹›'],
    ['syntax', 'b and‹› '],
    ['syntax', '(‹›'],
    ['syntax', '(b‹›'],
    ['syntax', 'b‹)›'],
    ['syntax', '(‹)›'],
    ['syntax', 'not‹›'],
    ['syntax', '(‹"x" == s)›'],
    ['syntax', '(i‹) == 1›'],
    ['syntax', 'i == ‹(1)›'],
  ])('%s %j', (code, text) => {
    const { source } = marked(text ?? '')
    expect(remarked(source, engine)).toBe(`${code} ${text}`)
  })
})

test('a tab separates tokens in the default mode', () => {
  expect(verdict('\ti\t==\t443\tand\n\tb', facts)).toBe(true)
})

test('functions do not exist: their names are unknown', () => {
  expect(remarked('lower(s) == "x"', engine)).toBe('unknown_field ‹lower›(s) == "x"')
})

test('spans count characters, not bytes and not UTF-16 units', () => {
  expect(remarked('s == "𝒳é" and nope', engine)).toBe('unknown_field s == "𝒳é" and ‹nope›')
})
