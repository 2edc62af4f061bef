// What is behind tunnels: `/teamnet/routes`, one route per network and virtual network, and `/zerotrust/routes/hostname`.

import type { Draft, PrivateRouteDocument, Stored } from '../../config/lab-state.ts'
import { type Cidr, containsIp, parseCidr } from '../../net/cidr.ts'
import { parseHost } from '../../net/host.ts'
import { parseIp } from '../../net/ip.ts'
import { invalidField, notFound, WORDED_CODES } from '../api-error.ts'
import { ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { booleanOf, cidrOf, ipParam, nameContains, textOf, uuidOf, wordsOf } from '../select.ts'
import { HOSTNAME_ROUTE, NAMED_PRIVATE_ROUTE, PRIVATE_ROUTE } from '../shapes/cloudflare.ts'
import { networkRoutes, referenceOf } from './network-resource.ts'
import { deletedMicros, liveOf, micros, NAME, NETWORK, sentOr, TEXT, textField, UUID } from './stored.ts'
import { TYPES, typeOf } from './tunnels.ts'

const NETWORKS = '/client/v4/accounts/{account_id}/teamnet/routes'
const OPTIONAL_UUID = { ...UUID, type: ['string', 'null'], pattern: `${UUID.pattern}|^$` } as const
const ECHOED_NAMES = { tun_type: {}, tunnel_name: {}, virtual_network_name: {} }
const text = { type: 'string' } as const
const uuid = { type: 'string', format: 'uuid' } as const
const network = { type: 'string', format: 'cidr' } as const
export const TUNNEL_ROUTE_ROUTES: readonly Route[] = [
  ...networkRoutes({
    kind: 'privateRoute',
    path: NETWORKS,
    what: 'route',
    words: {
      plural: 'routes',
      create: 'routes a network through a tunnel',
      edit: 'changes a route',
      remove: 'deletes a route',
    },
    schema: PRIVATE_ROUTE,
    listed: { schema: NAMED_PRIVATE_ROUTE, present: presentWithNames },
    fields: {
      network: NETWORK,
      tunnel_id: UUID,
      comment: TEXT,
      virtual_network_id: OPTIONAL_UUID,
      ...ECHOED_NAMES,
    },
    required: ['network', 'tunnel_id'],
    query: [
      { name: 'route_id', schema: uuid, description: 'only the one with this id' },
      { name: 'comment', schema: text, description: 'only routes with this comment' },
      { name: 'tunnel_id', schema: uuid, description: 'only routes through this tunnel' },
      { name: 'virtual_network_id', schema: uuid, description: 'only routes of this virtual network' },
      { name: 'network_subset', schema: network, description: 'only routes inside this network' },
      { name: 'network_superset', schema: network, description: 'only routes that contain this network' },
      TYPES,
    ],
    isPaged: true,
    readsDeleted: true,
    fits: fitsNetwork,
    make: (call, id, draft) => ({
      id,
      network: readNetwork(textField(call.body, 'network')),
      virtualNetworkId: referenceOf(call, 'virtual_network_id') ?? defaultNetwork(draft),
      tunnelId: referenceOf(call, 'tunnel_id') ?? '',
      comment: textField(call.body, 'comment'),
    }),
    alter: (call, before) => ({
      id: before.id,
      network: call.body.network === undefined ? before.network : readNetwork(textField(call.body, 'network')),
      virtualNetworkId: referenceOf(call, 'virtual_network_id') ?? before.virtualNetworkId,
      tunnelId: referenceOf(call, 'tunnel_id') ?? before.tunnelId,
      comment: sentOr(call.body, 'comment', before.comment),
    }),
    present: (_call, stored) => presentNetwork(stored),
    missing: (id) =>
      notFound(`route \`${id}\` not found: add the network before modifying it`, WORDED_CODES.noSuchRoute),
  }),
  {
    method: 'GET',
    path: `${NETWORKS}/ip/{ip}`,
    summary: 'the most specific route to an address',
    access: 'token',
    answers: { kind: 'result', schema: NAMED_PRIVATE_ROUTE },
    query: [
      { name: 'virtual_network_id', schema: uuid, description: 'in this virtual network (default: the default one)' },
      {
        name: 'default_virtual_network_fallback',
        schema: { type: 'boolean' },
        description: 'where that virtual network has no such route, whether to look in the default one',
      },
    ],
    handle: lookUp,
  },
  ...networkRoutes({
    kind: 'hostnameRoute',
    path: '/client/v4/accounts/{account_id}/zerotrust/routes/hostname',
    what: 'host name route',
    words: {
      plural: 'host name routes',
      create: 'routes a host name through a tunnel',
      edit: 'changes a host name route',
      remove: 'deletes a host name route',
    },
    schema: HOSTNAME_ROUTE,
    fields: { hostname: NAME, tunnel_id: UUID, comment: TEXT, tun_type: {}, tunnel_name: {} },
    required: ['hostname', 'tunnel_id'],
    query: [
      { name: 'id', schema: uuid, description: 'only the one with this id' },
      { name: 'hostname', schema: text, description: 'part of the host name, case-insensitive' },
      { name: 'comment', schema: text, description: 'only routes with this comment' },
      { name: 'tunnel_id', schema: uuid, description: 'only routes through this tunnel' },
    ],
    isPaged: true,
    readsDeleted: false,
    fits: fitsHostname,
    make: (call, id) => ({
      id,
      hostname: readHostname(textField(call.body, 'hostname')),
      tunnelId: referenceOf(call, 'tunnel_id') ?? '',
      comment: textField(call.body, 'comment'),
    }),
    alter: (call, before) => ({
      id: before.id,
      hostname: call.body.hostname === undefined ? before.hostname : readHostname(textField(call.body, 'hostname')),
      tunnelId: referenceOf(call, 'tunnel_id') ?? before.tunnelId,
      comment: sentOr(call.body, 'comment', before.comment),
    }),
    present: (call, stored) => ({
      id: stored.value.id,
      hostname: stored.value.hostname,
      tunnel_id: stored.value.tunnelId,
      ...tunnelFacts(call, stored.value.tunnelId),
      comment: stored.value.comment,
      created_at: micros(stored.createdAt),
      deleted_at: deletedMicros(stored),
    }),
  }),
]

function fitsNetwork(call: RouteCall): (stored: Stored<'privateRoute'>) => boolean {
  const { query } = call
  const [subset, superset] = [cidrOf(query, 'network_subset'), cidrOf(query, 'network_superset')]
  const types = wordsOf(query, 'tun_types')
  const [id, tunnelId] = [uuidOf(query, 'route_id'), uuidOf(query, 'tunnel_id')]
  const [virtualNetworkId, comment] = [uuidOf(query, 'virtual_network_id'), textOf(query, 'comment')]
  return ({ value }) => {
    const routed = networkOf(value)
    return (
      (id === undefined || value.id === id) &&
      (comment === undefined || value.comment === comment) &&
      (tunnelId === undefined || value.tunnelId === tunnelId) &&
      (virtualNetworkId === undefined || value.virtualNetworkId === virtualNetworkId) &&
      (subset === undefined || isWithin(routed, subset)) &&
      (superset === undefined || isWithin(superset, routed)) &&
      (types.length === 0 || types.includes(tunnelFacts(call, value.tunnelId).tun_type))
    )
  }
}

function fitsHostname({ query }: RouteCall): (stored: Stored<'hostnameRoute'>) => boolean {
  const [id, tunnelId] = [uuidOf(query, 'id'), uuidOf(query, 'tunnel_id')]
  const [hostname, comment] = [textOf(query, 'hostname'), textOf(query, 'comment')]
  return ({ value }) =>
    (id === undefined || value.id === id) &&
    (comment === undefined || value.comment === comment) &&
    (tunnelId === undefined || value.tunnelId === tunnelId) &&
    (hostname === undefined || nameContains(value.hostname, hostname))
}

function lookUp(call: RouteCall) {
  const address = ipParam(call.params.ip ?? '')
  const { virtualNetworks } = call.ports.plane.current().account
  const standard = virtualNetworks.find(({ isDefault }) => isDefault)?.id
  const wanted = uuidOf(call.query, 'virtual_network_id') ?? standard
  const alternatives = booleanOf(call.query, 'default_virtual_network_fallback') ? [wanted, standard] : [wanted]
  for (const network of alternatives) {
    const [best] = liveOf(call, 'privateRoute')
      .filter(({ value }) => value.virtualNetworkId === network && containsIp(networkOf(value), address))
      .sort((a, b) => networkOf(b.value).length - networkOf(a.value).length)
    if (best !== undefined) return ok(presentWithNames(call, best))
  }
  throw notFound(`no route contains \`${address.text}\` in this virtual network`, WORDED_CODES.noSuchRoute)
}

/** The canonical prefix. Host bits are an error that names the network meant, so that nothing changes silently. */
function readNetwork(sent: string): string {
  const parsed = parseCidr(sent)
  if (parsed === undefined) {
    throw invalidField('/network', `invalid address: \`${sent}\` is not a network in CIDR notation`)
  }
  const base = parseIp(sent.split('/')[0] ?? '')
  if (base?.text !== parsed.base.text) {
    throw invalidField('/network', `invalid address: \`${sent}\` has host bits set; the network is \`${parsed.text}\``)
  }
  return parsed.text
}

/** A host name, or `*.` and one. */
function readHostname(sent: string): string {
  const host = parseHost(sent.startsWith('*.') ? sent.slice(2) : sent)
  if (host?.kind !== 'name') throw invalidField('/hostname', `\`${sent}\` is not a host name`)
  return sent
}

function isWithin(inner: Cidr, outer: Cidr): boolean {
  return inner.length >= outer.length && containsIp(outer, inner.base)
}

function networkOf(route: PrivateRouteDocument): Cidr {
  const parsed = parseCidr(route.network)
  if (parsed === undefined) throw new Error(`the route network ${route.network} does not parse`)
  return parsed
}

function defaultNetwork(draft: Draft): string {
  return draft.all('virtualNetwork').find(({ isDefault }) => isDefault)?.id ?? ''
}

function presentNetwork(stored: Stored<'privateRoute'>) {
  const { id, network: routed, virtualNetworkId, tunnelId, comment } = stored.value
  const times = { created_at: micros(stored.createdAt), deleted_at: deletedMicros(stored) }
  return { id, network: routed, tunnel_id: tunnelId, virtual_network_id: virtualNetworkId, comment, ...times }
}

function presentWithNames(call: RouteCall, stored: Stored<'privateRoute'>) {
  const { virtualNetwork } = call.ports.plane.current().state
  return {
    ...presentNetwork(stored),
    ...tunnelFacts(call, stored.value.tunnelId),
    virtual_network_name: virtualNetwork.get(stored.value.virtualNetworkId)?.value.name ?? '',
  }
}

function tunnelFacts(call: RouteCall, id: string) {
  const tunnel = call.ports.plane.current().state.tunnel.get(id)?.value
  return { tun_type: typeOf(tunnel), tunnel_name: tunnel?.name ?? '' }
}
