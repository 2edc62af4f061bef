// What Terraform's provider sends and then compares: a create, a read and an import must agree with the plan attribute by
// attribute, or every plan shows drift. Bodies are those the provider makes of its schema's defaults.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TUNNEL } from '../store/lab.ts'
import { type Envelope, type RunningApi, runApi } from './running-api.ts'

let api: RunningApi
beforeEach(async () => {
  api = await runApi()
})
afterEach(() => api.close())

/** Creates, imports (a read by id alone), updates with the same plan; every planned attribute must be as planned. */
async function applies(
  path: string,
  planned: Record<string, unknown>,
  update: 'PUT' | 'PATCH',
): Promise<Envelope['result']> {
  const created = (await api.cloudflare('POST', path, planned)).body
  expect(created.errors).toEqual([])
  const { id } = created.result
  const imported = (await api.cloudflare('GET', `${path}/${id}`)).body.result
  expect(imported).toEqual({ ...imported, ...planned })
  for (const [name, value] of Object.entries(created.result)) expect(imported[name], name).toEqual(value)
  const again = (await api.cloudflare(update, `${path}/${id}`, planned)).body
  expect(again.errors).toEqual([])
  expect(again.result).toEqual({ ...again.result, ...planned })
  return imported
}

describe('a rule of the provider', () => {
  const defaults = { description: '', device_posture: '', enabled: false, identity: '', traffic: '' }

  test('with dedicated egress and no fallback, as its own acceptance test has it', async () => {
    await applies(
      '/gateway/rules',
      {
        ...defaults,
        name: 'egress',
        description: 'Egress policy',
        precedence: 12403,
        action: 'egress',
        filters: ['egress'],
        traffic: 'net.dst.port in {443 80}',
        rule_settings: { egress: { ipv4: '203.0.113.20', ipv6: '2001:db8:20::/64' } },
      },
      'PUT',
    )
  })

  test('with everything it can leave out left out', async () => {
    const read = await applies(
      '/gateway/rules',
      { ...defaults, name: 'bare', action: 'egress', filters: ['egress'] },
      'PUT',
    )
    expect(read).toMatchObject({
      rule_settings: null,
      schedule: null,
      expiration: null,
      deleted_at: null,
      sharable: false,
    })
  })

  test('of another type with settings the lab knows nothing of', async () => {
    await applies(
      '/gateway/rules',
      {
        ...defaults,
        name: 'block',
        precedence: 14,
        action: 'block',
        filters: ['dns'],
        enabled: true,
        traffic: 'any(dns.domains[*] == "example.com")',
        rule_settings: {
          block_page_enabled: false,
          block_reason: '',
          biso_admin_controls: { version: 'v1', dcp: false },
        },
        expiration: { expires_at: '2030-01-01T05:20:00Z', duration: 10, expired: false },
      },
      'PUT',
    )
  })
})

describe('a list of the provider', () => {
  test('keeps items with a description, with an empty one and with none apart', async () => {
    const items = [
      { value: '192.0.2.1', description: 'one' },
      { value: '192.0.2.2', description: '' },
      { value: '192.0.2.3' },
    ]
    const { body } = await api.cloudflare('POST', '/gateway/lists', { name: 'l', type: 'IP', items })
    const withoutTimes = (list: Envelope['result']) =>
      list.items.map(({ created_at: _made, ...item }: Record<string, unknown>) => item)
    expect(withoutTimes(body.result)).toEqual(items)
    const put = await api.cloudflare('PUT', `/gateway/lists/${body.result.id}`, { name: 'l', type: 'IP', items })
    expect(withoutTimes(put.body.result)).toEqual(items)
    expect(withoutTimes((await api.cloudflare('GET', `/gateway/lists/${body.result.id}`)).body.result)).toEqual(items)
  })
})

test('a virtual network, a tunnel route and a host name route of the provider', async () => {
  const network = await applies('/teamnet/virtual_networks', { name: 'tf', comment: '', is_default: false }, 'PATCH')
  await applies(
    '/teamnet/routes',
    { network: '10.9.0.0/16', tunnel_id: TUNNEL, virtual_network_id: network.id, comment: '' },
    'PATCH',
  )
  await applies('/zerotrust/routes/hostname', { hostname: 'tf.example.com', tunnel_id: TUNNEL, comment: 'tf' }, 'PATCH')
})

test('a proxy endpoint of the provider', async () => {
  await applies('/gateway/proxy_endpoints', { name: 'tf', kind: 'ip', ips: ['192.0.2.0/24'] }, 'PATCH')
})

/** One resource of a module, as the provider (v5) writes it: the routes of its Go client, bodies of what the configuration sets, PUT whole
 *  and PATCH in part. `$name` is the id that an earlier resource of the module got. */
interface ModuleResource {
  readonly name: string
  readonly path: string
  readonly planned: Record<string, unknown>
  readonly update: { readonly method: 'PUT' | 'PATCH'; readonly changed: Record<string, unknown> }
  /** where the id stands in the answer; default: `id` */
  readonly idField?: string
  /** what a GET says after it was destroyed; default: 404 */
  readonly afterwards?: 200 | 404
}

const PAC = 'function FindProxyForURL(url, host) { return "PROXY lab:8080"; }'

const MODULE: readonly ModuleResource[] = [
  {
    name: 'vnet',
    path: '/teamnet/virtual_networks',
    planned: { name: 'tf-vnet', comment: 'from terraform', is_default_network: false },
    update: { method: 'PATCH', changed: { comment: 'changed' } },
  },
  {
    name: 'tunnel',
    path: '/cfd_tunnel',
    planned: { name: 'tf-tunnel', config_src: 'cloudflare' },
    update: { method: 'PATCH', changed: { name: 'tf-tunnel-2' } },
    afterwards: 200,
  },
  {
    name: 'connector',
    path: '/warp_connector',
    planned: { name: 'tf-connector' },
    update: { method: 'PATCH', changed: { name: 'tf-connector-2' } },
    afterwards: 200,
  },
  {
    name: 'route',
    path: '/teamnet/routes',
    planned: { network: '10.200.0.0/16', tunnel_id: '$tunnel', virtual_network_id: '$vnet', comment: 'offices' },
    update: { method: 'PATCH', changed: { comment: 'changed' } },
    afterwards: 200,
  },
  {
    name: 'hostname',
    path: '/zerotrust/routes/hostname',
    planned: { hostname: 'wiki.tf.test', tunnel_id: '$connector', comment: 'wiki' },
    update: { method: 'PATCH', changed: { comment: 'changed' } },
  },
  {
    name: 'list',
    path: '/gateway/lists',
    planned: { name: 'tf-list', type: 'IP', items: [{ value: '198.51.100.0/24', description: 'partner' }] },
    update: { method: 'PUT', changed: { items: [{ value: '198.51.100.0/25' }] } },
  },
  {
    name: 'posture',
    path: '/devices/posture',
    planned: {
      name: 'tf-disk',
      type: 'disk_encryption',
      description: 'encrypted',
      schedule: '1h',
      match: [{ platform: 'linux' }],
      input: { requireAll: true },
    },
    update: { method: 'PUT', changed: { schedule: '2h' } },
  },
  {
    name: 'policy',
    path: '/gateway/rules',
    planned: {
      name: 'tf-egress',
      precedence: 12403,
      action: 'egress',
      filters: ['egress'],
      enabled: true,
      traffic: 'net.dst.ip in $$list',
      device_posture: 'any(device_posture.checks.passed[*] == "$posture")',
      rule_settings: { egress: { ipv4: '203.0.113.20', ipv4_fallback: '203.0.113.30', ipv6: '2001:db8:20::/64' } },
    },
    update: { method: 'PUT', changed: { enabled: false } },
  },
  {
    name: 'endpoint',
    path: '/gateway/proxy_endpoints',
    planned: { name: 'tf-endpoint', kind: 'ip', ips: ['192.0.2.0/24'] },
    update: { method: 'PATCH', changed: { ips: ['192.0.2.0/25'] } },
  },
  {
    name: 'pac',
    path: '/gateway/pacfiles',
    planned: { name: 'tf-pac', slug: 'pac_devops', contents: PAC },
    update: { method: 'PUT', changed: { contents: `${PAC} // changed` } },
  },
  {
    name: 'location',
    path: '/gateway/locations',
    planned: {
      name: 'tf-location',
      client_default: false,
      ecs_support: false,
      networks: [{ network: '192.0.2.1/32' }],
    },
    update: { method: 'PUT', changed: { ecs_support: true } },
  },
  {
    name: 'network',
    path: '/devices/networks',
    planned: { name: 'tf-network', type: 'tls', config: { tls_sockaddr: 'foo.bar:1234', sha256: 'b5bb9d80' } },
    update: { method: 'PUT', changed: { config: { tls_sockaddr: 'foo.bar:4321', sha256: 'b5bb9d80' } } },
    idField: 'network_id',
  },
  {
    name: 'profile',
    path: '/devices/policy',
    planned: {
      name: 'tf-profile',
      match: 'identity.email == "test@cloudflare.com"',
      precedence: 100,
      service_mode_v2: { mode: 'warp' },
    },
    update: { method: 'PATCH', changed: { precedence: 101 } },
    idField: 'policy_id',
  },
  {
    name: 'group',
    path: '/access/groups',
    planned: { name: 'tf-group', include: [{ email_domain: { domain: 'example.com' } }] },
    update: { method: 'PUT', changed: { include: [{ everyone: {} }] } },
  },
  {
    name: 'access',
    path: '/access/apps',
    planned: {
      name: 'tf-proxy',
      type: 'proxy_endpoint',
      domain: 'abc.proxy.cloudflare-gateway.com',
      policies: [{ name: 'allow', decision: 'allow', include: [{ group: { id: '$group' } }] }],
    },
    update: { method: 'PUT', changed: { session_duration: '24h' } },
  },
  {
    name: 'subnet',
    path: '/zerotrust/subnets/warp',
    planned: { name: 'tf-subnet', network: '100.97.0.0/16', comment: 'devices', is_default_network: false },
    update: { method: 'PATCH', changed: { comment: 'changed' } },
  },
]

/** Attributes that the provider only has from its configuration: present in an answer to one without them, they would be planned to be
 *  removed, for ever. */
const NEVER_COMPUTED: Readonly<Record<string, readonly string[]>> = {
  '/gateway/rules': ['description', 'schedule', 'expiration'],
  '/gateway/pacfiles': ['description'],
  '/gateway/proxy_endpoints': ['ips'],
  '/gateway/lists': ['items'],
  '/gateway/locations': ['endpoints'],
  '/devices/policy': ['virtual_networks', 'lan_allow_minutes', 'global_acceleration'],
}

describe('a module of the provider', () => {
  const ids = new Map<string, string>()
  const filled = (body: Record<string, unknown>) =>
    JSON.parse(JSON.stringify(body).replace(/\$(?=[a-z])(\w+)/g, (all, name) => ids.get(name) ?? all)) as Record<
      string,
      unknown
    >
  const one = ({ name, path }: ModuleResource) => `${path}/${ids.get(name)}`

  async function apply(): Promise<void> {
    for (const resource of MODULE) {
      const { body } = await api.cloudflare('POST', resource.path, filled(resource.planned))
      expect([resource.name, body.errors]).toEqual([resource.name, []])
      ids.set(resource.name, body.result[resource.idField ?? 'id'])
    }
  }

  /** What a plan would change: nothing, where every attribute set is as set, and none appeared that only the configuration can set. */
  async function differences(resource: ModuleResource, planned = filled(resource.planned)): Promise<string[]> {
    const { body } = await api.cloudflare('GET', one(resource))
    const state = body.result as Record<string, unknown>
    const set = Object.keys(planned).filter(
      (name) => JSON.stringify(pick(state[name], planned[name])) !== JSON.stringify(planned[name]),
    )
    const appeared = (NEVER_COMPUTED[resource.path] ?? []).filter(
      (name) => !(name in planned) && (state[name] ?? null) !== null,
    )
    return [...set, ...appeared]
  }

  test('applies, plans nothing, changes, imports, sees drift and repairs it, and destroys', async () => {
    await apply()
    for (const resource of MODULE) expect([resource.name, await differences(resource)]).toEqual([resource.name, []])

    for (const resource of MODULE) {
      const { method, changed } = resource.update
      const whole = filled({ ...resource.planned, ...changed })
      const { body } = await api.cloudflare(method, one(resource), method === 'PUT' ? whole : filled(changed))
      expect([resource.name, body.errors]).toEqual([resource.name, []])
      expect([resource.name, await differences(resource, whole)]).toEqual([resource.name, []])
    }

    // an import reads by id alone, and sees what the last answer said
    for (const resource of MODULE) {
      const { status, body } = await api.cloudflare('GET', one(resource))
      expect([status, body.result[resource.idField ?? 'id']]).toEqual([200, ids.get(resource.name)])
    }

    // somebody changed everything back behind the configuration's back: each plan sees it, and applying repairs it
    for (const resource of MODULE) {
      const { method, changed } = resource.update
      const wanted = filled({ ...resource.planned, ...changed })
      await api.cloudflare(method, one(resource), filled(resource.planned))
      expect([resource.name, await differences(resource, wanted)]).not.toEqual([resource.name, []])
      await api.cloudflare(method, one(resource), method === 'PUT' ? wanted : filled(changed))
      expect([resource.name, await differences(resource, wanted)]).toEqual([resource.name, []])
    }

    for (const resource of MODULE.toReversed()) {
      const { status, body } = await api.cloudflare('DELETE', one(resource))
      expect([resource.name, status, body.errors]).toEqual([resource.name, 200, []])
    }
    for (const resource of MODULE) {
      const { status, body } = await api.cloudflare('GET', one(resource))
      expect([resource.name, status]).toEqual([resource.name, resource.afterwards ?? 404])
      if (status === 200) expect(body.result.deleted_at).not.toBeNull()
    }
  })

  test('finds by name what was made again under a name used before', async () => {
    for (const path of ['/teamnet/virtual_networks', '/cfd_tunnel', '/warp_connector']) {
      const made = async () => (await api.cloudflare('POST', path, { name: `twice ${path}` })).body.result.id
      await api.cloudflare('DELETE', `${path}/${await made()}`)
      const id = await made()
      const { body } = await api.cloudflare('GET', `${path}?name=${encodeURIComponent(`twice ${path}`)}`)
      expect(body.result.map((found: { id: string }) => found.id)).toEqual([id])
    }
  })

  test('sets the account’s settings, reads them back and returns them to their defaults', async () => {
    const settings = { activity_log: { enabled: true }, host_selector: { enabled: true }, block_page: null }
    const put = (await api.cloudflare('PUT', '/gateway/configuration', { settings })).body
    expect(put.errors).toEqual([])
    expect((await api.cloudflare('GET', '/gateway/configuration')).body.result).toEqual(put.result)
    const devices = { gateway_proxy_enabled: true, gateway_udp_proxy_enabled: true, use_zt_virtual_ip: true }
    const set = (await api.cloudflare('PUT', '/devices/settings', devices)).body.result
    expect((await api.cloudflare('GET', '/devices/settings')).body.result).toEqual(set)
    expect((await api.cloudflare('DELETE', '/devices/settings')).status).toBe(200)
    const ingress = [{ hostname: 'wiki.test', service: 'http://10.0.0.2' }, { service: 'http_status:404' }]
    const configured = (await api.cloudflare('PUT', `/cfd_tunnel/${TUNNEL}/configurations`, { config: { ingress } }))
      .body.result
    expect(configured).toMatchObject({ tunnel_id: TUNNEL, version: 1, config: { ingress } })
    const domains = [{ suffix: 'corp.test', dns_server: ['10.0.0.53'] }]
    expect((await api.cloudflare('PUT', '/devices/policy/fallback_domains', domains)).body.result).toEqual(domains)
    const token = (await api.cloudflare('GET', `/cfd_tunnel/${TUNNEL}/token`)).body.result
    expect(JSON.parse(Buffer.from(token, 'base64').toString())).toMatchObject({ t: TUNNEL })
  })
})

/** The part of a value that was set: the API may add members of its own, such as the time of an item. */
function pick(value: unknown, set: unknown): unknown {
  if (Array.isArray(value) && Array.isArray(set)) return value.map((item, at) => pick(item, set[at]))
  if (typeof value !== 'object' || value === null || typeof set !== 'object' || set === null) return value
  return Object.fromEntries(Object.keys(set).map((name) => [name, pick(Object(value)[name], Object(set)[name])]))
}
