// Checks the data of a file against its schema (schema.ts), fills in the schema's defaults, and reports problems in its own
// words. Does not resolve references between names.

import type { ErrorObject } from 'ajv'
import type { TSchema } from 'typebox'
import { counted } from '../errors/counted.ts'
import { closest, didYouMean } from '../errors/did-you-mean.ts'
import { FORMATS, type Format } from './formats.ts'
import type { Problems } from './problems.ts'
import { shapeCheck } from './shape-checks.ts'
import type { DocumentPath } from './source-document.ts'

/** Checks data against a schema, adds its problems, and fills defaults into `data` in place. If there are no problems,
 *  `data` is of the schema's type. Every problem is reported at once (CF-01). */
export function checkShape(schema: TSchema, data: unknown, problems: Problems): void {
  const written = structuredClone(data)
  const validate = shapeCheck(schema)
  if (validate(data) === true) return
  for (const error of validate.errors ?? []) report(error, written, problems)
}

/** `written` is the data before defaults were filled in. */
function report(error: ErrorObject, written: unknown, problems: Problems): void {
  if (error.propertyName !== undefined) return
  const path = pathOf(error.instancePath, written)
  const value = path.reduce<unknown>((inside, step) => Object(inside)[step], written)
  const words = WORDS[error.keyword]
  if (words !== undefined) words({ error, path, value, problems })
  else problems.add(path, 'config.not_allowed', `${show(value)} ${error.message ?? 'does not fit the schema'}`)
}

interface Case {
  readonly error: ErrorObject
  readonly path: DocumentPath
  readonly value: unknown
  readonly problems: Problems
}

/** For keys that are always required, and keys required by others. */
function missingKey({ error, path, problems }: Case): void {
  const key = String(error.params.missingProperty)
  const what: unknown = error.parentSchema?.properties?.[key]?.description
  const hint = typeof what === 'string' ? `\`${key}\`: ${what}` : undefined
  problems.add(path, 'config.missing_key', `the key \`${key}\` is missing`, { hint })
}

const WORDS: Readonly<Record<string, (found: Case) => void>> = {
  additionalProperties({ error, path, value, problems }) {
    const key = String(error.params.additionalProperty)
    const keys = keysOf(error.parentSchema).filter((known) => !Object.hasOwn(Object(value), known))
    const hint = didYouMean(key, keys, 'keys not used yet')
    problems.add([...path, key], 'config.unknown_key', `unknown key \`${key}\``, { at: 'key', hint })
  },
  required: missingKey,
  dependentRequired: missingKey,
  type({ error, path, value, problems }) {
    const format = FORMATS[String(error.parentSchema?.format)]
    const types = [error.params.type].flat().map(String)
    const wanted = types.map((type) => (type === 'string' && format !== undefined ? format.what : TYPES[type]))
    const found = typeof value === 'string' ? `the text ${show(value)}` : show(value)
    const hint = adviseQuotes(value, types, format)
    problems.add(path, 'config.wrong_type', `expected ${wanted.join(' or ')}, found ${found}`, { hint })
  },
  enum({ error, path, value, problems }) {
    const allowed = [error.params.allowedValues].flat().map(String)
    const guess = typeof value === 'string' ? closest(value, allowed) : undefined
    const hint = guess === undefined ? undefined : `did you mean \`${guess}\`?`
    problems.add(path, 'config.not_allowed', `${show(value)} is not one of ${allowed.map(show).join(', ')}`, { hint })
  },
  format({ error, path, value, problems }) {
    const what = FORMATS[String(error.params.format)]?.what ?? String(error.params.format)
    problems.add(path, 'config.malformed', `${show(value)} is not ${what}`)
  },
  propertyNames({ error, path, problems }) {
    const key = String(error.params.propertyName)
    const what = FORMATS[String(error.parentSchema?.propertyNames?.format)]?.what
    problems.add([...path, key], 'config.malformed', `\`${key}\` is not ${what}`, { at: 'key' })
  },
  minimum: ({ error, path, value, problems }) =>
    problems.add(path, 'config.not_allowed', `${show(value)} is below the least allowed, ${error.params.limit}`),
  maximum: ({ error, path, value, problems }) =>
    problems.add(path, 'config.not_allowed', `${show(value)} is above the most allowed, ${error.params.limit}`),
  minLength: ({ path, problems }) => problems.add(path, 'config.not_allowed', 'the text is empty'),
  minProperties: ({ path, problems }) => problems.add(path, 'config.not_allowed', 'the block has no key'),
  maxProperties: ({ path, problems }) => problems.add(path, 'config.not_allowed', 'the block takes one key'),
  minItems: ({ error, path, problems }) =>
    problems.add(path, 'config.not_allowed', `the list needs at least ${counted(Number(error.params.limit), 'item')}`),
  maxItems: ({ error, path, problems }) =>
    problems.add(path, 'config.not_allowed', `the list takes at most ${counted(Number(error.params.limit), 'item')}`),
  uniqueItems({ error, path, value, problems }) {
    const at = Math.max(Number(error.params.i), Number(error.params.j))
    problems.add([...path, at], 'config.duplicate', `${show(Object(value)[at])} is listed twice`)
  },
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  object: 'a block of keys',
  array: 'a list',
  integer: 'a whole number',
  number: 'a number',
  boolean: '`true` or `false`',
  null: '`null`',
}

function show(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a block of keys'
  const text = String(value)
  return `\`${text.length > 60 ? `${text.slice(0, 60)}…` : text}\``
}

/** People forget the quotes around text that YAML reads as a number, and add them around numbers. */
function adviseQuotes(value: unknown, types: readonly string[], format: Format | undefined): string | undefined {
  const isBare = typeof value === 'number' || typeof value === 'boolean'
  if (isBare && types.includes('string') && (format?.test(String(value)) ?? true)) {
    return `put it in quotes: "${String(value)}"`
  }
  const isNumber = typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value)
  return isNumber && types.some((type) => type === 'integer' || type === 'number') ? 'remove the quotes' : undefined
}

function keysOf(parent: unknown): string[] {
  const properties = Object(parent).properties
  return properties === undefined ? [] : Object.keys(properties)
}

/** A JSON pointer (RFC 6901) as a path: steps into lists become numbers. */
function pathOf(pointer: string, data: unknown): DocumentPath {
  let value = data
  return pointer
    .split('/')
    .slice(1)
    .map((step) => {
      const key = step.replaceAll('~1', '/').replaceAll('~0', '~')
      const at = Array.isArray(value) ? Number(key) : key
      value = Object(value)[at]
      return at
    })
}

export interface ValidSections {
  readonly data: Readonly<Record<string, unknown>>
  /** The path in the file of a value in `data`: items after a removed one have moved up. */
  originalPath(path: DocumentPath): DocumentPath
}

/** `bad` are the paths of errors. A list loses the items concerned; any other section is removed as a whole. */
export function validSections(data: unknown, bad: readonly DocumentPath[]): ValidSections {
  const kept = new Map<string | number, readonly number[]>()
  const sound: Record<string, unknown> = {}
  const isBlock = typeof data === 'object' && data !== null && !Array.isArray(data)
  for (const [section, value] of Object.entries(isBlock ? data : {})) {
    const steps = bad.filter((path) => path[0] === section).map((path) => path[1])
    if (Array.isArray(value) && steps.every((step) => typeof step === 'number')) {
      const places = [...value.keys()].filter((at) => !steps.includes(at))
      kept.set(section, places)
      sound[section] = places.map((at) => value[at])
    } else if (steps.length === 0) {
      sound[section] = value
    }
  }
  return {
    data: sound,
    originalPath([section = '', at, ...rest]) {
      if (at === undefined) return section === '' ? [] : [section]
      const place = typeof at === 'number' ? kept.get(section)?.[at] : undefined
      return [section, place ?? at, ...rest]
    },
  }
}
