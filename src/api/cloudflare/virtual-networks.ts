// `/teamnet/virtual_networks`: exactly one is the default.

import type { Draft, Stored } from '../../config/lab-state.ts'
import { ChangeError } from '../../errors/change-error.ts'
import type { Route, RouteCall } from '../router.ts'
import { booleanOf, textOf, uuidOf } from '../select.ts'
import { VIRTUAL_NETWORK } from '../shapes/cloudflare.ts'
import { networkRoutes } from './network-resource.ts'
import { deletedMicros, FLAG, micros, NAME, sentOr, TEXT, textField } from './stored.ts'

export const VIRTUAL_NETWORK_ROUTES: readonly Route[] = networkRoutes({
  kind: 'virtualNetwork',
  path: '/client/v4/accounts/{account_id}/teamnet/virtual_networks',
  what: 'virtual network',
  words: {
    plural: 'virtual networks',
    create: 'creates a virtual network',
    edit: 'changes the name, the comment or the default flag',
    remove: 'deletes a virtual network that is not the default and has no routes',
  },
  schema: VIRTUAL_NETWORK,
  fields: { name: NAME, comment: TEXT, is_default: FLAG, is_default_network: FLAG },
  required: ['name'],
  query: [
    { name: 'id', schema: { type: 'string', format: 'uuid' }, description: 'only the one with this id' },
    { name: 'name', schema: { type: 'string' }, description: 'only the one with this name' },
    {
      name: 'is_default_network',
      schema: { type: 'boolean' },
      description: 'true: only the default one; false: all others',
    },
    { name: 'is_default', schema: { type: 'boolean' }, description: 'older spelling of `is_default_network`' },
  ],
  isPaged: false,
  readsDeleted: false,
  fits: ({ query }) => {
    const [id, name] = [uuidOf(query, 'id'), textOf(query, 'name')]
    const isDefault = booleanOf(query, 'is_default_network') ?? booleanOf(query, 'is_default')
    return ({ value }) =>
      (id === undefined || value.id === id) &&
      (name === undefined || value.name === name) &&
      (isDefault === undefined || value.isDefault === isDefault)
  },
  make: (call, id, draft) => {
    const isDefault = wantsDefault(call) === true
    if (isDefault) unsetDefault(draft)
    return { id, name: textField(call.body, 'name'), comment: textField(call.body, 'comment'), isDefault }
  },
  alter: (call, before, draft) => {
    const isDefault = wantsDefault(call) ?? before.isDefault
    if (before.isDefault && !isDefault) {
      throw new ChangeError('change.invalid', 'to unset the default virtual network, make another one the default')
    }
    if (isDefault && !before.isDefault) unsetDefault(draft)
    const [name, comment] = [sentOr(call.body, 'name', before.name), sentOr(call.body, 'comment', before.comment)]
    return { id: before.id, name, comment, isDefault }
  },
  beforeRemove: (before, draft) => {
    if (before.isDefault) throw new ChangeError('change.in_use', 'the default virtual network cannot be deleted')
    const routes = draft.all('privateRoute').filter(({ virtualNetworkId }) => virtualNetworkId === before.id).length
    if (routes === 0) return
    const message = `virtual network \`${before.name}\` has ${routes} route(s); delete them first`
    throw new ChangeError('change.in_use', message)
  },
  present: (_call, stored) => present(stored),
})

function wantsDefault({ body }: RouteCall): boolean | undefined {
  const wish = body.is_default_network ?? body.is_default
  return typeof wish === 'boolean' ? wish : undefined
}

function unsetDefault(draft: Draft): void {
  const before = draft.all('virtualNetwork').find(({ isDefault }) => isDefault)
  if (before !== undefined) draft.put('virtualNetwork', { ...before, isDefault: false })
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
