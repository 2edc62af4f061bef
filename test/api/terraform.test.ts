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
