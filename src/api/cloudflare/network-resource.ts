// The routes of a resource that outlives its deletion: tunnels, their routes, virtual networks. What differs is told by a description;
// how they are listed, found, changed and deleted is the same.

import type { TSchema } from 'typebox'
import type { Documents, Draft, Kind, Stored } from '../../config/lab-state.ts'
import { type ApiError, notFound } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { QueryParameter, Route, RouteCall, RouteSchema } from '../router.ts'
import { booleanOf, instantOf, PAGING, pagingOf } from '../select.ts'
import { allOf, newId, objectOf, written } from './stored.ts'

export interface NetworkResource<K extends Kind> {
  readonly kind: K
  readonly path: string
  /** as in "`what` `id` not found" */
  readonly what: string
  /** `remove`: what else deleting does, or what it takes */
  readonly words: { readonly plural: string; readonly create: string; readonly edit: string; readonly remove: string }
  readonly schema: TSchema
  /** how it is listed, where that differs */
  readonly listed?: { readonly schema: TSchema; readonly present: (call: RouteCall, stored: Stored<K>) => object }
  readonly fields: RouteSchema
  readonly required: readonly string[]
  /** parameters of its own for listing */
  readonly query: readonly QueryParameter[]
  readonly isPaged: boolean
  /** whether a deleted one is still found by its id */
  readonly readsDeleted: boolean
  /** whether a document of this kind is found under this path; absent: all are */
  readonly belongs?: (stored: Stored<K>) => boolean
  readonly fits: (call: RouteCall) => (stored: Stored<K>) => boolean
  readonly make: (call: RouteCall, id: string, draft: Draft) => Documents[K]
  readonly alter: (call: RouteCall, before: Documents[K], draft: Draft) => Documents[K]
  readonly beforeRemove?: (before: Documents[K], draft: Draft) => void
  readonly present: (call: RouteCall, stored: Stored<K>) => object
  readonly missing?: (id: string) => ApiError
}

const HISTORY: readonly QueryParameter[] = [
  {
    name: 'existed_at',
    schema: { type: 'string', format: 'date-time' },
    description: 'only those that existed at this time',
  },
  {
    name: 'is_deleted',
    schema: { type: 'boolean' },
    description: 'true: only deleted ones; false, the default: only existing ones',
  },
]

/** Its five routes. */
export function networkRoutes<K extends Kind>(resource: NetworkResource<K>): readonly Route[] {
  const { kind, path, what, words, schema, isPaged, present, belongs = () => true } = resource
  const answers = { kind: 'result', schema } as const
  const missing = resource.missing ?? ((id: string) => notFound(`${what} \`${id}\` not found`))
  const find = (call: RouteCall): Stored<K> => {
    const stored = call.ports.plane.current().state[kind].get(idOf(call)) as Stored<K> | undefined
    if (stored === undefined || !belongs(stored)) throw missing(idOf(call))
    return stored
  }
  /** for changes: never a deleted one */
  const live = (call: RouteCall, draft: Draft): Documents[K] => {
    const { id } = find(call).value
    const before = draft.get(kind, id)
    if (before === undefined) throw missing(id)
    return before
  }
  const show = (call: RouteCall, id: string) => ok(present(call, written(call, kind, id)))
  return [
    {
      method: 'GET',
      path,
      summary: `lists ${words.plural} that are not deleted`,
      access: 'token',
      answers: { kind: 'list', schema: resource.listed?.schema ?? schema },
      query: [...resource.query, ...HISTORY, ...(isPaged ? PAGING : [])],
      handle: (call) => {
        const fits = resource.fits(call)
        const shown = isShown(call)
        const found = allOf(call, kind).filter((stored) => belongs(stored) && shown(stored) && fits(stored))
        const listed = found.map((stored) => (resource.listed?.present ?? present)(call, stored))
        return listOf(listed, isPaged ? pagingOf(call.query) : undefined)
      },
    },
    {
      method: 'POST',
      path,
      summary: words.create,
      access: 'token',
      answers,
      body: objectOf(resource.fields, resource.required),
      handle: (call) => {
        const id = newId()
        call.change((draft) => draft.put(kind, resource.make(call, id, draft)))
        return show(call, id)
      },
    },
    {
      method: 'GET',
      path: `${path}/{id}`,
      summary: `one ${what}${resource.readsDeleted ? ', even if deleted' : ''}`,
      access: 'token',
      answers,
      handle: (call) => {
        const stored = find(call)
        if (stored.deletedAt !== null && !resource.readsDeleted) throw missing(stored.value.id)
        return ok(present(call, stored))
      },
    },
    {
      method: 'PATCH',
      path: `${path}/{id}`,
      summary: words.edit,
      access: 'token',
      answers,
      body: objectOf(resource.fields),
      handle: (call) => {
        const id = idOf(call)
        call.change((draft) => draft.put(kind, resource.alter(call, live(call, draft), draft)))
        return show(call, id)
      },
    },
    {
      method: 'DELETE',
      path: `${path}/{id}`,
      summary: words.remove,
      access: 'token',
      answers,
      handle: (call) => {
        const id = idOf(call)
        call.change((draft) => {
          resource.beforeRemove?.(live(call, draft), draft)
          if (!draft.remove(kind, id)) throw missing(id)
        })
        return show(call, id)
      },
    },
  ]
}

/** `is_deleted` and `existed_at`: what exists, unless the query asks for another time or for what is gone. */
function isShown({ query }: RouteCall): (stored: Stored) => boolean {
  const isDeleted = booleanOf(query, 'is_deleted')
  const at = instantOf(query, 'existed_at')
  return ({ createdAt, deletedAt }) => {
    if (at === undefined) return (deletedAt !== null) === (isDeleted ?? false)
    const existed = createdAt <= at && (deletedAt === null || deletedAt > at)
    return existed && (isDeleted === undefined || (deletedAt !== null) === isDeleted)
  }
}

/** The id in the path as documents have it. */
export function idOf(call: RouteCall): string {
  return (call.params.id ?? '').toLowerCase()
}

/** A reference to another resource, in lower case; absent and empty are the same. */
export function referenceOf({ body }: RouteCall, name: string): string | undefined {
  const sent = body[name]
  return typeof sent === 'string' && sent !== '' ? sent.toLowerCase() : undefined
}
