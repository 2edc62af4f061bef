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
import { ANY_OBJECT, FLAG, objectOf, seconds } from './stored.ts'

const GATEWAY = '/client/v4/accounts/{account_id}/gateway'
const DEVICES = '/client/v4/accounts/{account_id}/devices/settings'

const KEPT = [
  'activity_log',
  'antivirus',
  'app_control_settings',
  'block_page',
  'body_scanning',
  'browser_isolation',
  'certificate',
  'custom_certificate',
  'extended_email_matching',
  'fips',
  'inspection',
  'protocol_detection',
  'sandbox',
  'tls_decrypt',
] as const

const CONFIGURATION = objectOf({
  settings: {
    type: ['object', 'null'],
    additionalProperties: false,
    properties: {
      ...Object.fromEntries(KEPT.map((name) => [name, ANY_OBJECT])),
      max_ttl_secs: { type: ['integer', 'null'] },
      host_selector: { type: ['object', 'null'], additionalProperties: false, properties: { enabled: FLAG } },
    },
  },
})

const LOGGING = objectOf({ redact_pii: FLAG, settings_by_rule_type: ANY_OBJECT })

/** Cloudflare's name of a proxying switch → ours. */
const SWITCHES = { gateway_proxy_enabled: 'tcpProxying', gateway_udp_proxy_enabled: 'udpProxying' } as const

const DEVICE_SETTINGS = objectOf({
  gateway_proxy_enabled: FLAG,
  gateway_udp_proxy_enabled: FLAG,
  root_certificate_installation_enabled: FLAG,
  use_zt_virtual_ip: FLAG,
  disable_for_time: { type: ['integer', 'null'] },
  external_emergency_signal_enabled: FLAG,
  external_emergency_signal_fingerprint: {},
  external_emergency_signal_interval: {},
  external_emergency_signal_url: {},
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
    handle: (call) => writeConfiguration(call, { ...kept(call, 'configuration'), host_selector: hostSelector(call) }),
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
      summary: 'turns TCP and UDP proxying on and off',
      access: 'token',
      answers: { kind: 'result', schema: DEVICE_SETTINGS_SHAPE },
      body: DEVICE_SETTINGS,
      handle: (call) => writeDeviceSettings(call, method === 'PUT'),
    }),
  ),
]

function configuration(call: RouteCall) {
  const { keptSettings, setting } = call.ports.plane.current().state
  const parts = [keptSettings.get('configuration'), setting.get('hostSelector')].filter((part) => part !== undefined)
  const createdAt = Math.min(...parts.map((part) => part.createdAt))
  const updatedAt = Math.max(...parts.map((part) => part.updatedAt))
  const settings = { ...kept(call, 'configuration'), host_selector: hostSelector(call) }
  return { settings, created_at: seconds(createdAt), updated_at: seconds(updatedAt) }
}

/** Settings as `base` with what the request brings laid over it, one whole setting at a time. */
function writeConfiguration(call: RouteCall, base: JsonObject) {
  const sent = call.body.settings
  const given = typeof sent === 'object' && sent !== null ? (sent as JsonObject) : {}
  const { host_selector: selector, ...rest } = { ...base, ...given }
  call.change((draft) => {
    draft.put('keptSettings', { id: 'configuration', value: rest })
    putSetting(draft, 'hostSelector', isOn(selector, 'enabled'))
  })
  return ok(configuration(call))
}

function deviceSettings(call: RouteCall) {
  const { tcpProxying, udpProxying } = call.ports.plane.current().account.settings
  return {
    gateway_proxy_enabled: tcpProxying,
    gateway_udp_proxy_enabled: udpProxying,
    root_certificate_installation_enabled: false,
    use_zt_virtual_ip: false,
    disable_for_time: 0,
  }
}

function writeDeviceSettings(call: RouteCall, isWhole: boolean) {
  call.change((draft) => {
    for (const [theirs, ours] of Object.entries(SWITCHES)) {
      const value = call.body[theirs]
      if (isWhole || typeof value === 'boolean') putSetting(draft, ours, value === true)
    }
  })
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

function kept(call: RouteCall, id: 'configuration' | 'logging'): JsonObject {
  return call.ports.plane.current().state.keptSettings.get(id)?.value.value ?? {}
}

function hostSelector(call: RouteCall): JsonObject {
  return { enabled: call.ports.plane.current().account.settings.hostSelector }
}

function isOn(value: Json | undefined, name: string): boolean {
  return typeof value === 'object' && value !== null && (value as JsonObject)[name] === true
}
