// Resources of Cloudflare's API as the lab answers them.

import { Type } from 'typebox'
import {
  ANY_JSON,
  ANY_OBJECT,
  COUNT,
  FLAG,
  NETWORK,
  NOTHING_OR_TEXT,
  nullable,
  object,
  type Shape,
  TEXT,
  TIME,
} from './shape.ts'

const UUID = Type.String({ format: 'uuid' })
const TIMES = { created_at: TIME, updated_at: TIME }
const LIFE = { created_at: TIME, deleted_at: nullable(TIME) }

export const DELETED = object({ id: TEXT }, 'Deleted')
export const ACCOUNT = object({ id: TEXT, name: TEXT, type: TEXT, settings: ANY_OBJECT, created_on: TIME }, 'Account')
export const VERIFIED_TOKEN = object({ id: TEXT, status: TEXT })

/** null where it was sent so, in rules that do not leave by it */
const ADDRESS = Type.Optional(nullable(TEXT))
const EGRESS = object({ ipv4: ADDRESS, ipv4_fallback: ADDRESS, ipv6: ADDRESS }, 'RuleEgress')
/** as it was sent, whatever else it says */
const RULE_SETTINGS = Type.Object({ egress: Type.Optional(nullable(EGRESS)) })

export const RULE = object(
  {
    id: UUID,
    name: TEXT,
    description: Type.Optional(TEXT),
    precedence: Type.Integer({ minimum: 0 }),
    enabled: FLAG,
    action: TEXT,
    filters: Type.Array(TEXT),
    traffic: TEXT,
    identity: TEXT,
    device_posture: TEXT,
    rule_settings: nullable(RULE_SETTINGS),
    schedule: ANY_JSON,
    expiration: ANY_JSON,
    version: Type.Integer({ minimum: 1 }),
    ...TIMES,
    deleted_at: Type.Null(),
    read_only: FLAG,
    sharable: FLAG,
    source_account: TEXT,
    warning_status: NOTHING_OR_TEXT,
  },
  'Rule',
)

const LIST_MEMBERS = { id: UUID, name: TEXT, type: TEXT, description: TEXT, count: COUNT, ...TIMES }
export const LIST_ITEM = object({ value: TEXT, description: Type.Optional(TEXT), created_at: TIME }, 'ListItem')
export const LIST_SUMMARY = object(LIST_MEMBERS, 'ListSummary')
export const LIST = object({ ...LIST_MEMBERS, items: Type.Optional(Type.Array(LIST_ITEM)) }, 'List')

/** `settings` holds whatever was kept beside what the lab acts on */
export const CONFIGURATION = object(
  { settings: Type.Object({ host_selector: Type.Optional(object({ enabled: FLAG })) }), ...TIMES },
  'Configuration',
)
export const LOGGING = object({ redact_pii: nullable(FLAG), settings_by_rule_type: nullable(ANY_OBJECT) }, 'Logging')
export const DEVICE_SETTINGS = object(
  {
    gateway_proxy_enabled: FLAG,
    gateway_udp_proxy_enabled: FLAG,
    root_certificate_installation_enabled: FLAG,
    use_zt_virtual_ip: FLAG,
    disable_for_time: Type.Integer(),
    external_emergency_signal_enabled: Type.Optional(FLAG),
    external_emergency_signal_fingerprint: Type.Optional(TEXT),
    external_emergency_signal_interval: Type.Optional(TEXT),
    external_emergency_signal_url: Type.Optional(TEXT),
  },
  'DeviceSettings',
)

export const PROXY_ENDPOINT = object(
  {
    id: UUID,
    name: TEXT,
    kind: Type.Enum(['ip', 'identity']),
    subdomain: TEXT,
    ips: Type.Optional(Type.Array(NETWORK)),
    ...TIMES,
  },
  'ProxyEndpoint',
)

const PAC_FILE_MEMBERS = {
  id: UUID,
  name: TEXT,
  slug: TEXT,
  description: Type.Optional(TEXT),
  url: TEXT,
  ...TIMES,
}
export const PAC_FILE_SUMMARY = object(PAC_FILE_MEMBERS, 'PacFileSummary')
export const PAC_FILE = object({ ...PAC_FILE_MEMBERS, contents: TEXT }, 'PacFile')

export const VIRTUAL_NETWORK = object(
  { id: UUID, name: TEXT, comment: TEXT, is_default_network: FLAG, is_default: FLAG, ...LIFE },
  'VirtualNetwork',
)

const ROUTE_MEMBERS = { id: UUID, network: NETWORK, tunnel_id: UUID, virtual_network_id: UUID, comment: TEXT, ...LIFE }
export const PRIVATE_ROUTE = object(ROUTE_MEMBERS, 'PrivateRoute')
export const NAMED_PRIVATE_ROUTE = object(
  { ...ROUTE_MEMBERS, tun_type: TEXT, tunnel_name: TEXT, virtual_network_name: TEXT },
  'NamedPrivateRoute',
)

export const HOSTNAME_ROUTE = object(
  { id: UUID, hostname: TEXT, tunnel_id: UUID, tunnel_name: TEXT, tun_type: TEXT, comment: TEXT, ...LIFE },
  'HostnameRoute',
)

export const SUBNET = object(
  { id: UUID, name: TEXT, comment: TEXT, network: NETWORK, subnet_type: TEXT, is_default_network: FLAG, ...LIFE },
  'Subnet',
)

export const TUNNEL = object(
  {
    id: UUID,
    account_tag: TEXT,
    name: TEXT,
    status: TEXT,
    tun_type: TEXT,
    config_src: Type.Optional(Type.Enum(['local', 'cloudflare'])),
    remote_config: Type.Optional(FLAG),
    ha: Type.Optional(FLAG),
    conns_active_at: nullable(TIME),
    conns_inactive_at: nullable(TIME),
    metadata: ANY_OBJECT,
    ...LIFE,
  },
  'Tunnel',
)

/** an application, or the type of applications that `application_type_id` names */
export const APP_TYPE = object(
  {
    id: COUNT,
    name: TEXT,
    application_type_id: Type.Optional(COUNT),
    description: Type.Optional(TEXT),
    created_at: TIME,
  },
  'AppType',
)
export const CATEGORY = object(
  { id: COUNT, name: TEXT, description: TEXT, class: TEXT, beta: FLAG, subcategories: Type.Array(ANY_OBJECT) },
  'ContentCategory',
)

/** a connector's connection; the lab has none */
export const CONNECTION = object({ id: UUID }, 'TunnelConnection')
const NOTHING_OR_COUNT = nullable(COUNT)
export const LOGPUSH_JOB = object(
  {
    id: Type.Integer({ minimum: 1 }),
    name: NOTHING_OR_TEXT,
    dataset: TEXT,
    destination_conf: TEXT,
    enabled: FLAG,
    filter: NOTHING_OR_TEXT,
    frequency: Type.Enum(['high', 'low']),
    kind: TEXT,
    logpull_options: NOTHING_OR_TEXT,
    max_upload_bytes: NOTHING_OR_COUNT,
    max_upload_interval_seconds: NOTHING_OR_COUNT,
    max_upload_records: NOTHING_OR_COUNT,
    output_options: nullable(ANY_OBJECT),
    last_complete: nullable(TIME),
    last_error: nullable(TIME),
    error_message: NOTHING_OR_TEXT,
  },
  'LogpushJob',
)
export const JOB_DELETED = object({ id: Type.Integer() })
export const LOGPUSH_FIELDS = Type.Unsafe<{ readonly [name: string]: string }>({
  type: 'object',
  additionalProperties: { type: 'string' },
})
export const LOGPUSH_VALID = object({ valid: FLAG, message: Type.Optional(TEXT) })
export const LOGPUSH_EXISTS = object({ exists: FLAG })
export const LOGPUSH_CHALLENGE = object({ filename: TEXT, valid: FLAG, message: TEXT })

export type RuleShape = Shape<typeof RULE>
export type RuleEgress = Shape<typeof EGRESS>
export type VirtualNetworkShape = Shape<typeof VIRTUAL_NETWORK>
