// docs/expressions.md against the source: codes, limits, examples and the drawing are what the code says.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { DEFAULT_LIMITS, drawProblem, EXPRESSION_PROBLEMS, parseExpression } from '../../src/expression/index.ts'
import { GATEWAY_SCHEME } from '../../src/policy/fields.ts'

const page = readFileSync(new URL('../../docs/expressions.md', import.meta.url), 'utf8')
const blocks = [...page.matchAll(/```\n(.*?)```/gs)].map((match) => match[1]?.trimEnd() ?? '')

test('the table of problems lists every code with its meaning, and no other', () => {
  const rows = [...page.matchAll(/^\| `(expression\.\w+)` \| (.*) \|$/gm)].map(([, code, meaning]) => [code, meaning])
  expect(rows).toEqual(Object.entries(EXPRESSION_PROBLEMS))
})

describe('the example filters are accepted', () => {
  test.each(blocks[0]?.split('\n') ?? [])('%s', (source) => {
    expect(parseExpression(source, GATEWAY_SCHEME)).toMatchObject({ ok: true, warnings: [] })
  })
})

test('the example problem is drawn like that', () => {
  const drawing = blocks.find((block) => block.startsWith('Filter parsing error')) ?? ''
  const source = drawing.split('\n')[1] ?? ''
  const result = parseExpression(source, GATEWAY_SCHEME)
  if (result.ok) throw new Error('accepted')
  const [first] = result.problems
  expect(first && drawProblem(source, first)).toBe(drawing)
})

test('the limits are those of the parser', () => {
  expect(page).toContain(`| groups, negations, quantifiers inside each other | ${DEFAULT_LIMITS.nesting} |`)
  expect(page).toContain(`| compiled regular expression | ${DEFAULT_LIMITS.regexBytes / 2 ** 20} MiB |`)
  expect(page).toContain(`| characters of source | ${DEFAULT_LIMITS.sourceLength.toLocaleString('en')} |`)
})

describe('the compatibility table is what the modes do', () => {
  const forms: readonly (readonly [string, string])[] = [
    ['C1', 'net.dst.port == "2222"'],
    ['C2', 'net.src.ip == "10.0.0.0/8"'],
    ['C3', 'net.src.ip in $3f2504e0-4f89-11d3-9a0c-0305e82c3301'],
    ['C4', 'any(identity.groups[*].name == "x")'],
    ['C5', 'net.src.ip[*] in {10.0.0.0/8}'],
    ['C6', 'any(identity.saml_attributes["key"] in {"v"})'],
    ['C6', 'any(not (identity.saml_attributes["key"] in {"v"}))'],
    ['C6', 'any(identity.saml_attributes[*] == "key=v")'],
    ['C6', 'identity.saml_attributes == "key=v"'],
    ['C6', 'identity.saml_attributes[*] == "key=v"'],
    ['C8', 'net.dst.port\t== 1'],
    ['C9', 'net.dst.port in {80, 443}'],
    ['C16', 'any(app.ids[*] == 1 or app.ids[*] == 2)'],
  ]
  test.each(forms)('%s %j', (note, source) => {
    const rows = page.split('\n').filter((line) => line.startsWith(`| ${note} |`))
    const said = rows.map((row) =>
      row
        .split(' | ')
        .slice(-3)
        .map((cell) => cell.startsWith('accepted')),
    )
    const done = (['engine', 'default', 'lenient'] as const).map(
      (mode) => parseExpression(source, GATEWAY_SCHEME, { mode }).ok,
    )
    expect(said).toContainEqual(done)
  })
})
