// `/zerotrust/subnets`, above all `initial_resolved_ip`: where placeholders for host selectors are taken from ([D1]).

import type { Stored } from '../../config/lab-state.ts'
import { ChangeError } from '../../errors/change-error.ts'
import { containsIp, parseCidr } from '../../net/cidr.ts'
import { invalidField, notFound } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { booleanOf, PAGING, pagingOf, textOf, wordsOf } from '../select.ts'
import { SUBNET } from '../shapes/cloudflare.ts'
import { keptOf } from './kept-routes.ts'
import { deletedMicros, liveOf, micros, NETWORK, objectOf, sentOr, TEXT, written } from './stored.ts'

const SUBNETS = '/client/v4/accounts/{account_id}/zerotrust/subnets'
const PATH = `${SUBNETS}/initial_resolved_ip/{address_family}`
const TYPES = ['initial_resolved_ip', 'warp', 'cloudflare_source'] as const

export const PLACEHOLDER_SUBNET_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: SUBNETS,
    summary: 'lists the ranges of placeholders and the device subnets that are kept',
    access: 'token',
    answers: { kind: 'list', schema: SUBNET },
    query: [
      { name: 'name', schema: { type: 'string' }, description: 'only the one with this name' },
      { name: 'subnet_types', schema: { type: 'array', items: { enum: TYPES } }, description: 'types of subnets' },
      {
        name: 'is_deleted',
        schema: { type: 'boolean' },
        description: 'true: only deleted ones, of which none is kept',
      },
      ...PAGING,
    ],
    handle: list,
  },
  {
    method: 'GET',
    path: PATH,
    summary: 'the range of placeholders of a family (`v4`, `v6`)',
    access: 'token',
    answers: { kind: 'result', schema: SUBNET },
    handle: (call) => ok(present(written(call, 'placeholderSubnet', familyOf(call)))),
  },
  {
    method: 'PUT',
    path: PATH,
    summary: 'changes that range',
    access: 'token',
    answers: { kind: 'result', schema: SUBNET },
    body: objectOf({
      name: TEXT,
      comment: TEXT,
      network: NETWORK,
      subnet_type: {},
      is_default_network: {},
      capacity: {},
    }),
    handle: replace,
  },
]

function list(call: RouteCall) {
  const { query } = call
  const name = textOf(query, 'name')
  const types = wordsOf(query, 'subnet_types')
  const subnets = [
    ...liveOf(call, 'placeholderSubnet').map(present),
    ...keptOf(call, '/zerotrust/subnets/warp'),
  ] as readonly { readonly name?: unknown; readonly subnet_type?: unknown }[]
  const found = subnets.filter(
    (subnet) =>
      booleanOf(query, 'is_deleted') !== true &&
      (name === undefined || subnet.name === name) &&
      (types.length === 0 || types.includes(String(subnet.subnet_type))),
  )
  return listOf(found, pagingOf(query))
}

function replace(call: RouteCall) {
  const id = familyOf(call)
  const { body } = call
  call.change((draft) => {
    const before = draft.get('placeholderSubnet', id)
    if (before === undefined) throw notFound(`subnet \`${id}\` not found`)
    const network = sentOr(body, 'network', before.network)
    const parsed = parseCidr(network)
    if (parsed === undefined) throw invalidField('/network', `invalid address: \`${network}\` is not a network`)
    for (const route of draft.all('privateRoute')) {
      const other = parseCidr(route.network)
      if (other !== undefined && (containsIp(parsed, other.base) || containsIp(other, parsed.base))) {
        throw new ChangeError('change.in_use', `\`${network}\` overlaps the private route \`${route.network}\``)
      }
    }
    const [name, comment] = [sentOr(body, 'name', before.name), sentOr(body, 'comment', before.comment)]
    draft.put('placeholderSubnet', { ...before, name, comment, network: parsed.text })
  })
  return ok(present(written(call, 'placeholderSubnet', id)))
}

function familyOf(call: RouteCall): 'v4' | 'v6' {
  const family = call.params.address_family
  if (family !== 'v4' && family !== 'v6') throw notFound('the address family is `v4` or `v6`')
  return family
}

function present(stored: Stored<'placeholderSubnet'>) {
  const { uuid, name, comment, network } = stored.value
  return {
    id: uuid,
    name,
    comment,
    network,
    subnet_type: 'initial_resolved_ip',
    is_default_network: true,
    created_at: micros(stored.createdAt),
    deleted_at: deletedMicros(stored),
  }
}
