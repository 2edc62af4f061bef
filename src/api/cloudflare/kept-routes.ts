// The routes of what the lab only keeps (kept-resources.ts): all of it is made, found, changed and deleted the same way, and answers to
// changes say that they are without effect.

import { Type } from 'typebox'
import type { Json, JsonObject } from '../../config/lab-state.ts'
import { stableUuid } from '../../config/names.ts'
import { NOTICE_CODES, notFound } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { Method, Route, RouteCall, RouteSchema } from '../router.ts'
import { PAGING, pagingOf } from '../select.ts'
import { ANY_JSON, TEXT } from '../shapes/shape.ts'
import {
  KEPT_COLLECTIONS,
  KEPT_DOCUMENTS,
  type Kept,
  type KeptCollection,
  type KeptDocument,
} from './kept-resources.ts'
import { idOf } from './network-resource.ts'
import { ECHOED, find, liveOf, NAME, newId, objectOf, written } from './stored.ts'

const A = '/client/v4/accounts/{account_id}'

/** One of a list of no fixed form. */
const ITEM = Type.Unsafe<JsonObject>({ type: 'object' })

/** What the API adds of its own, and clients send back. */
const ECHOED_TOO = [
  ...['aud', 'app_count', 'binding_status', 'capacity', 'default', 'doh_subdomain', 'expires_on', 'fallback_domains'],
  ...['gateway_unique_id', 'in_use', 'ip', 'reusable', 'subnet_type', 'target_tests', 'uid', 'version'],
]

const LISTS = ['exclude', 'include', 'fallback_domains'] as const
const WORDS = { exclude: 'split tunnel excludes', include: 'split tunnel includes', fallback_domains: 'local domains' }

export const KEPT_ROUTES: readonly Route[] = [
  ...KEPT_COLLECTIONS.flatMap(collectionRoutes),
  ...KEPT_DOCUMENTS.flatMap(documentRoutes),
  ...LISTS.flatMap((name) => [
    ...listRoutes(`/devices/policy/${name}`, `${WORDS[name]} of the default device profile`),
    ...listRoutes(`/devices/policy/{id}/${name}`, `${WORDS[name]} of a device profile`, (call) =>
      findKept(call, '/devices/policy', 'device profile'),
    ),
  ]),
]

function without(what: string, meanwhile = `this lab does not act on any ${what}`) {
  return { messages: [{ code: NOTICE_CODES.keptWithoutEffect, message: `stored without effect: ${meanwhile}` }] }
}

/** The resources of a collection as the API shows them. */
export function keptOf(call: RouteCall, path: string): readonly JsonObject[] {
  const collection = KEPT_COLLECTIONS.find((each) => each.path === path)
  return liveOf(call, 'keptResource')
    .filter(({ value }) => value.collection === path)
    .map((stored) => show(call, stored, collection))
}

function show(call: RouteCall, stored: Kept, collection: KeptCollection | undefined): JsonObject {
  return { [collection?.idField ?? 'id']: stored.value.id, ...stored.value.value, ...collection?.adds?.(stored, call) }
}

/** What a request brings, without what the API itself writes. */
function sentBy({ body }: RouteCall, own: readonly string[] = []): JsonObject {
  const echoed = new Set([...Object.keys(ECHOED), ...own])
  return Object.fromEntries(Object.entries(body).filter(([name]) => !echoed.has(name)))
}

function bodyOf(
  fields: readonly string[],
  required: readonly string[],
  own: readonly string[] = [],
  schemas: RouteSchema = {},
) {
  const all = [...ECHOED_TOO.filter((name) => !fields.includes(name)), ...own, ...fields]
  const properties = Object.fromEntries(all.map((name) => [name, schemas[name] ?? (name === 'name' ? NAME : {})]))
  return objectOf(properties, required)
}

function shapeOf(fields: readonly string[], idField?: string) {
  const members = Object.fromEntries(fields.map((name) => [name, Type.Optional(ANY_JSON)]))
  return Type.Object({ ...members, ...(idField === undefined ? {} : { [idField]: TEXT }) })
}

function collectionRoutes(collection: KeptCollection): Route[] {
  const { path, what, fields, required, update, idField = 'id', listPath = path, deleted, declared } = collection
  const schema = shapeOf(fields, idField)
  const answers = { kind: 'result', schema } as const
  const own = idField === 'id' ? [] : [idField]
  const present = (call: RouteCall, stored: Kept) => show(call, stored, collection)
  const all = (call: RouteCall) => [...(declared?.(call) ?? []), ...keptOf(call, path)]
  const put = (call: RouteCall, id: string, value: JsonObject) => {
    call.change((draft) => draft.put('keptResource', { id, collection: path, value }))
    return ok(present(call, written(call, 'keptResource', id)), without(what, collection.meanwhile?.(value, call)))
  }
  const sent = (call: RouteCall) => sentBy(call, [...ECHOED_TOO.filter((name) => !fields.includes(name)), ...own])
  const one = `${A}${path}/{id}`
  const list: Route = {
    method: 'GET',
    path: `${A}${listPath}`,
    summary: `lists ${plural(what)}`,
    access: 'token',
    answers: { kind: 'list', schema },
    query: PAGING,
    handle: (call) => listOf(all(call), pagingOf(call.query, 1000)),
  }
  const changing: Route[] =
    update === undefined
      ? []
      : [
          {
            method: update,
            path: one,
            summary: update === 'PUT' ? `replaces a kept ${what}` : `changes a kept ${what}`,
            access: 'token',
            answers,
            body: bodyOf(fields, update === 'PUT' ? required : [], own, collection.schemas),
            handle: (call) => {
              const { id, value } = findKept(call, path, what).value
              return put(call, id, update === 'PUT' ? sent(call) : { ...value, ...sent(call) })
            },
          },
        ]
  const acting = Object.entries(collection.actions ?? {}).map(
    ([word, sets]): Route => ({
      method: 'POST',
      path: `${one}/${word}`,
      summary: `${word}s a ${what}, in name only`,
      access: 'token',
      answers,
      body: objectOf({}),
      handle: (call) => {
        const { id, value } = findKept(call, path, what).value
        return put(call, id, { ...value, ...sets })
      },
    }),
  )
  return [
    ...(listPath === '' ? [] : [list]),
    {
      method: 'POST',
      path: `${A}${path}`,
      summary: `keeps ${/^[aeiou]/.test(what) ? 'an' : 'a'} ${what}, without effect`,
      access: 'token',
      answers,
      body: bodyOf(fields, required, own, collection.schemas),
      handle: (call) => put(call, newId(), sent(call)),
    },
    {
      method: 'GET',
      path: one,
      summary: `one ${what}`,
      access: 'token',
      answers,
      handle: (call) => {
        const found = declared?.(call).find(({ id }) => id === idOf(call))
        return ok(found ?? present(call, findKept(call, path, what)))
      },
    },
    ...changing,
    ...acting,
    {
      method: 'DELETE',
      path: one,
      summary: `deletes a kept ${what}`,
      access: 'token',
      answers:
        deleted === 'rest'
          ? { kind: 'list', schema }
          : { kind: 'result', schema: deleted ? schema : shapeOf([], 'id') },
      handle: (call) => {
        const stored = findKept(call, path, what)
        call.change((draft) => draft.remove('keptResource', stored.value.id))
        if (deleted === 'rest') return listOf(all(call))
        return ok(deleted === 'itself' ? present(call, stored) : { id: stored.value.id })
      },
    },
  ]
}

/** The one document of a path, under an id made of it. */
function documentAt(call: RouteCall, path: string): { readonly id: string; readonly stored: Kept | undefined } {
  const id = stableUuid('kept document', path.replace('{id}', idOf(call)))
  const stored = call.ports.plane.current().state.keptResource.get(id)
  return { id, stored: stored?.deletedAt === null ? stored : undefined }
}

function documentRoutes({ path, what, update, fields = [], present, of }: KeptDocument): Route[] {
  const schema = shapeOf(fields)
  const route = (method: Method, summary: string, handle: Route['handle']): Route => ({
    method,
    path: `${A}${path}`,
    summary,
    access: 'token',
    answers: { kind: 'result', schema },
    ...(method === 'GET' ? {} : { body: bodyOf(fields, [], ['account_id', 'tunnel_id', 'source', 'policy_id']) }),
    handle: (call) => {
      of?.(call)
      return handle(call)
    },
  })
  return [
    route('GET', `the ${what}`, (call) => ok(present(call, documentAt(call, path).stored))),
    route(update, `keeps the ${what}, without effect`, (call) => {
      const { id, stored } = documentAt(call, path)
      const sent = sentBy(call, [...ECHOED_TOO, 'account_id', 'tunnel_id', 'source', 'policy_id'])
      const value = update === 'PATCH' ? { ...stored?.value.value, ...sent } : sent
      call.change((draft) => draft.put('keptResource', { id, collection: path, value }))
      return ok(present(call, written(call, 'keptResource', id)), without(what))
    }),
  ]
}

function listRoutes(path: string, what: string, of?: (call: RouteCall) => unknown): Route[] {
  const route = (method: Method, summary: string, handle: Route['handle']): Route => ({
    method,
    path: `${A}${path}`,
    summary,
    access: 'token',
    answers: { kind: 'list', schema: ITEM },
    ...(method === 'GET' ? {} : { body: { type: 'array', items: { type: 'object' } } }),
    handle: (call) => {
      of?.(call)
      return handle(call)
    },
  })
  const itemsOf = (stored: Kept | undefined): readonly Json[] => (stored?.value.value.items ?? []) as readonly Json[]
  return [
    route('GET', `the ${what}`, (call) => listOf(itemsOf(documentAt(call, path).stored))),
    route('PUT', `keeps the ${what}, without effect`, (call) => {
      const { id } = documentAt(call, path)
      const { items = [] } = call.body
      call.change((draft) => draft.put('keptResource', { id, collection: path, value: { items } }))
      const stored = written(call, 'keptResource', id)
      return listOf(itemsOf(stored), undefined, without(what).messages)
    }),
  ]
}

function plural(what: string): string {
  return what.endsWith('y') ? `${what.slice(0, -1)}ies` : `${what}s`
}

function findKept(call: RouteCall, collection: string, what: string): Kept {
  const stored = find(call, 'keptResource', idOf(call), what)
  if (stored.value.collection !== collection) throw notFound(`${what} \`${idOf(call)}\` not found`)
  return stored
}
