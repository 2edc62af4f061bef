// The verbs of the expression tests: a scheme with every type in it, and one-line ways to ask.

import {
  bytesOf,
  compileExpression,
  createScheme,
  type Expression,
  type ExpressionProblem,
  type FieldValues,
  formatExpression,
  fromJson,
  type Lists,
  listOfJson,
  type ParseOptions,
  parseExpression,
  type Scheme,
  traceExpression,
  type Value,
} from '../../src/expression/index.ts'

export const scheme = createScheme(
  {
    i: 'Int',
    j: 'Int',
    s: 'Bytes',
    t: 'Bytes',
    p: 'Ip',
    q: 'Ip',
    b: 'Bool',
    c: 'Bool',
    ii: { array: 'Int' },
    ss: { array: 'Bytes' },
    tt: { array: 'Bytes' },
    pp: { array: 'Ip' },
    bb: { array: 'Bool' },
    m: { map: 'Bytes' },
    mm: { map: { array: 'Bytes' } },
    aa: { array: { array: 'Int' } },
    ab: { array: { array: 'Bool' } },
    mb: { map: 'Bool' },
    'net.dst.port': 'Int',
    'net.dst.ip': 'Ip',
    'net.src.ip': 'Ip',
    'net.fqdn.host': 'Bytes',
    'identity.groups.name': { array: 'Bytes' },
    'identity.groups.id': { array: 'Bytes' },
    'identity.groups.email': { array: 'Bytes' },
    'identity.saml_attributes': { map: { array: 'Bytes' } },
    'identity.oidc_claims': { array: 'Bytes' },
  },
  {
    pairTexts: ['identity.oidc_claims'],
    objectArrays: {
      'identity.groups': {
        name: 'identity.groups.name',
        id: 'identity.groups.id',
        email: 'identity.groups.email',
      },
    },
    adviseUnknown: (name) => (name === 'http.host' ? '`http.host` belongs to HTTP policies' : undefined),
  },
)

export type Facts = Readonly<Record<string, unknown>>
export type ListItems = Readonly<Record<string, readonly unknown[]>>

/** Field values from JSON facts; what is left out is missing. */
export function valuesOf(facts: Facts, of: Scheme = scheme): FieldValues {
  const values: (Value | undefined)[] = new Array(of.fields.size).fill(undefined)
  for (const [name, json] of Object.entries(facts)) {
    const field = of.fields.get(name)
    if (field === undefined) throw new Error(`no field ${name}`)
    const read = fromJson(field.type, json)
    if (!read.ok) throw new Error(`${name}: ${read.message}`)
    values[field.slot] = read.value
  }
  return values
}

export function listsOf(items: ListItems): Lists {
  return new Map(Object.entries(items).map(([name, list]) => [name, listOfJson(list)]))
}

/** The expression, or a test failure that shows the problems. */
export function parsed(source: string, options: ParseOptions = {}, of: Scheme = scheme): Expression {
  const result = parseExpression(source, of, options)
  if (!result.ok) throw new Error(`${source}\n${result.problems.map((problem) => JSON.stringify(problem)).join('\n')}`)
  return result.expression
}

/** Verdict of the fast mode, after checking that the telling mode says the same. */
export function verdict(
  source: string,
  facts: Facts = {},
  options: ParseOptions & { lists?: ListItems; scheme?: Scheme } = {},
): boolean {
  const of = options.scheme ?? scheme
  const expression = parsed(source, options, of)
  const values = valuesOf(facts, of)
  const lists = listsOf(options.lists ?? {})
  const fast = compileExpression(expression)(values, lists)
  const told = traceExpression(expression)(values, lists).result
  if (fast !== told) throw new Error(`fast mode says ${fast}, trace says ${told}: ${source}`)
  return fast
}

export function normal(source: string, options: ParseOptions = {}): string {
  return formatExpression(parsed(source, options))
}

export function problemsOf(source: string, options: ParseOptions = {}): readonly ExpressionProblem[] {
  const result = parseExpression(source, scheme, options)
  if (result.ok) throw new Error(`accepted: ${source}`)
  return result.problems
}

/** `code start-end text`, the text being what the span covers. */
export function firstProblem(source: string, options: ParseOptions = {}): string {
  const [problem] = problemsOf(source, options)
  return problem === undefined ? 'none' : located(source, problem)
}

export function located(source: string, problem: ExpressionProblem): string {
  const [start, end] = problem.span
  const code = problem.code.replace('expression.', '')
  return `${code} ${start}-${end} ${JSON.stringify(Array.from(source).slice(start, end).join(''))}`
}

export { bytesOf }

/** A source with its problem's span marked: `i == ‹80a›nd` is `i == 80and` and the span of `80a`. */
export function marked(text: string): { source: string; span: [number, number] } {
  const characters = Array.from(text)
  const start = characters.indexOf('‹')
  const end = characters.indexOf('›') - 1
  if (start < 0 || end < start) throw new Error(`no span marked in ${text}`)
  return {
    source: characters.filter((character) => character !== '‹' && character !== '›').join(''),
    span: [start, end],
  }
}

/** What `expect(...)` sees for a marked source: the first problem's code and the source marked at its span. */
export function remarked(source: string, options: ParseOptions = {}): string {
  const [problem] = problemsOf(source, options)
  if (problem === undefined) return 'no problem'
  const characters = Array.from(source)
  const [start, end] = problem.span
  const text = [...characters.slice(0, start), '‹', ...characters.slice(start, end), '›', ...characters.slice(end)]
  return `${problem.code.replace('expression.', '')} ${text.join('')}`
}
