// Private networks behind tunnels, through a whole lab: where the bytes of a private address really go depends on the virtual
// network in force, and the record says by which tunnel.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { askDns } from '../support/ask-dns.ts'
import { curl } from '../support/curl.ts'
import { ownNetwork } from '../support/own-network.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { UdpClient, udpOrigin } from '../support/udp.ts'

const AMER = 'aaaaaaaa-0000-4000-8000-000000000001'
const EMEA = 'aaaaaaaa-0000-4000-8000-000000000002'
const TUNNELS = {
  amer: 'bbbbbbbb-0000-4000-8000-000000000001',
  emea: 'bbbbbbbb-0000-4000-8000-000000000002',
  nowhere: 'bbbbbbbb-0000-4000-8000-000000000003',
}
/** what stands in for 10.10.0.0/16 of each */
const AMER_NET = ownNetwork(6)
const EMEA_NET = ownNetwork(7)
const at = (network: string, rest: string) => network.replace('0.0/16', rest)

let running: PrivateLab
let folder: string
const closing: (() => void)[] = []

/** A service that says its name, on a free port. */
async function service(name: string, host: string, port = 0): Promise<number> {
  const server = createServer((_ask, answer) => answer.end(name))
  await new Promise<void>((listening) => server.listen(port, host, listening))
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

let port: number
beforeAll(async () => {
  port = await service('amer', at(AMER_NET, '1.4'))
  await service('emea', at(EMEA_NET, '1.4'), port)
  await service('amer, the narrow network', at(AMER_NET, '200.9'), port)
  folder = mkdtempSync(join(tmpdir(), 'private-'))
  const configFile = join(folder, 'lab.yaml')
  writeFileSync(
    configFile,
    `dedicated_ips: [{ colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }]
virtual_networks:
  - { name: vnet-AMER, id: ${AMER} }
  - { name: vnet-EMEA, id: ${EMEA} }
tunnels:
  - name: amer
    id: ${TUNNELS.amer}
    networks:
      - { network: 10.10.0.0/16, stand_in: ${AMER_NET} }
      - { network: 10.10.99.0/24, stand_in: ${at(AMER_NET, '200.0/24')} }
      - { network: "fd00:10::/64", stand_in: ${AMER_NET} }
    hosts: [{ name: "*.internal.test", addresses: [10.10.1.4] }]
  - { name: emea, id: ${TUNNELS.emea}, networks: [{ network: 10.10.0.0/16, stand_in: ${EMEA_NET}, ports: { 80: ${port} } }] }
  - { name: nowhere, id: ${TUNNELS.nowhere} }
  - { name: by-proxy, upstream: { socks5: "${at(EMEA_NET, '250.1')}:1080" } } # nobody listens there
private_routes:
  - { network: 10.0.0.0/8, virtual_network: vnet-AMER, tunnel: nowhere }
  - { network: 10.10.0.0/16, virtual_network: vnet-AMER, tunnel: amer }
  - { network: "fd00:10::/64", virtual_network: vnet-AMER, tunnel: amer }
  - { network: 10.10.0.0/16, virtual_network: vnet-EMEA, tunnel: emea }
  - { network: 10.50.0.0/16, virtual_network: vnet-EMEA, tunnel: by-proxy }
hostname_routes: [{ hostname: "*.internal.test", tunnel: amer }]
dns: { listen: ["127.0.0.1:8053"] }
users: [{ email: alice@example.com, password: lab-alice, place: LHR }]
`,
  )
  running = await startPrivateLab({ configFile })
})
afterAll(async () => {
  for (const close of closing) close()
  await running?.close()
  rmSync(folder, { recursive: true, force: true })
})

async function ask(network: string, url: string): Promise<string> {
  const choice = network === '' ? '' : `;vnet=${network}`
  const answer = await curl('-g', '-x', running.proxy, '-U', `alice@example.com${choice}:lab-alice`, url)
  return answer.status === 200 ? answer.body : `${answer.status} ${/^code: (.*)$/m.exec(answer.body)?.[1]}`
}

describe('the same private network in two virtual networks', () => {
  test('[E1] reaches two services', async () => {
    expect(await ask('vnet-AMER', `http://10.10.1.4:${port}/`)).toBe('amer')
    expect(await ask('vnet-EMEA', `http://10.10.1.4:${port}/`)).toBe('emea')
    expect(await ask('vnet-EMEA', 'http://10.10.1.4/')).toBe('emea')
  })

  test('the record has the tunnel, the way out and the address really dialled', async () => {
    await ask('vnet-EMEA', `http://10.10.1.4:${port}/`)
    await expect
      .poll(() => running.lab.sessions.recent().at(-1))
      .toMatchObject({
        DestinationTunnelID: TUNNELS.emea,
        Offramp: 'CFD_TUNNEL',
        OriginIP: '10.10.1.4',
        VirtualNetworkID: EMEA,
        EgressRuleID: '',
        Lab: { outcome: 'exempt', dial: `${at(EMEA_NET, '1.4')}:${port}` },
      })
  })

  test('the narrowest network of a tunnel, and the narrowest route, count', async () => {
    expect(await ask('vnet-AMER', `http://10.10.99.9:${port}/`)).toBe('amer, the narrow network')
    expect(await ask('vnet-AMER', `http://10.11.1.4:${port}/`)).toBe('503 egress.tunnel_leads_nowhere')
  })

  test('an IPv6 network is stood in for as well', async () => {
    expect(await ask('vnet-AMER', `http://[fd00:10::104]:${port}/`)).toBe('amer')
  })

  test('UD-05 datagrams go the same way', async () => {
    const origin = await udpOrigin((payload) => Buffer.from(`emea heard ${payload}`), at(EMEA_NET, '1.7'))
    const login = ['alice@example.com;vnet=vnet-EMEA', 'lab-alice'] as const
    const client = await UdpClient.associate(running.lab.listeners[0]?.port ?? 0, { login })
    expect(await client.ask('10.10.1.7', origin.port, 'hello')).toBe('emea heard hello')
  })
})

test('[E1] a private name in no DNS is known by its tunnel, in every virtual network', async () => {
  for (const network of ['', 'vnet-EMEA']) {
    expect(await ask(network, `http://wiki.internal.test:${port}/`)).toBe('amer')
  }
})

test('a tunnel by way of a proxy is that proxy or a failure by name, and UDP does not go by it', async () => {
  expect(await ask('vnet-EMEA', 'http://10.50.0.1/')).toBe('503 egress.exit_failed')
  const login = ['alice@example.com;vnet=vnet-EMEA', 'lab-alice'] as const
  const client = await UdpClient.associate(running.lab.listeners[0]?.port ?? 0, { login })
  client.send('10.50.0.1', 7, 'hello')
  await expect
    .poll(() => running.lab.sessions.recent().at(-1))
    .toMatchObject({
      Protocol: 'UDP',
      Offramp: 'CFD_TUNNEL',
      Lab: { error: { code: 'egress.exit_failed' } },
    })
})

test('a client that asks Gateway DNS itself gets a placeholder for a private name, and reaches it by that', async () => {
  const [dns] = running.lab.dns
  const { data } = await askDns(dns ?? expect.unreachable(), 'wiki.internal.test')
  expect(data).toEqual([expect.stringMatching(/^100\.80\./)])
  expect(await ask('vnet-EMEA', `http://${data[0]}:${port}/`)).toBe('amer')
  await expect
    .poll(() => running.lab.sessions.recent().at(-1))
    .toMatchObject({
      ResolvedFQDN: 'wiki.internal.test',
      InitialOriginIP: data[0],
      DestinationTunnelID: TUNNELS.amer,
    })
})

test('a tunnel that leads nowhere is a failure by name, with the tunnel in the record', async () => {
  const answer = await curl(
    '-x',
    running.proxy,
    '-U',
    'alice@example.com;vnet=vnet-AMER:lab-alice',
    'http://10.99.0.1/',
  )
  expect(answer.status).toBe(503)
  expect(answer.body).toContain('`10.99.0.1:80` is behind tunnel `nowhere`')
  await expect
    .poll(() => running.lab.sessions.recent().at(-1))
    .toMatchObject({
      DestinationTunnelID: TUNNELS.nowhere,
      ConnectionCloseReason: 'ORIGIN_UNREACHABLE',
      Lab: { outcome: 'exempt', error: { code: 'egress.tunnel_leads_nowhere' } },
    })
})

test('a route made, moved and deleted at the API counts from the next connection on', async () => {
  const { lab } = running
  const base = `http://127.0.0.1:${lab.api.port}/client/v4/accounts/${lab.config.account.id}/teamnet/routes`
  const api = async (method: string, path: string, body?: unknown): Promise<{ readonly id: string }> => {
    const response = await fetch(`${base}${path}`, {
      method,
      headers: { authorization: `Bearer ${lab.apiToken.made}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    expect(response.status).toBe(200)
    return ((await response.json()) as { readonly result: { readonly id: string } }).result
  }
  const url = `http://10.10.1.4:${port}/`
  // in the default virtual network nothing is behind a tunnel yet
  expect(await ask('', url)).not.toBe('amer')
  const { id } = await api('POST', '', { network: '10.10.0.0/16', tunnel_id: TUNNELS.amer })
  expect(await ask('', url)).toBe('amer')
  await api('PATCH', `/${id}`, { tunnel_id: TUNNELS.emea })
  expect(await ask('', url)).toBe('emea')
  await api('DELETE', `/${id}`)
  expect(await ask('', url)).not.toBe('emea')
})
