// The OpenAPI 3.1 document of everything served here, made from the routes themselves, so that it cannot drift.

import type { JsonObject } from '../../config/lab-state.ts'
import type { Route } from '../route.ts'

/** The document for these routes. */
export function openApiDocument(routes: readonly Route[], version: string): JsonObject {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    const path = paths[route.path] ?? {}
    path[route.method.toLowerCase()] = operation(route)
    paths[route.path] = path
  }
  const document = {
    openapi: '3.1.0',
    info: {
      title: 'egresslab',
      version,
      description: "The lab's own API, and the part of Cloudflare's that it speaks.",
    },
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        key: { type: 'apiKey', in: 'header', name: 'X-Auth-Key', description: 'the token, beside any `X-Auth-Email`' },
        user: { type: 'http', scheme: 'basic', description: "a user's own proxy credentials" },
      },
      schemas: { Envelope: ENVELOPE },
    },
  }
  return document as unknown as JsonObject
}

const ENVELOPE = {
  type: 'object',
  required: ['result', 'success', 'errors', 'messages'],
  properties: {
    result: {},
    success: { type: 'boolean' },
    errors: { type: 'array', items: { $ref: '#/components/schemas/Envelope/$defs/entry' } },
    messages: { type: 'array', items: { $ref: '#/components/schemas/Envelope/$defs/entry' } },
    result_info: { type: 'object' },
  },
  $defs: {
    entry: {
      type: 'object',
      required: ['code', 'message'],
      properties: { code: { type: 'integer' }, message: { type: 'string' } },
    },
  },
} as const

function operation({ summary, access, path, query, body, takes }: Route) {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const inQuery = (query ?? []).map(({ name, schema, description }) => ({ name, in: 'query', schema, description }))
  const json = { content: { 'application/json': { schema: { $ref: '#/components/schemas/Envelope' } } } }
  return {
    summary,
    parameters: [...inPath, ...inQuery],
    security: access === 'open' ? [] : access === 'user' ? [{ user: [] }] : [{ token: [] }, { key: [] }],
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
    ...(takes === undefined ? {} : { requestBody: { required: true, content: { [takes.mediaType]: {} } } }),
    responses: { '2XX': { description: 'done', ...json }, '4XX': { description: 'refused', ...json } },
  }
}
