// `/gateway/proxy_endpoints`: each has a listener of its own on loopback, whose port the answers tell in `messages`, as Cloudflare's form
// has no member for it.

import { randomInt } from 'node:crypto'
import type { Json, Stored } from '../../config/lab-state.ts'
import { invalidField, NOTICE_CODES, notFound, requestError } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import { idContains, nameContains, type Selection, select, selectionParameters } from '../select.ts'
import { DELETED, PROXY_ENDPOINT } from '../shapes/cloudflare.ts'
import { find, liveOf, NAME, NETWORK, newId, objectOf, seconds, TEXT, textField, written } from './stored.ts'

const PATH = '/client/v4/accounts/{account_id}/gateway/proxy_endpoints'
const IPS = { type: ['array', 'null'], maxItems: 1000, items: NETWORK } as const

const SELECTION: Selection<Stored<'proxyEndpoint'>> = {
  searchIn: ({ value }) => [value.name],
  filters: {
    name: { fits: ({ value }, text) => nameContains(value.name, text) },
    id: { fits: ({ value }, text) => idContains(value.id, text) },
    kind: { fits: ({ value }, text) => value.kind === text, values: ['ip', 'identity'] },
  },
  orders: {
    name: { by: ({ value }) => value.name.toLowerCase() },
    created_at: { by: ({ createdAt }) => createdAt, descends: true },
    updated_at: { by: ({ updatedAt }) => updatedAt, descends: true },
  },
}

export const PROXY_ENDPOINT_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'lists proxy endpoints',
    access: 'token',
    answers: { kind: 'list', schema: PROXY_ENDPOINT },
    query: selectionParameters(SELECTION),
    handle: (call) => listOf(select(liveOf(call, 'proxyEndpoint'), call.query, SELECTION).map(present)),
  },
  {
    method: 'POST',
    path: PATH,
    summary: 'creates a proxy endpoint of kind `ip` or `identity`',
    access: 'token',
    answers: { kind: 'result', schema: PROXY_ENDPOINT },
    body: objectOf({ name: NAME, kind: { enum: ['ip', 'identity', null] }, ips: IPS, subdomain: TEXT }, ['name']),
    handle: create,
  },
  {
    method: 'GET',
    path: `${PATH}/{id}`,
    summary: 'one proxy endpoint',
    access: 'token',
    answers: { kind: 'result', schema: PROXY_ENDPOINT },
    handle: (call) => shown(call, find(call, 'proxyEndpoint', call.params.id ?? '', 'proxy endpoint')),
  },
  {
    method: 'PATCH',
    path: `${PATH}/{id}`,
    summary: 'changes the name and networks; the kind is fixed',
    access: 'token',
    answers: { kind: 'result', schema: PROXY_ENDPOINT },
    body: objectOf({ name: NAME, kind: { enum: ['ip', 'identity', null] }, ips: IPS, subdomain: TEXT }),
    handle: edit,
  },
  {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'deletes a proxy endpoint',
    access: 'token',
    answers: { kind: 'result', schema: DELETED },
    handle: (call) => {
      const id = (call.params.id ?? '').toLowerCase()
      call.change((draft) => {
        if (!draft.remove('proxyEndpoint', id)) throw notFound(`proxy endpoint \`${id}\` not found`)
      })
      return ok({ id })
    },
  },
]

async function create(call: RouteCall) {
  const { endpoints } = call.ports
  if (endpoints === undefined) {
    const message =
      'this lab opens no further listeners (it has workers, or is a member of a fleet); declare the endpoint in its configuration file'
    throw requestError('unsupported', message)
  }
  const { body } = call
  const kind = body.kind === 'identity' ? 'identity' : 'ip'
  const networks = networksOf(body.ips)
  if (kind === 'identity' && networks.length > 0)
    throw invalidField('/ips', 'an endpoint of kind `identity` has no networks')
  const subdomain = Array.from({ length: 10 }, () => randomInt(36).toString(36)).join('')
  const given = Array.isArray(body.ips) ? {} : { isWithoutNetworks: true as const }
  const made = { id: newId(), kind, name: textField(body, 'name'), subdomain, networks, ...given } as const
  const port = await endpoints.open(made)
  try {
    call.change((draft) => draft.put('proxyEndpoint', { ...made, port }))
  } catch (thrown) {
    endpoints.shut(made.id)
    throw thrown
  }
  return shown(call, written(call, 'proxyEndpoint', made.id))
}

/** Where it listens stands beside it. */
function shown(call: RouteCall, stored: Stored<'proxyEndpoint'>) {
  const at = call.ports.endpoints?.addressOf(stored.value.id)
  const message =
    at === undefined ? [] : [{ code: NOTICE_CODES.listensOn, message: `listens on ${at.host}:${at.port}, TLS or not` }]
  return ok(present(stored), { messages: message })
}

function edit(call: RouteCall) {
  const id = (call.params.id ?? '').toLowerCase()
  const { body } = call
  call.change((draft) => {
    const before = draft.get('proxyEndpoint', id)
    if (before === undefined) throw notFound(`proxy endpoint \`${id}\` not found`)
    const kind = body.kind ?? before.kind
    if (kind !== before.kind)
      throw invalidField('/kind', `the kind of a proxy endpoint is fixed: this one is \`${before.kind}\``)
    const networks = Array.isArray(body.ips) ? networksOf(body.ips) : before.networks
    if (before.kind === 'identity' && networks.length > 0)
      throw invalidField('/ips', 'an endpoint of kind `identity` has no networks')
    draft.put('proxyEndpoint', { ...before, name: textField(body, 'name') || before.name, networks })
  })
  return shown(call, written(call, 'proxyEndpoint', id))
}

function networksOf(sent: Json | undefined): string[] {
  return Array.isArray(sent) ? (sent as string[]) : []
}

function present({ value, createdAt, updatedAt }: Stored<'proxyEndpoint'>) {
  const { id, name, kind, subdomain, networks, isWithoutNetworks } = value
  const ips = kind === 'ip' && !(networks.length === 0 && isWithoutNetworks) ? { ips: networks } : {}
  return { id, name, kind, subdomain, ...ips, created_at: seconds(createdAt), updated_at: seconds(updatedAt) }
}
