// `/gateway/configuration`, `/gateway/logging` and `/devices/settings`: what the lab acts on goes to its settings, the
// rest is kept and returned.

import type { Draft, Json, JsonObject } from '../../config/lab-state.ts'
import type { AccountSettings } from '../../policy/account.ts'
import { ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import {
  CONFIGURATION as CONFIGURATION_SHAPE,
  DEVICE_SETTINGS as DEVICE_SETTINGS_SHAPE,
  LOGGING as LOGGING_SHAPE,
} from '../shapes/cloudflare.ts'
import { ANY_OBJECT, anyMembersOf, ECHOED, FLAG, membersOf, objectOf, seconds } from './stored.ts'

const GATEWAY = '/client/v4/accounts/{account_id}/gateway'
const DEVICES = '/client/v4/accounts/{account_id}/devices/settings'

const ENABLED = membersOf({ enabled: FLAG })

/** Every member of the settings, at every depth. */
const SETTINGS = {
  activity_log: ENABLED,
  antivirus: membersOf({
    ...Object.fromEntries(
      ['enabled_download_phase', 'enabled_upload_phase', 'fail_closed'].map((name) => [name, FLAG]),
    ),
    notification_settings: anyMembersOf('enabled', 'include_context', 'msg', 'support_url'),
  }),
  app_control_settings: ANY_OBJECT,
  block_page: anyMembersOf(
    ...['background_color', 'enabled', 'footer_text', 'header_text', 'include_context', 'logo_path', 'mailto_address'],
    ...['mailto_subject', 'mode', 'name', 'read_only', 'source_account', 'suppress_footer', 'target_uri', 'version'],
  ),
  body_scanning: anyMembersOf('inspection_mode'),
  browser_isolation: membersOf({ non_identity_enabled: FLAG, url_browser_isolation_enabled: FLAG }),
  certificate: anyMembersOf('id'),
  custom_certificate: anyMembersOf('enabled', 'id', 'binding_status', 'qs_pack_id', 'updated_at'),
  extended_email_matching: anyMembersOf('enabled', 'read_only', 'source_account', 'version'),
  fips: membersOf({ tls: FLAG }),
  host_selector: ENABLED,
  inspection: anyMembersOf('mode'),
  max_ttl_secs: { type: ['integer', 'null'] },
  protocol_detection: ENABLED,
  sandbox: anyMembersOf('enabled', 'fallback_action'),
  tls_decrypt: ENABLED,
} as const

const CONFIGURATION = objectOf({ settings: membersOf(SETTINGS) })

const LOGGED = membersOf({ log_all: FLAG, log_blocks: FLAG })
const LOGGING = objectOf({
  redact_pii: FLAG,
  settings_by_rule_type: membersOf({ dns: LOGGED, http: LOGGED, l4: LOGGED }),
})

/** Cloudflare's name of a proxying switch → ours. */
const SWITCHES = { gateway_proxy_enabled: 'tcpProxying', gateway_udp_proxy_enabled: 'udpProxying' } as const

/** Device settings that the lab stores without effect, as they are at first. */
const DEVICE_DEFAULTS = {
  root_certificate_installation_enabled: false,
  use_zt_virtual_ip: false,
  disable_for_time: 0,
} as const

const TEXT_OR_NULL = { type: ['string', 'null'] } as const
const DEVICE_SETTINGS = objectOf({
  gateway_proxy_enabled: FLAG,
  gateway_udp_proxy_enabled: FLAG,
  root_certificate_installation_enabled: FLAG,
  use_zt_virtual_ip: FLAG,
  disable_for_time: { type: ['integer', 'null'] },
  external_emergency_signal_enabled: FLAG,
  external_emergency_signal_fingerprint: TEXT_OR_NULL,
  external_emergency_signal_interval: TEXT_OR_NULL,
  external_emergency_signal_url: TEXT_OR_NULL,
})

export const CONFIGURATION_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: `${GATEWAY}/configuration`,
    summary: 'account settings; `host_selector` takes effect in the lab',
    access: 'token',
    answers: { kind: 'result', schema: CONFIGURATION_SHAPE },
    handle: (call) => ok(configuration(call)),
  },
  {
    method: 'PUT',
    path: `${GATEWAY}/configuration`,
    summary: 'replaces all settings; omitted ones return to their defaults',
    access: 'token',
    answers: { kind: 'result', schema: CONFIGURATION_SHAPE },
    body: CONFIGURATION,
    handle: (call) => writeConfiguration(call, {}),
  },
  {
    method: 'PATCH',
    path: `${GATEWAY}/configuration`,
    summary: 'replaces the given settings',
    access: 'token',
    answers: { kind: 'result', schema: CONFIGURATION_SHAPE },
    body: CONFIGURATION,
    handle: (call) => writeConfiguration(call, presentSettings(call)),
  },
  {
    method: 'GET',
    path: `${GATEWAY}/logging`,
    summary: 'logging settings; stored without effect',
    access: 'token',
    answers: { kind: 'result', schema: LOGGING_SHAPE },
    handle: (call) => ok(logging(call)),
  },
  {
    method: 'PUT',
    path: `${GATEWAY}/logging`,
    summary: 'replaces the logging settings',
    access: 'token',
    answers: { kind: 'result', schema: LOGGING_SHAPE },
    body: LOGGING,
    handle: (call) => {
      const { redact_pii = null, settings_by_rule_type = null } = call.body
      call.change((draft) => draft.put('keptSettings', { id: 'logging', value: { redact_pii, settings_by_rule_type } }))
      return ok(logging(call))
    },
  },
  {
    method: 'GET',
    path: DEVICES,
    summary: 'device settings; TCP and UDP proxying take effect in the lab',
    access: 'token',
    answers: { kind: 'result', schema: DEVICE_SETTINGS_SHAPE },
    handle: (call) => ok(deviceSettings(call)),
  },
  ...(['PUT', 'PATCH'] as const).map(
    (method): Route => ({
      method,
      path: DEVICES,
      summary:
        method === 'PUT'
          ? 'replaces the device settings; omitted ones return to their defaults'
          : 'changes the given device settings',
      access: 'token',
      answers: { kind: 'result', schema: DEVICE_SETTINGS_SHAPE },
      body: DEVICE_SETTINGS,
      handle: (call) => writeDeviceSettings(call, method === 'PUT'),
    }),
  ),
  {
    method: 'DELETE',
    path: DEVICES,
    summary: 'returns the device settings to their defaults',
    access: 'token',
    answers: { kind: 'result', schema: DEVICE_SETTINGS_SHAPE },
    handle: resetDeviceSettings,
  },
]

function configuration(call: RouteCall) {
  const { keptSettings, setting } = call.ports.plane.current().state
  const parts = [keptSettings.get('configuration'), setting.get('hostSelector')].filter((part) => part !== undefined)
  const createdAt = Math.min(...parts.map((part) => part.createdAt))
  const updatedAt = Math.max(...parts.map((part) => part.updatedAt))
  return { settings: presentSettings(call), created_at: seconds(createdAt), updated_at: seconds(updatedAt) }
}

/** The settings that were ever given; `host_selector` also where the file turns it on. */
function presentSettings(call: RouteCall): JsonObject {
  const { hostSelector } = call.ports.plane.current().account.settings
  const { host_selector: given, ...rest } = kept(call, 'configuration')
  return given === undefined && !hostSelector ? rest : { ...rest, host_selector: { enabled: hostSelector } }
}

/** Settings as `base` with what the request brings laid over it, one whole setting at a time. */
function writeConfiguration(call: RouteCall, base: JsonObject) {
  const sent = call.body.settings
  const given = typeof sent === 'object' && sent !== null ? (sent as JsonObject) : {}
  const value = Object.fromEntries(Object.entries({ ...base, ...given }).filter(([, setting]) => setting !== null))
  call.change((draft) => {
    draft.put('keptSettings', { id: 'configuration', value })
    putSetting(draft, 'hostSelector', isOn(value.host_selector, 'enabled'))
  })
  return ok(configuration(call))
}

function deviceSettings(call: RouteCall) {
  const { tcpProxying, udpProxying } = call.ports.plane.current().account.settings
  const switches = { gateway_proxy_enabled: tcpProxying, gateway_udp_proxy_enabled: udpProxying }
  return { ...switches, ...DEVICE_DEFAULTS, ...kept(call, 'devices') }
}

function writeDeviceSettings(call: RouteCall, isWhole: boolean) {
  const { gateway_proxy_enabled: _tcp, gateway_udp_proxy_enabled: _udp, ...sent } = call.body
  const given = Object.entries(sent).filter(([name, value]) => value !== null && !Object.hasOwn(ECHOED, name))
  const value = { ...(isWhole ? {} : kept(call, 'devices')), ...Object.fromEntries(given) }
  call.change((draft) => {
    for (const [theirs, ours] of Object.entries(SWITCHES)) {
      const wish = call.body[theirs]
      if (isWhole || typeof wish === 'boolean') putSetting(draft, ours, wish === true)
    }
    draft.put('keptSettings', { id: 'devices', value })
  })
  return ok(deviceSettings(call))
}

/** What was never written at run time has its default already. */
function resetDeviceSettings(call: RouteCall) {
  const { plane } = call.ports
  call.change((draft) => draft.remove('keptSettings', 'devices'))
  const switches: readonly string[] = Object.values(SWITCHES)
  for (const { kind, id } of plane.overrides())
    if (kind === 'setting' && switches.includes(id)) plane.revert({ kind, id })
  return ok(deviceSettings(call))
}

/** Writes a setting only where it changes, so that the file keeps owning it otherwise. */
function putSetting(draft: Draft, id: keyof AccountSettings, value: Json): void {
  if (draft.get('setting', id)?.value !== value) draft.put('setting', { id, value })
}

function logging(call: RouteCall) {
  const rules = { log_all: false, log_blocks: false }
  const standard = { redact_pii: false, settings_by_rule_type: { dns: rules, http: rules, l4: rules } }
  return { ...standard, ...kept(call, 'logging') }
}

function kept(call: RouteCall, id: 'configuration' | 'logging' | 'devices'): JsonObject {
  return call.ports.plane.current().state.keptSettings.get(id)?.value.value ?? {}
}

function isOn(value: Json | undefined, name: string): boolean {
  return typeof value === 'object' && value !== null && (value as JsonObject)[name] === true
}
