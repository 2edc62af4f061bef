// A query string against what its route documents: every value is what its schema says, and on the lab's own routes every name is known.
// Cloudflare ignores names it does not know, so its routes do here.

import { closest } from '../errors/did-you-mean.ts'
import { ApiError, invalidField } from './api-error.ts'
import type { QueryParameter, Route } from './router.ts'
import { booleanOf, cidrOf, instantOf, integerOf, uuidOf, wordOf } from './select.ts'

/** Throws ApiError with every parameter that does not fit. */
export function checkQuery(route: Pick<Route, 'query' | 'path' | 'unknownQuery'>, query: URLSearchParams): void {
  const documented = route.query ?? []
  const isOurs = route.unknownQuery !== 'ignored' && !route.path.startsWith('/client/v4/')
  const problems = [
    ...(isOurs ? strangers(documented, query) : []),
    ...documented.flatMap((parameter) => refusalsOf(() => checkValue(parameter, query))),
  ]
  if (problems.length > 0) throw new ApiError(400, problems)
}

/** Names nobody knows, and known ones that are empty or given twice: each would be left out in silence. */
function strangers(documented: readonly QueryParameter[], query: URLSearchParams): ApiError['problems'] {
  const known = documented.map(({ name }) => name)
  return [...new Set(query.keys())].flatMap((name) => {
    const parameter = documented.find((one) => one.name === name)
    const values = query.getAll(name)
    if (parameter === undefined)
      return invalidField(name, `unknown parameter \`${name}\`${hintFor(name, known)}`).problems
    if (values.includes('')) return invalidField(name, `\`${name}\` is empty`).problems
    if (values.length > 1 && parameter.schema.type !== 'array') {
      return invalidField(name, `\`${name}\` is given ${values.length} times`).problems
    }
    return []
  })
}

function hintFor(name: string, known: readonly string[]): string {
  const guess = closest(name, known)
  if (guess !== undefined) return `; did you mean \`${guess}\`?`
  return known.length === 0
    ? '; this route takes no parameters'
    : `; known are ${known.map((each) => `\`${each}\``).join(', ')}`
}

function checkValue({ name, schema }: QueryParameter, query: URLSearchParams): void {
  if (Array.isArray(schema.enum) && query.get(name) === '') throw invalidField(name, `\`${name}\` is empty`)
  if (schema.type === 'array') checkItems(name, schema.items, query)
  else if (Array.isArray(schema.enum)) wordOf(query, name, schema.enum as readonly string[])
  else if (schema.type === 'integer') integerOf(query, name, Number(schema.minimum), Number(schema.maximum))
  else if (schema.type === 'boolean') booleanOf(query, name)
  else if (schema.format === 'uuid') uuidOf(query, name)
  else if (schema.format === 'date-time') instantOf(query, name)
  else if (schema.format === 'cidr') cidrOf(query, name)
}

/** Items of a list, repeated or between commas, where the schema names the words. */
function checkItems(name: string, items: unknown, query: URLSearchParams): void {
  const words: unknown = Object(items).enum
  if (!Array.isArray(words)) return
  for (const word of query.getAll(name).flatMap((text) => text.split(','))) {
    wordOf(new URLSearchParams({ [name]: word }), name, words as readonly string[])
  }
}

function refusalsOf(check: () => void): ApiError['problems'] {
  try {
    check()
    return []
  } catch (thrown) {
    if (thrown instanceof ApiError) return thrown.problems
    throw thrown
  }
}
