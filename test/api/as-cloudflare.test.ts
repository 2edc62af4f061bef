// What clients of Cloudflare's API rely on and found to differ: what is listed, what is absent, what is refused at which depth, and the
// words of refusals. Inputs are in the form in which clients send them.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EMEA_RULE, TUNNEL } from '../store/lab.ts'
import { type Answered, type RunningApi, runApi } from './running-api.ts'

let api: RunningApi
beforeEach(async () => {
  api = await runApi()
})
afterEach(() => api.close())

const told = ({ status, body }: Answered) => `${status} ${body.errors.map(({ message }) => message).join('; ')}`
const make = async (path: string, body: unknown) => (await api.cloudflare('POST', path, body)).body.result
const read = async (path: string) => (await api.cloudflare('GET', path)).body.result

describe('what is deleted', () => {
  const THINGS = [
    ['/teamnet/virtual_networks', { name: 'again' }],
    ['/cfd_tunnel', { name: 'again' }],
    ['/warp_connector', { name: 'again' }],
    ['/teamnet/routes', { network: '10.77.0.0/16', tunnel_id: TUNNEL }],
    ['/zerotrust/routes/hostname', { hostname: 'again.test', tunnel_id: TUNNEL }],
  ] as const

  test.each(THINGS)(
    '%s is not listed unless `is_deleted` asks, so a name used twice is found once',
    async (path, body) => {
      const first = await make(path, body)
      await api.cloudflare('DELETE', `${path}/${first.id}`)
      const second = await make(path, body)
      const ids = async (query: string) => (await read(`${path}${query}`)).map(({ id }: { id: string }) => id)
      const listed = await ids('')
      expect(listed).toContain(second.id)
      expect(listed).not.toContain(first.id)
      expect(await ids('?is_deleted=false')).toEqual(listed)
      expect(await ids('?is_deleted=true')).toEqual([first.id])
    },
  )

  test.each([
    ['/teamnet/virtual_networks', { name: 'gone' }, 404],
    ['/zerotrust/routes/hostname', { hostname: 'gone.test', tunnel_id: TUNNEL }, 404],
    ['/cfd_tunnel', { name: 'gone' }, 200],
    ['/teamnet/routes', { network: '10.78.0.0/16', tunnel_id: TUNNEL }, 200],
  ])('%s by its id is an error, or says when it was deleted', async (path, body, status) => {
    const { id } = await make(path, body)
    await api.cloudflare('DELETE', `${path}/${id}`)
    const answer = await api.cloudflare('GET', `${path}/${id}`)
    expect(answer.status).toBe(status)
    if (status === 200) expect(answer.body.result.deleted_at).toMatch(/Z$/)
  })

  test('`existed_at`, also encoded twice as in the clients’ own examples, finds what there was', async () => {
    const { id } = await make('/teamnet/routes', { network: '10.79.0.0/16', tunnel_id: TUNNEL })
    await api.cloudflare('DELETE', `/teamnet/routes/${id}`)
    expect(await read('/teamnet/routes?existed_at=2019-10-12T07%253A20%253A50.52Z')).toEqual([])
    const later = encodeURIComponent(encodeURIComponent('2100-01-01T00:00:00Z'))
    expect((await api.cloudflare('GET', `/teamnet/routes?existed_at=${later}`)).status).toBe(200)
  })
})

test('tunnels carry no `connections`; those have a route of their own', async () => {
  expect(await read(`/cfd_tunnel/${TUNNEL}`)).not.toHaveProperty('connections')
  for (const tunnel of await read('/cfd_tunnel')) expect(tunnel).not.toHaveProperty('connections')
  expect(await read(`/cfd_tunnel/${TUNNEL}/connections`)).toEqual([])
})

test('a WARP connector is a tunnel that routes can lead to, under its own path alone', async () => {
  const { id, tun_type } = await make('/warp_connector', { name: 'mesh', ha: true })
  expect(tun_type).toBe('warp_connector')
  expect((await api.cloudflare('GET', `/cfd_tunnel/${id}`)).status).toBe(404)
  expect((await api.cloudflare('DELETE', `/cfd_tunnel/${id}`)).status).toBe(404)
  await make('/teamnet/routes', { network: '10.80.0.0/16', tunnel_id: id })
  const [route] = await read('/teamnet/routes?tun_types=warp_connector')
  expect(route).toMatchObject({ tunnel_name: 'mesh', tun_type: 'warp_connector' })
  expect((await read('/tunnels')).map((tunnel: { tun_type: string }) => tunnel.tun_type)).toContain('warp_connector')
})

describe('device settings', () => {
  const all = {
    gateway_proxy_enabled: true,
    gateway_udp_proxy_enabled: true,
    root_certificate_installation_enabled: true,
    use_zt_virtual_ip: true,
    disable_for_time: 3600,
    external_emergency_signal_enabled: true,
    external_emergency_signal_fingerprint: 'abcd1234',
    external_emergency_signal_interval: '5m',
    external_emergency_signal_url: 'https://signal.example.com/',
  }

  test('are kept whole, changed one at a time, and return to their defaults with DELETE', async () => {
    const before = await read('/devices/settings')
    await api.cloudflare('PUT', '/devices/settings', all)
    expect(await read('/devices/settings')).toEqual(all)
    await api.cloudflare('PATCH', '/devices/settings', { use_zt_virtual_ip: false })
    expect(await read('/devices/settings')).toEqual({ ...all, use_zt_virtual_ip: false })
    const { status, body } = await api.cloudflare('DELETE', '/devices/settings')
    expect([status, body.result]).toEqual([200, before])
    expect(await read('/devices/settings')).toEqual(before)
  })
})

describe('members nobody knows', () => {
  const rule = (rule_settings: unknown, more: object = {}) =>
    api.cloudflare('POST', '/gateway/rules', {
      name: 'r',
      action: 'egress',
      filters: ['egress'],
      rule_settings,
      ...more,
    })
  const dns = { action: 'block', filters: ['dns'] }

  test.each([
    [{ egres: { ipv4: '203.0.113.20' } }, {}, 'unknown field `egres`; did you mean `egress`?'],
    [{ egress: { ipv4_fallbak: '0.0.0.0' } }, {}, 'unknown field `ipv4_fallbak`; did you mean `ipv4_fallback`?'],
    [{ block_page_enabeld: true }, dns, 'did you mean `block_page_enabled`?'],
    [{ notification_settings: { enabeld: true } }, dns, 'did you mean `enabled`?'],
    [{ dns_resolvers: { ipv4: [{ ipp: '192.0.2.1' }] } }, { action: 'resolve', filters: ['dns_resolver'] }, '`ipp`'],
  ])('in `rule_settings` are refused at every depth: %j', async (settings, more, words) => {
    const answer = told(await rule(settings, more))
    expect(answer).toMatch(/^400 /)
    expect(answer).toContain(words)
  })

  test('settings of another type are refused in an egress rule, unless they say nothing', async () => {
    expect(told(await rule({ block_reason: 'no' }))).toMatch(/^400 `block_reason` is a setting of rules of type `dns`/)
    const v4 = { block_page_enabled: false, block_reason: '', override_ips: null, add_headers: {}, check_session: null }
    expect((await rule({ ...v4, egress: null })).status).toBe(200)
  })

  test('settings of another type in a rule the lab only keeps, as the provider’s own test has them, are named', async () => {
    const settings = {
      block_page_enabled: true,
      block_reason: 'cuz',
      insecure_disable_dnssec_validation: false,
      egress: { ipv4: '203.0.113.1', ipv6: '2001:db8::/32' },
      untrusted_cert: { action: 'error' },
      payload_log: { enabled: true },
    }
    const { status, body } = await rule(settings, dns)
    expect(status).toBe(200)
    expect(body.result.rule_settings).toEqual(settings)
    const named = body.messages.filter(({ code }) => code === 20202).map(({ message }) => message.split(' ')[0])
    expect(named).toEqual(['`rule_settings.egress`', '`rule_settings.untrusted_cert`', '`rule_settings.payload_log`'])
  })

  test.each([
    ['/gateway/logging', { settings_by_rule_type: { dns: { log_al: true } } }, 'did you mean `log_all`?'],
    ['/gateway/configuration', { settings: { host_selector: { enable: true } } }, 'did you mean `enabled`?'],
    ['/gateway/configuration', { settings: { host_selectr: { enabled: true } } }, 'did you mean `host_selector`?'],
    ['/gateway/configuration', { settings: { block_page: { footer_txt: '' } } }, 'did you mean `footer_text`?'],
  ])('in %s are refused at every depth: %j', async (path, body, words) => {
    const answer = told(await api.cloudflare('PUT', path, body))
    expect(answer).toMatch(/^400 /)
    expect(answer).toContain(words)
  })
})

describe('schedules and expirations', () => {
  const dns = { name: 'd', action: 'block', filters: ['dns'] }

  test.each([
    [{ schedule: { mon: '25:00-99:00' } }, '400 `schedule.mon` must be hours such as `08:00-12:30,13:30-17:00`'],
    [{ schedule: { mon: '08:00-17:00', time_zone: 'Nowhere/Land' } }, '400 `Nowhere/Land` is not a time zone'],
    [{ schedule: { monday: '08:00-17:00' } }, '400 unknown field `monday`'],
    [{ expiration: { expires_at: 'tomorrow' } }, '400 `expiration/expires_at`'],
  ])('that can never be are refused: %j', async (timing, words) => {
    expect(told(await api.cloudflare('POST', '/gateway/rules', { ...dns, ...timing }))).toContain(words)
  })

  test('`expired` is told by the lab’s clock, whatever was sent', async () => {
    const expiration = { expires_at: '2014-01-01T05:20:00Z', duration: 10, expired: false }
    expect((await make('/gateway/rules', { ...dns, expiration })).expiration).toEqual({ ...expiration, expired: true })
    const later = { expires_at: '2100-01-01T00:00:00Z' }
    expect((await make('/gateway/rules', { ...dns, expiration: later })).expiration).toEqual({
      ...later,
      expired: false,
    })
  })
})

describe('`reset_expiration`', () => {
  const dns = { name: 'd', action: 'block', filters: ['dns'] }
  const reset = (id: string) => api.cloudflare('POST', `/gateway/rules/${id}/reset_expiration`, {})

  test('[R14] puts a rule in force for its default duration from the lab’s time on', async () => {
    const expiration = { expires_at: '2014-01-01T05:20:00Z', duration: 10 }
    const { id } = await make('/gateway/rules', { ...dns, expiration })
    await api.ask('PUT', '/lab/v1/clock', { time: '2027-01-01T00:00:00Z' })
    const { body } = await reset(id)
    expect(body.result.expiration).toEqual({
      expires_at: expect.stringMatching(/^2027-01-01T00:1\d:\d\dZ$/),
      duration: 10,
      expired: false,
    })
    expect(await read(`/gateway/rules/${id}`)).toEqual(body.result)
    await api.ask('POST', '/lab/v1/clock/advance', { seconds: 3600 })
    expect((await read(`/gateway/rules/${id}`)).expiration.expired).toBe(true)
  })

  test('is refused for a rule without a default duration, and for one that is not there', async () => {
    const ids = [
      await make('/gateway/rules', dns),
      await make('/gateway/rules', { ...dns, expiration: { expires_at: '2014-01-01T05:20:00Z' } }),
      await make('/gateway/rules', { name: 'e', action: 'egress', filters: ['egress'] }),
    ]
    for (const { id } of ids) expect(told(await reset(id))).toMatch(/^400 the rule has no `expiration`/)
    expect((await reset(TUNNEL)).status).toBe(404)
  })
})

describe('absent is not empty', () => {
  test('a rule’s description comes back as it was given', async () => {
    const rule = { name: 'r', action: 'egress', filters: ['egress'] }
    expect(await make('/gateway/rules', rule)).not.toHaveProperty('description')
    expect(await make('/gateway/rules', { ...rule, description: '' })).toMatchObject({ description: '' })
    const { id } = await make('/gateway/rules', { ...rule, description: 'why' })
    expect((await read(`/gateway/rules/${id}`)).description).toBe('why')
    await api.cloudflare('PUT', `/gateway/rules/${id}`, rule)
    expect(await read(`/gateway/rules/${id}`)).not.toHaveProperty('description')
  })

  test('a list made without items has none to show, one made with an empty array has an empty one', async () => {
    expect(await make('/gateway/lists', { name: 'a', type: 'IP' })).not.toHaveProperty('items')
    const { id, items } = await make('/gateway/lists', { name: 'b', type: 'IP', items: [] })
    expect(items).toEqual([])
    await api.cloudflare('PUT', `/gateway/lists/${id}`, { name: 'b', items: [{ value: '192.0.2.1' }] })
    await api.cloudflare('PUT', `/gateway/lists/${id}`, { name: 'c' })
    expect((await read(`/gateway/lists/${id}`)).items).toHaveLength(1)
    await api.cloudflare('PUT', `/gateway/lists/${id}`, { name: 'c', items: [] })
    expect((await read(`/gateway/lists/${id}`)).items).toEqual([])
  })

  test('a configuration never given `host_selector` has none; one that was turned off says so', async () => {
    const off = await runApi({ config: { settings: { ...api.store.current().account.settings, hostSelector: false } } })
    const settings = async () => (await off.cloudflare('GET', '/gateway/configuration')).body.result.settings
    expect(await settings()).not.toHaveProperty('host_selector')
    await off.cloudflare('PATCH', '/gateway/configuration', { settings: { host_selector: { enabled: false } } })
    expect(await settings()).toEqual({ host_selector: { enabled: false } })
    await off.close()
  })

  test('an endpoint of kind `ip` made without networks has no `ips`', async () => {
    expect(await make('/gateway/proxy_endpoints', { name: 'a', kind: 'ip' })).not.toHaveProperty('ips')
    expect(await make('/gateway/proxy_endpoints', { name: 'b', kind: 'ip', ips: [] })).toMatchObject({ ips: [] })
  })
})

test('items of a URL list lose their last slash and have a host in lower case, and those that are one are one', async () => {
  const values = ['https://Example.COM/Path/', 'https://example.com/Path', 'example.com/', 'HTTPS://example.com']
  const { id, items, count } = await make('/gateway/lists', {
    name: 'u',
    type: 'URL',
    items: values.map((value) => ({ value })),
  })
  expect(items.map(({ value }: { value: string }) => value)).toEqual([
    'https://example.com/Path',
    'example.com',
    'https://example.com',
  ])
  expect(count).toBe(3)
  const patch = { append: [{ value: 'EXAMPLE.com/' }], remove: ['https://EXAMPLE.com/Path/'] }
  expect((await api.cloudflare('PATCH', `/gateway/lists/${id}`, patch)).body.result.count).toBe(2)
})

test('a certificate is valid for 1 day to 30 years, and no number brings the lab down', async () => {
  const { expires_on, created_at } = await make('/gateway/certificates', { validity_period_days: 10_950 })
  expect(Date.parse(expires_on) - Date.parse(created_at)).toBeGreaterThan(10_949 * 86_400_000)
  for (const validity_period_days of [0, 1.5, 10_951, 1e300, '30']) {
    expect((await api.cloudflare('POST', '/gateway/certificates', { validity_period_days })).status).toBe(400)
  }
})

test('the PAC slug of the clients’ own examples is taken', async () => {
  const pac = {
    name: 'Devops team',
    slug: 'pac_devops',
    contents: 'function FindProxyForURL(url, host) { return "DIRECT"; }',
  }
  expect(await make('/gateway/pacfiles', pac)).toMatchObject({ slug: 'pac_devops' })
})

describe('what is no network is told in the words that clients look for', () => {
  test.each([
    ['POST', '/teamnet/routes', { network: '10.0.0.0/99', tunnel_id: TUNNEL }],
    ['POST', '/teamnet/routes', { network: '10.0.0.1/8', tunnel_id: TUNNEL }],
    ['POST', '/gateway/lists', { name: 'l', type: 'IP', items: [{ value: 'here' }] }],
    ['POST', '/gateway/proxy_endpoints', { name: 'e', kind: 'ip', ips: ['nowhere'] }],
    ['PUT', '/zerotrust/subnets/initial_resolved_ip/v4', { network: 'x' }],
    ['GET', '/teamnet/routes?network_subset=x', undefined],
    ['GET', '/teamnet/routes/ip/x', undefined],
  ])('%s %s %j', async (method, path, body) => {
    expect(told(await api.cloudflare(method, path, body))).toMatch(/^400 .*invalid address/)
  })
})

describe('lists in expressions', () => {
  const rule = (traffic: string, identity = '') =>
    api.cloudflare('POST', '/gateway/rules', { name: 'r', action: 'egress', filters: ['egress'], traffic, identity })

  test('that do not exist, or are of another type than the field, are refused', async () => {
    const ips = await make('/gateway/lists', { name: 'offices', type: 'IP', items: [{ value: '192.0.2.0/24' }] })
    const emails = await make('/gateway/lists', { name: 'people', type: 'EMAIL', items: [{ value: 'a@example.com' }] })
    const hosts = await make('/gateway/lists', { name: 'sites', type: 'DOMAIN', items: [{ value: 'example.com' }] })
    expect(told(await rule(`net.dst.ip in $${TUNNEL}`))).toMatch(/^400 there is no list/)
    expect(told(await rule(`net.dst.ip in $${hosts.id}`))).toContain('the list `sites` has type DOMAIN')
    expect(told(await rule(`any(net.fqdn.domains[*] in $${ips.id})`))).toContain('the list `offices` has type IP')
    expect(told(await rule('', `identity.email in $${hosts.id}`))).toContain('needs a list of type EMAIL')
    expect(told(await rule(`net.dst.port in $${ips.id}`))).toMatch(/^400 Filter parsing error/)
    expect((await rule(`net.dst.ip in $${ips.id}`, `identity.email in $${emails.id}`)).status).toBe(200)
    expect((await rule(`any(net.fqdn.domains[*] in $${hosts.id.replaceAll('-', '')})`)).status).toBe(200)
  })
})

describe('`warning_status`', () => {
  const warned = async (egress: object) =>
    (await make('/gateway/rules', { name: 'r', action: 'egress', filters: ['egress'], rule_settings: { egress } }))
      .warning_status
  const good = { ipv4: '203.0.113.20', ipv4_fallback: '203.0.113.30', ipv6: '2001:db8:20::/64' }

  test('warns of a fallback that is the primary, and of a range of another location', async () => {
    expect(await warned(good)).toBeNull()
    expect(await warned({ ...good, ipv4_fallback: '203.0.113.20' })).toContain('`ipv4_fallback` is `ipv4` itself')
    expect(await warned({ ...good, ipv6: '2001:db8:30::/64' })).toContain(
      'is the range of IAD, not that of `ipv4` (LHR)',
    )
  })
})

test('the documented recipe for `app.ids` plans: applications by name, categories, posture checks', async () => {
  const types = await read('/gateway/app_types')
  const named = types.filter(({ name }: { name: string }) => name === 'ESPN')
  expect(named).toMatchObject([{ id: 1005, application_type_id: 0 }])
  expect(types.find(({ id }: { id: number }) => id === 0)).not.toHaveProperty('application_type_id')
  const traffic = `any(app.ids[*] in {${named.map(({ id }: { id: number }) => id).join(' ')}})`
  expect(await make('/gateway/rules', { name: 'r', action: 'egress', filters: ['egress'], traffic })).toMatchObject({
    traffic,
  })
  expect(await read('/gateway/categories')).toMatchObject([{ id: 146, class: 'free', subcategories: [] }])
  const [check] = await read('/devices/posture')
  expect(await read(`/devices/posture/${check.id}`)).toEqual(check)
})

test('an access application of a proxy endpoint says who may use it, or that there is no such endpoint', async () => {
  const endpoint = {
    kind: 'identity',
    name: 'people',
    host: 'people0001.proxy.cloudflare-gateway.com',
    networks: [],
  } as const
  const listener = { name: 'people', host: '127.0.0.1', port: 8082, authentication: 'required', endpoint } as const
  await api.close()
  api = await runApi({ ports: { listeners: () => [listener] } })
  const words = async (domain?: string) => {
    const app = { name: 'proxy', type: 'proxy_endpoint', domain }
    return (await api.cloudflare('POST', '/access/apps', app)).body.messages.map(({ message }) => message).join()
  }
  expect(await words('People0001.proxy.cloudflare-gateway.com')).toBe(
    'stored without effect: everybody who can log in may use the proxy endpoint `people0001.proxy.cloudflare-gateway.com`',
  )
  expect(await words('elsewhere.proxy.cloudflare-gateway.com')).toContain('there are `people0001.proxy')
  expect(await words()).toContain('`domain` is missing')
})

test('whatever is kept without effect says so', async () => {
  const { body } = await api.cloudflare('POST', '/access/apps', {
    name: 'proxy',
    type: 'self_hosted',
    domain: 'wiki.example.com',
    policies: [{ decision: 'allow', include: [{ email_domain: { domain: 'example.com' } }] }],
  })
  expect(body.messages).toEqual([
    { code: 20203, message: 'stored without effect: this lab does not act on any access application' },
  ])
  expect((await api.cloudflare('GET', `/access/groups/${body.result.id}`)).status).toBe(404)
})

test('a rule of the file is shown without the description it does not have', async () => {
  expect(await read(`/gateway/rules/${EMEA_RULE}`)).not.toHaveProperty('description')
})
