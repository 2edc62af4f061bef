// The OpenAPI 3.1 document of everything served here, made from the routes themselves: the schemas that answers are described by are those
// the console's types come from, and a test holds real answers of every route to them.

import { type JsonObject, KINDS } from '../../config/lab-state.ts'
import { LOGPUSH_DATA_SETS } from '../../log/logpush-batch.ts'
import { KNOWN_ACTIONS } from '../../policy/rule-check.ts'
import type { Answers, QueryParameter, Route } from '../router.ts'
import { FAILURE, listEnvelope, resultEnvelope } from '../shapes/envelope.ts'

const JSON_TYPE = 'application/json'
const EVENT_STREAM = 'text/event-stream'

/** The document for these routes of this lab. Throws a RangeError where two schemas share a title. */
export function openApiDocument(
  routes: readonly Route[],
  { version, accountId }: { readonly version: string; readonly accountId: string },
): JsonObject {
  const schemas = new Map<string, unknown>()
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    const path = paths[route.path] ?? {}
    path[route.method.toLowerCase()] = operation(route, schemas, accountId)
    paths[route.path] = path
  }
  const document = {
    openapi: '3.1.0',
    info: {
      title: 'egresslab',
      version,
      description: "The lab's own API and the supported part of Cloudflare's.",
    },
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        key: { type: 'apiKey', in: 'header', name: 'X-Auth-Key', description: 'the token, with any `X-Auth-Email`' },
        user: { type: 'http', scheme: 'basic', description: "a user's own proxy credentials" },
      },
      schemas: Object.fromEntries([...schemas].sort(([a], [b]) => (a < b ? -1 : 1))),
    },
  }
  return document as unknown as JsonObject
}

type Schemas = Map<string, unknown>

const ANY_TEXT = { type: 'string', minLength: 1 }
const PATH_PARAMETERS: Readonly<Record<string, object>> = {
  address_family: { type: 'string', enum: ['v4', 'v6'] },
  ip: {
    anyOf: [
      { type: 'string', format: 'ipv4' },
      { type: 'string', format: 'ipv6' },
    ],
  },
  email: { type: 'string', format: 'email' },
  kind: { type: 'string', enum: KINDS },
  revision: { type: 'string', pattern: '^[0-9]+$' },
}

const OCTET = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
const H = '[0-9a-fA-F]{1,4}'
const V6 = [
  `(${H}:){7}${H}`,
  `(${H}:){1,7}:`,
  ...[6, 5, 4, 3, 2].map((most) => `(${H}:){1,${most}}(:${H}){1,${7 - most}}`),
  `${H}:(:${H}){1,6}`,
  `:((:${H}){1,7}|:)`,
].join('|')
/** JSON Schema has no such formats: readers of the document get a pattern. */
const PATTERNS: Readonly<Record<string, string>> = {
  cidr: `^(${OCTET}(\\.${OCTET}){3}(/(3[0-2]|[12]?[0-9]))?|(${V6})(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$`,
  'pac-file': 'FindProxyForURL',
  'logpush-data-set': `^(${LOGPUSH_DATA_SETS.join('|')})$`,
  'logpush-destination': '^(https?://[a-z0-9]|file:///)',
  'rule-action': `^(${KNOWN_ACTIONS.join('|')})$`,
}

const TOKEN_SCHEMES = [{ token: [] }, { key: [] }]
/** An empty one: none is needed, here by clients on this machine. */
const SECURITY: Readonly<Record<Route['access'], readonly object[]>> = {
  open: [],
  user: [{ user: [] }],
  token: TOKEN_SCHEMES,
  local: [{}, ...TOKEN_SCHEMES],
}

function operation(route: Route, schemas: Schemas, accountId: string) {
  const { summary, access, path, query, answers } = route
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: name === 'account_id' ? { type: 'string', enum: [accountId] } : (PATH_PARAMETERS[name ?? ''] ?? ANY_TEXT),
  }))
  const inQuery = (query ?? []).map(({ name, schema, description }) => ({
    name,
    in: 'query',
    schema: named(queryValue(route, schema), schemas),
    description,
  }))
  const refused = { description: 'refused', content: { [JSON_TYPE]: { schema: named(FAILURE, schemas) } } }
  return {
    operationId: operationId(route),
    summary,
    parameters: [...inPath, ...inQuery],
    security: SECURITY[access],
    ...requestBody(route, schemas),
    responses: {
      '200': { description: 'done', content: contentOf(answers, schemas) },
      '4XX': refused,
      '5XX': refused,
    },
  }
}

const EMPTY = { type: 'string', maxLength: 0 }

/** To Cloudflare an empty id is none; the lab's own routes take nothing empty. */
function queryValue({ path }: Route, schema: QueryParameter['schema']): object {
  const isOurs = !path.startsWith('/client/v4/')
  if (!isOurs) return schema.format === 'uuid' ? { anyOf: [schema, EMPTY] } : schema
  const isFree = (type: unknown) => type === 'string' && schema.enum === undefined && schema.format === undefined
  if (isFree(schema.type)) return { minLength: 1, ...schema }
  return schema.type === 'array' ? { ...schema, items: { minLength: 1, ...Object(schema.items) } } : schema
}

/** `getLabV1Colos`, `putLabV1ColosByCode`: the same for as long as the path is. */
function operationId({ method, path }: Route): string {
  const words = path
    .split('/')
    .filter((segment, at, all) => segment !== '' && (segment !== '{account_id}' || at === all.length - 1))
    .map((segment) => segment.replace(/^\{(.*)\}$/, 'by_$1'))
    .flatMap((segment) => segment.split(/[^a-zA-Z0-9]+/))
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

function requestBody({ body, takes }: Route, schemas: Schemas) {
  if (body !== undefined) {
    return { requestBody: { required: true, content: { [JSON_TYPE]: { schema: named(body, schemas) } } } }
  }
  if (takes !== undefined) return { requestBody: { required: true, content: { [takes.mediaType]: {} } } }
  return {}
}

function contentOf(answers: Answers, schemas: Schemas): object {
  switch (answers.kind) {
    case 'result':
      return { [JSON_TYPE]: { schema: named(resultEnvelope(answers.schema), schemas) } }
    case 'list':
      return { [JSON_TYPE]: { schema: named(listEnvelope(answers.schema), schemas) } }
    case 'json':
      return { [JSON_TYPE]: { schema: answers.schema } }
    case 'bytes':
      return { [essenceOf(answers.mediaType)]: { schema: { description: answers.description } } }
    case 'events':
      return { [EVENT_STREAM]: eventStream(answers.events, schemas) }
  }
}

/** OpenAPI 3.1 has no words for events: what each carries is told by an extension. Readers differ in what a schema of the whole
 *  is of, the stream or one event, so that it says nothing of its type. */
function eventStream(events: Readonly<Record<string, unknown>>, schemas: Schemas): object {
  const names = Object.keys(events).map((name) => `\`${name}\``)
  return {
    schema: {
      description: `events ${names.join(', ')}, the data of each as described by \`x-events\``,
    },
    'x-events': named(events, schemas),
  }
}

function essenceOf(mediaType: string): string {
  return mediaType.split(';')[0] ?? mediaType
}

/** The same schema with everything that has a title moved to the components, by reference, and formats of our own by their pattern. */
function named(schema: unknown, schemas: Schemas): unknown {
  if (Array.isArray(schema)) return schema.map((item) => named(item, schemas))
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, named(value, schemas)]))
  const { title, format } = copy
  const pattern = typeof format === 'string' ? PATTERNS[format] : undefined
  if (pattern !== undefined) return { ...copy, pattern }
  if (typeof title !== 'string') return copy
  const before = schemas.get(title)
  if (before !== undefined && JSON.stringify(before) !== JSON.stringify(copy)) {
    throw new RangeError(`two schemas are called ${title}`)
  }
  schemas.set(title, copy)
  return { $ref: `#/components/schemas/${title}` }
}
