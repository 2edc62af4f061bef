// `/teamnet/routes`: private networks behind tunnels, one route per network and virtual network.

import type { Draft, PrivateRouteDocument, Stored } from '../../config/lab-state.ts'
import { type Cidr, containsIp, parseCidr } from '../../net/cidr.ts'
import { parseIp } from '../../net/ip.ts'
import { invalidField, notFound } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { booleanOf, cidrOf, instantOf, ipParam, PAGING, pagingOf, textOf, uuidOf } from '../select.ts'
import { NAMED_PRIVATE_ROUTE, PRIVATE_ROUTE } from '../shapes/cloudflare.ts'
import {
  allOf,
  deletedMicros,
  liveOf,
  micros,
  newId,
  objectOf,
  sentOr,
  TEXT,
  textField,
  UUID,
  written,
} from './stored.ts'

const PATH = '/client/v4/accounts/{account_id}/teamnet/routes'
const NOT_ROUTED = 1015
const OPTIONAL_UUID = { ...UUID, type: ['string', 'null'], pattern: `${UUID.pattern}|^$` } as const
const ECHOED_NAMES = { tun_type: {}, tunnel_name: {}, virtual_network_name: {} }
const FIELDS = {
  network: { type: 'string' },
  tunnel_id: UUID,
  comment: TEXT,
  virtual_network_id: OPTIONAL_UUID,
  ...ECHOED_NAMES,
}
const text = { type: 'string' } as const
const uuid = { type: 'string', format: 'uuid' } as const
const network = { type: 'string', format: 'cidr' } as const
/** Types of tunnels that Cloudflare has. */
const TUNNEL_TYPES = ['cfd_tunnel', 'warp_connector', 'warp', 'magic', 'ip_sec', 'gre', 'cni'] as const

export const PRIVATE_ROUTE_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'lists routes, including deleted ones by default',
    access: 'token',
    answers: { kind: 'list', schema: NAMED_PRIVATE_ROUTE },
    query: [
      { name: 'route_id', schema: uuid, description: 'only the one with this id' },
      { name: 'comment', schema: text, description: 'only routes with this comment' },
      { name: 'tunnel_id', schema: uuid, description: 'only routes through this tunnel' },
      { name: 'virtual_network_id', schema: uuid, description: 'only sessions on this virtual network' },
      { name: 'network_subset', schema: network, description: 'only routes inside this network' },
      { name: 'network_superset', schema: network, description: 'only routes that contain this network' },
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
      {
        name: 'tun_types',
        schema: { type: 'array', items: { enum: TUNNEL_TYPES } },
        description: 'tunnel types, repeated or separated by commas; every tunnel of the lab is a `cfd_tunnel`',
      },
      ...PAGING,
    ],
    handle: list,
  },
  {
    method: 'POST',
    path: PATH,
    summary: 'routes a network through a tunnel',
    access: 'token',
    answers: { kind: 'result', schema: PRIVATE_ROUTE },
    body: objectOf(FIELDS, ['network', 'tunnel_id']),
    handle: create,
  },
  {
    method: 'GET',
    path: `${PATH}/{id}`,
    summary: 'one route, even if deleted',
    access: 'token',
    answers: { kind: 'result', schema: PRIVATE_ROUTE },
    handle: (call) => ok(present(findAny(call))),
  },
  {
    method: 'PATCH',
    path: `${PATH}/{id}`,
    summary: 'changes a route',
    access: 'token',
    answers: { kind: 'result', schema: PRIVATE_ROUTE },
    body: objectOf(FIELDS),
    handle: edit,
  },
  {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'deletes a route',
    access: 'token',
    answers: { kind: 'result', schema: PRIVATE_ROUTE },
    handle: remove,
  },
  {
    method: 'GET',
    path: `${PATH}/ip/{ip}`,
    summary: 'the most specific route to an address',
    access: 'token',
    answers: { kind: 'result', schema: NAMED_PRIVATE_ROUTE },
    query: [
      { name: 'virtual_network_id', schema: uuid, description: 'in this virtual network (default: the default one)' },
      {
        name: 'default_virtual_network_fallback',
        schema: { type: 'boolean' },
        description: 'ignored: every route has a virtual network',
      },
    ],
    handle: lookUp,
  },
]

function list(call: RouteCall) {
  const { query } = call
  const [subset, superset] = [cidrOf(query, 'network_subset'), cidrOf(query, 'network_superset')]
  const isDeleted = booleanOf(query, 'is_deleted')
  const existedAt = instantOf(query, 'existed_at')
  const types = query
    .getAll('tun_types')
    .flatMap((types) => types.split(','))
    .filter((type) => type !== '')
  const [id, tunnelId] = [uuidOf(query, 'route_id'), uuidOf(query, 'tunnel_id')]
  const [virtualNetworkId, comment] = [uuidOf(query, 'virtual_network_id'), textOf(query, 'comment')]
  const found = allOf(call, 'privateRoute').filter(({ value, createdAt, deletedAt }) => {
    const network = networkOf(value)
    return (
      (id === undefined || value.id === id) &&
      (comment === undefined || value.comment === comment) &&
      (tunnelId === undefined || value.tunnelId === tunnelId) &&
      (virtualNetworkId === undefined || value.virtualNetworkId === virtualNetworkId) &&
      (subset === undefined || isWithin(network, subset)) &&
      (superset === undefined || isWithin(superset, network)) &&
      (isDeleted === undefined || (deletedAt !== null) === isDeleted) &&
      (existedAt === undefined || (createdAt <= existedAt && (deletedAt === null || deletedAt > existedAt))) &&
      (types.length === 0 || types.includes('cfd_tunnel'))
    )
  })
  return listOf(
    found.map((route) => presentWithNames(call, route)),
    pagingOf(query),
  )
}

function create(call: RouteCall) {
  const id = newId()
  const { body } = call
  const network = readNetwork(textField(body, 'network'))
  call.change((draft) => {
    const virtualNetworkId = textField(body, 'virtual_network_id').toLowerCase() || defaultNetwork(draft)
    const tunnelId = textField(body, 'tunnel_id').toLowerCase()
    draft.put('privateRoute', { id, network, virtualNetworkId, tunnelId, comment: textField(body, 'comment') })
  })
  return ok(present(written(call, 'privateRoute', id)))
}

function edit(call: RouteCall) {
  const id = idOf(call)
  const { body } = call
  call.change((draft) => {
    const before = draft.get('privateRoute', id)
    if (before === undefined) throw notRouted(id)
    draft.put('privateRoute', {
      id,
      network: body.network === undefined ? before.network : readNetwork(textField(body, 'network')),
      virtualNetworkId: textField(body, 'virtual_network_id').toLowerCase() || before.virtualNetworkId,
      tunnelId: textField(body, 'tunnel_id').toLowerCase() || before.tunnelId,
      comment: sentOr(body, 'comment', before.comment),
    })
  })
  return ok(present(written(call, 'privateRoute', id)))
}

function remove(call: RouteCall) {
  const id = idOf(call)
  call.change((draft) => {
    if (!draft.remove('privateRoute', id)) throw notRouted(id)
  })
  return ok(present(written(call, 'privateRoute', id)))
}

function lookUp(call: RouteCall) {
  const address = ipParam(call.params.ip ?? '')
  const { virtualNetworks } = call.ports.plane.current().account
  const wanted = uuidOf(call.query, 'virtual_network_id') ?? virtualNetworks.find(({ isDefault }) => isDefault)?.id
  const [best] = liveOf(call, 'privateRoute')
    .filter(({ value }) => value.virtualNetworkId === wanted && containsIp(networkOf(value), address))
    .sort((a, b) => networkOf(b.value).length - networkOf(a.value).length)
  if (best === undefined) throw notFound(`no route contains \`${address.text}\` in this virtual network`, NOT_ROUTED)
  return ok(presentWithNames(call, best))
}

/** The canonical prefix. Host bits are an error that names the network meant, so that nothing changes silently. */
function readNetwork(sent: string): string {
  const network = parseCidr(sent)
  if (network === undefined) throw invalidField('/network', `\`${sent}\` is not a network in CIDR notation`)
  const written = parseIp(sent.split('/')[0] ?? '')
  if (written?.text !== network.base.text) {
    throw invalidField('/network', `\`${sent}\` has host bits set; the network is \`${network.text}\``)
  }
  return network.text
}

function isWithin(inner: Cidr, outer: Cidr): boolean {
  return inner.length >= outer.length && containsIp(outer, inner.base)
}

function networkOf({ network }: PrivateRouteDocument): Cidr {
  const parsed = parseCidr(network)
  if (parsed === undefined) throw new Error(`the route network ${network} does not parse`)
  return parsed
}

function defaultNetwork(draft: Draft): string {
  return draft.all('virtualNetwork').find(({ isDefault }) => isDefault)?.id ?? ''
}

function findAny(call: RouteCall): Stored<'privateRoute'> {
  const stored = call.ports.plane.current().state.privateRoute.get(idOf(call))
  if (stored === undefined) throw notRouted(idOf(call))
  return stored
}

function notRouted(id: string) {
  return notFound(`route \`${id}\` not found: add the network before modifying it`, NOT_ROUTED)
}

function idOf(call: RouteCall): string {
  return (call.params.id ?? '').toLowerCase()
}

function present(stored: Stored<'privateRoute'>) {
  const { id, network, virtualNetworkId, tunnelId, comment } = stored.value
  const times = { created_at: micros(stored.createdAt), deleted_at: deletedMicros(stored) }
  return { id, network, tunnel_id: tunnelId, virtual_network_id: virtualNetworkId, comment, ...times }
}

function presentWithNames(call: RouteCall, stored: Stored<'privateRoute'>) {
  const { tunnel, virtualNetwork } = call.ports.plane.current().state
  return {
    ...present(stored),
    tun_type: 'cfd_tunnel',
    tunnel_name: tunnel.get(stored.value.tunnelId)?.value.name ?? '',
    virtual_network_name: virtualNetwork.get(stored.value.virtualNetworkId)?.value.name ?? '',
  }
}
