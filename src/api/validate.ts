// Requests against their schemas, every problem at once, in words that name the field and the nearest known one.

import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import type { JsonObject } from '../config/lab-state.ts'
import { closest } from '../errors/did-you-mean.ts'
import { ApiError, type ApiProblem, REQUEST_ERRORS } from './api-error.ts'
import type { RouteSchema } from './router.ts'

const MAX_PROBLEMS = 20
const ajv = new Ajv({
  allErrors: true,
  strict: true,
  validateSchema: false,
  allowUnionTypes: true,
  ownProperties: true,
})

export type Validate = (body: JsonObject) => void

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
  const field = at === '' ? 'the body' : `\`${at.slice(1).replaceAll('/', '.')}\``
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
