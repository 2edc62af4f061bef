// One request of the `expr` command: an expression, facts and lists in, a verdict and the normal form out. Pure.

import { compileExpression } from './compile/compile.ts'
import { formatExpression } from './format.ts'
import { fromJson } from './json.ts'
import { canonicalListName } from './lex/name.ts'
import { listOfJson } from './list-contents.ts'
import { type ParseOptions, parseExpression } from './parse.ts'
import type { ExpressionProblem } from './problem.ts'
import type { ListContents, Scheme, Value } from './value.ts'

/** `facts`: field name → JSON value; a field that is absent or null is missing; an array of objects may be given as
 *  one. `lists`: name → items. */
export interface EvaluateRequest {
  readonly id?: unknown
  readonly expr: string
  readonly facts?: Readonly<Record<string, unknown>>
  readonly lists?: Readonly<Record<string, readonly unknown[]>>
}

/** The line `egresslab expr` prints (docs/expressions.md). `errors` holds every problem, `error` the first. */
export type EvaluateResult =
  | {
      readonly id?: unknown
      readonly valid: true
      readonly match: boolean
      readonly normal: string
      readonly warnings?: readonly ExpressionProblem[]
    }
  | {
      readonly id?: unknown
      readonly valid: false
      readonly error: EvaluateError
      readonly errors: readonly EvaluateError[]
    }

/** A problem of the expression, or of the request (`request.malformed`, `request.bad_fact`, `request.bad_list`)
 *  without a span. */
export interface EvaluateError {
  readonly code: string
  readonly message: string
  readonly span?: readonly [number, number]
  readonly hint?: string
}

/** Parses, type-checks and evaluates one request. Bad input is returned as errors; nothing is thrown for it. */
export function evaluateOne(request: EvaluateRequest, scheme: Scheme, options: ParseOptions = {}): EvaluateResult {
  const id = request.id === undefined ? {} : { id: request.id }
  const parsed = parseExpression(request.expr, scheme, options)
  if (!parsed.ok) return failed(id, parsed.problems)
  const facts = readFacts(request.facts ?? {}, scheme)
  if ('code' in facts) return failed(id, [facts])
  const lists = readLists(request.lists ?? {})
  if ('code' in lists) return failed(id, [lists])
  const match = compileExpression(parsed.expression)(facts, lists)
  const warnings = parsed.warnings.length > 0 ? { warnings: parsed.warnings } : {}
  return { ...id, valid: true, match, normal: formatExpression(parsed.expression), ...warnings }
}

/** Reads one line of JSON; integers beyond 2^53 become bigints. Returns undefined for text that is not a request. */
export function parseRequest(line: string): EvaluateRequest | undefined {
  try {
    const json: unknown = JSON.parse(line, keepBigIntegers as (key: string, value: unknown) => unknown)
    return isRequest(json) ? json : undefined
  } catch {
    return undefined
  }
}

function isRequest(json: unknown): json is EvaluateRequest {
  return typeof json === 'object' && json !== null && 'expr' in json && typeof json.expr === 'string'
}

/** A reviver: newer platforms pass it the source text of a number. */
function keepBigIntegers(_key: string, value: unknown, context?: { source?: string }): unknown {
  const isInexact = typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)
  return isInexact && /^-?\d+$/.test(context?.source ?? '') ? BigInt(context?.source ?? 0) : value
}

function failed(id: { id?: unknown }, errors: readonly EvaluateError[]): EvaluateResult {
  const error = errors[0] ?? { code: 'request.malformed', message: 'the request is malformed' }
  return { ...id, valid: false, error, errors }
}

function readFacts(facts: Readonly<Record<string, unknown>>, scheme: Scheme): (Value | undefined)[] | EvaluateError {
  const values: (Value | undefined)[] = new Array(scheme.fields.size).fill(undefined)
  for (const [name, json] of Object.entries(facts).flatMap((fact) => splitObjects(fact, scheme))) {
    const field = scheme.fields.get(name)
    if (field === undefined) return { code: 'request.bad_fact', message: `unknown field \`${name}\`` }
    if (json === null || json === undefined) continue
    const read = fromJson(field.type, json)
    if (!read.ok) {
      const place = [name, ...read.path].join('.')
      return { code: 'request.bad_fact', message: `fact \`${place}\`: ${read.message}` }
    }
    values[field.slot] = read.value
  }
  return values
}

/** `identity.groups` given as objects is split into `identity.groups.name`, `.id` and `.email` as arrays. */
function splitObjects([name, json]: readonly [string, unknown], scheme: Scheme): [string, unknown][] {
  const members = scheme.objectArrays.get(name)
  if (members === undefined || !Array.isArray(json)) return [[name, json]]
  const objects = json.map((item) =>
    typeof item === 'object' && item !== null ? (item as Record<string, unknown>) : {},
  )
  return [...members].map(([member, field]) => [field, objects.map((object) => object[member] ?? '')])
}

function readLists(lists: Readonly<Record<string, readonly unknown[]>>): Map<string, ListContents> | EvaluateError {
  const contents = new Map<string, ListContents>()
  for (const [name, items] of Object.entries(lists)) {
    if (!Array.isArray(items)) return { code: 'request.bad_list', message: `list \`${name}\` is not an array of items` }
    contents.set(canonicalListName(name), listOfJson(items))
  }
  return contents
}
