// `/teamnet/virtual_networks`: exactly one is the default; deleted ones stay listed with the time of their deletion.

import type { Draft, Stored } from '../../config/lab-state.ts'
import { ChangeError } from '../../errors/change-error.ts'
import { notFound } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { booleanOf, textOf, uuidOf } from '../select.ts'
import { VIRTUAL_NETWORK } from '../shapes/cloudflare.ts'
import {
  allOf,
  deletedMicros,
  FLAG,
  micros,
  NAME,
  newId,
  objectOf,
  sentOr,
  TEXT,
  textField,
  written,
} from './stored.ts'

const PATH = '/client/v4/accounts/{account_id}/teamnet/virtual_networks'
const FIELDS = { name: NAME, comment: TEXT, is_default: FLAG, is_default_network: FLAG }

export const VIRTUAL_NETWORK_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'lists virtual networks, including deleted ones by default',
    access: 'token',
    answers: { kind: 'list', schema: VIRTUAL_NETWORK },
    query: [
      { name: 'id', schema: { type: 'string', format: 'uuid' }, description: 'only the one with this id' },
      { name: 'name', schema: { type: 'string' }, description: 'only the one with this name' },
      {
        name: 'is_default_network',
        schema: { type: 'boolean' },
        description: 'true: only the default one; false: all others',
      },
      { name: 'is_default', schema: { type: 'boolean' }, description: 'older spelling of `is_default_network`' },
      {
        name: 'is_deleted',
        schema: { type: 'boolean' },
        description: 'true: only deleted ones; false: only existing ones',
      },
    ],
    handle: list,
  },
  {
    method: 'POST',
    path: PATH,
    summary: 'creates a virtual network',
    access: 'token',
    answers: { kind: 'result', schema: VIRTUAL_NETWORK },
    body: objectOf(FIELDS, ['name']),
    handle: create,
  },
  {
    method: 'GET',
    path: `${PATH}/{id}`,
    summary: 'one virtual network, even if deleted',
    access: 'token',
    answers: { kind: 'result', schema: VIRTUAL_NETWORK },
    handle: (call) => ok(present(findAny(call))),
  },
  {
    method: 'PATCH',
    path: `${PATH}/{id}`,
    summary: 'changes the name, the comment or the default flag',
    access: 'token',
    answers: { kind: 'result', schema: VIRTUAL_NETWORK },
    body: objectOf(FIELDS),
    handle: edit,
  },
  {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'deletes a virtual network that is not the default and has no routes',
    access: 'token',
    answers: { kind: 'result', schema: VIRTUAL_NETWORK },
    handle: remove,
  },
]

function list({ query, ...call }: RouteCall) {
  const [id, name] = [uuidOf(query, 'id'), textOf(query, 'name')]
  const isDefault = booleanOf(query, 'is_default_network') ?? booleanOf(query, 'is_default')
  const isDeleted = booleanOf(query, 'is_deleted')
  const found = allOf({ query, ...call }, 'virtualNetwork').filter(
    ({ value, deletedAt }) =>
      (id === undefined || value.id === id) &&
      (name === undefined || value.name === name) &&
      (isDefault === undefined || value.isDefault === isDefault) &&
      (isDeleted === undefined || (deletedAt !== null) === isDeleted),
  )
  return listOf(found.map(present))
}

function create(call: RouteCall) {
  const id = newId()
  const { body } = call
  call.change((draft) => {
    const isDefault = wantsDefault(call) === true
    if (isDefault) unsetDefault(draft)
    draft.put('virtualNetwork', { id, name: textField(body, 'name'), comment: textField(body, 'comment'), isDefault })
  })
  return ok(present(written(call, 'virtualNetwork', id)))
}

function edit(call: RouteCall) {
  const id = idOf(call)
  const { body } = call
  call.change((draft) => {
    const before = draft.get('virtualNetwork', id)
    if (before === undefined) throw notFound(`virtual network \`${id}\` not found`)
    const isDefault = wantsDefault(call) ?? before.isDefault
    if (before.isDefault && !isDefault) {
      throw new ChangeError('change.invalid', 'to unset the default virtual network, make another one the default')
    }
    if (isDefault && !before.isDefault) unsetDefault(draft)
    const [name, comment] = [sentOr(body, 'name', before.name), sentOr(body, 'comment', before.comment)]
    draft.put('virtualNetwork', { id, name, comment, isDefault })
  })
  return ok(present(written(call, 'virtualNetwork', id)))
}

function remove(call: RouteCall) {
  const id = idOf(call)
  call.change((draft) => {
    const before = draft.get('virtualNetwork', id)
    if (before === undefined) throw notFound(`virtual network \`${id}\` not found`)
    if (before.isDefault) throw new ChangeError('change.in_use', 'the default virtual network cannot be deleted')
    const routes = draft.all('privateRoute').filter(({ virtualNetworkId }) => virtualNetworkId === id).length
    if (routes > 0) {
      throw new ChangeError(
        'change.in_use',
        `virtual network \`${before.name}\` has ${routes} route(s); delete them first`,
      )
    }
    draft.remove('virtualNetwork', id)
  })
  return ok(present(written(call, 'virtualNetwork', id)))
}

function wantsDefault({ body }: RouteCall): boolean | undefined {
  const wish = body.is_default_network ?? body.is_default
  return typeof wish === 'boolean' ? wish : undefined
}

function unsetDefault(draft: Draft): void {
  const before = draft.all('virtualNetwork').find(({ isDefault }) => isDefault)
  if (before !== undefined) draft.put('virtualNetwork', { ...before, isDefault: false })
}

function findAny(call: RouteCall): Stored<'virtualNetwork'> {
  const stored = call.ports.plane.current().state.virtualNetwork.get(idOf(call))
  if (stored === undefined) throw notFound(`virtual network \`${idOf(call)}\` not found`)
  return stored
}

function idOf(call: RouteCall): string {
  return (call.params.id ?? '').toLowerCase()
}

function present(stored: Stored<'virtualNetwork'>) {
  const { id, name, comment, isDefault } = stored.value
  return {
    id,
    name,
    comment,
    is_default_network: isDefault,
    is_default: isDefault,
    created_at: micros(stored.createdAt),
    deleted_at: deletedMicros(stored),
  }
}
