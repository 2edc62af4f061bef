// Whatever is accepted is given back: over every route of Cloudflare's that takes a body, with every field its description has.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { KEPT_COLLECTIONS } from '../../src/api/cloudflare/kept-resources.ts'
import { ECHOED } from '../../src/api/cloudflare/stored.ts'
import type { Route } from '../../src/api/router.ts'
import { ROUTES } from '../../src/api/routes.ts'
import { EMEA_VNET, TUNNEL } from '../store/lab.ts'
import { type RunningApi, runApi } from './running-api.ts'

const A = '/client/v4/accounts/{account_id}'
const OTHER_VNET = EMEA_VNET

let api: RunningApi
/** takes whatever is pushed to it */
const siem = createServer((request, response) => request.resume().once('end', () => response.end()))
beforeAll(async () => {
  api = await runApi()
  await once(siem.listen(0, '127.0.0.1'), 'listening')
})
afterAll(async () => {
  await api.close()
  siem.close()
})

/** With the port of the destination that is listening. */
function reachable(body: Body): Body {
  const { port } = siem.address() as AddressInfo
  return JSON.parse(JSON.stringify(body).replace('https://siem.test', `http://127.0.0.1:${port}`)) as Body
}

type Body = Readonly<Record<string, unknown>>

interface Case {
  /** everything that can be sent; `make`: what only POST takes */
  readonly body: Body
  readonly make?: Body
  /** sent, checked and by its nature not shown again, or shown as another member */
  readonly hidden?: readonly string[]
}

const EGRESS = { ipv4: '203.0.113.20', ipv4_fallback: '0.0.0.0', ipv6: '2001:db8:20::/64' }
const PAC = 'function FindProxyForURL(url, host) { return "DIRECT"; }'

const CASES: Readonly<Record<string, Case>> = {
  '/gateway/rules': {
    body: {
      name: 'whole',
      description: 'd',
      action: 'egress',
      enabled: true,
      filters: ['egress'],
      precedence: 77,
      traffic: 'net.dst.port == 443',
      identity: 'identity.email == "a@example.com"',
      device_posture: 'any(device_posture.checks.passed[*] == "x")',
      rule_settings: { egress: EGRESS },
      schedule: null,
      expiration: null,
    },
  },
  '/gateway/lists': {
    body: { name: 'l', description: 'd', type: 'IP', items: [{ value: '192.0.2.1', description: 'one' }] },
  },
  '/gateway/proxy_endpoints': {
    body: { name: 'e', kind: 'ip', ips: ['192.0.2.0/24'] },
    hidden: ['subdomain'],
  },
  '/gateway/pacfiles': {
    body: { name: 'p', description: 'd', contents: PAC },
    make: { slug: 'pac_devops' },
    hidden: ['slug', 'url'],
  },
  '/teamnet/virtual_networks': {
    body: { name: 'v', comment: 'c', is_default: false, is_default_network: false },
  },
  '/teamnet/routes': {
    body: { network: '10.9.0.0/16', tunnel_id: TUNNEL, comment: 'c', virtual_network_id: OTHER_VNET },
  },
  '/zerotrust/routes/hostname': { body: { hostname: 'x.test', tunnel_id: TUNNEL, comment: 'c' } },
  '/cfd_tunnel': {
    body: { name: 't', config_src: 'cloudflare' },
    make: { tunnel_secret: 'AQ==' },
    hidden: ['tunnel_secret'],
  },
  '/logpush/jobs': {
    body: {
      name: 'j',
      destination_conf: 'https://siem.test/logs?header_x=y',
      dataset: 'zero_trust_network_sessions',
      enabled: false,
      filter: '{"where":{"key":"Email","operator":"eq","value":"a@example.com"}}',
      frequency: 'high',
      kind: '',
      logpull_options: 'fields=SessionID&timestamps=rfc3339',
      max_upload_bytes: 5_000_000,
      max_upload_interval_seconds: 30,
      max_upload_records: 1000,
      output_options: { field_names: ['SessionID'], output_type: 'csv', timestamp_format: 'unix' },
    },
    hidden: ['ownership_challenge'],
  },
  '/warp_connector': { body: { name: 'w', ha: true }, make: { tunnel_secret: 'AQ==' }, hidden: ['tunnel_secret'] },
}

/** Fields of a body that say something: those that the API writes itself are taken and ignored. */
function fieldsOf({ body }: Route): string[] {
  const properties = Object.entries(Object(body?.properties) as Record<string, object>)
  return properties.flatMap(([name, schema]) =>
    Object.hasOwn(ECHOED, name) || Object.keys(schema).length === 0 ? [] : [name],
  )
}

const at = (path: string) => path.slice(A.length)
const taking = ROUTES.filter(({ path, body }) => path.startsWith(A) && body !== undefined)
const covered = new Set<string>()

test.each(Object.entries(CASES))('%s gives back every field it takes, made and changed', async (path, described) => {
  const given = { ...described, body: reachable(described.body) }
  const all = { ...given.body, ...given.make }
  const post = taking.find((route) => route.method === 'POST' && at(route.path) === path)
  const change =
    taking.find((route) => route.method !== 'POST' && at(route.path) === `${path}/{id}` && route.method !== 'PATCH') ??
    taking.find((route) => at(route.path) === `${path}/{id}`)
  for (const route of [post, change]) {
    if (route === undefined) throw new RangeError(`${path} has no such route`)
    covered.add(`${route.method} ${route.path}`)
    const missing = fieldsOf(route).filter((name) => !(name in all) && !given.hidden?.includes(name))
    expect(missing, `${route.method} ${path}`).toEqual([])
  }
  const made = (await api.cloudflare('POST', path, all)).body
  expect(made.errors).toEqual([])
  const shown = async () => (await api.cloudflare('GET', `${path}/${made.result.id}`)).body.result
  expect(await shown()).toMatchObject(given.body)
  expect(await shown()).toEqual(made.result)
  const changed = (await api.cloudflare(change?.method ?? '', `${path}/${made.result.id}`, given.body)).body
  expect(changed.errors).toEqual([])
  expect(await shown()).toMatchObject(given.body)
})

const LOGGED = { log_all: true, log_blocks: false }
const ONE_OF_A_KIND: Readonly<Record<string, Body>> = {
  '/gateway/configuration': {
    settings: {
      activity_log: { enabled: true },
      antivirus: {
        enabled_download_phase: true,
        enabled_upload_phase: false,
        fail_closed: true,
        notification_settings: { msg: 'm' },
      },
      block_page: { enabled: true, footer_text: '--footer--', mailto_subject: 's' },
      body_scanning: { inspection_mode: 'deep' },
      browser_isolation: { url_browser_isolation_enabled: true, non_identity_enabled: true },
      certificate: { id: TUNNEL },
      custom_certificate: { enabled: false },
      app_control_settings: {},
      extended_email_matching: { enabled: true },
      fips: { tls: true },
      host_selector: { enabled: true },
      inspection: { mode: 'static' },
      max_ttl_secs: 30,
      protocol_detection: { enabled: true },
      sandbox: { enabled: true, fallback_action: 'allow' },
      tls_decrypt: { enabled: true },
    },
  },
  '/gateway/logging': { redact_pii: true, settings_by_rule_type: { dns: LOGGED, http: LOGGED, l4: LOGGED } },
  '/devices/settings': {
    gateway_proxy_enabled: true,
    gateway_udp_proxy_enabled: true,
    root_certificate_installation_enabled: true,
    use_zt_virtual_ip: true,
    disable_for_time: 60,
    external_emergency_signal_enabled: true,
    external_emergency_signal_fingerprint: 'f',
    external_emergency_signal_interval: '5m',
    external_emergency_signal_url: 'https://x.test/',
  },
  '/zerotrust/subnets/initial_resolved_ip/v4': { name: 'n', comment: 'c', network: '100.81.0.0/16' },
}

test.each(Object.entries(ONE_OF_A_KIND))('%s gives back every field it takes', async (path, body) => {
  const template = `${A}${path.replace('/v4', '/{address_family}')}`
  for (const route of taking.filter((one) => one.path === template)) {
    covered.add(`${route.method} ${route.path}`)
    expect(
      fieldsOf(route).filter((name) => !(name in body)),
      route.method,
    ).toEqual([])
    const { body: answer } = await api.cloudflare(route.method, path, body)
    expect(answer.errors).toEqual([])
    expect((await api.cloudflare('GET', path)).body.result).toMatchObject(body)
  }
  const { settings } = Object(taking.find((one) => one.path === template)?.body).properties
  if (settings === undefined) return
  expect(Object.keys(settings.properties).filter((name) => !(name in Object(body.settings)))).toEqual([])
})

test.each(KEPT_COLLECTIONS.map((collection) => [collection.path, collection] as const))(
  '%s gives back every field it takes, kept without effect',
  async (path, { fields, update, idField = 'id', schemas = {} }) => {
    const typed: Body = {
      name: 'n',
      network: '100.96.0.0/16',
      comment: 'c',
      is_default_network: true,
      validity_period_days: 365,
    }
    const isTyped = (name: string) => name === 'name' || name in schemas
    const whole: Body = Object.fromEntries(
      fields.map((name) => [name, isTyped(name) ? typed[name] : { kept: [name, 1, null] }]),
    )
    const made = (await api.cloudflare('POST', path, whole)).body
    expect([made.errors, made.messages[0]?.code]).toEqual([[], 20203])
    const one = `${path}/${made.result[idField]}`
    expect((await api.cloudflare('GET', one)).body.result).toMatchObject(whole)
    for (const word of ['activate', 'deactivate']) covered.add(`POST ${A}${path}/{id}/${word}`)
    covered.add(`POST ${A}${path}`)
    if (update === undefined) return
    covered.add(`${update} ${A}${path}/{id}`)
    const last = fields.at(-1) ?? ''
    const changed = { ...whole, [last]: isTyped(last) ? false : 'changed' }
    expect((await api.cloudflare(update, one, { ...made.result, ...changed })).body.errors).toEqual([])
    expect((await api.cloudflare('GET', one)).body.result).toMatchObject(changed)
  },
)

test.each([
  ['PATCH', '/devices/policy', { exclude: [{ address: '192.0.2.0/24' }], auto_connect: 0 }],
  [
    'PUT',
    `/cfd_tunnel/${TUNNEL}/configurations`,
    { config: { ingress: [{ hostname: 'x.test', service: 'http://y' }] } },
  ],
] as const)('%s %s gives back what it takes', async (method, path, body) => {
  expect((await api.cloudflare(method, path, body)).body.errors).toEqual([])
  expect((await api.cloudflare('GET', path)).body.result).toMatchObject(body)
  covered.add(`${method} ${A}${path.replace(TUNNEL, '{id}')}`)
})

test.each(['exclude', 'include', 'fallback_domains'])('/devices/policy/%s gives back its items', async (name) => {
  const items = [{ suffix: 'corp.test', description: 'd', dns_server: ['192.0.2.53'] }]
  const { policy_id } = (await api.cloudflare('POST', '/devices/policy', { name })).body.result
  for (const path of [`/devices/policy/${name}`, `/devices/policy/${policy_id}/${name}`]) {
    expect((await api.cloudflare('PUT', path, items)).body.result).toEqual(items)
    expect((await api.cloudflare('GET', path)).body.result).toEqual(items)
    covered.add(`PUT ${A}${path.replace(policy_id, '{id}')}`)
  }
})

test('no route that takes a body was left out', () => {
  // tried with the others of its resource: what it takes is a part, or another form
  const parts = ['PATCH /gateway/lists/{id}', 'PATCH /gateway/configuration']
  // questions, which change nothing, and what takes an empty body
  const isQuestion = (route: string) => /\/logpush\/(ownership|validate)|\/reset_expiration$/.test(route)
  const rest = taking.map(({ method, path }) => `${method} ${path}`).filter((route) => !covered.has(route))
  expect(rest.filter((route) => !isQuestion(route) && !parts.includes(route.replace(A, '')))).toEqual([])
})
