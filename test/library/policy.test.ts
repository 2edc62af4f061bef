// The pure entry of the package: decides as the lab does, and needs nothing of Node.

import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { build, type Rollup } from 'vite'
import { describe, expect, test } from 'vitest'
import { ROOT } from '../../scripts/source-files.ts'
import { InputError } from '../../src/errors/issue.ts'
import { compilePolicy, type PolicyRule } from '../../src/library/policy.ts'

const IPS = [
  { colo: 'AMS', ipv4: '203.0.113.10', ipv6: '2001:db8:10::/64' },
  { colo: 'LHR', ipv4: '203.0.113.20', ipv6: '2001:db8:20::/64' },
]
const RULE: PolicyRule = {
  name: 'ERP from London',
  traffic: 'net.fqdn.host == "erp.test"',
  identity: 'any(identity.groups.name[*] == "Finance")',
  egress: { ipv4: '203.0.113.20', ipv4_fallback: '203.0.113.10' },
}
const ERP = { host: 'erp.test', destination: '192.0.2.7:443' }
const ALICE = { email: 'Alice@example.com', groups: ['Finance'] }

describe('compilePolicy', () => {
  const policy = compilePolicy({ dedicated_ips: IPS, rules: [RULE] })

  test('decides by the rules', () => {
    expect(policy.decide({ ...ERP, user: ALICE })).toMatchObject({
      outcome: 'dedicated',
      rule: { name: 'ERP from London', precedence: 1000 },
      egress: { ipv4: '203.0.113.20' },
    })
    const userPlace = { latitude: 52.4, longitude: 4.9 }
    expect(policy.decide({ ...ERP, user: 'bob@example.com', userPlace })).toMatchObject({
      outcome: 'balanced',
      rule: null,
      egress: { ipv4: '203.0.113.10' },
    })
  })

  test('explains every rule', () => {
    const { trace, near_misses: misses } = policy.explain({ ...ERP, user: 'bob@example.com' })
    expect(trace[0]).toMatchObject({ rule: 'ERP from London', matched: false })
    expect(misses[0]?.rule).toBe('ERP from London')
  })

  test('takes rules in the words of Cloudflare’s API, outages and virtual networks', () => {
    const { egress, ...rest } = RULE
    const down = compilePolicy({
      dedicated_ips: IPS,
      virtual_networks: [{ name: 'emea', id: '6F0F3C1A-2C68-4A55-9A0E-0D6F5C1B7A02' }],
      rules: [
        {
          ...rest,
          id: 'x',
          action: 'egress',
          filters: ['egress'],
          rule_settings: { egress: { ...egress, ipv6: '2001:db8:20::/64' } },
        },
        { name: 'EMEA', traffic: 'net.vnet_id == "6f0f3c1a-2c68-4a55-9a0e-0d6f5c1b7a02"', egress: null },
      ],
      colos_down: ['lhr'],
    })
    expect(down.decide({ ...ERP, user: ALICE })).toMatchObject({
      outcome: 'dedicated-fallback',
      egress: { ipv4: '203.0.113.10' },
    })
    expect(down.decide({ destination: '192.0.2.9:80', virtualNetwork: 'emea' })).toMatchObject({
      outcome: 'default',
      rule: { name: 'EMEA' },
    })
  })

  test('every mistake in the source is reported at once, with its path', () => {
    const rules = [
      { ...RULE, egress: { ipv4: '203.0.113.99' } },
      { name: 'x', traffic: 'net.dst.prot == 1' },
    ]
    const issues = issuesOf(() => compilePolicy({ dedicated_ips: [{ colo: 'LRH' }], rules }))
    expect(issues.map(({ path }) => path?.slice(0, 2))).toEqual(
      expect.arrayContaining([
        ['dedicated_ips', 0],
        ['rules', 0],
        ['rules', 1],
      ]),
    )
    expect(issues[0]).toMatchObject({ message: 'there is no data center `LRH`', hint: 'did you mean `LHR`?' })
  })

  test.each([
    ['destination', { destination: 'erp.test:443' }],
    ['host', { ...ERP, host: 'no host' }],
    ['sourceIp', { ...ERP, sourceIp: '1.2.3' }],
    ['virtualNetwork', { ...ERP, virtualNetwork: 'nowhere' }],
  ])('a connection with a wrong %s is refused by name', (name, connection) => {
    expect(issuesOf(() => policy.decide(connection))[0]?.path).toEqual([name])
  })
})

test('bundled for a browser it decides the same, without anything of Node', async () => {
  const built = await build({
    root: ROOT,
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      minify: false,
      lib: { entry: join(ROOT, 'src/library/policy.ts'), formats: ['iife'], name: 'egresslab' },
    },
  })
  const [bundle] = [built].flat() as Rollup.RollupOutput[]
  const { code } = bundle?.output[0] ?? expect.unreachable()
  expect(code).not.toMatch(/\brequire\(|node:|__vite-browser-external|\bBuffer\b|\bprocess\./)
  const around: Record<string, unknown> = { TextEncoder, TextDecoder, URL }
  const program = `JSON.stringify(egresslab.compilePolicy(${JSON.stringify({ dedicated_ips: IPS, rules: [RULE] })}).decide(${JSON.stringify({ ...ERP, user: ALICE })}))`
  const decided = JSON.parse(String(runInNewContext(`${code};${program}`, around)))
  expect(decided).toEqual(compilePolicy({ dedicated_ips: IPS, rules: [RULE] }).decide({ ...ERP, user: ALICE }))
})

function issuesOf(attempt: () => unknown): InputError['issues'] {
  try {
    attempt()
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown.issues
    throw thrown
  }
  return expect.unreachable('nothing was refused')
}
