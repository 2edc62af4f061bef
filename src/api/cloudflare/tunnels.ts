// `/cfd_tunnel`, as far as routes need one: a name with an id. No tunnel carries anything here.

import type { Stored } from '../../config/lab-state.ts'
import { notFound } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { booleanOf, instantOf, PAGING, pagingOf, textOf, uuidOf, wordOf } from '../select.ts'
import { TUNNEL } from '../shapes/cloudflare.ts'
import { allOf, deletedMicros, micros, NAME, newId, objectOf, sentOr, textField, written } from './stored.ts'

const PATH = '/client/v4/accounts/{account_id}/cfd_tunnel'
const SECRET = { type: 'string', description: 'checked but not stored' } as const
const FIELDS = { name: NAME, config_src: { enum: ['local', 'cloudflare', null] }, tunnel_secret: SECRET }
/** No connector ever runs in the lab. */
const STATUS = 'inactive'
const STATUSES = ['inactive', 'degraded', 'healthy', 'down'] as const

export const TUNNEL_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'lists tunnels, including deleted ones by default',
    access: 'token',
    answers: { kind: 'list', schema: TUNNEL },
    query: [
      { name: 'name', schema: { type: 'string' }, description: 'only the one with this name' },
      { name: 'uuid', schema: { type: 'string', format: 'uuid' }, description: 'only the one with this id' },
      {
        name: 'is_deleted',
        schema: { type: 'boolean' },
        description: 'true: only deleted ones; false: only existing ones',
      },
      {
        name: 'existed_at',
        schema: { type: 'string', format: 'date-time' },
        description: 'only those that existed at this time',
      },
      { name: 'include_prefix', schema: { type: 'string' }, description: 'only names with this prefix' },
      { name: 'exclude_prefix', schema: { type: 'string' }, description: 'only names without this prefix' },
      {
        name: 'status',
        schema: { enum: STATUSES },
        description: 'only this status; every tunnel of the lab is `inactive`',
      },
      ...PAGING,
    ],
    handle: list,
  },
  {
    method: 'POST',
    path: PATH,
    summary: 'creates a tunnel',
    access: 'token',
    answers: { kind: 'result', schema: TUNNEL },
    body: objectOf(FIELDS, ['name']),
    handle: create,
  },
  {
    method: 'GET',
    path: `${PATH}/{id}`,
    summary: 'one tunnel, even if deleted',
    access: 'token',
    answers: { kind: 'result', schema: TUNNEL },
    handle: (call) => ok(present(call, findAny(call))),
  },
  {
    method: 'PATCH',
    path: `${PATH}/{id}`,
    summary: 'renames a tunnel',
    access: 'token',
    answers: { kind: 'result', schema: TUNNEL },
    body: objectOf(FIELDS),
    handle: edit,
  },
  {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'deletes a tunnel and its routes',
    access: 'token',
    answers: { kind: 'result', schema: TUNNEL },
    handle: remove,
  },
]

function list(call: RouteCall) {
  const { query } = call
  const [name, id] = [textOf(query, 'name'), uuidOf(query, 'uuid')]
  const isDeleted = booleanOf(query, 'is_deleted')
  const existedAt = instantOf(query, 'existed_at')
  const [include, exclude] = [textOf(query, 'include_prefix'), textOf(query, 'exclude_prefix')]
  const status = wordOf(query, 'status', STATUSES) ?? STATUS
  const found = allOf(call, 'tunnel').filter(
    ({ value, createdAt, deletedAt }) =>
      (name === undefined || value.name === name) &&
      (id === undefined || value.id === id) &&
      (isDeleted === undefined || (deletedAt !== null) === isDeleted) &&
      (existedAt === undefined || (createdAt <= existedAt && (deletedAt === null || deletedAt > existedAt))) &&
      (include === undefined || value.name.startsWith(include)) &&
      (exclude === undefined || !value.name.startsWith(exclude)) &&
      status === STATUS,
  )
  return listOf(
    found.map((tunnel) => present(call, tunnel)),
    pagingOf(query),
  )
}

function create(call: RouteCall) {
  const id = newId()
  const { body } = call
  // a remotely managed tunnel is what Cloudflare's own default is not
  const configSource = body.config_src === 'cloudflare' ? 'cloudflare' : 'local'
  call.change((draft) => draft.put('tunnel', { id, name: textField(body, 'name'), configSource }))
  return ok(present(call, written(call, 'tunnel', id)))
}

function edit(call: RouteCall) {
  const id = idOf(call)
  call.change((draft) => {
    const before = draft.get('tunnel', id)
    if (before === undefined) throw notFound(`tunnel \`${id}\` not found`)
    draft.put('tunnel', { ...before, name: sentOr(call.body, 'name', before.name) })
  })
  return ok(present(call, written(call, 'tunnel', id)))
}

function remove(call: RouteCall) {
  const id = idOf(call)
  call.change((draft) => {
    for (const kind of ['privateRoute', 'hostnameRoute'] as const) {
      for (const route of draft.all(kind)) if (route.tunnelId === id) draft.remove(kind, route.id)
    }
    if (!draft.remove('tunnel', id)) throw notFound(`tunnel \`${id}\` not found`)
  })
  return ok(present(call, written(call, 'tunnel', id)))
}

function findAny(call: RouteCall): Stored<'tunnel'> {
  const stored = call.ports.plane.current().state.tunnel.get(idOf(call))
  if (stored === undefined) throw notFound(`tunnel \`${idOf(call)}\` not found`)
  return stored
}

function idOf(call: RouteCall): string {
  return (call.params.id ?? '').toLowerCase()
}

function present(call: RouteCall, stored: Stored<'tunnel'>) {
  const { id, name, configSource } = stored.value
  return {
    id,
    account_tag: call.ports.plane.current().account.id,
    name,
    status: STATUS,
    tun_type: 'cfd_tunnel',
    config_src: configSource,
    remote_config: configSource === 'cloudflare',
    connections: [],
    conns_active_at: null,
    conns_inactive_at: null,
    metadata: {},
    created_at: micros(stored.createdAt),
    deleted_at: deletedMicros(stored),
  }
}
