// `rules diff`: what would change, in words, as data, and for sessions that were recorded.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { run } from './run.ts'
import { twoLabs } from './two-labs.ts'

const labs = twoLabs()
const { file, rules } = labs

describe('diff', () => {
  test('is silent about spelling: expressions are compared in normal form', async () => {
    await rules('pull', file('rules.yaml'))
    const text = readFileSync(file('rules.yaml'), 'utf8')
    writeFileSync(
      file('rules.yaml'),
      text.replace('net.protocol in {"tcp" "udp"}', '  net.protocol   in { "tcp"   "udp" }'),
    )
    const { code, stdout } = await rules('diff', file('rules.yaml'), '--fail-on-change')
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('nothing would change') })
  })

  test('--fail-on-change exits 1, between files as well', async () => {
    await rules('pull', file('a.json'))
    const text = readFileSync(file('a.json'), 'utf8')
    writeFileSync(file('b.json'), text.replace('"enabled": false', '"enabled": true'))
    const { code, stdout } = await rules('diff', file('b.json'), '--against', file('a.json'), '--fail-on-change')
    expect(code).toBe(1)
    expect(stdout).toContain('~ rule 10000 `Everything else to default egress`\n    enabled  false → true\n')
  })

  test('--sides writes both as configurations that decide as before and after', async () => {
    await rules('pull', file('rules.yaml'))
    const text = readFileSync(file('rules.yaml'), 'utf8')
    writeFileSync(
      file('rules.yaml'),
      text
        .replace('ipv4: 203.0.113.40', 'ipv4: 203.0.113.50')
        .replace('ipv4_fallback: 203.0.113.50', 'ipv4_fallback: 203.0.113.40'),
    )
    const { stdout } = await rules('diff', file('rules.yaml'), '--sides', file('sides'))
    expect(stdout).toContain(
      `egresslab replay SESSIONS --rules ${file('sides/before.yaml')} --against ${file('sides/after.yaml')}\n`,
    )
    const decided = async (side: string) => {
      const flow = ['--user', 'bob@example.com', '--vnet', 'vnet-AMER', 'ipv4.icanhazip.com:80', '--json']
      const explained = await run(['explain', '-c', file(`sides/${side}.yaml`), '--state', file('none'), ...flow])
      return JSON.parse(explained.stdout).decision.egress.ipv4
    }
    expect([await decided('before'), await decided('after')]).toEqual(['203.0.113.40', '203.0.113.50'])
  })
})

describe('diff --replay', () => {
  test('tells what would change for recorded sessions, and leaves nothing behind', async () => {
    await curl('-x', labs.lab.proxy, '-U', 'bob@example.com;vnet=vnet-AMER:lab-bob', 'http://ipv4.icanhazip.com/')
    await curl('-x', labs.lab.proxy, '-U', 'bob@example.com:lab-bob', 'http://ipv4.icanhazip.com/')
    const log = join(labs.lab.folder, 'sessions.ndjson')
    await expect.poll(() => existsSync(log) && readFileSync(log, 'utf8').trim().split('\n').length).toBe(2)
    await rules('pull', file('rules.yaml'))
    const text = readFileSync(file('rules.yaml'), 'utf8')
    writeFileSync(file('rules.yaml'), text.replace('ipv4: 203.0.113.40', 'ipv4: 203.0.113.10'))
    const { code, stdout } = await rules('diff', file('rules.yaml'), '--replay', log)
    expect(code).toBe(0)
    expect(stdout).toContain('egress ipv4  203.0.113.40 → 203.0.113.10')
    expect(stdout).toMatch(/2 sessions/)
    const { stdout: document } = await rules('diff', file('rules.yaml'), '--json', '--replay', log)
    expect(JSON.parse(document).replay).toMatchObject({
      sessions: 2,
      changed: 1,
      moves: { egress_ip: [{ change: expect.stringMatching(/203\.0\.113\.40.*203\.0\.113\.10/), sessions: 1 }] },
    })
  })
})

describe('two files', () => {
  const LIST =
    'resource "cloudflare_zero_trust_list" "l" {\n  name  = "L"\n  type  = "IP"\n  items = [{ value = "198.51.100.0/24" }]\n}\n'
  const rule = (name: string, precedence: number, traffic: string) => `
resource "cloudflare_zero_trust_gateway_policy" "${name}" {
  name          = "${name}"
  precedence    = ${precedence}
  enabled       = true
  action        = "egress"
  traffic       = "${traffic}"
  identity      = "any(identity.groups.name[*] in {\\"Finance\\"})"
  rule_settings = { egress = { ipv4 = "203.0.113.20", ipv6 = "2001:db8:20::/64", ipv4_fallback = "203.0.113.30" } }
}
`
  const write = (name: string, text: string) => {
    mkdirSync(file(name))
    writeFileSync(join(file(name), 'main.tf'), text)
    return file(name)
  }
  const diff = (...args: readonly string[]) => run(['rules', 'diff', ...args])
  const IN_LIST = `net.dst.ip in \${"$"}\${cloudflare_zero_trust_list.l.id}`

  test('a rule of Terraform that is gone is shown, and a default network that Terraform never has is not', async () => {
    const a = write('a', LIST + rule('one', 100, IN_LIST) + rule('two', 200, 'net.dst.port == 25'))
    const b = write('b', LIST + rule('one', 100, IN_LIST))
    expect((await diff(a, b)).stdout).toContain('\n- rule 200 `two`\n\n2 unchanged\n')
    const { stdout } = await diff(a, 'config/lab.yaml')
    expect(stdout).toContain('+ virtual network `vnet-AMER`')
    expect(stdout).not.toContain('+ virtual network `default`')
    const semantic = await diff(a, b, '--semantic', '--json', '-c', 'config/lab.yaml')
    const { same, regions } = JSON.parse(semantic.stdout)
    expect(same).toBe(false)
    const names = regions.map(({ before, after }: Record<string, { rule: { name: string } | null }>) => [
      before?.rule?.name,
      after?.rule?.name,
    ])
    expect(new Set(names.map((pair: unknown) => JSON.stringify(pair)))).toEqual(new Set(['["two",null]']))
    expect((await diff(a, a, '--semantic', '-c', 'config/lab.yaml')).stdout).toContain(
      'same     no connection is decided',
    )
  })

  test('ids that are no UUIDs and names that are there twice are compared all the same', async () => {
    const made = (port: number) => ({
      success: true,
      result: [
        ...[
          { id: 'rule-a', precedence: 100, traffic: 'net.dst.ip in $list-1' },
          { id: 'f174e90afafe4643bbbc4a0ed4fc8415', precedence: 200, traffic: 'net.vnet_id == "vn-1"' },
          { precedence: 300, traffic: `net.dst.port == ${port}` },
        ].map((one) => ({
          ...one,
          name: 'Partners',
          enabled: true,
          action: 'egress',
          rule_settings: { egress: { ipv4: '203.0.113.77', ipv6: '2001:db8:77::/64' } },
        })),
        { id: 'list-1', name: 'L', type: 'IP', items: [{ value: '198.51.100.0/24' }] },
        { id: 'vn-1', name: 'eu', is_default_network: false },
        { id: 'vn-0', name: 'Main', is_default_network: true },
      ],
    })
    writeFileSync(file('a.json'), JSON.stringify(made(25)))
    writeFileSync(file('b.json'), JSON.stringify(made(26)))
    expect((await diff(file('a.json'), file('b.json'))).stdout).toContain(
      '~ rule 300 `Partners`\n    traffic  net.dst.port == 25 → net.dst.port == 26\n\n5 unchanged\n',
    )
    const same = await diff(file('a.json'), file('a.json'), '--semantic', '-c', 'config/lab.yaml')
    expect(same.stdout).toContain('same     no connection is decided otherwise')
    expect(same.stderr).toContain('nothing says where 203.0.113.77 (stands at AMS) is')
    const checked = await run(['check', '-c', file('a.json')])
    expect({ code: checked.code, stderr: checked.stderr }).toEqual({ code: 0, stderr: '' })
  })

  test('two whole configurations are each their own account', async () => {
    const one = (ipv4: string, more = '') =>
      `dedicated_ips:\n  - { colo: AMS, ipv4: ${ipv4}, ipv6: "2001:db8:10::/64" }\nusers: [{ email: a@example.com, password: a }]\nrules: [{ name: R, egress: { ipv4: ${ipv4}, ipv4_fallback: 0.0.0.0 } }]\n${more}`
    writeFileSync(file('a.yaml'), one('203.0.113.110'))
    writeFileSync(file('b.yaml'), one('203.0.113.111'))
    const { code, stdout, stderr } = await diff(file('a.yaml'), file('b.yaml'), '--semantic')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/leaves {3}203\.0\.113\.110 → 203\.0\.113\.111/)
    writeFileSync(file('b.yaml'), one('203.0.113.111', 'lists: 1\n'))
    expect((await diff(file('a.yaml'), file('b.yaml'), '--semantic')).stderr).toContain(`${file('b.yaml')}:5:8: error`)
  })
})
