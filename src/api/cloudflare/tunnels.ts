// `/cfd_tunnel` and `/warp_connector`, as far as routes need them: names with ids. No connector of either type runs in the lab.

import type { Stored, TunnelDocument } from '../../config/lab-state.ts'
import { listOf, ok } from '../response.ts'
import type { QueryParameter, Route, RouteCall } from '../router.ts'
import { textOf, uuidOf, wordOf, wordsOf } from '../select.ts'
import { CONNECTION, TUNNEL } from '../shapes/cloudflare.ts'
import { TEXT } from '../shapes/shape.ts'
import { idOf, type NetworkResource, networkRoutes } from './network-resource.ts'
import { deletedMicros, FLAG, find, micros, NAME, sentOr, textField } from './stored.ts'

const A = '/client/v4/accounts/{account_id}'
/** The types of tunnels that can be made here; both are kept alike. */
const TUNNEL_TYPES = ['cfd_tunnel', 'warp_connector'] as const

type TunnelType = (typeof TUNNEL_TYPES)[number]

/** Types of tunnels that Cloudflare has. */
export const TYPES: QueryParameter = {
  name: 'tun_types',
  schema: {
    type: 'array',
    items: { enum: ['cfd_tunnel', 'warp_connector', 'warp', 'magic', 'ip_sec', 'gre', 'cni'] },
  },
  description: `tunnel types, repeated or separated by commas; the lab has ${TUNNEL_TYPES.join(' and ')}`,
}

const SECRET = { type: ['string', 'null'], description: 'checked but not stored' } as const
/** No connector ever runs in the lab. */
const STATUS = 'inactive'
const STATUSES = ['inactive', 'degraded', 'healthy', 'down'] as const
const WORDS = { cfd_tunnel: 'tunnel', warp_connector: 'WARP connector' } as const

const QUERY: readonly QueryParameter[] = [
  { name: 'name', schema: { type: 'string' }, description: 'only the one with this name' },
  { name: 'uuid', schema: { type: 'string', format: 'uuid' }, description: 'only the one with this id' },
  { name: 'include_prefix', schema: { type: 'string' }, description: 'only names with this prefix' },
  { name: 'exclude_prefix', schema: { type: 'string' }, description: 'only names without this prefix' },
  {
    name: 'status',
    schema: { enum: STATUSES },
    description: 'only this status; every tunnel of the lab is `inactive`',
  },
]

/** `type` undefined: tunnels of both types. */
function tunnelsAt(path: string, type?: TunnelType): NetworkResource<'tunnel'> {
  const what = type === undefined ? 'tunnel' : WORDS[type]
  return {
    kind: 'tunnel',
    path,
    what,
    words: {
      plural: type === undefined ? 'tunnels of both types' : `${what}s`,
      create: `creates a ${what}`,
      edit: `renames a ${what}`,
      remove: `deletes a ${what} and its routes`,
    },
    schema: TUNNEL,
    fields: {
      name: NAME,
      tunnel_secret: SECRET,
      ...(type === 'cfd_tunnel' ? { config_src: { enum: ['local', 'cloudflare', null] } } : { ha: FLAG }),
    },
    required: ['name'],
    query: type === undefined ? [...QUERY, TYPES] : QUERY,
    isPaged: true,
    readsDeleted: true,
    belongs: ({ value }) => type === undefined || typeOf(value) === type,
    fits,
    make: ({ body }, id) => ({
      id,
      name: textField(body, 'name'),
      // a remotely managed tunnel is what Cloudflare's own default is not
      configSource: body.config_src === 'cloudflare' || type === 'warp_connector' ? 'cloudflare' : 'local',
      ...(type === 'warp_connector' ? { type, ...(body.ha === true ? { ha: true } : {}) } : {}),
    }),
    alter: ({ body }, before) => ({
      ...before,
      name: sentOr(body, 'name', before.name),
      configSource: sentOr(body, 'config_src', before.configSource),
      ...(typeof body.ha === 'boolean' ? { ha: body.ha } : {}),
    }),
    beforeRemove: ({ id }, draft) => {
      for (const kind of ['privateRoute', 'hostnameRoute'] as const) {
        for (const route of draft.all(kind)) if (route.tunnelId === id) draft.remove(kind, route.id)
      }
    },
    present,
  }
}

function connectorRoutes(type: TunnelType): Route[] {
  return [
    {
      method: 'GET',
      path: `${A}/${type}/{id}/token`,
      summary: 'a token of the form that connectors take; none can log in with it here',
      access: 'token',
      answers: { kind: 'result', schema: TEXT },
      handle: (call) => {
        const t = find(call, 'tunnel', idOf(call), WORDS[type]).value.id
        const a = call.ports.plane.current().account.id
        const s = Buffer.from('egresslab').toString('base64')
        return ok(Buffer.from(JSON.stringify({ a, t, s })).toString('base64'))
      },
    },
    {
      method: 'GET',
      path: `${A}/${type}/{id}/connections`,
      summary: 'its connections, of which the lab has none',
      access: 'token',
      answers: { kind: 'list', schema: CONNECTION },
      handle: (call) => {
        find(call, 'tunnel', idOf(call), WORDS[type])
        return listOf([])
      },
    },
  ]
}

export const TUNNEL_ROUTES: readonly Route[] = [
  ...networkRoutes(tunnelsAt(`${A}/tunnels`)).slice(0, 1),
  ...TUNNEL_TYPES.flatMap((type) => [...networkRoutes(tunnelsAt(`${A}/${type}`, type)), ...connectorRoutes(type)]),
]

/** The type of a tunnel; those of the configuration file are `cfd_tunnel`. */
export function typeOf(tunnel: TunnelDocument | undefined): TunnelType {
  return tunnel?.type ?? 'cfd_tunnel'
}

function fits({ query }: RouteCall): (stored: Stored<'tunnel'>) => boolean {
  const [name, id] = [textOf(query, 'name'), uuidOf(query, 'uuid')]
  const [include, exclude] = [textOf(query, 'include_prefix'), textOf(query, 'exclude_prefix')]
  const status = wordOf(query, 'status', STATUSES) ?? STATUS
  const types = wordsOf(query, 'tun_types')
  return ({ value }) =>
    (types.length === 0 || types.includes(typeOf(value))) &&
    (name === undefined || value.name === name) &&
    (id === undefined || value.id === id) &&
    (include === undefined || value.name.startsWith(include)) &&
    (exclude === undefined || !value.name.startsWith(exclude)) &&
    status === STATUS
}

function present(call: RouteCall, stored: Stored<'tunnel'>) {
  const { id, name, configSource, ha } = stored.value
  const type = typeOf(stored.value)
  const managed = { config_src: configSource, remote_config: configSource === 'cloudflare' }
  return {
    id,
    account_tag: call.ports.plane.current().account.id,
    name,
    status: STATUS,
    tun_type: type,
    ...(type === 'cfd_tunnel' ? managed : { ha: ha ?? false }),
    conns_active_at: null,
    conns_inactive_at: null,
    metadata: {},
    created_at: micros(stored.createdAt),
    deleted_at: deletedMicros(stored),
  }
}
