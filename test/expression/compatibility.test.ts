// [L19] and [R11]: what each mode does with the spellings real rules contain.

import { describe, expect, test } from 'vitest'
import { parseExpression } from '../../src/expression/index.ts'
import { normal, problemsOf, scheme, verdict } from './support.ts'

const facts = {
  'net.dst.port': 443,
  'net.src.ip': '10.1.2.3',
  'net.dst.ip': '198.51.100.7',
  'net.fqdn.host': 'www.example.com',
  'identity.groups.name': ['Finance', 'Staff'],
  'identity.groups.id': ['g1'],
  'identity.groups.email': ['fin@example.com'],
  'identity.saml_attributes': { department: ['R&D', 'IT'], site: ['LON'] },
  'identity.oidc_claims': ['department=engineering', 'role=auditor'],
}

describe('taken in the default mode, refused by the engine', () => {
  test.each([
    ['C3', 'net.src.ip in $3f2504e0-4f89-11d3-9a0c-0305e82c3301', false],
    ['C4', 'any(identity.groups[*].name in {"Finance"})', true],
    ['C4', 'any(identity.groups[*].id == "g1")', true],
    ['C4', 'any(identity.groups[*].email == "fin@example.com")', true],
    ['C4', 'any((identity.groups[*].name == "Staff" or identity.groups[*].name == "x"))', true],
    ['C4', 'identity.groups[0].name == "Finance"', true],
    ['C6', 'any(identity.saml_attributes["department"] in {"IT"})', true],
    ['C6', 'any(identity.saml_attributes["department"] == "HR")', false],
    ['C6', 'all(identity.saml_attributes["nope"] == "HR")', true],
    ['C6', 'any((identity.saml_attributes["department"] == "HR" or identity.saml_attributes["site"] == "LON"))', true],
    [
      'C6',
      'any((identity.saml_attributes["department"] == "R&D" and identity.saml_attributes["site"] == "PAR"))',
      false,
    ],
    ['C6', 'any(not identity.saml_attributes["department"] in {"HR" "IT"})', true],
    ['C6', 'any(not (identity.saml_attributes["department"] in {"R&D" "IT"}))', false],
    ['C6', 'all((not (identity.saml_attributes["department"] == "HR")))', true],
    ['C6', 'not any((not (identity.saml_attributes["site"] matches "^L")))', true],
    ['C6', 'any((identity.saml_attributes["site"] != "PAR" xor identity.saml_attributes["site"] == "x"))', true],
    ['C6', 'any(identity.saml_attributes[*] == "department=IT")', true],
    ['C6', 'any(identity.saml_attributes[*] == "department=HR")', false],
    ['C6', 'any(identity.saml_attributes[*] == "IT")', false],
    ['C6', 'any(identity.saml_attributes[*] == "\\"department=IT\\"")', true],
    ['C6', 'any(identity.saml_attributes[*] == r#""site=LON""#)', true],
    ['C6', 'any(identity.saml_attributes[*] in {"site=PAR" "\\"site=LON\\""})', true],
    ['C6', 'any(identity.saml_attributes[*] matches "^department=R.D$")', true],
    ['C6', 'any(identity.saml_attributes[*] matches "\\"department=R.D\\"")', true],
    ['C6', 'any(identity.saml_attributes[*] matches "^\\"site=P.*\\"$")', false],
    ['C6', 'not(any(identity.saml_attributes[*] in {"\\"site=PAR\\""}))', true],
    ['C6', 'any(identity.saml_attributes[*] in $attributes)', false],
    ['C6', 'all(identity.saml_attributes[*] contains "=")', true],
    ['C6', 'not any(identity.saml_attributes[*] == "site=LON")', false],
    ['C6', 'any((identity.saml_attributes[*] == "site=PAR" or identity.saml_attributes[*] == "site=LON"))', true],
    ['C6', 'any(not identity.saml_attributes[*] wildcard "site=*")', true],
    ['C6', 'any(not (identity.saml_attributes[*] contains "=")) or net.dst.port == 80', false],
    ['C8', 'net.dst.port == 443\n\tand not net.dst.port == 80', true],
  ])('%s %s is %s', (_note, source, expected) => {
    expect(verdict(source, facts)).toBe(expected)
    expect(parseExpression(source, scheme, { mode: 'engine' }).ok).toBe(false)
  })

  test('they stay as written in the normal form', () => {
    expect(normal('any( identity.groups[ * ].name  in {"a"} )')).toBe('any(identity.groups[*].name in {"a"})')
    expect(normal('any(identity.saml_attributes[ "k" ] in {"v"})')).toBe('any(identity.saml_attributes["k"] in {"v"})')
    expect(normal('any( not(identity.saml_attributes[ "k" ] == "v"))')).toBe(
      'any(not(identity.saml_attributes["k"] == "v"))',
    )
    expect(normal('any( identity.saml_attributes[ * ] == "\\"k=v\\"" )')).toBe(
      'any(identity.saml_attributes[*] == "\\"k=v\\"")',
    )
    expect(normal('any(identity.oidc_claims[ * ] in { "\\"k=v\\""  "a=b"})')).toBe(
      'any(identity.oidc_claims[*] in {"\\"k=v\\"" "a=b"})',
    )
    expect(normal('net.src.ip in $3F2504E0-4F89-11d3-9a0c-0305e82c3301')).toBe(
      'net.src.ip in $3F2504E0-4F89-11d3-9a0c-0305e82c3301',
    )
  })
})

describe('refused in the default mode with the right spelling', () => {
  test.each([
    ['C1', 'net.dst.port == "2222"', 'expected digit', '`2222`'],
    ['C1', 'net.dst.port in {"80"}', 'expected digit', '`80`'],
    ['C2', 'net.dst.ip == "10.50.20.5"', 'expected IP address character', '`10.50.20.5`'],
    ['C2', 'net.src.ip == "10.0.0.0/8"', 'expected IP address character', '`in {10.0.0.0/8}`'],
    ['C2', 'net.src.ip == 10.0.0.0/8', "couldn't parse address in network", '`in {10.0.0.0/8}`'],
    [
      'C4',
      'identity.groups.id == "x"',
      'cannot perform this operation on type Array(Bytes)',
      'any(identity.groups.id[*] == …)',
    ],
    ['C4', 'any(identity.groups[*].mail == "x")', 'unknown identifier `identity.groups[…].mail`', '`email`'],
    ['C5', 'net.src.ip[*] in {10.0.0.0/8}', 'cannot access index * for type Ip', 'remove `[*]`'],
    ['C5', 'any(net.dst.ip[*] in {10.0.0.0/8})', 'cannot access index * for type Ip', 'remove `[*]`'],
    ['C6', 'identity.saml_attributes == "k=v"', 'cannot perform this operation on type Map(Array(Bytes))', '["key"]'],
    ['C6', 'identity.saml_attributes == "k=v"', 'type Map(Array(Bytes))', '`any(identity.saml_attributes[*] == …)`'],
    ['C6', 'identity.saml_attributes["k"] == "v"', 'type Array(Bytes)', '`any(identity.saml_attributes["k"][*] == …)`'],
    [
      'C6',
      'not identity.saml_attributes["k"] == "v"',
      'type Array(Bytes)',
      '`any(identity.saml_attributes["k"][*] == …)`',
    ],
    ['C6', 'identity.saml_attributes[*] == "k=v"', 'expected value of type Bool', '`any( … )`'],
    ['C6', 'any(identity.saml_attributes[*] & 1)', 'cannot perform this operation on type Bytes', undefined],
    ['C6', 'identity.saml_attributes["k"] & 1', 'cannot perform this operation on type Array(Bytes)', undefined],
    ['C9', 'net.dst.port in {80, 443}', 'expected digit', 'spaces, not commas'],
    [
      'C9',
      'net.fqdn.host in {"a", "b"}',
      'invalid digit found in string while parsing with radix 16',
      'spaces, not commas',
    ],
    ['C11', '', 'expected identifier character', 'a condition is missing here'],
    ['C16', 'any(ss[*] == "a" or ss[*] == "b")', 'expected literal ")"', 'wrap the conditions in parentheses'],
    ['[R11]', 'net.dst.port !in {80}', 'expected comparison operator', 'negate the whole comparison'],
    ['[R11]', 'net.dst.port not in {80}', 'expected comparison operator', 'negate the whole comparison'],
    ['[R12]', 'http.host == "x"', 'unknown identifier `http.host`', 'belongs to HTTP policies'],
    ['typo', 'net.dst.prot == 1', 'unknown identifier `net.dst.prot`', 'did you mean `net.dst.port`?'],
    ['word', 'net.fqdn.host == example.com', 'invalid digit found in string', 'double quotes'],
    ['escape', 'net.fqdn.host == "a\\nb"', 'expected ", xHH or OOO after \\', '`\\x0a`'],
    ['cidr', 'net.src.ip in {10.1.2.3/8}', 'host part of address was not zero', '`10.0.0.0/8`'],
    ['fields', 'net.dst.port == net.src.port', 'expected digit', undefined],
    ['fields', 'net.src.ip == net.dst.ip', 'expected IP address character', 'two fields cannot be compared'],
    [
      'regex',
      'net.fqdn.host matches r"^[\\w-.]+\\.saas\\.test$"',
      'regex parse error: invalid range boundary, must be a literal',
      'at character 3 of the pattern: put a literal `-` first or last, or write `\\-`',
    ],
    ['invisible', '\ufeffnet.dst.port == 1', 'expected identifier character', 'the invisible character U+FEFF'],
    ['invisible', 'net.dst.port\u00a0== 1', 'expected comparison operator', 'the invisible character U+00A0'],
    ['invisible', 'b and\u00a0c', 'expected identifier character', 'the invisible character U+00A0'],
    ['invisible', 'b \u200band c', 'unrecognised input', 'the invisible character U+200B'],
    ['case', 'b AND c', 'unrecognised input', '`and`'],
    ['=', 'net.dst.port = 80', 'expected comparison operator', 'write `==`'],
    ['quantifier', 'ss[*] == "a"', 'expected value of type Bool, but got Array(Bool)', '`any( … )`'],
  ])('%s %s', (_note, source, message, hint) => {
    const [problem] = problemsOf(source)
    expect(problem?.message).toContain(message)
    if (hint === undefined) expect(problem?.hint).toBeUndefined()
    else expect(problem?.hint).toContain(hint)
  })
})

test.each([
  ['any(identity.oidc_claims[*] == "\\"department=engineering\\"")', true],
  ['any(identity.oidc_claims[*] == "department=engineering")', true],
  ['any(identity.oidc_claims[*] == "\\"department=sales\\"")', false],
  ['any(identity.oidc_claims[*] in {"role=admin" "\\"role=auditor\\""})', true],
  ['any(identity.oidc_claims[*] matches "^\\"role=.*\\"$")', true],
  ['not(any(identity.oidc_claims[*] == "\\"role=auditor\\""))', false],
  ['any((not (identity.oidc_claims[*] == "\\"role=auditor\\"")))', true],
])('[R13] OIDC claims are compared with the quotes inside and without: %s is %s', (source, expected) => {
  expect(verdict(source, facts)).toBe(expected)
  const result = parseExpression(source, scheme)
  expect(result.warnings).toEqual([])
})

describe('[R13] no hint leads to a rule that matches nobody', () => {
  const FORMS = ['identity.saml_attributes', 'identity.saml_attributes[*]', 'identity.saml_attributes["groups"]']
  const TESTS = ['== "groups=ITAdmin"', 'in {"groups=ITAdmin"}', 'matches "^groups="', 'contains "IT"', '& 1', '']
  const AROUND = ['%', 'any(%)', 'not(any(%))', 'any((% or %))', 'all(not (%))']

  test.each(FORMS.flatMap((form) => TESTS.map((end) => `${form} ${end}`)))('%s', (comparison) => {
    for (const around of AROUND) {
      for (const mode of ['default', 'lenient', 'engine'] as const) {
        const result = parseExpression(
          around.replaceAll('%', () => comparison),
          scheme,
          { mode },
        )
        const said = [...result.warnings, ...(result.ok ? [] : result.problems)]
        for (const { hint = '' } of said) expect(hint).not.toContain('[*][*]')
      }
    }
  })

  test('values compared with a name in front of them are warned of, values alone are not', () => {
    const warnings = (source: string) => parseExpression(source, scheme).warnings
    expect(warnings('any(identity.saml_attributes[*][*] == "groups=ITAdmin")')).toMatchObject([
      {
        message: '`identity.saml_attributes[*][*]` compares values without their names',
        hint: 'write `identity.saml_attributes[*]` to compare `name=value`',
      },
    ])
    expect(warnings('any(identity.saml_attributes[*][*] in {"\\"groups=ITAdmin\\""})')).toHaveLength(1)
    expect(warnings('any(identity.saml_attributes[*][*] == "ITAdmin")')).toEqual([])
  })
})

// whatever a hint spells out is taken where it is given, and can match
test.each([
  ['engine', 'identity.saml_attributes == "IT"'],
  ['engine', 'any(identity.saml_attributes[*] == "IT")'],
  ['engine', 'any((identity.saml_attributes[*] == "IT" or identity.saml_attributes[*] == "x"))'],
  ['engine', 'any(identity.saml_attributes["department"] == "IT")'],
  ['default', 'identity.saml_attributes == "IT"'],
  ['default', 'identity.saml_attributes in {"x"}'],
  ['default', 'identity.saml_attributes["department"] == "IT"'],
  ['default', 'identity.saml_attributes["department"][*][0] == "IT" or identity.groups.id == "g1"'],
] as const)('in the %s mode the hint for %s can be followed', (mode, source) => {
  const hints = problemsOf(source, { mode }).flatMap(({ hint }) => [...(hint ?? '').matchAll(/`(any\(.*?…\))`/g)])
  expect(hints.length).toBeGreaterThan(0)
  for (const [, form = ''] of hints) {
    const value = form.includes('saml_attributes[*]') ? '"department=IT"' : form.includes('groups') ? '"g1"' : '"IT"'
    const operand = form.includes(' in ') ? `{${value}}` : value
    expect(verdict(form.replace('"key"', '"department"').replace('…', operand), facts, { mode })).toBe(true)
  }
})

describe('taken in the lenient mode, with a warning', () => {
  test.each([
    ['C1', 'net.dst.port == "443"', true, 'net.dst.port == 443'],
    ['C1', 'net.dst.port in {"80" "443"}', true, 'net.dst.port in {80 443}'],
    ['C2', 'net.dst.ip == "198.51.100.7"', true, 'net.dst.ip == 198.51.100.7'],
    ['C2', 'net.src.ip == "10.0.0.0/8"', true, 'net.src.ip in {10.0.0.0/8}'],
    ['C2', 'net.src.ip != "10.0.0.0/8"', false, 'not net.src.ip in {10.0.0.0/8}'],
    ['C2', 'net.src.ip in {"10.0.0.0/8"}', true, 'net.src.ip in {10.0.0.0/8}'],
    ['C5', 'net.src.ip[*] in {10.0.0.0/8}', true, 'any(net.src.ip[*] in {10.0.0.0/8})'],
    ['C5', 'any(net.src.ip[*] in {10.0.0.0/8})', true, 'any(net.src.ip[*] in {10.0.0.0/8})'],
    ['C5', 'net.src.ip[*] == "10.0.0.0/8"', true, 'any(net.src.ip[*] in {10.0.0.0/8})'],
    [
      'C6',
      'identity.saml_attributes[*] == "department=IT"',
      true,
      'any(identity.saml_attributes[*] == "department=IT")',
    ],
    ['C6', 'any(identity.saml_attributes == "site=LON")', true, 'any(identity.saml_attributes[*] == "site=LON")'],
    [
      'C6',
      'identity.saml_attributes == "\\"site=LON\\""',
      true,
      'any(identity.saml_attributes[*] == "\\"site=LON\\"")',
    ],
    ['C6', 'identity.saml_attributes == "site=PAR"', false, 'any(identity.saml_attributes[*] == "site=PAR")'],
    ['C6', 'identity.oidc_claims == "role=auditor"', true, 'any(identity.oidc_claims[*] == "role=auditor")'],
    ['C9', 'net.dst.port in {80, 443}', true, 'net.dst.port in {80 443}'],
    ['C9', 'net.fqdn.host in {"a", "www.example.com"}', true, 'net.fqdn.host in {"a" "www.example.com"}'],
  ])('%s %s is %s', (_note, source, expected, normalForm) => {
    const lenient = { mode: 'lenient' } as const
    expect(verdict(source, facts, lenient)).toBe(expected)
    expect(normal(source, lenient)).toBe(normalForm)
    expect(normal(normalForm, lenient)).toBe(normalForm)
    expect(verdict(normalForm, facts, lenient)).toBe(expected)
    const result = parseExpression(source, scheme, lenient)
    expect(result.warnings.map((warning) => warning.code)).toContain('expression.lenient_spelling')
    expect(parseExpression(source, scheme).ok).toBe(false)
  })

  test.each([
    'any(ss[*] == "a" or ss[*] == "b")',
    'net.dst.port == "https"',
    'net.src.ip == "10.0.0.1/8"',
    'net.dst.port !in {1}',
  ])('still refuses %s', (source) => {
    expect(parseExpression(source, scheme, { mode: 'lenient' }).ok).toBe(false)
  })
})

test('C7: a doubled backslash before a dot is taken as it stands, and warned of', () => {
  const source = 'net.fqdn.host matches ".*\\\\.example\\\\.com"'
  expect(verdict(source, facts)).toBe(false)
  const { warnings } = parseExpression(source, scheme)
  expect(warnings).toMatchObject([{ code: 'expression.doubled_backslash', span: [25, 28] }])
  expect(source.slice(25, 28)).toBe('\\\\.')
})

test('C13: plain equality covers subdomains only through the parents in the data', () => {
  expect(verdict('any(ss[*] == "example.com")', { ss: ['www.example.com', 'example.com', 'com'] })).toBe(true)
  expect(verdict('any(ss[*] == "example.com")', { ss: ['www.example.com'] })).toBe(false)
})
