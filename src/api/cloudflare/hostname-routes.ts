// `/zerotrust/routes/hostname`: host names behind tunnels.

import type { Stored } from '../../config/lab-state.ts'
import { parseHost } from '../../net/host.ts'
import { invalidField, notFound } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { booleanOf, instantOf, nameContains, PAGING, pagingOf, textOf, uuidOf } from '../select.ts'
import { HOSTNAME_ROUTE } from '../shapes/cloudflare.ts'
import {
  allOf,
  deletedMicros,
  micros,
  NAME,
  newId,
  objectOf,
  sentOr,
  TEXT,
  textField,
  UUID,
  written,
} from './stored.ts'

const PATH = '/client/v4/accounts/{account_id}/zerotrust/routes/hostname'
const FIELDS = { hostname: NAME, tunnel_id: UUID, comment: TEXT, tun_type: {}, tunnel_name: {} }
const text = { type: 'string' } as const
const uuid = { type: 'string', format: 'uuid' } as const

export const HOSTNAME_ROUTE_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'lists host name routes',
    access: 'token',
    answers: { kind: 'list', schema: HOSTNAME_ROUTE },
    query: [
      { name: 'id', schema: uuid, description: 'only the one with this id' },
      { name: 'hostname', schema: text, description: 'part of the host name, case-insensitive' },
      { name: 'comment', schema: text, description: 'only routes with this comment' },
      { name: 'tunnel_id', schema: uuid, description: 'only routes through this tunnel' },
      {
        name: 'existed_at',
        schema: { type: 'string', format: 'date-time' },
        description: 'only those that existed at this time',
      },
      {
        name: 'is_deleted',
        schema: { type: 'boolean' },
        description: 'true: only deleted ones; false: only existing ones',
      },
      ...PAGING,
    ],
    handle: list,
  },
  {
    method: 'POST',
    path: PATH,
    summary: 'routes a host name through a tunnel',
    access: 'token',
    answers: { kind: 'result', schema: HOSTNAME_ROUTE },
    body: objectOf(FIELDS, ['hostname', 'tunnel_id']),
    handle: create,
  },
  {
    method: 'GET',
    path: `${PATH}/{id}`,
    summary: 'one host name route, even if deleted',
    access: 'token',
    answers: { kind: 'result', schema: HOSTNAME_ROUTE },
    handle: (call) => ok(present(call, findAny(call))),
  },
  {
    method: 'PATCH',
    path: `${PATH}/{id}`,
    summary: 'changes a host name route',
    access: 'token',
    answers: { kind: 'result', schema: HOSTNAME_ROUTE },
    body: objectOf(FIELDS),
    handle: edit,
  },
  {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'deletes a host name route',
    access: 'token',
    answers: { kind: 'result', schema: HOSTNAME_ROUTE },
    handle: remove,
  },
]

function list(call: RouteCall) {
  const { query } = call
  const isDeleted = booleanOf(query, 'is_deleted') ?? false
  const existedAt = instantOf(query, 'existed_at')
  const hostname = textOf(query, 'hostname')
  const [id, tunnelId, comment] = [uuidOf(query, 'id'), uuidOf(query, 'tunnel_id'), textOf(query, 'comment')]
  const found = allOf(call, 'hostnameRoute').filter(
    ({ value, createdAt, deletedAt }) =>
      (id === undefined || value.id === id) &&
      (comment === undefined || value.comment === comment) &&
      (tunnelId === undefined || value.tunnelId === tunnelId) &&
      (hostname === undefined || nameContains(value.hostname, hostname)) &&
      (existedAt === undefined
        ? (deletedAt !== null) === isDeleted
        : createdAt <= existedAt && (deletedAt === null || deletedAt > existedAt)),
  )
  return listOf(
    found.map((route) => present(call, route)),
    pagingOf(query),
  )
}

function create(call: RouteCall) {
  const id = newId()
  const { body } = call
  const hostname = readHostname(textField(body, 'hostname'))
  const tunnelId = textField(body, 'tunnel_id').toLowerCase()
  call.change((draft) => draft.put('hostnameRoute', { id, hostname, tunnelId, comment: textField(body, 'comment') }))
  return ok(present(call, written(call, 'hostnameRoute', id)))
}

function edit(call: RouteCall) {
  const id = idOf(call)
  const { body } = call
  call.change((draft) => {
    const before = draft.get('hostnameRoute', id)
    if (before === undefined) throw notFound(`host name route \`${id}\` not found`)
    draft.put('hostnameRoute', {
      id,
      hostname: body.hostname === undefined ? before.hostname : readHostname(textField(body, 'hostname')),
      tunnelId: textField(body, 'tunnel_id').toLowerCase() || before.tunnelId,
      comment: sentOr(body, 'comment', before.comment),
    })
  })
  return ok(present(call, written(call, 'hostnameRoute', id)))
}

function remove(call: RouteCall) {
  const id = idOf(call)
  call.change((draft) => {
    if (!draft.remove('hostnameRoute', id)) throw notFound(`host name route \`${id}\` not found`)
  })
  return ok(present(call, written(call, 'hostnameRoute', id)))
}

/** A host name, or `*.` and one. */
function readHostname(sent: string): string {
  const bare = sent.startsWith('*.') ? sent.slice(2) : sent
  const host = parseHost(bare)
  if (host?.kind !== 'name') throw invalidField('/hostname', `\`${sent}\` is not a host name`)
  return sent
}

function findAny(call: RouteCall): Stored<'hostnameRoute'> {
  const stored = call.ports.plane.current().state.hostnameRoute.get(idOf(call))
  if (stored === undefined) throw notFound(`host name route \`${idOf(call)}\` not found`)
  return stored
}

function idOf(call: RouteCall): string {
  return (call.params.id ?? '').toLowerCase()
}

function present(call: RouteCall, stored: Stored<'hostnameRoute'>) {
  const { id, hostname, tunnelId, comment } = stored.value
  return {
    id,
    hostname,
    tunnel_id: tunnelId,
    tunnel_name: call.ports.plane.current().state.tunnel.get(tunnelId)?.value.name ?? '',
    tun_type: 'cfd_tunnel',
    comment,
    created_at: micros(stored.createdAt),
    deleted_at: deletedMicros(stored),
  }
}
