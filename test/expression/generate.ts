// Random expressions over the whole language, random values and random lists, for property tests. Values and constants
// come from the same small pools, so that comparisons are true about as often as they are false. The policy engine's
// tests use it too.

import fc from 'fast-check'
import {
  canonicalListName,
  type Field,
  type FieldValues,
  fromJson,
  type ListContents,
  type Lists,
  listOfJson,
  type Scheme,
  type Value,
  type ValueType,
} from '../../src/expression/index.ts'

export interface GeneratorOptions {
  /** nesting of groups, negations and quantifiers */
  readonly depth?: number
  /** fields to use; all by default */
  readonly fields?: readonly string[]
  /** share (percent) of comparisons that are regular expressions; 5 by default */
  readonly regexPercent?: number
}

const INTS = ['0', '1', '-1', '22', '80', '443', '8080', '0x1bb', '0120', '9007199254740993', '-9223372036854775808']
const INT_VALUES = ['0', '1', '-1', '22', '80', '81', '443', '8080', '9007199254740993', '-9223372036854775808']
const TEXTS = ['', 'a', 'b', 'ab', 'Example', 'example.com', 'www.example.com', 'naïve', 'x*y', 'c\nd', '𝒳', 'k=a']
const IPS = ['10.0.0.1', '10.1.2.3', '192.0.2.7', '203.0.113.10', '::', '::1', '2001:db8::7', '::ffff:10.0.0.1']
const IP_MEMBERS = [
  ...IPS,
  '10.0.0.0/8',
  '192.0.2.0/24',
  '2001:db8::/32',
  '::/0',
  '0.0.0.0/0',
  '10.0.0.0..10.0.0.9',
  '::..::f',
]
const PATTERNS = [
  '^a',
  'b$',
  '^ab$',
  'e.a',
  '[a-c]+',
  '(?i)EXAMPLE',
  '^(.*\\.)?example\\.com$',
  '(^|\\.)example\\.com$',
  '\\bcom\\b',
  '[^a]',
  '',
  'a|b',
  '^(a|b|ab)?$',
  '\\xc3',
  'x\\*y',
]
const WILDCARDS = ['*', '', 'a*', '*b', '*.example.com', 'EX*', 'x\\\\*y', '*a*', 'ex*ple*com']
const LIST_NAMES = ['first', 'second', 'in.both', '3f2504e04f8911d39a0c0305e82c3301']

/** A filter of type Bool, as source in `default` mode. */
export function anyExpression(scheme: Scheme, options: GeneratorOptions = {}): fc.Arbitrary<string> {
  const grammar = new Grammar(scheme, options)
  return grammar.bool(options.depth ?? 3)
}

/** Values for every field of the scheme, about a quarter of them missing. */
export function anyValues(scheme: Scheme): fc.Arbitrary<FieldValues> {
  const fields = [...scheme.fields.values()]
  return fc
    .tuple(...fields.map((field) => fc.option(anyJson(field.type), { freq: 4, nil: undefined })))
    .map((all) => fields.map((field, at) => readValue(field.type, all[at])))
}

/** Contents for the names generated expressions ask for; some names are absent. */
export function anyLists(): fc.Arbitrary<Lists> {
  const item = fc.oneof(fc.constantFrom(...TEXTS), fc.constantFrom(...IP_MEMBERS), fc.constantFrom(1, 22, 80, 443))
  const contents = fc.option(fc.array(item, { maxLength: 6 }), { nil: undefined })
  return fc.tuple(...LIST_NAMES.map(() => contents)).map((all) => {
    const lists = new Map<string, ListContents>()
    for (const [at, items] of all.entries()) {
      if (items !== undefined) lists.set(canonicalListName(LIST_NAMES[at] ?? ''), listOfJson(items))
    }
    return lists
  })
}

/** A JSON value of this type, from the pools the constants come from. */
export function anyJson(type: ValueType): fc.Arbitrary<unknown> {
  if (type === 'Bool') return fc.boolean()
  if (type === 'Int') return fc.constantFrom(...INT_VALUES)
  if (type === 'Bytes') return fc.constantFrom(...TEXTS)
  if (type === 'Ip') return fc.constantFrom(...IPS)
  if ('array' in type) return fc.array(anyJson(type.array), { maxLength: 4 })
  return fc.dictionary(fc.constantFrom('a', 'b', 'k'), anyJson(type.map), { maxKeys: 3 })
}

function readValue(type: ValueType, json: unknown): Value | undefined {
  if (json === undefined) return undefined
  const read = fromJson(type, json)
  if (!read.ok) throw new Error(read.message)
  return read.value
}

type Path = { readonly text: string; readonly type: ValueType; readonly mapped: boolean }

class Grammar {
  readonly #options: GeneratorOptions
  readonly #listTypes: Scheme['listTypes']
  readonly #plain: readonly Path[]
  readonly #mapped: readonly Path[]
  readonly #bareArrays: readonly Path[]

  constructor(scheme: Scheme, options: GeneratorOptions) {
    const wanted = options.fields
    const fields = [...scheme.fields.values()].filter((field) => wanted?.includes(field.name) ?? true)
    const paths = fields.flatMap(pathsOf)
    this.#options = options
    this.#listTypes = scheme.listTypes
    this.#plain = paths.filter((path) => !path.mapped && typeof path.type === 'string')
    this.#mapped = paths.filter((path) => path.mapped && typeof path.type === 'string')
    this.#bareArrays = paths.filter((path) => !path.mapped && isArrayOfBool(path.type))
  }

  bool(depth: number): fc.Arbitrary<string> {
    const leaf = this.#oneOfPaths(this.#plain)
    if (depth <= 0) return leaf
    const inner = () => fc.constant(undefined).chain(() => this.bool(depth - 1))
    const choices = [
      { weight: 4, arbitrary: leaf },
      { weight: 3, arbitrary: this.#chain(inner) },
    ]
    choices.push({ weight: 1, arbitrary: this.#negation(inner) }, { weight: 1, arbitrary: this.#group(inner) })
    if (this.#mapped.length > 0) choices.push({ weight: 3, arbitrary: this.#quantifier(depth - 1) })
    return fc.oneof(...choices)
  }

  #bools(depth: number): fc.Arbitrary<string> {
    const leaf = this.#oneOfPaths(this.#mapped)
    if (depth <= 0) return leaf
    const inner = () => fc.constant(undefined).chain(() => this.#bools(depth - 1))
    return fc.oneof(leaf, this.#chain(inner), this.#negation(inner), this.#group(inner))
  }

  #quantifier(depth: number): fc.Arbitrary<string> {
    const one = this.#oneOfPaths(this.#mapped.filter((path) => path.type !== 'Bool'))
    const logical = this.#bools(depth).map((text) => `(${text})`)
    const bare = this.#bareArrays.map((path) => fc.constant(path.text))
    return fc
      .tuple(fc.constantFrom('any(', 'all(', 'any (', 'all( '), fc.oneof(one, logical, ...bare))
      .map(([head, item]) => `${head}${item})`)
  }

  #chain(inner: () => fc.Arbitrary<string>): fc.Arbitrary<string> {
    const op = fc.constantFrom(' and ', ' or ', ' xor ', '&&', ' || ', '\n^^\t')
    const more = fc.array(fc.tuple(op, inner()), { minLength: 1, maxLength: 3 })
    return fc.tuple(inner(), more).map(([first, rest]) => first + rest.map(([word, item]) => word + item).join(''))
  }

  #negation(inner: () => fc.Arbitrary<string>): fc.Arbitrary<string> {
    return fc.tuple(fc.constantFrom('not ', '!', 'not', '! '), inner()).map(([word, item]) => `${word}(${item})`)
  }

  #group(inner: () => fc.Arbitrary<string>): fc.Arbitrary<string> {
    return fc.tuple(fc.constantFrom('(', '( '), inner(), fc.constantFrom(')', ' )')).map((parts) => parts.join(''))
  }

  #oneOfPaths(paths: readonly Path[]): fc.Arbitrary<string> {
    return fc.constantFrom(...paths).chain((path) => this.#comparison(path))
  }

  #comparison(path: Path): fc.Arbitrary<string> {
    if (path.type === 'Bool') return fc.constant(path.text)
    if (path.type === 'Int') return this.#testOf(path, intTest())
    if (path.type === 'Ip') return this.#testOf(path, ipTest())
    const regexWeight = this.#options.regexPercent ?? 5
    return this.#testOf(
      path,
      fc.oneof({ weight: 100 - regexWeight, arbitrary: bytesTest() }, { weight: regexWeight, arbitrary: regexTest() }),
    )
  }

  /** One in nine asks a list, where there are lists of the type. */
  #testOf(path: Path, test: fc.Arbitrary<string>): fc.Arbitrary<string> {
    const list = fc.constantFrom(...LIST_NAMES).map((name) => `in $${name}`)
    const hasLists = [...this.#listTypes].some((type) => type === path.type)
    const asked = hasLists ? fc.oneof({ weight: 8, arbitrary: test }, { weight: 1, arbitrary: list }) : test
    return asked.map((text) => `${path.text} ${text}`)
  }
}

const orderOperator = () => fc.constantFrom('==', '!=', '<', '<=', '>', '>=', 'eq', 'ne', 'lt', 'le', 'gt', 'ge')

function intTest(): fc.Arbitrary<string> {
  const member = fc.oneof(fc.constantFrom(...INTS), fc.constantFrom('0..1', '80..443', '-1..0x1bb', '22..22'))
  return fc.oneof(
    fc.tuple(orderOperator(), fc.constantFrom(...INTS)).map(([op, value]) => `${op} ${value}`),
    setOf(member),
    fc
      .tuple(fc.constantFrom('&', 'bitwise_and'), fc.constantFrom('1', '0x10', '-1', '0'))
      .map((parts) => parts.join(' ')),
  )
}

function ipTest(): fc.Arbitrary<string> {
  const one = fc.tuple(orderOperator(), fc.constantFrom(...IPS)).map(([op, value]) => `${op} ${value}`)
  return fc.oneof(one, setOf(fc.constantFrom(...IP_MEMBERS)))
}

function bytesTest(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.tuple(orderOperator(), anyText()).map(([op, value]) => `${op} ${value}`),
    setOf(anyText()),
    anyText().map((text) => `contains ${text}`),
    fc
      .tuple(fc.constantFrom('wildcard', 'strict wildcard'), fc.constantFrom(...WILDCARDS))
      .map(([op, p]) => `${op} "${p}"`),
  )
}

function regexTest(): fc.Arbitrary<string> {
  return fc
    .tuple(fc.constantFrom('matches', '~'), fc.constantFrom(...PATTERNS))
    .map(([op, pattern]) => `${op} "${pattern}"`)
}

/** One text in one of its notations. */
function anyText(): fc.Arbitrary<string> {
  return fc.tuple(fc.constantFrom(...TEXTS), fc.constantFrom('quoted', 'raw', 'bytes')).map(([text, notation]) => {
    if (notation === 'raw') return `r#"${text}"#`
    const bytes = [...Buffer.from(text)].map((byte) => byte.toString(16).padStart(2, '0'))
    return notation === 'bytes' && bytes.length > 1 ? bytes.join(':') : `"${text}"`
  })
}

function setOf(member: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.array(member, { maxLength: 7 }).map((members) => `in {${members.join(' ')}}`)
}

/** Every way to index a field down to something comparable or an Array(Bool). */
function pathsOf(field: Field): Path[] {
  const grow = (path: Path): Path[] => {
    const { type } = path
    if (typeof type === 'string') return [path]
    const next = (index: string, inner: ValueType): Path => ({
      text: `${path.text}${index}`,
      type: inner,
      mapped: path.mapped || index === '[*]',
    })
    const bare = isArrayOfBool(type) && !path.mapped ? [path] : []
    if ('array' in type) return [...bare, ...['[*]', '[0]', '[ 2 ]'].flatMap((index) => grow(next(index, type.array)))]
    return ['[*]', '["a"]', '["k"]'].flatMap((index) => grow(next(index, type.map)))
  }
  return [...grow({ text: field.name, type: field.type, mapped: false }), ...gatewayPathsOf(field)]
}

/** [R13]: a map of arrays by key without `[*]`, and as `key=value` texts; inside quantifiers only. */
function gatewayPathsOf({ name, type }: Field): Path[] {
  if (typeof type === 'string' || !('map' in type)) return []
  if (typeof type.map === 'string' || !('array' in type.map) || type.map.array !== 'Bytes') return []
  return ['[*]', '["a"]', '["k"]'].map((index) => ({ text: `${name}${index}`, type: 'Bytes', mapped: true }))
}

function isArrayOfBool(type: ValueType): boolean {
  return typeof type !== 'string' && 'array' in type && type.array === 'Bool'
}
