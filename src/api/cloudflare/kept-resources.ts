// Resources of Cloudflare's that modules with egress policies bring along and the lab does not act on: stored, returned, and said to be
// without effect. A table says what each is; all of them are made, found, changed and deleted the same way.

import { Type } from 'typebox'
import type { Json, JsonObject, Stored } from '../../config/lab-state.ts'
import { stableUuid } from '../../config/stable-id.ts'
import { notFound } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { Method, Route, RouteCall } from '../router.ts'
import { PAGING, pagingOf } from '../select.ts'
import { ANY_JSON, TEXT } from '../shapes/shape.ts'
import { idOf } from './network-resource.ts'
import { ECHOED, find, liveOf, micros, NAME, newId, objectOf, seconds, written } from './stored.ts'

const A = '/client/v4/accounts/{account_id}'

type Kept = Stored<'keptResource'>

export interface KeptCollection {
  /** below the account */
  readonly path: string
  /** as in "`what` `id` not found" */
  readonly what: string
  readonly fields: readonly string[]
  /** besides the fields that every such resource may be sent with */
  readonly required: readonly string[]
  /** absent: it never changes */
  readonly update?: 'PUT' | 'PATCH'
  /** the member that holds the id; default: `id` */
  readonly idField?: string
  /** where it is listed, if elsewhere; '': nowhere */
  readonly listPath?: string
  /** what the answer to a deletion holds; default: its id */
  readonly deleted?: 'rest' | 'itself'
  /** what Cloudflare adds of its own */
  readonly adds?: (stored: Kept, call: RouteCall) => JsonObject
  /** what the configuration file declares of the kind */
  readonly declared?: (call: RouteCall) => readonly JsonObject[]
  /** changes by a path of their own: word → what it sets */
  readonly actions?: Readonly<Record<string, JsonObject>>
}

const PROFILE = [
  ...['allow_mode_switch', 'allow_updates', 'allowed_to_leave', 'auto_connect', 'browser_extension_config'],
  ...['captive_portal', 'description', 'disable_auto_fallback', 'dns_search_suffixes', 'enabled', 'exclude'],
  ...['exclude_office_ips', 'global_acceleration', 'include', 'lan_allow_minutes', 'lan_allow_subnet_size', 'match'],
  ...['name', 'precedence', 'profile_type', 'register_interface_ip_with_dns', 'sccm_vpn_boundary_support'],
  ...['service_mode_v2', 'support_url', 'switch_locked', 'tunnel_protocol', 'uninstall_protection', 'virtual_networks'],
] as const
const ACCESS_RULES = ['include', 'exclude', 'require'] as const
const DAY_MS = 86_400_000

const times = ({ createdAt, updatedAt }: Kept) => ({ created_at: seconds(createdAt), updated_at: seconds(updatedAt) })

export const KEPT_COLLECTIONS: readonly KeptCollection[] = [
  {
    path: '/devices/posture',
    what: 'device posture rule',
    fields: ['name', 'type', 'description', 'expiration', 'input', 'match', 'schedule'],
    required: ['name', 'type'],
    update: 'PUT',
    declared: ({ ports }) => ports.catalogue().postureChecks.map(({ id, name }) => ({ id, name, type: 'file' })),
  },
  {
    path: '/devices/networks',
    what: 'managed network',
    idField: 'network_id',
    fields: ['name', 'type', 'config'],
    required: ['name', 'type', 'config'],
    update: 'PUT',
    deleted: 'rest',
  },
  {
    path: '/devices/policy',
    listPath: '/devices/policies',
    what: 'device profile',
    idField: 'policy_id',
    fields: [...PROFILE],
    required: ['name'],
    update: 'PATCH',
    deleted: 'rest',
    adds: ({ value }) => ({ default: false, ...('enabled' in value.value ? {} : { enabled: true }) }),
  },
  {
    path: '/gateway/locations',
    what: 'DNS location',
    fields: ['name', 'client_default', 'dns_destination_ips_id', 'ecs_support', 'endpoints', 'max_ttl', 'networks'],
    required: ['name'],
    update: 'PUT',
    adds: (stored) => {
      const subdomain = stored.value.id.replaceAll('-', '').slice(0, 10)
      const { client_default = false, ecs_support = false } = stored.value.value
      return { client_default, ecs_support, doh_subdomain: subdomain, ...times(stored) }
    },
  },
  {
    path: '/gateway/certificates',
    what: 'certificate',
    fields: ['validity_period_days'],
    required: [],
    deleted: 'itself',
    adds: (stored) => {
      const { binding_status = 'inactive', validity_period_days: days } = stored.value.value
      const expires = stored.createdAt + (typeof days === 'number' ? days : 1826) * DAY_MS
      const facts = { binding_status, in_use: false, type: 'gateway_managed', expires_on: seconds(expires) }
      return { ...facts, ...times(stored) }
    },
    actions: { activate: { binding_status: 'available' }, deactivate: { binding_status: 'inactive' } },
  },
  {
    path: '/zerotrust/subnets/warp',
    listPath: '',
    what: 'device subnet',
    fields: ['name', 'network', 'comment', 'is_default_network'],
    required: ['name', 'network'],
    update: 'PATCH',
    deleted: 'itself',
    adds: ({ value: { value }, createdAt }) => ({
      comment: value.comment ?? '',
      is_default_network: value.is_default_network ?? false,
      subnet_type: 'warp',
      created_at: micros(createdAt),
      deleted_at: null,
    }),
  },
  {
    path: '/access/groups',
    what: 'access group',
    fields: ['name', 'is_default', ...ACCESS_RULES],
    required: ['name', 'include'],
    update: 'PUT',
    adds: times,
  },
  {
    path: '/access/policies',
    what: 'access policy',
    fields: [
      ...['name', 'decision', 'approval_groups', 'approval_required', 'connection_rules', 'isolation_required'],
      ...['mfa_config', 'purpose_justification_prompt', 'purpose_justification_required', 'session_duration'],
      ...ACCESS_RULES,
    ],
    required: ['name', 'decision'],
    update: 'PUT',
    adds: (stored) => ({ reusable: true, ...times(stored) }),
  },
  {
    path: '/access/apps',
    what: 'access application',
    fields: [
      ...['allow_authenticate_via_warp', 'allow_iframe', 'allowed_idps', 'app_launcher_logo_url'],
      ...['app_launcher_visible', 'auto_redirect_to_identity', 'bg_color', 'cors_headers', 'custom_deny_message'],
      ...['custom_deny_url', 'custom_non_identity_deny_url', 'custom_pages', 'destinations', 'domain'],
      ...['eager_redirect_cookie_setting', 'enable_binding_cookie', 'footer_links', 'header_bg_color'],
      ...['http_only_cookie_attribute', 'landing_page_design', 'logo_url', 'mfa_config', 'name'],
      ...['oauth_configuration', 'options_preflight_bypass', 'path_cookie_attribute', 'policies'],
      ...['read_service_tokens_from_header', 'saas_app', 'same_site_cookie_attribute', 'scim_config'],
      ...['self_hosted_domains', 'service_auth_401_redirect', 'session_duration', 'skip_app_launcher_login_page'],
      ...['skip_interstitial', 'tags', 'target_criteria', 'type', 'use_clientless_isolation_app_launcher_url'],
    ],
    required: ['type'],
    update: 'PUT',
    adds: (stored) => ({ aud: stored.value.id.replaceAll('-', '').repeat(2), ...times(stored) }),
  },
]

/** Whole documents or lists at a path of their own, which need no making. */
interface KeptDocument {
  readonly path: string
  readonly what: string
  readonly update: 'PUT' | 'PATCH'
  /** fields of the body; absent: the body is an array */
  readonly fields?: readonly string[]
  readonly present: (call: RouteCall, stored: Kept | undefined) => JsonObject
  /** what the `{id}` in the path must be */
  readonly of?: (call: RouteCall) => unknown
}

const profileOf = (call: RouteCall) => findKept(call, '/devices/policy', 'device profile')

export const KEPT_DOCUMENTS: readonly KeptDocument[] = [
  {
    path: '/devices/policy',
    what: 'default device profile',
    update: 'PATCH',
    fields: [...PROFILE],
    present: (_call, stored) => ({ default: true, enabled: true, ...stored?.value.value }),
  },
  {
    path: '/cfd_tunnel/{id}/configurations',
    what: 'configuration of a tunnel',
    update: 'PUT',
    fields: ['config'],
    of: (call) => find(call, 'tunnel', idOf(call), 'tunnel'),
    present: (call, stored) => ({
      account_id: call.ports.plane.current().account.id,
      tunnel_id: idOf(call),
      version: stored?.version ?? 0,
      config: stored?.value.value.config ?? null,
      source: find(call, 'tunnel', idOf(call), 'tunnel').value.configSource,
      created_at: micros(stored?.updatedAt ?? find(call, 'tunnel', idOf(call), 'tunnel').createdAt),
    }),
  },
]

const LISTS = ['exclude', 'include', 'fallback_domains'] as const
const WORDS = { exclude: 'split tunnel excludes', include: 'split tunnel includes', fallback_domains: 'local domains' }

export const KEPT_ROUTES: readonly Route[] = [
  ...KEPT_COLLECTIONS.flatMap(collectionRoutes),
  ...KEPT_DOCUMENTS.flatMap(documentRoutes),
  ...LISTS.flatMap((name) => [
    ...listRoutes(`/devices/policy/${name}`, `${WORDS[name]} of the default device profile`),
    ...listRoutes(`/devices/policy/{id}/${name}`, `${WORDS[name]} of a device profile`, profileOf),
  ]),
]

function without(what: string) {
  return { messages: [{ code: 20203, message: `stored without effect: this lab does not act on any ${what}` }] }
}

function findKept(call: RouteCall, collection: string, what: string): Kept {
  const stored = find(call, 'keptResource', idOf(call), what)
  if (stored.value.collection !== collection) throw notFound(`${what} \`${idOf(call)}\` not found`)
  return stored
}

/** The resources of a collection as the API shows them. */
export function keptOf(call: RouteCall, path: string): readonly JsonObject[] {
  const collection = KEPT_COLLECTIONS.find((each) => each.path === path)
  return liveOf(call, 'keptResource')
    .filter(({ value }) => value.collection === path)
    .map((stored) => show(call, stored, collection))
}

function show(call: RouteCall, stored: Kept, collection: KeptCollection | undefined): JsonObject {
  return { [collection?.idField ?? 'id']: stored.value.id, ...stored.value.value, ...collection?.adds?.(stored, call) }
}

/** What a request brings, without what the API itself writes. */
function sentBy({ body }: RouteCall, own: readonly string[] = []): JsonObject {
  const echoed = new Set([...Object.keys(ECHOED), ...own])
  return Object.fromEntries(Object.entries(body).filter(([name]) => !echoed.has(name)))
}

const ECHOED_TOO = [
  ...['aud', 'app_count', 'binding_status', 'capacity', 'default', 'doh_subdomain', 'expires_on', 'fallback_domains'],
  ...['gateway_unique_id', 'in_use', 'ip', 'reusable', 'subnet_type', 'target_tests', 'uid', 'version'],
]

function bodyOf(fields: readonly string[], required: readonly string[], own: readonly string[] = []) {
  const all = [...ECHOED_TOO.filter((name) => !fields.includes(name)), ...own, ...fields]
  const properties = Object.fromEntries(all.map((name) => [name, name === 'name' ? NAME : {}]))
  return objectOf(properties, required)
}

function shapeOf(fields: readonly string[], idField?: string) {
  const members = Object.fromEntries(fields.map((name) => [name, Type.Optional(ANY_JSON)]))
  return Type.Object({ ...members, ...(idField === undefined ? {} : { [idField]: TEXT }) })
}

function collectionRoutes(collection: KeptCollection): Route[] {
  const { path, what, fields, required, update, idField = 'id', listPath = path, deleted, declared } = collection
  const schema = shapeOf(fields, idField)
  const answers = { kind: 'result', schema } as const
  const own = idField === 'id' ? [] : [idField]
  const present = (call: RouteCall, stored: Kept) => show(call, stored, collection)
  const all = (call: RouteCall) => [...(declared?.(call) ?? []), ...keptOf(call, path)]
  const put = (call: RouteCall, id: string, value: JsonObject) => {
    call.change((draft) => draft.put('keptResource', { id, collection: path, value }))
    return ok(present(call, written(call, 'keptResource', id)), without(what))
  }
  const sent = (call: RouteCall) => sentBy(call, [...ECHOED_TOO.filter((name) => !fields.includes(name)), ...own])
  const one = `${A}${path}/{id}`
  const list: Route = {
    method: 'GET',
    path: `${A}${listPath}`,
    summary: `lists ${plural(what)}`,
    access: 'token',
    answers: { kind: 'list', schema },
    query: PAGING,
    handle: (call) => listOf(all(call), pagingOf(call.query, 1000)),
  }
  const changing: Route[] =
    update === undefined
      ? []
      : [
          {
            method: update,
            path: one,
            summary: update === 'PUT' ? `replaces a kept ${what}` : `changes a kept ${what}`,
            access: 'token',
            answers,
            body: bodyOf(fields, update === 'PUT' ? required : [], own),
            handle: (call) => {
              const { id, value } = findKept(call, path, what).value
              return put(call, id, update === 'PUT' ? sent(call) : { ...value, ...sent(call) })
            },
          },
        ]
  const acting = Object.entries(collection.actions ?? {}).map(
    ([word, sets]): Route => ({
      method: 'POST',
      path: `${one}/${word}`,
      summary: `${word}s a ${what}, in name only`,
      access: 'token',
      answers,
      body: objectOf({}),
      handle: (call) => {
        const { id, value } = findKept(call, path, what).value
        return put(call, id, { ...value, ...sets })
      },
    }),
  )
  return [
    ...(listPath === '' ? [] : [list]),
    {
      method: 'POST',
      path: `${A}${path}`,
      summary: `keeps a ${what}, without effect`,
      access: 'token',
      answers,
      body: bodyOf(fields, required, own),
      handle: (call) => put(call, newId(), sent(call)),
    },
    {
      method: 'GET',
      path: one,
      summary: `one ${what}`,
      access: 'token',
      answers,
      handle: (call) => {
        const found = declared?.(call).find(({ id }) => id === idOf(call))
        return ok(found ?? present(call, findKept(call, path, what)))
      },
    },
    ...changing,
    ...acting,
    {
      method: 'DELETE',
      path: one,
      summary: `deletes a kept ${what}`,
      access: 'token',
      answers:
        deleted === 'rest'
          ? { kind: 'list', schema }
          : { kind: 'result', schema: deleted ? schema : shapeOf([], 'id') },
      handle: (call) => {
        const stored = findKept(call, path, what)
        call.change((draft) => draft.remove('keptResource', stored.value.id))
        if (deleted === 'rest') return listOf(all(call))
        return ok(deleted === 'itself' ? present(call, stored) : { id: stored.value.id })
      },
    },
  ]
}

/** The one document of a path, under an id made of it. */
function documentAt(call: RouteCall, path: string): { readonly id: string; readonly stored: Kept | undefined } {
  const id = stableUuid('kept document', path.replace('{id}', idOf(call)))
  const stored = call.ports.plane.current().state.keptResource.get(id)
  return { id, stored: stored?.deletedAt === null ? stored : undefined }
}

function documentRoutes({ path, what, update, fields = [], present, of }: KeptDocument): Route[] {
  const schema = shapeOf(fields)
  const route = (method: Method, summary: string, handle: Route['handle']): Route => ({
    method,
    path: `${A}${path}`,
    summary,
    access: 'token',
    answers: { kind: 'result', schema },
    ...(method === 'GET' ? {} : { body: bodyOf(fields, [], ['account_id', 'tunnel_id', 'source', 'policy_id']) }),
    handle: (call) => {
      of?.(call)
      return handle(call)
    },
  })
  return [
    route('GET', `the ${what}`, (call) => ok(present(call, documentAt(call, path).stored))),
    route(update, `keeps the ${what}, without effect`, (call) => {
      const { id, stored } = documentAt(call, path)
      const sent = sentBy(call, [...ECHOED_TOO, 'account_id', 'tunnel_id', 'source', 'policy_id'])
      const value = update === 'PATCH' ? { ...stored?.value.value, ...sent } : sent
      call.change((draft) => draft.put('keptResource', { id, collection: path, value }))
      return ok(present(call, written(call, 'keptResource', id)), without(what))
    }),
  ]
}

const ITEM = Type.Unsafe<JsonObject>({ type: 'object' })

function listRoutes(path: string, what: string, of?: (call: RouteCall) => unknown): Route[] {
  const route = (method: Method, summary: string, handle: Route['handle']): Route => ({
    method,
    path: `${A}${path}`,
    summary,
    access: 'token',
    answers: { kind: 'list', schema: ITEM },
    ...(method === 'GET' ? {} : { body: { type: 'array', items: { type: 'object' } } }),
    handle: (call) => {
      of?.(call)
      return handle(call)
    },
  })
  const itemsOf = (stored: Kept | undefined): readonly Json[] => (stored?.value.value.items ?? []) as readonly Json[]
  return [
    route('GET', `the ${what}`, (call) => listOf(itemsOf(documentAt(call, path).stored))),
    route('PUT', `keeps the ${what}, without effect`, (call) => {
      const { id } = documentAt(call, path)
      const { items = [] } = call.body
      call.change((draft) => draft.put('keptResource', { id, collection: path, value: { items } }))
      const stored = written(call, 'keptResource', id)
      return listOf(itemsOf(stored), undefined, without(what).messages)
    }),
  ]
}

function plural(what: string): string {
  return what.endsWith('y') ? `${what.slice(0, -1)}ies` : `${what}s`
}
