// Facts and lists in and out: JSON values, list contents, the `expr` verb's request.

import { describe, expect, test } from 'vitest'
import {
  canonicalListName,
  evaluateOne,
  fromJson,
  listContents,
  parseRequest,
  toJson,
  type Value,
  type ValueType,
} from '../../src/expression/index.ts'
import { ip } from '../../src/net/ip.ts'
import { bytesOf, scheme } from './support.ts'

const BYTES: ValueType = 'Bytes'

function read(type: ValueType, json: unknown): Value | string {
  const result = fromJson(type, json)
  return result.ok ? result.value : `${result.path.join('.')}: ${result.message}`
}

describe('facts from JSON', () => {
  test.each<[ValueType, unknown, unknown]>([
    ['Bool', true, true],
    ['Int', 443, 443],
    ['Int', '-5', -5],
    ['Int', '9007199254740993', 9007199254740993n],
    ['Int', 9007199254740993n, 9007199254740993n],
    ['Int', 5n, 5],
    ['Bytes', 'é', '\u00c3\u00a9'],
    ['Ip', '10.0.0.1', ip('10.0.0.1')],
    [{ array: BYTES }, ['a', 'é'], ['a', '\u00c3\u00a9']],
    [
      { map: { array: BYTES } },
      { b: ['1'], a: [] },
      new Map([
        ['a', []],
        ['b', ['1']],
      ]),
    ],
  ])('%o %s', (type, json, expected) => {
    expect(read(type, json)).toEqual(expected)
  })
  test('maps come in the order of their key bytes', () => {
    const map = read({ map: 'Int' }, { é: 1, z: 2, a: 3, '10': 4, '9': 5 }) as ReadonlyMap<string, Value>
    expect([...map.keys()]).toEqual(['10', '9', 'a', 'z', '\u00c3\u00a9'])
  })
  test.each<[ValueType, unknown, string]>([
    ['Bool', 1, ': expected true or false but got `1`'],
    ['Int', 1.5, ': expected an integer but got `1.5`'],
    ['Int', '0x1', ': expected an integer but got `0x1`'],
    ['Int', 2 ** 60, ': the integer is beyond 2^53 and was not read exactly, write it as a string'],
    ['Int', '9223372036854775808', ': `9223372036854775808` does not fit 64 bits'],
    ['Bytes', 1, ': expected a string but got `1`'],
    ['Ip', '10.0.0.0/8', ': expected an IP address but got `10.0.0.0/8`'],
    ['Ip', null, ': expected an IP address but got null'],
    [{ array: BYTES }, 'a', ': expected an array for Array(Bytes) but got `a`'],
    [{ array: BYTES }, ['a', 1], '1: expected a string but got `1`'],
    [{ map: BYTES }, ['a'], ': expected an object for Map(Bytes) but got an array'],
    [{ map: { array: BYTES } }, { k: ['a', {}] }, 'k.1: expected a string but got an object'],
  ])('%j refuses %j', (type, json, expected) => {
    expect(read(type, json)).toBe(expected)
  })
  test.each<[ValueType, unknown]>([
    ['Bool', false],
    ['Int', 443],
    ['Int', '9223372036854775807'],
    ['Bytes', 'naïve 𝒳'],
    ['Ip', '2001:db8::1'],
    [{ map: { array: BYTES } }, { a: ['é'], b: [] }],
  ])('%j %j goes out as it came in', (type, json) => {
    const value = fromJson(type, json)
    expect(value.ok && toJson(value.value)).toEqual(json)
  })
})

describe('contents of lists by type', () => {
  const has = (type: string, items: string[], value: Value) => listContents(type, items).has(value)
  test.each<[string, string[], Value, boolean]>([
    ['IP', ['10.0.0.0/8', '192.0.2.1'], ip('10.255.0.1'), true],
    ['IP', ['10.0.0.0/8', '192.0.2.1'], ip('192.0.2.2'), false],
    ['ip', ['10.1.2.3/8'], ip('10.0.0.1'), true],
    ['IP', ['2001:DB8::/32'], ip('2001:db8::9'), true],
    ['IP', ['10.0.0.1-10.0.0.5'], ip('10.0.0.4'), true],
    ['IP', ['10.0.0.5-10.0.0.1'], ip('10.0.0.4'), false],
    ['IP', ['10.0.0.4/31'], ip('10.0.0.5'), true],
    ['IP', ['010.0.0.4'], ip('10.0.0.4'), false],
    ['IP', ['0.0.0.0/0'], ip('255.255.255.255'), true],
    ['IP', ['rubbish'], ip('10.0.0.4'), false],
    ['IP', ['10.0.0.1'], bytesOf('10.0.0.1'), false],
    ['DOMAIN', ['Example.COM.'], 'example.com', true],
    ['DOMAIN', ['bücher.example'], 'xn--bcher-kva.example', true],
    ['DOMAIN', ['example.com'], 'www.example.com', false],
    ['EMAIL', ['Alice@Example.com'], 'alice@example.COM', true],
    ['SERIAL', ['C02X'], 'C02X', true],
    ['SERIAL', ['C02X'], 'c02x', false],
    ['URL', ['https://a/é'], bytesOf('https://a/é'), true],
    ['CATEGORY', ['68'], 68, true],
  ])('%s %j has %j: %s', (type, items, value, expected) => {
    expect(has(type, items, value)).toBe(expected)
  })
  test('a list of 100,000 addresses answers for each of them', () => {
    const items = Array.from({ length: 100_000 }, (_, at) => `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}/32`)
    const list = listContents('IP', items)
    expect(list.has(ip('10.1.134.159'))).toBe(true)
    expect(list.has(ip('10.1.134.160'))).toBe(false)
  })
  test.each([
    ['3F2504E0-4F89-11D3-9A0C-0305E82C3301', '3f2504e04f8911d39a0c0305e82c3301'],
    ['3f2504e04f8911d39a0c0305e82c3301', '3f2504e04f8911d39a0c0305e82c3301'],
    ['my-list', 'my-list'],
    ['Office', 'office'],
  ])('the list %s is looked up as %s', (name, key) => {
    expect(canonicalListName(name)).toBe(key)
  })
})

describe('one request of the expr verb', () => {
  test('a verdict and the normal form', () => {
    const request = { id: 7, expr: 'i  == 443 and s in $words', facts: { i: 443, s: 'a' }, lists: { words: ['a'] } }
    expect(evaluateOne(request, scheme)).toEqual({
      id: 7,
      valid: true,
      match: true,
      normal: 'i == 443 and s in $words',
    })
  })
  test('a list may be named by a UUID in either spelling', () => {
    const request = { expr: 'p in $3F2504E0-4F89-11D3-9A0C-0305E82C3301', facts: { p: '10.0.0.1' } }
    const lists = { '3f2504e04f8911d39a0c0305e82c3301': ['10.0.0.0/8'] }
    expect(evaluateOne({ ...request, lists }, scheme)).toMatchObject({ match: true })
  })
  test('the first problem with its span, and all of them', () => {
    expect(evaluateOne({ id: 'x', expr: 'nope == 1 and i == "1"' }, scheme)).toMatchObject({
      id: 'x',
      valid: false,
      error: { code: 'expression.unknown_field', message: 'unknown identifier `nope`', span: [0, 4] },
      errors: [{ span: [0, 4] }, { span: [19, 22] }],
    })
  })
  test.each([
    [{ facts: { zzz: 1 } }, 'request.bad_fact', 'unknown field `zzz`'],
    [{ facts: { i: 'x' } }, 'request.bad_fact', 'fact `i`: expected an integer but got `x`'],
    [{ facts: { mm: { k: [1] } } }, 'request.bad_fact', 'fact `mm.k.0`: expected a string but got `1`'],
    [{ lists: { a: 'x' as never } }, 'request.bad_list', 'list `a` is not an array of items'],
  ])('%j is refused', (rest, code, message) => {
    expect(evaluateOne({ expr: 'b', ...rest }, scheme)).toMatchObject({ valid: false, error: { code, message } })
  })
  test('groups may be given as objects', () => {
    const facts = {
      'identity.groups': [
        { name: 'Finance', id: 'g1' },
        { name: 'Staff', email: 's@example.com' },
      ],
    }
    expect(evaluateOne({ expr: 'identity.groups.name[1] == "Staff"', facts }, scheme)).toMatchObject({ match: true })
    expect(evaluateOne({ expr: 'any(identity.groups[*].id == "g1")', facts }, scheme)).toMatchObject({ match: true })
    expect(
      evaluateOne(
        { expr: 'any((identity.groups.id[*] == "" and identity.groups.email[*] == "s@example.com"))', facts },
        scheme,
      ),
    ).toMatchObject({ match: true })
  })
  test('a fact that is null is missing', () => {
    expect(evaluateOne({ expr: 'i != 1', facts: { i: null } }, scheme)).toMatchObject({ match: true })
  })
  test('lenient mode says what it took', () => {
    const result = evaluateOne({ expr: 'i == "1"', facts: { i: 1 } }, scheme, { mode: 'lenient' })
    expect(result).toMatchObject({ match: true, normal: 'i == 1', warnings: [{ code: 'expression.lenient_spelling' }] })
  })
  test('lines are read with every digit of an integer', () => {
    const request = parseRequest('{"expr":"i == 9007199254740993","facts":{"i":9007199254740993}}')
    expect(request && evaluateOne(request, scheme)).toMatchObject({ match: true })
    expect(parseRequest('{"facts":{}}')).toBeUndefined()
    expect(parseRequest('not json')).toBeUndefined()
  })
})
