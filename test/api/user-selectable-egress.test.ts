// The two walk-throughs of the product documentation, by curl against a running API: user-selectable egress, and the
// finance department of the best practices. What they change is what connections are then decided by.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ip } from '../../src/net/ip.ts'
import { decide } from '../../src/policy/decide.ts'
import type { Flow } from '../../src/policy/flow.ts'
import { ACCOUNT_ID, DEFAULT_VNET } from '../store/lab.ts'
import { BOB, type Envelope, type RunningApi, runApi, TOKEN } from './running-api.ts'

const AMSTERDAM = { latitude: 52.37, longitude: 4.9, country: 'NL' }
const run = promisify(execFile)

let api: RunningApi
beforeEach(async () => {
  api = await runApi({
    config: {
      virtualNetworks: [{ id: DEFAULT_VNET, name: 'default', comment: '', isDefault: true }],
      rules: [],
      tunnels: [],
    },
  })
})
afterEach(() => api.close())

/** curl as the documentation has it, with the base address replaced; answers `result`. */
async function curl(path: string, data: unknown, ...options: string[]): Promise<Envelope['result']> {
  const { stdout } = await run('curl', [
    '--silent',
    ...options,
    `${api.url}/client/v4/accounts/${ACCOUNT_ID}${path}`,
    '--header',
    `Authorization: Bearer ${TOKEN}`,
    '--header',
    'Content-Type: application/json',
    '--data',
    JSON.stringify(data),
  ])
  const answer = JSON.parse(stdout) as Envelope
  expect(answer.errors).toEqual([])
  return answer.result
}

/** Where a connection of bob's would leave from right now. */
function egressOfBob(changes: Partial<Flow> = {}): string | undefined {
  const flow: Flow = {
    transport: 'tcp',
    source: { ip: ip('127.0.0.1'), port: 5000 },
    identity: {
      id: 'bob',
      email: BOB.email,
      name: 'Bob',
      groups: [],
      samlAttributes: new Map(),
      oidcClaims: new Map(),
    },
    userPlace: AMSTERDAM,
    virtualNetworkId: api.store.chosenVirtualNetwork(BOB.email) ?? DEFAULT_VNET,
    destination: { ip: ip('198.51.100.7'), port: 443 },
    proxiedByCloudflare: false,
    contentCategories: [],
    applications: [],
    ...changes,
  }
  return decide(api.store.current(), flow).egress?.address.text
}

test('user-selectable egress: two networks, routes over both, a rule each, switch, and the address changes', async () => {
  const tunnels = [await curl('/cfd_tunnel', { name: 'tunnel-1' }), await curl('/cfd_tunnel', { name: 'tunnel-2' })]
  const networks = ['10.0.0.0/8', '192.168.88.0/24']
  const routes = []
  for (const [at, network] of networks.entries()) {
    routes.push(await curl('/teamnet/routes', { network, tunnel_id: tunnels[at].id }))
  }

  const amer = await curl('/teamnet/virtual_networks', {
    comment: 'Virtual network to egress from the Americas',
    is_default: false,
    name: 'vnet-AMER',
  })
  const emea = await curl('/teamnet/virtual_networks', {
    comment: 'Virtual network to egress from Europe, the Middle East, and Africa',
    is_default: false,
    name: 'vnet-EMEA',
  })

  for (const [at, network] of networks.entries()) {
    const tunnel_id = tunnels[at].id
    const moved = { network, tunnel_id, virtual_network_id: amer.id }
    expect(await curl(`/teamnet/routes/${routes[at].id}`, moved, '--request', 'PATCH')).toMatchObject(moved)
    await curl('/teamnet/routes', { network, tunnel_id, virtual_network_id: emea.id })
  }

  const rule = (name: string, precedence: number, vnet: string, ipv4: string, ipv6: string) => ({
    action: 'egress',
    description: `Egress by connecting to ${name}`,
    enabled: true,
    filters: ['egress'],
    name: `Egress ${name}`,
    precedence,
    traffic: `net.vnet_id == "${vnet}"`,
    rule_settings: { egress: { ipv4, ipv4_fallback: '203.0.113.30', ipv6 } },
  })
  await curl('/gateway/rules', rule('vnet-AMER', 0, amer.id, '203.0.113.40', '2001:db8:40::/64'))
  await curl('/gateway/rules', rule('vnet-EMEA', 1, emea.id, '203.0.113.20', '2001:db8:20::/64'))

  expect(egressOfBob()).toBe('203.0.113.10')
  for (const [name, address] of [
    ['vnet-AMER', '203.0.113.40'],
    ['vnet-EMEA', '203.0.113.20'],
    ['default', '203.0.113.10'],
  ] as const) {
    await run('curl', [
      '--fail',
      '--silent',
      '--request',
      'PUT',
      `${api.url}/lab/v1/me/virtual-network`,
      '--user',
      `${BOB.email}:${BOB.password}`,
      '--header',
      'Content-Type: application/json',
      '--data',
      JSON.stringify({ virtual_network: name }),
    ])
    expect(egressOfBob()).toBe(address)
  }
  const table = await api.cloudflare('GET', '/teamnet/routes?is_deleted=false')
  const rows = table.body.result.map(
    (row: Record<string, string>) => `${row.tunnel_name} ${row.network} ${row.virtual_network_name}`,
  )
  expect(rows.sort()).toEqual([
    'tunnel-1 10.0.0.0/8 vnet-AMER',
    'tunnel-1 10.0.0.0/8 vnet-EMEA',
    'tunnel-2 192.168.88.0/24 vnet-AMER',
    'tunnel-2 192.168.88.0/24 vnet-EMEA',
  ])
})

test('finance: a department reaches its bank from London, with a fallback, and everybody else leaves as before', async () => {
  const bank = await curl('/gateway/lists', { name: 'Bank', type: 'IP', items: [{ value: '198.51.100.0/24' }] })
  await curl('/gateway/rules', {
    action: 'egress',
    enabled: true,
    filters: ['egress'],
    name: 'Finance to the bank',
    traffic: `net.dst.ip in $${bank.id}`,
    identity: 'any(identity.groups.name[*] in {"Finance"})',
    rule_settings: { egress: { ipv4: '203.0.113.20', ipv4_fallback: '203.0.113.30', ipv6: '2001:db8:20::/64' } },
  })
  const groups = [{ id: 'g1', name: 'Finance', email: 'finance@example.com' }]
  const finance = {
    identity: { id: 'bob', email: BOB.email, name: 'Bob', groups, samlAttributes: new Map(), oidcClaims: new Map() },
  }
  expect(egressOfBob(finance)).toBe('203.0.113.20')
  expect(egressOfBob()).toBe('203.0.113.10')
  expect(egressOfBob({ ...finance, destination: { ip: ip('192.0.2.1'), port: 443 } })).toBe('203.0.113.10')
  await api.ask('PUT', '/lab/v1/colos/LHR', { up: false })
  expect(egressOfBob(finance)).toBe('203.0.113.30')
})
