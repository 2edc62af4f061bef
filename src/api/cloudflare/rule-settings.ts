// What `rule_settings`, `schedule` and `expiration` of a rule may hold, at every depth, and which settings belong to which types of rules.

import type { Json, JsonObject } from '../../config/lab-state.ts'
import { invalidField } from '../api-error.ts'
import type { RouteSchema } from '../router.ts'
import { ANY_OBJECT, anyMembersOf, FLAG, membersOf, TEXT } from './stored.ts'

interface Setting {
  readonly schema: RouteSchema
  /** types of rules that may have it; absent: all */
  readonly types?: readonly string[]
}

const RESOLVERS = {
  type: ['array', 'null'],
  items: anyMembersOf('ip', 'port', 'route_through_private_network', 'vnet_id'),
}
const ANY = {} as const
const ENABLED = membersOf({ enabled: FLAG })

const EGRESS = membersOf({ ipv4: TEXT, ipv4_fallback: TEXT, ipv6: TEXT })

/** By name, as Cloudflare's API documents them. */
const SETTINGS: Readonly<Record<string, Setting>> = {
  add_headers: { schema: ANY_OBJECT, types: ['http'] },
  allow_child_bypass: { schema: ANY },
  audit_ssh: { schema: membersOf({ command_logging: FLAG }), types: ['l4'] },
  biso_admin_controls: {
    schema: anyMembersOf(
      ...[
        'copy',
        'dcp',
        'dd',
        'dk',
        'download',
        'dp',
        'du',
        'keyboard',
        'paste',
        'printing',
        'upload',
        'version',
        'wm_id',
      ],
    ),
    types: ['http'],
  },
  block_page: { schema: anyMembersOf('target_uri', 'include_context'), types: ['http'] },
  block_page_enabled: { schema: ANY, types: ['dns'] },
  block_reason: { schema: ANY, types: ['dns', 'l4', 'http'] },
  bypass_parent_rule: { schema: ANY },
  check_session: { schema: anyMembersOf('duration', 'enforce'), types: ['l4', 'http'] },
  delete_headers: { schema: ANY, types: ['http'] },
  dns_resolvers: { schema: membersOf({ ipv4: RESOLVERS, ipv6: RESOLVERS }), types: ['dns_resolver'] },
  egress: { schema: EGRESS, types: ['egress'] },
  forensic_copy: { schema: ENABLED, types: ['http'] },
  ignore_cname_category_matches: { schema: ANY, types: ['dns', 'dns_resolver'] },
  insecure_disable_dnssec_validation: { schema: ANY, types: ['dns'] },
  ip_categories: { schema: ANY, types: ['dns', 'dns_resolver'] },
  ip_indicator_feeds: { schema: ANY, types: ['dns', 'dns_resolver'] },
  l4override: { schema: anyMembersOf('ip', 'port'), types: ['l4'] },
  notification_settings: {
    schema: anyMembersOf('enabled', 'include_context', 'msg', 'support_url'),
    types: ['dns', 'l4', 'http'],
  },
  override_host: { schema: ANY, types: ['dns'] },
  override_ips: { schema: ANY, types: ['dns'] },
  payload_log: { schema: ENABLED, types: ['http'] },
  quarantine: { schema: anyMembersOf('file_types'), types: ['http'] },
  redirect: { schema: anyMembersOf('target_uri', 'include_context', 'preserve_path_and_query'), types: ['http'] },
  resolve_dns_internally: { schema: anyMembersOf('fallback', 'view_id'), types: ['dns_resolver'] },
  resolve_dns_through_cloudflare: { schema: ANY, types: ['dns_resolver'] },
  set_headers: { schema: ANY_OBJECT, types: ['http'] },
  untrusted_cert: { schema: anyMembersOf('action'), types: ['http'] },
}

/** `rule_settings` in a body. */
export const RULE_SETTINGS = membersOf(
  Object.fromEntries(Object.entries(SETTINGS).map(([name, { schema }]) => [name, schema])),
)

const CLOCK = '([01]\\d|2[0-3]):[0-5]\\d'
const DAY = {
  type: ['string', 'null'],
  pattern: `^(${CLOCK}-(${CLOCK}|24:00)(,${CLOCK}-(${CLOCK}|24:00))*)?$`,
  description: 'hours such as `08:00-12:30,13:30-17:00`',
}

/** `schedule` in a body: times of day by weekday, in a time zone. */
export const SCHEDULE = membersOf({
  ...Object.fromEntries(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'].map((day) => [day, DAY])),
  time_zone: TEXT,
})

/** `expiration` in a body; `expired` is the API's own. */
export const EXPIRATION = membersOf({
  expires_at: { type: ['string', 'null'], format: 'date-time' },
  duration: { type: ['integer', 'null'], minimum: 0 },
  expired: {},
})

/** Settings that rules of this type cannot have and that say something, by name. */
export function foreignSettings(settings: Json | undefined, type: string): readonly string[] {
  if (typeof settings !== 'object' || settings === null) return []
  return Object.entries(settings as JsonObject).flatMap(([name, value]) => {
    const { types } = SETTINGS[name] ?? {}
    return types === undefined || types.includes(type) || isNothing(value) ? [] : [name]
  })
}

/** Throws ApiError for the first foreign setting of an egress rule. Rules that the lab only keeps may have them: the provider's own tests
 *  create such. */
export function refuseForeignSettings(settings: Json | undefined): void {
  const [name] = foreignSettings(settings, 'egress')
  if (name === undefined) return
  const types = (SETTINGS[name]?.types ?? []).map((each) => `\`${each}\``).join(', ')
  const message = `\`${name}\` is a setting of rules of type ${types}; did you mean \`egress\`?`
  throw invalidField(`/rule_settings/${name}`, message)
}

/** Throws ApiError for a time zone nobody knows. */
export function refuseUnknownTimeZone(schedule: Json | undefined): void {
  const zone: unknown = Object(schedule).time_zone
  if (typeof zone !== 'string' || zone === '') return
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
  } catch {
    throw invalidField('/schedule/time_zone', `\`${zone}\` is not a time zone; write one like \`Europe/Berlin\``)
  }
}

/** Absent, null, empty or switched off: what some clients send for every setting that is not used. */
export function isNothing(value: Json | undefined): boolean {
  if (value === undefined || value === null || value === '' || value === false || value === 0) return true
  return typeof value === 'object' && Object.values(value).every(isNothing)
}
