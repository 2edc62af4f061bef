// The official SDK against a running API: every resource created, listed, read, updated, deleted, and its error classes.

import Cloudflare from 'cloudflare'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ACCOUNT_ID, DEFAULT_VNET, TUNNEL } from '../store/lab.ts'
import { type RunningApi, runApi, TOKEN } from './running-api.ts'

const account = { account_id: ACCOUNT_ID }
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

let api: RunningApi
let client: Cloudflare

beforeAll(async () => {
  api = await runApi()
  client = new Cloudflare({ apiToken: TOKEN, baseURL: `${api.url}/client/v4` })
})
afterAll(() => api.close())

async function all<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of pages) items.push(item)
  return items
}

test('accounts: the one account is listed and read', async () => {
  expect((await all(client.accounts.list())).map(({ id }) => id)).toEqual([ACCOUNT_ID])
  expect(await client.accounts.get(account)).toMatchObject({ id: ACCOUNT_ID, name: 'lab', type: 'standard' })
})

test('an email and a key log in as well as a token does', async () => {
  const byKey = new Cloudflare({ apiEmail: 'me@example.com', apiKey: TOKEN, baseURL: `${api.url}/client/v4` })
  expect((await byKey.accounts.get(account)).id).toBe(ACCOUNT_ID)
})

describe('rules', () => {
  const sent = {
    name: 'Finance from London',
    action: 'egress' as const,
    filters: ['egress' as const],
    enabled: true,
    traffic: 'net.dst.port == 443',
    identity: 'any(identity.groups.name[*] == "Finance")',
    rule_settings: { egress: { ipv4: '203.0.113.20', ipv4_fallback: '203.0.113.30', ipv6: '2001:db8:20::/64' } },
  }

  test('are created, read, listed, replaced and deleted, and every answer agrees', async () => {
    const of = client.zeroTrust.gateway.rules
    const created = await of.create({ ...account, ...sent })
    expect(created).toMatchObject({ ...sent, version: 1, deleted_at: null, device_posture: '' })
    expect(created.id).toMatch(UUID)
    expect(created.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    const id = created.id ?? ''
    expect(await of.get(id, account)).toEqual(created)
    expect((await all(of.list(account))).find((rule) => rule.id === id)).toEqual(created)
    const replaced = await of.update(id, { ...account, name: 'bare', action: 'egress' })
    expect(replaced).toMatchObject({
      name: 'bare',
      enabled: false,
      traffic: '',
      identity: '',
      version: 2,
      filters: ['egress'],
    })
    expect(replaced).toMatchObject({
      rule_settings: null,
      precedence: created.precedence,
      created_at: created.created_at,
    })
    expect(await of.get(id, account)).toEqual(replaced)
    await of.delete(id, account)
    await expect(of.get(id, account)).rejects.toBeInstanceOf(Cloudflare.NotFoundError)
  })

  test('the SDK raises its own classes, with Cloudflare’s codes', async () => {
    const of = client.zeroTrust.gateway.rules
    const unowned = { egress: { ipv4: '192.0.2.1', ipv4_fallback: '0.0.0.0', ipv6: '2001:db8:20::/64' } }
    const codes = async (attempt: Promise<unknown>) => {
      const error = await attempt.then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      return error instanceof Cloudflare.APIError ? [error.constructor, error.errors[0]?.code] : error
    }
    expect(await codes(of.create({ ...account, ...sent, precedence: 1000 }))).toEqual([Cloudflare.ConflictError, 2011])
    expect(await codes(of.create({ ...account, ...sent, rule_settings: unowned }))).toEqual([
      Cloudflare.BadRequestError,
      2055,
    ])
    expect(await codes(of.create({ ...account, ...sent, action: 'block' }))).toEqual([Cloudflare.BadRequestError, 2087])
    expect(await codes(of.get(TUNNEL, account))).toEqual([Cloudflare.NotFoundError, 2000])
    const stranger = new Cloudflare({ apiToken: 'not-the-token-at-all', baseURL: `${api.url}/client/v4` })
    expect(await codes(stranger.zeroTrust.gateway.rules.get(TUNNEL, account))).toEqual([
      Cloudflare.AuthenticationError,
      10000,
    ])
  })
})

test('lists: created, listed, paged, replaced, appended to, removed from and deleted', async () => {
  const { lists } = client.zeroTrust.gateway
  const items = Array.from({ length: 120 }, (_, at) => ({ value: `10.0.${at}.0/24`, description: `office ${at}` }))
  const created = await lists.create({ ...account, name: 'Offices', type: 'IP', items })
  const id = created.id ?? ''
  expect(created).toMatchObject({ name: 'Offices', type: 'IP' })
  expect(await all(lists.items.list(id, account))).toHaveLength(120)
  expect((await all(lists.items.list(id, { ...account, per_page: 7 }))).map(({ value }) => value)).toEqual(
    items.map(({ value }) => value),
  )
  expect((await all(lists.list({ ...account, type: 'IP' }))).map(({ name, count }) => [name, count])).toEqual([
    ['Offices', 120],
  ])
  expect(await lists.update(id, { ...account, name: 'Renamed' })).toMatchObject({
    name: 'Renamed',
    description: '',
    count: 120,
  })
  const edited = await lists.edit(id, {
    ...account,
    append: [{ value: '192.0.2.7' }],
    remove: ['10.0.0.0/24', '10.0.1.0/24'],
  })
  expect(edited.count).toBe(119)
  expect((await lists.get(id, account)).items?.at(-1)?.value).toBe('192.0.2.7')
  await lists.delete(id, account)
  await expect(lists.get(id, account)).rejects.toBeInstanceOf(Cloudflare.NotFoundError)
})

test('configuration: read, patched one setting at a time, replaced as a whole', async () => {
  const { configurations } = client.zeroTrust.gateway
  expect((await configurations.get(account)).settings?.host_selector).toEqual({ enabled: true })
  await configurations.edit({
    ...account,
    settings: { tls_decrypt: { enabled: true }, host_selector: { enabled: true } },
  })
  const patched = await configurations.edit({ ...account, settings: { activity_log: { enabled: true } } })
  expect(patched.settings).toEqual({
    tls_decrypt: { enabled: true },
    activity_log: { enabled: true },
    host_selector: { enabled: true },
  })
  const replaced = await configurations.update({ ...account, settings: { activity_log: { enabled: false } } })
  expect(replaced.settings).toEqual({ activity_log: { enabled: false } })
  expect(api.store.current().account.settings.hostSelector).toBe(false)
  expect(await configurations.get(account)).toEqual(replaced)
})

test('logging: read and replaced', async () => {
  const { logging } = client.zeroTrust.gateway
  expect((await logging.get(account)).redact_pii).toBe(false)
  const settings = { redact_pii: true, settings_by_rule_type: { dns: { log_all: true, log_blocks: false } } }
  expect(await logging.update({ ...account, ...settings })).toEqual(settings)
  expect(await logging.get(account)).toEqual(settings)
})

test('proxy endpoints: created, listed, read, edited and deleted', async () => {
  const { proxyEndpoints } = client.zeroTrust.gateway
  const created = await proxyEndpoints.create({ ...account, name: 'Devops', kind: 'ip' })
  expect(created).toMatchObject({ name: 'Devops', kind: 'ip' })
  expect(created).not.toHaveProperty('ips')
  expect(created.subdomain).toMatch(/^[a-z0-9]{10}$/)
  const id = created.id ?? ''
  const edited = await proxyEndpoints.edit(id, { ...account, ips: ['192.0.2.0/24'] })
  expect(edited).toMatchObject({ name: 'Devops', ips: ['192.0.2.0/24'], subdomain: created.subdomain })
  expect(await proxyEndpoints.get(id, account)).toEqual(edited)
  await proxyEndpoints.create({ ...account, name: 'People', kind: 'identity' })
  expect((await all(proxyEndpoints.list({ ...account, filter: ['kind:identity'] }))).map(({ name }) => name)).toEqual([
    'People',
  ])
  await proxyEndpoints.delete(id, account)
  await expect(proxyEndpoints.get(id, account)).rejects.toBeInstanceOf(Cloudflare.NotFoundError)
})

test('PAC files: created, paged, read, replaced, served and deleted', async () => {
  const { pacfiles } = client.zeroTrust.gateway
  const contents = 'function FindProxyForURL(url, host) { return "DIRECT"; }'
  const created = await pacfiles.create({ ...account, name: 'Devops team', contents })
  expect(created).toMatchObject({ slug: 'devops-team', contents })
  expect(created).not.toHaveProperty('description')
  const id = created.id ?? ''
  const served = await fetch(created.url ?? '')
  expect(await served.text()).toBe(contents)
  expect(served.headers.get('content-type')).toBe('application/x-ns-proxy-autoconfig')
  expect(served.headers.get('cache-control')).toBe('no-store')
  const second = await pacfiles.create({ ...account, name: 'Devops team', contents })
  expect(second.slug).toBe('devops-team-2')
  expect(await all(pacfiles.list({ ...account, per_page: 1 }))).toHaveLength(2)
  const changed = `${contents} // changed`
  const update = { ...account, name: 'Other', description: 'more', contents: changed }
  expect(await pacfiles.update(id, update)).toMatchObject({ name: 'Other', slug: 'devops-team', contents: changed })
  expect(await pacfiles.get(id, account)).toMatchObject({ contents: changed, description: 'more' })
  await pacfiles.delete(id, account)
  expect((await fetch(created.url ?? '')).status).toBe(404)
})

test('virtual networks: created, listed by filter, edited, softly deleted', async () => {
  const { virtualNetworks } = client.zeroTrust.networks
  const created = await virtualNetworks.create({ ...account, name: 'us-east', comment: 'a comment' })
  expect(created).toMatchObject({ name: 'us-east', comment: 'a comment', is_default_network: false, deleted_at: null })
  const { id } = created
  expect(await virtualNetworks.get(id, account)).toEqual(created)
  expect(await virtualNetworks.edit(id, { ...account, is_default_network: true })).toMatchObject({
    is_default_network: true,
  })
  expect((await all(virtualNetworks.list({ ...account, is_default_network: true }))).map(({ name }) => name)).toEqual([
    'us-east',
  ])
  await expect(virtualNetworks.delete(id, account)).rejects.toBeInstanceOf(Cloudflare.ConflictError)
  await virtualNetworks.edit(DEFAULT_VNET, { ...account, is_default_network: true })
  const deleted = await virtualNetworks.delete(id, account)
  expect(deleted.deleted_at).toMatch(/Z$/)
  const named = { ...account, name: 'us-east' }
  expect(await all(virtualNetworks.list({ ...named, is_deleted: false }))).toEqual([])
  expect(await all(virtualNetworks.list({ ...named, is_deleted: true }))).toEqual([deleted])
  expect((await virtualNetworks.create({ ...account, name: 'us-east' })).id).not.toBe(id)
})

test('tunnels and routes: created, paged, looked up, edited, deleted together', async () => {
  const { routes } = client.zeroTrust.networks
  const { cloudflared } = client.zeroTrust.tunnels
  const tunnel = await cloudflared.create({ ...account, name: 'branch', config_src: 'cloudflare' })
  const tunnel_id = tunnel.id ?? ''
  expect(await cloudflared.get(tunnel_id, account)).toEqual(tunnel)
  expect((await all(cloudflared.list({ ...account, name: 'branch' }))).map(({ id }) => id)).toEqual([tunnel_id])
  const route = await routes.create({ ...account, network: '10.0.0.0/8', tunnel_id })
  expect(route).toMatchObject({
    network: '10.0.0.0/8',
    tunnel_id,
    virtual_network_id: DEFAULT_VNET,
    comment: '',
    deleted_at: null,
  })
  await routes.create({ ...account, network: '10.1.0.0/16', tunnel_id })
  await expect(routes.create({ ...account, network: '10.0.0.0/8', tunnel_id })).rejects.toBeInstanceOf(
    Cloudflare.ConflictError,
  )
  expect(await all(routes.list({ ...account, per_page: 1 }))).toHaveLength(2)
  expect((await all(routes.list({ ...account, network_subset: '10.1.0.0/16' }))).map(({ network }) => network)).toEqual(
    ['10.1.0.0/16'],
  )
  expect((await routes.ips.get('10.1.2.3', account)).network).toBe('10.1.0.0/16')
  expect((await routes.ips.get('10.9.2.3', account)).tunnel_name).toBe('branch')
  expect(await routes.edit(route.id ?? '', { ...account, comment: 'head office' })).toMatchObject({
    network: '10.0.0.0/8',
    comment: 'head office',
  })
  expect((await routes.get(route.id ?? '', account)).comment).toBe('head office')
  await cloudflared.delete(tunnel_id, account)
  expect(await all(routes.list({ ...account, is_deleted: false }))).toEqual([])
  await expect(routes.delete(route.id ?? '', account)).rejects.toBeInstanceOf(Cloudflare.NotFoundError)
})

test('host name routes: created, listed, read, edited and deleted', async () => {
  const { hostnameRoutes } = client.zeroTrust.networks
  const created = await hostnameRoutes.create({ ...account, hostname: 'intranet.example.com', tunnel_id: TUNNEL })
  expect(created).toMatchObject({ hostname: 'intranet.example.com', tunnel_name: 'office', deleted_at: null })
  const id = created.id ?? ''
  expect(await hostnameRoutes.get(id, account)).toEqual(created)
  expect(await all(hostnameRoutes.list({ ...account, hostname: 'INTRANET' }))).toEqual([created])
  expect(await hostnameRoutes.edit(id, { ...account, comment: 'wiki' })).toMatchObject({ comment: 'wiki' })
  await hostnameRoutes.delete(id, account)
  expect(await all(hostnameRoutes.list(account))).toEqual([])
})

test('initial resolved IP ranges: read and changed per family', async () => {
  const { initialResolvedIP } = client.zeroTrust.networks.subnets
  expect(await initialResolvedIP.get('v4', account)).toMatchObject({
    network: '100.80.0.0/16',
    subnet_type: 'initial_resolved_ip',
  })
  const changed = await initialResolvedIP.update('v4', { ...account, network: '100.90.0.0/16', comment: 'moved' })
  expect(changed).toMatchObject({ network: '100.90.0.0/16', comment: 'moved' })
  expect(await initialResolvedIP.get('v4', account)).toEqual(changed)
})

test('what is not supported raises NotFoundError and says what and why', async () => {
  const attempt = client.zeroTrust.gateway.auditSSHSettings.get(account)
  await expect(attempt).rejects.toThrow(/not supported by this lab: SSH is not audited/)
  await expect(attempt).rejects.toBeInstanceOf(Cloudflare.NotFoundError)
})

test('AP-11 a rate limit played on request raises RateLimitError, and passes with time', async () => {
  const impatient = new Cloudflare({ apiToken: TOKEN, baseURL: `${api.url}/client/v4`, maxRetries: 0 })
  await api.ask('PUT', '/lab/v1/rate-limit', { requests: 2, seconds: 60 })
  await impatient.accounts.get(account)
  await impatient.accounts.get(account)
  const error = await impatient.accounts.get(account).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(Cloudflare.RateLimitError)
  expect(Number((error as InstanceType<typeof Cloudflare.RateLimitError>).headers?.get('retry-after'))).toBeGreaterThan(
    0,
  )
  await api.ask('POST', '/lab/v1/clock/advance', { seconds: 61 })
  expect((await impatient.accounts.get(account)).id).toBe(ACCOUNT_ID)
  await api.ask('DELETE', '/lab/v1/rate-limit')
  await api.ask('DELETE', '/lab/v1/clock')
})
