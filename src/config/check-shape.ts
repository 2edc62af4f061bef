// Checks a configuration's shape against config/lab.schema.json, fills in the schema's defaults, and says what is wrong
// in words of its own. What names refer to is not looked at here.

import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js'
import schema from '../../config/lab.schema.json' with { type: 'json' }
import { didYouMean } from './closest.ts'
import { FORMATS } from './formats.ts'
import type { Problems } from './problems.ts'
import type { Path } from './source-document.ts'

const ajv = new Ajv2020({
  allErrors: true,
  useDefaults: true,
  verbose: true,
  strict: true,
  allowUnionTypes: true,
  formats: Object.fromEntries(Object.entries(FORMATS).map(([name, { test }]) => [name, test])),
})
ajv.addSchema(schema)

/** Checks a whole configuration; adds its problems and fills defaults into `data` in place. */
export function checkLabShape(data: unknown, problems: Problems): void {
  check('', data, problems)
}

/** Checks a list of rules on its own, as in a rules file. */
export function checkRuleListShape(data: unknown, problems: Problems): void {
  check('#/properties/rules', data, problems)
}

function check(part: string, data: unknown, problems: Problems): void {
  const validate = ajv.getSchema(schema.$id + part)
  if (validate === undefined) throw new RangeError(`the schema has no part ${part}`)
  if (validate(data) === true) return
  for (const error of validate.errors ?? []) report(error, data, problems)
}

function report(error: ErrorObject, data: unknown, problems: Problems): void {
  if (error.propertyName !== undefined) return
  const path = pathOf(error.instancePath, data)
  const value: unknown = error.data
  const words = WORDS[error.keyword]
  if (words !== undefined) words({ error, path, value, problems })
  else problems.add(path, 'config.not_allowed', `${show(value)} ${error.message ?? 'does not fit the schema'}`)
}

interface Case {
  readonly error: ErrorObject
  readonly path: Path
  readonly value: unknown
  readonly problems: Problems
}

const WORDS: Readonly<Record<string, (found: Case) => void>> = {
  additionalProperties({ error, path, problems }) {
    const key = String(error.params.additionalProperty)
    const keys = keysOf(error.parentSchema).filter((known) => !Object.hasOwn(Object(error.data), known))
    const hint = didYouMean(key, keys, 'keys not used yet')
    problems.add([...path, key], 'config.unknown_key', `unknown key \`${key}\``, { at: 'key', hint })
  },
  required({ error, path, problems }) {
    const key = String(error.params.missingProperty)
    const what: unknown = error.parentSchema?.properties?.[key]?.description
    const hint = typeof what === 'string' ? `\`${key}\`: ${what}` : undefined
    problems.add(path, 'config.missing_key', `the key \`${key}\` is missing`, { hint })
  },
  type({ error, path, value, problems }) {
    const wanted = [error.params.type].flat().map((type) => TYPES[String(type)] ?? String(type))
    const quotable = wanted.includes('text') && ['number', 'boolean'].includes(typeof value)
    const hint = quotable ? `put it in quotes: "${String(value)}"` : undefined
    problems.add(path, 'config.wrong_type', `expected ${wanted.join(' or ')}, found ${show(value)}`, { hint })
  },
  enum({ error, path, value, problems }) {
    const allowed = [error.params.allowedValues].flat().map(String)
    const hint = didYouMean(String(value), allowed)
    const message = `${show(value)} is not one of ${allowed.map((one) => `\`${one}\``).join(', ')}`
    problems.add(path, 'config.not_allowed', message, { hint: hint?.startsWith('did') ? hint : undefined })
  },
  format({ error, path, value, problems }) {
    const what = FORMATS[String(error.params.format)]?.what ?? String(error.params.format)
    problems.add(path, 'config.malformed', `${show(value)} is not ${what}`)
  },
  propertyNames({ error, path, problems }) {
    const key = String(error.params.propertyName)
    problems.add([...path, key], 'config.malformed', `\`${key}\` is not ${FORMATS['port-number']?.what}`, { at: 'key' })
  },
  minimum: ({ error, path, value, problems }) =>
    problems.add(path, 'config.not_allowed', `${show(value)} is below the least allowed, ${error.params.limit}`),
  maximum: ({ error, path, value, problems }) =>
    problems.add(path, 'config.not_allowed', `${show(value)} is above the most allowed, ${error.params.limit}`),
  minLength: ({ path, problems }) => problems.add(path, 'config.not_allowed', 'the text is empty'),
  minItems: ({ error, path, problems }) =>
    problems.add(path, 'config.not_allowed', `the list needs at least ${error.params.limit} item`),
  maxItems: ({ error, path, problems }) =>
    problems.add(path, 'config.not_allowed', `the list takes at most ${error.params.limit} items`),
  uniqueItems: ({ error, path, value, problems }) =>
    problems.add(
      [...path, Number(error.params.i)],
      'config.duplicate',
      `${itemAt(value, error.params.i)} is listed twice`,
    ),
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

function itemAt(list: unknown, at: unknown): string {
  return Array.isArray(list) ? show(list[Number(at)]) : 'an item'
}

function keysOf(parent: unknown): string[] {
  const properties = Object(parent).properties
  return properties === undefined ? [] : Object.keys(properties)
}

/** A JSON pointer (RFC 6901) as a path: steps into lists become numbers. */
function pathOf(pointer: string, data: unknown): Path {
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
