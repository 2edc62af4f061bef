// The OpenAPI document against the lab it describes: valid by the specification's own schema, and true of real answers of every route.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ROUTES } from '../../src/api/routes.ts'
import { openTunnel } from '../console/held-tunnel.ts'
import { queryFor } from '../support/ask-dns.ts'
import { curl } from '../support/curl.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { keepEverything } from './keep-everything.ts'

const BOB = `Basic ${btoa('bob@example.com:lab-bob')}`
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** no answer fits it */
const NOTHING = { not: {} }

interface MediaType {
  readonly schema?: object
  readonly 'x-events'?: Readonly<Record<string, object>>
}
interface Operation {
  readonly operationId: string
  readonly responses: Readonly<Record<string, { readonly content: Readonly<Record<string, MediaType>> }>>
  readonly requestBody?: { readonly content: Readonly<Record<string, MediaType>> }
  readonly parameters: readonly { readonly name: string; readonly schema: object }[]
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

let own: PrivateLab
let document: Document
let url: string, account: string, token: string
const ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true, ownProperties: true })
  .addFormat('date-time', TIME)
  .addFormat('uuid', UUID)
  .addFormat('ipv4', /^\d+(?:\.\d+){3}$/)
  .addFormat('ipv6', /:/)
  .addFormat('email', /@/)
  .addVocabulary(['components', 'x-events'])
for (const own of ['cidr', 'logpush-data-set', 'logpush-destination', 'pac-file', 'rule-action'])
  ajv.addFormat(own, true)

beforeAll(async () => {
  own = await startPrivateLab({ ephemeral: false })
  token = readFileSync(join(own.folder, 'api-token'), 'utf8').trim()
  url = `http://127.0.0.1:${own.lab.api.port}`
  const answer = await fetch(`${url}/lab/v1/openapi.json`, { headers: { authorization: `Bearer ${token}` } })
  document = (await answer.json()) as Document
  ajv.addSchema({ $id: 'https://egresslab.test/document', components: document.components })
  account = own.lab.snapshot().account.id
})
afterAll(() => own.close())

/** A schema of the document, its references led to the document. */
function compile(schema: object): ValidateFunction {
  const text = JSON.stringify(schema).replaceAll('"#/components/', '"https://egresslab.test/document#/components/')
  return ajv.compile(JSON.parse(text))
}

function hold(schema: object, value: unknown, what: string): void {
  const check = compile(schema)
  const isTrue = check(value)
  expect(isTrue, `${what}\n${ajv.errorsText(check.errors, { separator: '\n' })}\n${JSON.stringify(value)}`).toBe(true)
}

function operationOf(route: string): Operation {
  const [method = '', path = ''] = route.split(' ')
  const operation = document.paths[path]?.[method.toLowerCase()]
  if (operation === undefined) throw new Error(`the document has no ${route}`)
  return operation
}

const covered = new Set<string>()

interface Asked {
  /** values of the path's parameters */
  readonly at?: Readonly<Record<string, string>>
  readonly query?: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

async function send(route: string, { at = {}, query = '', body, headers = {} }: Asked): Promise<Response> {
  const [method = '', template = ''] = route.split(' ')
  const path = template.replace(/\{(\w+)\}/g, (_, name) => at[name] ?? (name === 'account_id' ? account : ''))
  const contents = body instanceof Uint8Array ? Uint8Array.from(body) : JSON.stringify(body)
  return fetch(url + path + query, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    signal: AbortSignal.timeout(PATIENCE_MS),
    ...(body === undefined ? {} : { body: contents }),
  })
}

/** Asks a route and holds its answer to the document; answers the result. */
// biome-ignore lint/suspicious/noExplicitAny: results are of many shapes, and the document is what they are held to
async function ask(route: string, asked: Asked = {}): Promise<any> {
  const { content: taken = {} } = operationOf(route).requestBody ?? {}
  const { schema: body } = taken['application/json'] ?? {}
  if (body !== undefined) hold(body, asked.body, `the request ${route}`)
  const answer = await send(route, asked)
  const text = await answer.text()
  expect(answer.status, `${route}: ${text}`).toBe(200)
  const essence = answer.headers.get('content-type')?.split(';')[0] ?? ''
  const { content = {} } = operationOf(route).responses['200'] ?? {}
  expect(Object.keys(content), route).toEqual([essence])
  covered.add(route)
  if (essence !== 'application/json') return text
  hold(content[essence]?.schema ?? NOTHING, JSON.parse(text), route)
  return JSON.parse(text).result
}

/** What comes at the end of a stream, and what only members of a fleet send. */
const NOT_WAITED_FOR = ['ended', 'fleet']

/** Reads an event stream until each of its documented events but those has come, holding every one to the document. */
async function follow(route: string, happen: () => Promise<unknown>): Promise<void> {
  const answer = await send(route, {})
  const { content = {} } = operationOf(route).responses['200'] ?? {}
  expect([answer.headers.get('content-type'), Object.keys(content)]).toEqual([
    'text/event-stream',
    ['text/event-stream'],
  ])
  const events = content['text/event-stream']?.['x-events'] ?? {}
  const missing = new Set(Object.keys(events).filter((name) => !NOT_WAITED_FOR.includes(name)))
  covered.add(route)
  let text = ''
  let begun = false
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString()
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const [, event, data] = /^event: (\w+)\ndata: (.*)(?:\nid: \S+)?$/.exec(block) ?? []
      if (event === undefined) continue
      hold(events[event] ?? NOTHING, JSON.parse(data ?? ''), `${route}: ${event}`)
      missing.delete(event)
    }
    if (!begun) await happen()
    begun = true
    if (missing.size === 0) return
  }
  throw new Error(`${route} ended without ${[...missing].join(', ')}`)
}

test('it is valid OpenAPI 3.1 by the specification’s own schema, and its schemas are JSON Schema', () => {
  const specification = JSON.parse(readFileSync(join(import.meta.dirname, 'openapi-3.1.schema.json'), 'utf8'))
  const own2020 = new Ajv2020({ strict: false, allErrors: true, validateFormats: false })
  const check = own2020.compile(specification)
  expect(check(document), own2020.errorsText(check.errors)).toBe(true)
  expect(check({ ...document, paths: { '/x': { get: { responses: { ok: {} } } } } })).toBe(false)
  for (const schema of Object.values(document.components.schemas)) compile(schema)
  for (const operation of Object.values(document.paths).flatMap((path) => Object.values(path))) {
    for (const { content } of [...Object.values(operation.responses), ...[operation.requestBody ?? { content: {} }]]) {
      for (const { schema = {} } of Object.values(content)) compile(schema)
    }
    for (const { schema } of operation.parameters) compile(schema)
  }
})

test('it has every route once, each under an id of its own', () => {
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path))
  expect(operations).toHaveLength(ROUTES.length)
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(ROUTES.length)
  expect(operationOf('GET /lab/v1/colos/{code}').operationId).toBe('getLabV1ColosByCode')
})

test('no answer is described as anything at all', () => {
  for (const route of ROUTES.filter(({ answers }) => answers.kind === 'result' || answers.kind === 'list')) {
    const { content = {} } = operationOf(`${route.method} ${route.path}`).responses['200'] ?? {}
    const { schema } = content['application/json'] ?? {}
    expect(schema, route.path).toMatchObject({ properties: { result: expect.anything() } })
    expect(JSON.stringify(schema), route.path).not.toContain('"result":{}')
  }
})

const CF = '/client/v4/accounts/{account_id}'

test('real answers of every route are what it says', async () => {
  const [egress] = own.lab.snapshot().account.dedicatedIps
  const [ipv4, ipv6] = [egress?.ipv4?.address.text, egress?.ipv6?.range.text]
  const settings = { egress: { ipv4, ipv4_fallback: '0.0.0.0', ipv6 } }
  await ask('GET /client/v4/accounts')
  await ask(`GET ${CF}`)
  await ask('GET /client/v4/user/tokens/verify')
  expect(await ask(`GET ${CF}/gateway/app_types`)).not.toEqual([])
  expect(await ask(`GET ${CF}/gateway/categories`)).not.toEqual([])

  const words = { name: 'made', action: 'egress', enabled: true, rule_settings: settings }
  const rule = await ask(`POST ${CF}/gateway/rules`, { body: words })
  const timing = { schedule: { mon: '08:00-17:00' }, expiration: { expires_at: '2026-01-01T00:00:00Z', duration: 10 } }
  const dns = { name: 'd', action: 'block', filters: ['dns'], rule_settings: { block_page_enabled: true }, ...timing }
  const at = await ask(`POST ${CF}/gateway/rules`, { body: dns })
  await ask(`POST ${CF}/gateway/rules/{id}/reset_expiration`, { at, body: {} })
  await ask(`GET ${CF}/gateway/rules`)
  await ask(`GET ${CF}/gateway/rules/{id}`, { at: rule })
  await ask(`PUT ${CF}/gateway/rules/{id}`, { at: rule, body: { ...words, rule_settings: null } })
  const preview = { rule: { ...words, rule_settings: { egress: { ...settings.egress, ipv4_fallback: '' } } } }
  await ask('POST /lab/v1/rules/preview', { body: preview })
  await ask('POST /lab/v1/rules/difference', { body: { rule: words } })
  await ask('POST /lab/v1/rules/difference', { body: { rule: { ...words, traffic: 'net.dst.prt == 443' } } })
  await ask('POST /lab/v1/rules/preview', { body: { rule: { ...words, traffic: 'net.dst.prt == 443' } } })

  const list = await ask(`POST ${CF}/gateway/lists`, {
    body: { name: 'l', type: 'IP', items: [{ value: '192.0.2.1', description: 'one' }, { value: '192.0.2.2' }] },
  })
  await ask(`GET ${CF}/gateway/lists`)
  await ask(`GET ${CF}/gateway/lists/{id}`, { at: list })
  await ask(`GET ${CF}/gateway/lists/{id}/items`, { at: list })
  await ask(`PUT ${CF}/gateway/lists/{id}`, { at: list, body: { name: 'm' } })
  await ask(`PATCH ${CF}/gateway/lists/{id}`, { at: list, body: { append: [{ value: '192.0.2.3' }] } })
  await ask(`DELETE ${CF}/gateway/lists/{id}`, { at: list })

  for (const body of [
    { name: 'by address', ips: ['192.0.2.0/24'] },
    { name: 'by name', kind: 'identity' },
  ]) {
    const endpoint = await ask(`POST ${CF}/gateway/proxy_endpoints`, { body })
    await ask(`GET ${CF}/gateway/proxy_endpoints`)
    await ask(`GET ${CF}/gateway/proxy_endpoints/{id}`, { at: endpoint })
    await ask(`PATCH ${CF}/gateway/proxy_endpoints/{id}`, { at: endpoint, body: { name: 'renamed' } })
    await ask(`DELETE ${CF}/gateway/proxy_endpoints/{id}`, { at: endpoint })
  }

  const pac = { name: 'p', slug: 'pac_devops', contents: 'function FindProxyForURL() { return "DIRECT" }' }
  const made = await ask(`POST ${CF}/gateway/pacfiles`, { body: pac })
  await ask(`GET ${CF}/gateway/pacfiles`)
  await ask(`GET ${CF}/gateway/pacfiles/{id}`, { at: made })
  await ask(`PUT ${CF}/gateway/pacfiles/{id}`, { at: made, body: { name: 'q', contents: pac.contents } })
  expect(await ask('GET /pac/{slug}', { at: made })).toBe(pac.contents)
  expect([await ask('GET /proxy.pac'), await ask('GET /ca.pem')].join()).toMatch(/FindProxyForURL.*BEGIN CERTIFICATE/s)
  await ask(`DELETE ${CF}/gateway/pacfiles/{id}`, { at: made })

  await keepEverything(ask)

  const network = await ask(`POST ${CF}/teamnet/virtual_networks`, { body: { name: 'made' } })
  const connector = await ask(`POST ${CF}/warp_connector`, { body: { name: 'connector' } })
  const tunnel = await ask(`POST ${CF}/cfd_tunnel`, { body: { name: 'made' } })
  const route = await ask(`POST ${CF}/teamnet/routes`, { body: { network: '10.9.0.0/16', tunnel_id: tunnel.id } })
  const hostRoute = { hostname: 'wiki.made.test', tunnel_id: tunnel.id }
  const host = await ask(`POST ${CF}/zerotrust/routes/hostname`, { body: hostRoute })
  for (const [path, thing] of [
    ['teamnet/virtual_networks', network],
    ['cfd_tunnel', tunnel],
    ['warp_connector', connector],
    ['teamnet/routes', route],
    ['zerotrust/routes/hostname', host],
  ] as const) {
    await ask(`GET ${CF}/${path}`)
    await ask(`GET ${CF}/${path}/{id}`, { at: thing })
    await ask(`PATCH ${CF}/${path}/{id}`, { at: thing, body: {} })
  }
  await ask(`GET ${CF}/tunnels`)
  for (const [path, at] of [
    ['cfd_tunnel', tunnel],
    ['warp_connector', connector],
  ] as const) {
    await ask(`GET ${CF}/${path}/{id}/token`, { at })
    await ask(`GET ${CF}/${path}/{id}/connections`, { at })
  }
  const configurations = `${CF}/cfd_tunnel/{id}/configurations`
  await ask(`GET ${configurations}`, { at: tunnel })
  await ask(`PUT ${configurations}`, { at: tunnel, body: { config: { ingress: [{ service: 'http_status:404' }] } } })
  await ask(`GET ${CF}/zerotrust/subnets`)
  await ask(`GET ${CF}/teamnet/routes/ip/{ip}`, { at: { ip: '10.9.1.1' } })
  const [v4, v6] = [{ address_family: 'v4' }, { address_family: 'v6' }]
  const subnets = `${CF}/zerotrust/subnets/initial_resolved_ip/{address_family}`
  for (const at of [v4, v6]) await ask(`GET ${subnets}`, { at })
  await ask(`PUT ${subnets}`, { at: v4, body: { comment: 'made' } })
  for (const [path, thing] of [
    ['teamnet/routes', route],
    ['zerotrust/routes/hostname', host],
    ['cfd_tunnel', tunnel],
    ['warp_connector', connector],
    ['teamnet/virtual_networks', network],
  ] as const) {
    await ask(`DELETE ${CF}/${path}/{id}`, { at: thing })
    await ask(`GET ${CF}/${path}`, { query: '?is_deleted=true' })
  }

  await ask('GET /lab/v1/overrides')
  await ask('DELETE /lab/v1/overrides/{kind}/{id}', { at: { kind: 'rule', id: rule.id } })
  await ask('DELETE /lab/v1/overrides')
  const again = await ask(`POST ${CF}/gateway/rules`, { body: { ...words, enabled: false } })
  await ask(`DELETE ${CF}/gateway/rules/{id}`, { at: again })

  await ask('GET /lab/v1/colos')
  await ask('GET /lab/v1/colos', { query: '?all=true' })
  await ask('GET /lab/v1/colos/{code}', { at: { code: 'LHR' } })
  for (const up of [false, true]) await ask('PUT /lab/v1/colos/{code}', { at: { code: 'LHR' }, body: { up } })
  await ask('GET /lab/v1/clock')
  await ask('PUT /lab/v1/clock', { body: { time: '2030-01-01T00:00:00Z' } })
  await ask('POST /lab/v1/clock/advance', { body: { seconds: 60.5 } })
  await ask('DELETE /lab/v1/clock')

  await ask('GET /lab/v1/matrix')
  for (const body of [
    { destination: 'bank.saas.test:443', user: 'alice@example.com' },
    { destination: 'espn.com:443', user: 'carol@example.com', colos_down: ['AMS', 'LHR'] },
    { destination: 'http://ipv4.icanhazip.com/' },
    { destination: '[2001:db8::9]:443', protocol: 'udp' },
  ]) {
    await ask('POST /lab/v1/explain', { body })
  }

  const proxy = own.proxy.replace('http://', '')
  const visit = (who: string, target: string) => curl('-x', proxy, '-U', `${who}@example.com:lab-${who}`, target)
  await visit('bob', 'http://ipv4.icanhazip.com/')
  await visit('alice', 'http://bank.saas.test/')
  await visit('bob', 'http://nowhere.invalid/')
  await curl('-x', proxy, '-U', 'bob@example.com:wrong', 'http://ipv4.icanhazip.com/')
  const open = await openTunnel(own.lab.listeners[0]?.port ?? 0, 'bob', 'ipv4.icanhazip.com:80')
  await ask('GET /lab/v1/traffic/now')
  const recent = await ask('GET /lab/v1/sessions/recent')
  expect(recent.length).toBeGreaterThan(2)
  for (const { SessionID } of recent) await ask('GET /lab/v1/sessions/{id}', { at: { id: SessionID } })
  const [live] = await ask('GET /lab/v1/sessions')
  await ask('GET /lab/v1/sessions/{id}', { at: live })
  await ask('DELETE /lab/v1/sessions/recent')
  await ask('POST /lab/v1/rules/preview', { body: { rule: { ...words, precedence: 1 } } })
  await follow('GET /lab/v1/events', async () => {
    await ask('PUT /lab/v1/colos/{code}', { at: { code: 'SYD' }, body: { up: false } })
    await visit('bob', 'http://ipv4.icanhazip.com/')
  })
  await follow('GET /lab/v1/traffic', async () => {
    await ask('PUT /lab/v1/colos/{code}', { at: { code: 'SYD' }, body: { up: true } })
    await visit('bob', 'http://ipv4.icanhazip.com/')
  })
  await ask('DELETE /lab/v1/sessions/{id}', { at: live })
  open.destroy()

  const destination = { destination_conf: `file://${own.folder}/pushed` }
  const { filename } = await ask(`POST ${CF}/logpush/ownership`, { body: destination })
  const proven = { ...destination, ownership_challenge: readFileSync(filename, 'utf8') }
  await ask(`POST ${CF}/logpush/ownership/validate`, { body: proven })
  await ask(`POST ${CF}/logpush/validate/destination`, { body: destination })
  await ask(`POST ${CF}/logpush/validate/destination/exists`, { body: destination })
  await ask(`POST ${CF}/logpush/validate/origin`, { body: { logpull_options: 'fields=Nope' } })
  const job = { at: await ask(`POST ${CF}/logpush/jobs`, { body: { ...proven, dataset: 'gateway_http' } }) }
  await ask(`GET ${CF}/logpush/jobs`)
  await ask(`GET ${CF}/logpush/jobs/{id}`, job)
  await ask(`PUT ${CF}/logpush/jobs/{id}`, { ...job, body: { output_options: { field_names: ['Datetime'] } } })
  const dataSet = { at: { dataset_id: 'gateway_http' } }
  await ask(`GET ${CF}/logpush/datasets/{dataset_id}/jobs`, dataSet)
  await ask(`GET ${CF}/logpush/datasets/{dataset_id}/fields`, dataSet)
  await ask(`DELETE ${CF}/logpush/jobs/{id}`, job)

  await ask('POST /lab/v1/verify', { body: { user: 'bob@example.com' } })
  const asBob = { headers: { authorization: BOB } }
  await ask('POST /lab/v1/me/verify', { ...asBob, body: {} })
  await ask('GET /lab/v1/me', asBob)
  await ask('PUT /lab/v1/me/virtual-network', { ...asBob, body: { virtual_network: 'vnet-EMEA' } })
  const bob = { at: { email: 'bob@example.com' } }
  await ask('GET /lab/v1/users/{email}/virtual-network', bob)
  await ask('PUT /lab/v1/users/{email}/virtual-network', { ...bob, body: { virtual_network: 'vnet-AMER' } })
  await ask('DELETE /lab/v1/users/{email}/virtual-network', bob)
  await ask('GET /lab/v1/origins')
  await ask('GET /lab/v1/listeners')
  await ask('GET /lab/v1/geolocations')

  const query = queryFor('bank.saas.test', 'A', { id: 0 })
  await ask('GET /dns-query', { query: `?dns=${query.toString('base64url')}` })
  await ask('POST /dns-query', { body: query, headers: { 'content-type': 'application/dns-message' } })
  expect(await ask('GET /lab/v1/dns/placeholders')).not.toEqual([])
  await ask('PUT /lab/v1/rules', { body: { rules: [words, { ...words, name: 'second' }] } })

  const plain =
    'health/live health/ready health account origins geolocations users counters checks rate-limit tokens token openapi.json login'
  for (const path of plain.split(' ')) await ask(`GET /lab/v1/${path}`)
  expect(await ask('GET /metrics')).toContain('egresslab_sessions_total')
  await ask('PUT /lab/v1/rate-limit', { body: { requests: 1000, seconds: 60 } })
  await ask('DELETE /lab/v1/rate-limit')
  await ask('POST /lab/v1/login', { body: { token } })
  await ask('POST /lab/v1/logout', { body: {} })

  await ask('POST /lab/v1/tokens', { body: { name: 'ci', role: 'viewer' } })
  const [{ revision }] = await ask('GET /lab/v1/rules/revisions')
  await ask('GET /lab/v1/rules/revisions/{revision}', { at: { revision } })
  await ask('POST /lab/v1/rules/revisions/{revision}/restore', { at: { revision }, body: {} })
  expect(await ask('GET /lab/v1/audit')).not.toEqual([])
  await ask('DELETE /lab/v1/tokens/{id}', { at: { id: 'ci' } })
  token = (await ask('POST /lab/v1/token/rotate', { body: {} })).token
  const isLeft = (route: string) => !covered.has(route) && !route.includes('/lab/v1/fleet') // test/fleet has those
  expect(ROUTES.map(({ method, path }) => `${method} ${path}`).filter(isLeft)).toEqual([])
})

test('refusals of every route are what it says', async () => {
  for (const { method, path } of ROUTES) {
    const route = `${method} ${path}`
    const answer = await send(route, { query: '?colour=red', headers: { host: 'elsewhere.test', authorization: '' } })
    const body: unknown = await answer.json().catch(() => undefined)
    if (answer.status === 200) continue
    const content = operationOf(route).responses[`${Math.floor(answer.status / 100)}XX`]?.content ?? {}
    expect([route, answer.headers.get('content-type')]).toEqual([route, Object.keys(content)[0]])
    hold(content['application/json']?.schema ?? NOTHING, body, route)
  }
})
