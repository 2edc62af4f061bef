// The product documentation's own curl commands ("Use virtual networks to change user egress IPs" and "Egress IP best practices",
// developers.cloudflare.com, CC BY 4.0) as they are printed there, with nothing replaced but the base address and the placeholders, on
// a whole lab with real connections.

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { run } from '../cli/run.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import type { Envelope } from './running-api.ts'

const CREATE_NETWORK = `curl https://api.cloudflare.com/client/v4/accounts/{account_id}/teamnet/virtual_networks \\
--header "Authorization: Bearer <API_TOKEN>" \\
--header "Content-Type: application/json" \\
--data '{
  "comment": "Virtual network to egress from the Americas",
  "is_default": false,
  "name": "vnet-AMER"
}'`

const ASSIGN_NETWORK = `curl --request PATCH \\
https://api.cloudflare.com/client/v4/accounts/{account_id}/teamnet/routes/{route_id} \\
--header "Authorization: Bearer <API_TOKEN>" \\
--header "Content-Type: application/json" \\
--data '{
  "network": "10.0.0.0/8",
  "tunnel_id": <TUNNEL_UUID>,
  "virtual_network_id": <VNET_AMER_UUID>
}'`

const CREATE_POLICY = `curl https://api.cloudflare.com/client/v4/accounts/{account_id}/gateway/rules \\
--header "Authorization: Bearer <API_TOKEN>" \\
--header "Content-Type: application/json" \\
--data '{
  "action": "egress",
  "description": "Egress via North America by connecting to vnet-AMER",
  "enabled": true,
  "filters": [
  "egress"
  ],
  "name": "Egress AMER vnet",
  "precedence": 0,
  "traffic": "net.vnet_id == <VNET_AMER_UUID>",
  "rule_settings": {
    "egress": {
      "ipv4": <DEDICATED_IPV4_ADDRESS>,
      "ipv4_fallback": <SECONDARY_DEDICATED_IPV6_ADDRESS>,
      "ipv6": <DEDICATED_IPV6_ADDRESS>
      }
  }
}'`

const CREATE_FINANCE_POLICY = `curl https://api.cloudflare.com/client/v4/accounts/{account_id}/gateway/rules \\
--header "Authorization: Bearer <API_TOKEN>" \\
--header "Content-Type: application/json" \\
--data '{
  "action": "egress",
  "description": "Define static egress for finance team",
  "enabled": true,
  "filters": [
    "egress"
  ],
  "name": "Finance team static egress",
  "precedence": 0,
  "identity": "any(identity.groups.name[*] in {\\"finance\\"})",
  "rule_settings": {
    "egress": {
      "ipv4": <DEDICATED_IPV4_ADDRESS>,
      "ipv4_fallback": <SECONDARY_DEDICATED_IPV6_ADDRESS>,
      "ipv6": <DEDICATED_IPV6_ADDRESS>
    }
  }
}'`

let folder: string
let lab: PrivateLab
let account: { '{account_id}': string; '<API_TOKEN>': string }
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-documented-'))
  const configFile = join(folder, 'lab.yaml')
  writeFileSync(configFile, stringify(beforeYouBegin(parse(readFileSync('config/lab.yaml', 'utf8')))))
  lab = await startPrivateLab({ configFile, ephemeral: false })
  const token = readFileSync(join(lab.folder, 'api-token'), 'utf8').trim()
  account = { '{account_id}': lab.lab.config.account.id, '<API_TOKEN>': token }
})
afterEach(async () => {
  await lab.close()
  rmSync(folder, { recursive: true, force: true })
})

/** "This tutorial assumes you have": two tunnels with a network each, several dedicated egress IPs, and no policies yet. */
function beforeYouBegin(shipped: Record<string, unknown>): unknown {
  const { rules: _rules, virtual_networks: _networks, lists: _lists, ...rest } = shipped
  const groups = JSON.parse(JSON.stringify([rest.groups, rest.users]).replaceAll('"Finance"', '"finance"'))
  return {
    ...rest,
    groups: groups[0],
    users: groups[1],
    tunnels: [{ name: 'tunnel-1' }, { name: 'tunnel-2' }],
    private_routes: [
      { network: '10.0.0.0/8', tunnel: 'tunnel-1' },
      { network: '192.168.88.0/24', tunnel: 'tunnel-2' },
    ],
  }
}

/** Runs a documented command with its placeholders filled in; JSON values stand without quotes in the documentation. */
async function documented(command: string, values: Readonly<Record<string, string>> = {}): Promise<Envelope['result']> {
  const base = command.replace('https://api.cloudflare.com', `http://127.0.0.1:${lab.lab.api.port}`)
  const filled = Object.entries({ ...account, ...values }).reduce(
    (text, [name, value]) => text.replaceAll(name, value),
    base,
  )
  expect(filled).not.toMatch(/<[A-Z_\d]+>|\{\w+_id\}/)
  const answer = JSON.parse(await shell(filled)) as Envelope
  expect(answer.errors).toEqual([])
  expect(answer.success).toBe(true)
  return answer.result
}

function shell(command: string): Promise<string> {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH ?? '', HOME: '/nonexistent' }
    execFile('sh', ['-c', command], { env, timeout: PATIENCE_MS }, (_error, stdout) => resolve(stdout))
  })
}

const quoted = (value: string) => JSON.stringify(value)
/** Inside an expression inside JSON. */
const inExpression = (value: string) => JSON.stringify(quoted(value)).slice(1, -1)

/** "In a terminal, run the following command to check the default egress IP address": through the proxy in place of the client. curl's
 *  `-4` is about its own hop to the proxy; the proxy is told with the user name. */
const checkEgress = (user: string) =>
  shell(`curl ifconfig.me -4 --proxy ${lab.proxy} --proxy-user '${user}@example.com;family=4:lab-${user}'`).then(
    (text) => text.trim(),
  )

async function choose(network: string): Promise<void> {
  const where = ['--api', `127.0.0.1:${lab.lab.api.port}`, '--state', lab.folder]
  expect(await run(['vnet', 'use', network, '--user', 'bob@example.com', ...where])).toMatchObject({ code: 0 })
}

const LOCATIONS = {
  AMER: { ipv4: '203.0.113.40', second: '203.0.113.50', ipv6: '2001:db8:40::/64' },
  EMEA: { ipv4: '203.0.113.20', second: '203.0.113.10', ipv6: '2001:db8:20::/64' },
} as const
const egressOf = ({ ipv4, second, ipv6 }: (typeof LOCATIONS)['AMER' | 'EMEA']) => ({
  '<DEDICATED_IPV4_ADDRESS>': quoted(ipv4),
  '<SECONDARY_DEDICATED_IPV6_ADDRESS>': quoted(second),
  '<DEDICATED_IPV6_ADDRESS>': quoted(ipv6),
})

test('use virtual networks to change user egress IPs', async () => {
  const amer = await documented(CREATE_NETWORK)
  const emea = await documented(CREATE_NETWORK.replace('vnet-AMER', 'vnet-EMEA').replace('the Americas', 'EMEA'))

  const client = `http://127.0.0.1:${lab.lab.api.port}/client/v4/accounts/${account['{account_id}']}/teamnet/routes`
  const headers = { authorization: `Bearer ${account['<API_TOKEN>']}`, 'content-type': 'application/json' }
  const routes = (await (await fetch(client, { headers })).json()) as Envelope
  for (const { id, network, tunnel_id } of routes.result) {
    const of = (route: string, vnet: string) => ({
      '{route_id}': route,
      '10.0.0.0/8': network,
      '<TUNNEL_UUID>': quoted(tunnel_id),
      '<VNET_AMER_UUID>': quoted(vnet),
    })
    expect(await documented(ASSIGN_NETWORK, of(id, amer.id))).toMatchObject({ id, virtual_network_id: amer.id })
    // one route is in one network: the second one is a route of its own, as in the documentation's table
    const second = await fetch(client, { method: 'POST', headers, body: JSON.stringify({ network, tunnel_id }) })
    const { result } = (await second.json()) as Envelope
    expect(await documented(ASSIGN_NETWORK, of(result.id, emea.id))).toMatchObject({ virtual_network_id: emea.id })
  }
  const assigned = (await (await fetch(client, { headers })).json()) as Envelope
  expect(
    assigned.result
      .map((row: Record<string, string>) => `${row.tunnel_name} ${row.network} ${row.virtual_network_name}`)
      .sort(),
  ).toEqual([
    'tunnel-1 10.0.0.0/8 vnet-AMER',
    'tunnel-1 10.0.0.0/8 vnet-EMEA',
    'tunnel-2 192.168.88.0/24 vnet-AMER',
    'tunnel-2 192.168.88.0/24 vnet-EMEA',
  ])

  const policy = await documented(CREATE_POLICY, {
    '<VNET_AMER_UUID>': inExpression(amer.id),
    ...egressOf(LOCATIONS.AMER),
  })
  expect(policy).toMatchObject({ name: 'Egress AMER vnet', precedence: 0, traffic: `net.vnet_id == "${amer.id}"` })
  const other = CREATE_POLICY.replaceAll('AMER vnet', 'EMEA vnet').replace('"precedence": 0', '"precedence": 1')
  await documented(other, { '<VNET_AMER_UUID>': inExpression(emea.id), ...egressOf(LOCATIONS.EMEA) })

  expect(await checkEgress('bob')).toBe('203.0.113.10')
  await choose('vnet-AMER')
  expect(await checkEgress('bob')).toBe('203.0.113.40')
  await choose('vnet-EMEA')
  expect(await checkEgress('bob')).toBe('203.0.113.20')
  await choose('default')
  expect(await checkEgress('bob')).toBe('203.0.113.10')
})

test('egress IP best practices: specific egress IPs for users with access to financial data', async () => {
  expect(await checkEgress('alice')).toBe('203.0.113.20')
  const rule = await documented(CREATE_FINANCE_POLICY, egressOf(LOCATIONS.AMER))
  expect(rule).toMatchObject({ identity: 'any(identity.groups.name[*] in {"finance"})', precedence: 0, version: 1 })
  expect(await checkEgress('alice')).toBe('203.0.113.40')
  expect(await checkEgress('bob')).toBe('203.0.113.10')
  const where = ['--api', `127.0.0.1:${lab.lab.api.port}`, '--state', lab.folder]
  await run(['colo', 'down', 'LAX', ...where])
  expect(await checkEgress('alice')).toBe('203.0.113.50')
})
