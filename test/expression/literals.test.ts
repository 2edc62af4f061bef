// [L3.4] to [L3.11]: integers, bytes, addresses, patterns' notations, names of lists.

import { describe, expect, test } from 'vitest'
import { bytesOf, marked, parsed, remarked, verdict } from './support.ts'

const engine = { mode: 'engine' } as const

function refused(table: readonly (readonly [string, string])[]): void {
  test.each(table)('%s %s', (code, text) => {
    expect(remarked(marked(text).source, engine)).toBe(`${code} ${text}`)
  })
}

describe('integers', () => {
  test.each([
    ['0', 0],
    ['443', 443],
    ['0x1bb', 443],
    ['0xFF', 255],
    ['0120', 80],
    ['000120', 80],
    ['-1', -1],
    ['-010', -10],
    ['-0', 0],
    ['9007199254740993', '9007199254740993'],
    ['9223372036854775807', '9223372036854775807'],
    ['-9223372036854775808', '-9223372036854775808'],
    ['0x7fffffffffffffff', '9223372036854775807'],
    ['0777777777777777777777', '9223372036854775807'],
  ])('%s is %s', (literal, value) => {
    expect(verdict(`i == ${literal}`, { i: value }, engine)).toBe(true)
    expect(verdict(`i in {${literal}}`, { i: value }, engine)).toBe(true)
  })

  refused([
    ['syntax', 'i ==‹› '],
    ['syntax', 'i == ‹+1›'],
    ['syntax', 'i == ‹"443"›'],
    ['syntax', 'i == -‹ 1›'],
    ['syntax', 'i == 0x‹›'],
    ['syntax', 'i == 0x‹g›'],
    ['invalid_integer', 'i == ‹1e3›'],
    ['invalid_integer', 'i == ‹089›'],
    ['invalid_integer', 'i == ‹80a›'],
    ['invalid_integer', 'i == ‹80a›nd b'],
    ['invalid_integer', 'i == ‹-8a›'],
    ['invalid_integer', 'i == ‹9223372036854775808›'],
    ['invalid_integer', 'i == ‹-9223372036854775809›'],
    ['invalid_integer', 'i == 0x‹ffffffffffffffff›'],
    ['syntax', 'i == 0‹X1BB›'],
    ['syntax', 'i == -0‹x10›'],
    ['syntax', 'i == 8‹_080›'],
    ['syntax', 'i == 80‹.0›'],
    ['syntax', 'i == 1‹..2›'],
    ['invalid_range', 'i in {‹2..1›}'],
    ['syntax', 'i in {1..‹}›'],
    ['syntax', 'i in {1 ‹..2}›'],
    ['syntax', 'i &‹& b›'],
  ])
})

describe('bytes', () => {
  test.each([
    ['"abc"', 'abc'],
    ['""', ''],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ['"\\x41\\x6a\\x6A"', 'Ajj'],
    ['"\\101\\060"', 'A0'],
    ['"é\\xc3\\xa9"', 'éé'],
    ['"a\nb\tc"', 'a\nb\tc'],
    ['r"a\\nb"', 'a\\nb'],
    ['r#"a"b"#', 'a"b'],
    ['r##"a"#b"##', 'a"#b'],
    ['61:62', 'ab'],
    ['61-62.63', 'abc'],
    ['"+"', '+'],
  ])('%s', (literal, text) => {
    expect(verdict(`s == ${literal}`, { s: text }, engine)).toBe(true)
    expect(verdict(`s in {${literal}}`, { s: text }, engine)).toBe(true)
    expect(verdict(`s == ${literal}`, { s: `${text}x` }, engine)).toBe(false)
  })

  test('bytes need not be UTF-8', () => {
    const { root } = parsed('s == "\\xff\\377"', engine)
    expect(root).toMatchObject({ test: { literal: { value: '\u00ff\u00ff' } } })
    expect(bytesOf('é')).toBe('\u00c3\u00a9')
  })

  test('a + may stand in for the first digit, as the engine has it', () => {
    expect(verdict('s == "\\x+1"', { s: '\u0001' }, engine)).toBe(true)
  })

  refused([
    ['invalid_string', 's == "\\‹n›"'],
    ['invalid_string', 's == "\\‹*›"'],
    ['invalid_string', 's == "\\‹u›0041"'],
    ['invalid_string', 's == "\\‹X›41"'],
    ['invalid_string', 's == "\\‹𝒳›"'],
    ['invalid_string', 's == "\\x‹4"›'],
    ['invalid_string', 's == "\\x‹zz›"'],
    ['invalid_string', 's == "\\‹400›"'],
    ['invalid_string', 's == "\\‹08x›"'],
    ['invalid_string', 's == "\\‹7›'],
    ['invalid_string', 's == "‹abc›'],
    ['invalid_string', 's == "‹abc\\›'],
    ['invalid_string', 's == "‹abc\\"›'],
    ['invalid_string', 's == r‹"abc›'],
    ['invalid_string', 's == r‹#"abc"›'],
    ['syntax', 's == r‹abc›'],
    ['syntax', 's == "a"‹#›'],
    ['syntax', 's == r"a"‹#›'],
    ['syntax', 's ==‹› '],
    ['invalid_string', 's == ‹ex›ample'],
    ['invalid_string', "s == ‹'a›'"],
    ['invalid_string', 's == ab‹x›'],
    ['invalid_string', 's == ab:‹c›'],
    ['invalid_string', 's == 61:‹6›'],
    ['invalid_string', 's == 61‹›'],
    ['invalid_string', 's == ‹6›'],
    ['invalid_string', 's == 44‹3›'],
  ])
})

describe('addresses', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['2001:DB8::1', '2001:db8::1'],
    ['::', '0:0:0:0:0:0:0:0'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ])('%s is %s', (literal, value) => {
    expect(verdict(`p == ${literal}`, { p: value }, engine)).toBe(true)
  })

  refused([
    ['syntax', 'p ==‹› '],
    ['syntax', 'p == ‹"10.0.0.1"›'],
    ['syntax', 'p == ‹[::1]›'],
    ['syntax', 'p == fe80::1‹%eth0›'],
    ['invalid_address', 'p == ‹10.0.0›'],
    ['invalid_address', 'p == ‹10.0.0.256›'],
    ['invalid_address', 'p == ‹010.0.0.1›'],
    ['invalid_address', 'p == ‹10.0.0.0/8›'],
    ['invalid_address', 'p == ‹10.0.0.1..10.0.0.2›'],
    ['invalid_address', 'p == ‹10.0.0.1a›nd b'],
    ['invalid_address', 'p == ‹1::2::3›'],
    ['invalid_address', 'p == ‹12345::›'],
    ['invalid_address', 'p in {‹10.1.2.3›/8}'],
    ['invalid_address', 'p in {‹2001:db8::1›/32}'],
    ['invalid_address', 'p in {10.0.0.0/‹›x}'],
    ['invalid_address', 'p in {10.0.0.0/‹256›}'],
    ['invalid_address', 'p in {‹10.0.0.0/33›}'],
    ['invalid_address', 'p in {‹::/129›}'],
    ['invalid_address', 'p in {‹10.0.0.0.0›/8}'],
    ['invalid_address', 'p in {‹1.2.3.999›}'],
    ['invalid_address', 'p in {10.0.0.1..‹10.0.0›}'],
    ['invalid_address', 'p in {‹10.0.0›..10.0.0.1}'],
    ['invalid_range', 'p in {‹10.0.0.2..10.0.0.1›}'],
    ['invalid_range', 'p in {‹10.0.0.2..::1›}'],
  ])

  test.each([
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['0.0.0.0/0', '::ffff:1.2.3.4', false],
    ['::/0', '1.2.3.4', false],
    ['::/0', 'ffff::', true],
    ['2001:db8::/33', '2001:db8:7fff:ffff:ffff:ffff:ffff:ffff', true],
    ['2001:db8::/33', '2001:db8:8000::', false],
    ['10.0.0.1..10.0.0.3', '10.0.0.3', true],
    ['10.0.0.1..10.0.0.3', '10.0.0.4', false],
    ['::1..::3', '::2', true],
    ['010.000.0.1', '10.0.0.1', true],
    ['10/8', '10.9.9.9', true],
    ['10', '10.0.0.0', true],
    ['1.2.3.4/32', '1.2.3.4', true],
  ])('{%s} has %s: %s', (member, value, expected) => {
    expect(verdict(`p in {${member}}`, { p: value }, engine)).toBe(expected)
  })
})

describe('names of lists', () => {
  test.each(['a', 'a.b', 'a..b', '_', '0', 'in_list.1'])('$%s', (name) => {
    expect(verdict(`s in $${name}`, { s: 'x' }, { ...engine, lists: { [name]: ['x'] } })).toBe(true)
  })
  refused([
    ['invalid_list_name', 's in $‹›'],
    ['invalid_list_name', 's in $‹ a›'],
    ['invalid_list_name', 's in $‹Abc›'],
    ['invalid_list_name', 's in $‹.a›'],
    ['invalid_list_name', 's in $‹a.›'],
    ['invalid_list_name', 's in $‹-a›'],
    ['syntax', 's in $a‹-b›'],
    ['syntax', 's in $a‹B›'],
    ['syntax', 's in ‹name›'],
  ])

  test('default mode takes a UUID with or without hyphens, in either case', () => {
    const lists = { '3f2504e04f8911d39a0c0305e82c3301': ['x'] }
    for (const id of [
      '3f2504e0-4f89-11d3-9a0c-0305e82c3301',
      '3F2504E04F8911D39A0C0305E82C3301',
      '3f2504e04f8911d39a0c0305e82c3301',
    ]) {
      expect(verdict(`s in $${id}`, { s: 'x' }, { lists })).toBe(true)
    }
  })
})
