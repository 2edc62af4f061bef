// Resources of Cloudflare's that modules with egress policies bring along and the lab does not act on: what each is and what Cloudflare
// adds to it. kept-routes.ts stores and returns them.

import type { JsonObject, Stored } from '../../config/lab-state.ts'
import type { RouteCall, RouteSchema } from '../router.ts'
import { idOf } from './network-resource.ts'
import { FLAG, find, micros, NETWORK, seconds, TEXT } from './stored.ts'

export type Kept = Stored<'keptResource'>

export interface KeptCollection {
  /** below the account */
  readonly path: string
  /** as in "`what` `id` not found" */
  readonly what: string
  readonly fields: readonly string[]
  /** what some fields must be, where answers elsewhere show them */
  readonly schemas?: RouteSchema
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
  /** what holds in its place, where that is not obvious */
  readonly meanwhile?: (value: JsonObject, call: RouteCall) => string | undefined
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
    schemas: { validity_period_days: { type: ['integer', 'null'], minimum: 1, maximum: 30 * 365 } },
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
    schemas: { network: NETWORK, comment: TEXT, is_default_network: FLAG },
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
    meanwhile: ({ type, domain }, { ports }) => {
      if (type !== 'proxy_endpoint') return undefined
      const hosts = ports.listeners().flatMap(({ endpoint }) => (endpoint?.kind === 'identity' ? [endpoint.host] : []))
      const host = typeof domain === 'string' ? domain.toLowerCase() : ''
      if (host === '') return 'its `domain` is missing, the host name of the proxy endpoint it is for'
      if (hosts.includes(host)) return `everybody who can log in may use the proxy endpoint \`${host}\``
      const known = hosts.map((each) => `\`${each}\``).join(', ')
      return `no proxy endpoint of kind \`identity\` has the domain \`${host}\`; ${known === '' ? 'there are none' : `there are ${known}`}`
    },
    adds: (stored) => ({ aud: stored.value.id.replaceAll('-', '').repeat(2), ...times(stored) }),
  },
]

/** Whole documents or lists at a path of their own, which need no making. */
export interface KeptDocument {
  readonly path: string
  readonly what: string
  readonly update: 'PUT' | 'PATCH'
  /** fields of the body; absent: the body is an array */
  readonly fields?: readonly string[]
  readonly present: (call: RouteCall, stored: Kept | undefined) => JsonObject
  /** what the `{id}` in the path must be */
  readonly of?: (call: RouteCall) => unknown
}

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
