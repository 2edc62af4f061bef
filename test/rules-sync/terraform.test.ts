// Terraform's JSON in the shapes of both versions of the provider: the same rules come out as the API has them, and nothing that
// somebody wrote is lost.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { InputError } from '../../src/errors/issue.ts'
import { readPolicyFile } from '../../src/rules-sync/read-policy.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-terraform-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function read(document: unknown) {
  const file = join(folder, 'show.json')
  writeFileSync(file, JSON.stringify(document))
  return readPolicyFile(file)
}

const managed = (type: string, name: string, values: unknown) => ({
  address: `${type}.${name}`,
  mode: 'managed',
  type,
  name,
  provider_name: 'registry.terraform.io/cloudflare/cloudflare',
  values,
})
const state = (...resources: unknown[]) => ({
  format_version: '1.0',
  terraform_version: '1.9.0',
  values: { root_module: { resources: resources.slice(0, 1), child_modules: [{ resources: resources.slice(1) }] } },
})

const V4_RULE = {
  account_id: 'a',
  action: 'egress',
  description: 'desc',
  device_posture: '',
  enabled: true,
  filters: ['egress'],
  id: '8cda22ec-e0bd-476a-999d-4e03b5d60e29',
  identity: '',
  name: 'cftftest Important Policy',
  precedence: 1300,
  traffic: 'net.dst.ip in $6f0f3c1a-2c68-4a55-9a0e-0d6f5c1b7c01',
  version: 3,
  rule_settings: [
    {
      add_headers: null,
      allow_child_bypass: null,
      audit_ssh: [],
      block_page_enabled: false,
      block_page_reason: 'because',
      egress: [{ ipv4: '203.0.113.20', ipv4_fallback: '203.0.113.30', ipv6: '2001:db8:20::/64' }],
      override_ips: [],
      made_up_setting: { deep: [1, 2] },
    },
  ],
}

test('a state of version 4: blocks out of their lists, the precedence as the API has it, names as the API has them', async () => {
  const { rules, lists, virtualNetworks } = await read(
    state(
      managed('cloudflare_teams_rule', 'finance', V4_RULE),
      managed('cloudflare_teams_list', 'partners', {
        id: '6f0f3c1a-2c68-4a55-9a0e-0d6f5c1b7c01',
        name: 'Partners',
        type: 'IP',
        description: null,
        items: ['192.0.2.0/24'],
        items_with_description: [{ value: '192.0.2.1', description: 'one' }],
      }),
      managed('cloudflare_tunnel_virtual_network', 'amer', {
        id: 'v',
        name: 'vnet-AMER',
        comment: 'c',
        is_default_network: false,
      }),
      { ...managed('cloudflare_teams_rule', 'looked-up', V4_RULE), mode: 'data' },
      managed('cloudflare_record', 'unrelated', { name: 'www' }),
    ),
  )
  expect(rules).toHaveLength(1)
  expect(rules[0]).toMatchObject({
    id: '8cda22ec-e0bd-476a-999d-4e03b5d60e29',
    // 1300 with the name above is 1300744 at the API, as seen in the provider's own migration
    precedence: 1_300_744,
    fields: {
      rule_settings: {
        block_page_enabled: false,
        block_reason: 'because',
        egress: { ipv4: '203.0.113.20', ipv4_fallback: '203.0.113.30', ipv6: '2001:db8:20::/64' },
        made_up_setting: { deep: [1, 2] },
      },
    },
  })
  expect(rules[0]?.fields.rule_settings).not.toHaveProperty('audit_ssh')
  expect(lists[0]?.items).toEqual([
    { value: '192.0.2.0/24', description: null },
    { value: '192.0.2.1', description: 'one' },
  ])
  expect(virtualNetworks[0]).toMatchObject({ name: 'vnet-AMER', comment: 'c', isDefault: false })
})

test('a state of version 5: attributes as they are, fields nobody knows kept, nulls left out', async () => {
  const { rules, lists } = await read(
    state(
      managed('cloudflare_zero_trust_gateway_policy', 'finance', {
        ...V4_RULE,
        precedence: 1300744,
        rule_settings: {
          egress: { ipv4: '203.0.113.20', ipv4_fallback: null, ipv6: '2001:db8:20::/64' },
          check_session: null,
          made_up_setting: 'kept',
        },
        made_up_field: { kept: true },
        schedule: null,
      }),
      managed('cloudflare_zero_trust_list', 'partners', {
        id: 'x',
        name: 'Partners',
        type: 'IP',
        items: [{ value: '192.0.2.0/24', description: null }],
      }),
    ),
  )
  expect(rules[0]?.precedence).toBe(1_300_744)
  expect(rules[0]?.fields).toMatchObject({ made_up_field: { kept: true } })
  expect(rules[0]?.fields).not.toHaveProperty('schedule')
  expect(rules[0]?.fields.rule_settings).toEqual({
    egress: { ipv4: '203.0.113.20', ipv6: '2001:db8:20::/64' },
    made_up_setting: 'kept',
  })
  expect(lists[0]?.items).toEqual([{ value: '192.0.2.0/24', description: null }])
})

const plan = (values: unknown, unknown: unknown) => ({
  format_version: '1.2',
  planned_values: { root_module: { resources: [managed('cloudflare_zero_trust_gateway_policy', 'r', values)] } },
  resource_changes: [{ address: 'cloudflare_zero_trust_gateway_policy.r', change: { after_unknown: unknown } }],
})
const PLANNED = {
  name: 'planned',
  action: 'egress',
  filters: ['egress'],
  enabled: true,
  traffic: 'net.dst.port == 443',
  precedence: 7,
  rule_settings: null,
}

test('a plan is what is planned, before there is an id', async () => {
  const { rules } = await read(plan(PLANNED, { id: true, created_at: true, rule_settings: true }))
  expect(rules).toEqual([expect.objectContaining({ name: 'planned', precedence: 7 })])
  expect(rules[0]).not.toHaveProperty('id')
})

test('a plan whose expression is known only after an apply is refused, naming the rule', async () => {
  const { traffic: _, ...values } = PLANNED
  const attempt = () => read(plan(values, { id: true, traffic: true, rule_settings: { egress: { ipv4: true } } }))
  await expect(attempt()).rejects.toThrow(InputError)
  await expect(attempt()).rejects.toThrow(/`traffic` of `cloudflare_zero_trust_gateway_policy\.r`.*; `ipv4` of /)
})
