// Requests against their schemas, every problem at once, in words that name the field and the nearest known one.

import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import { parseInstantMs } from '../config/formats.ts'
import type { Json } from '../config/lab-state.ts'
import { closest } from '../errors/did-you-mean.ts'
import { parseCidr } from '../net/cidr.ts'
import { ApiError, type ApiProblem, REQUEST_ERRORS } from './api-error.ts'
import type { RouteSchema } from './router.ts'

const MAX_PROBLEMS = 20
/** What the formats of request bodies mean, with the words for what is not of one. Networks are said not to be one in words that
 *  clients of Cloudflare look for. */
const FORMATS: Readonly<Record<string, { readonly is: (text: string) => boolean; readonly refusal: string }>> = {
  cidr: {
    is: (text) => parseCidr(text) !== undefined,
    refusal: 'invalid address: it is not a network in CIDR notation',
  },
  'date-time': { is: (text) => parseInstantMs(text) !== undefined, refusal: 'it is not a time in RFC 3339' },
}

const ajv = new Ajv({
  allErrors: true,
  // errors bring the schema they come from, which says what a pattern means
  verbose: true,
  strict: true,
  validateSchema: false,
  allowUnionTypes: true,
  ownProperties: true,
  formats: {
    ...Object.fromEntries(Object.entries(FORMATS).map(([name, { is }]) => [name, is])),
    // refused in words of their own, by the routes
    'logpush-data-set': true,
    'logpush-destination': true,
    'pac-file': true,
    'rule-action': true,
  },
})

export type Validate = (body: Json) => void

/** A check of bodies against a schema, which is compiled when the first comes; it throws an ApiError with every problem found. */
export function compileSchema(schema: RouteSchema): Validate {
  let compiled: ValidateFunction | undefined
  return (body) => {
    compiled ??= ajv.compile(schema)
    const check = compiled
    if (check(body)) return
    const problems = (check.errors ?? []).slice(0, MAX_PROBLEMS).map((error) => problemOf(error, schema))
    throw new ApiError(400, problems)
  }
}

function problemOf(error: ErrorObject, schema: RouteSchema): ApiProblem {
  const { code } = REQUEST_ERRORS.invalidField
  const at = error.instancePath
  if (error.keyword === 'additionalProperties') {
    const name = String(error.params.additionalProperty)
    const guess = closest(name, knownFields(error, schema))
    const hint = guess === undefined ? '' : `; did you mean \`${guess}\`?`
    return { code, message: `unknown field \`${name}\`${hint}`, pointer: `${at}/${name}` }
  }
  if (error.keyword === 'required') {
    const name = String(error.params.missingProperty)
    return { code, message: `\`${name}\` is missing`, pointer: `${at}/${name}` }
  }
  const format = error.keyword === 'format' ? FORMATS[String(error.params.format)] : undefined
  if (format !== undefined) return { code, message: `\`${at.slice(1)}\`: ${format.refusal}`, pointer: at }
  const field = at === '' ? 'the body' : `\`${at.slice(1).replaceAll('/', '.')}\``
  const meaning: unknown = error.keyword === 'pattern' ? error.parentSchema?.description : undefined
  if (typeof meaning === 'string') return { code, message: `${field} must be ${meaning}`, pointer: at }
  const allowed = Array.isArray(error.params.allowedValues) ? `: ${error.params.allowedValues.join(', ')}` : ''
  return { code, message: `${field} ${error.message ?? 'is invalid'}${allowed}`, pointer: at }
}

/** Names of the properties at the place where an unknown one was found. */
function knownFields(error: ErrorObject, schema: RouteSchema): string[] {
  const steps = error.schemaPath.split('/').slice(1, -1)
  let node: unknown = schema
  for (const step of steps) node = isRecord(node) ? node[step.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined
  const properties = isRecord(node) ? node.properties : undefined
  return isRecord(properties) ? Object.keys(properties) : []
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
