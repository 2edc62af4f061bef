// Terraform's configurations as people write them: `.tf` files in, rules as the API has them out. What cannot be known without a
// plan is named with its file and line.

import { describe, expect, test } from 'vitest'
import { readPolicyFile } from '../../src/rules-sync/read-policy.ts'
import { folder, placeholders, problemsOf, readTerraform, rule } from './terraform-files.ts'

/** The traffic of the only rule. */
async function traffic(expression: string, more = ''): Promise<unknown> {
  const { rules } = await readTerraform({ 'main.tf': rule(`traffic = ${expression}`) + more })
  return rules[0]?.fields.traffic
}

describe('the examples', () => {
  test('version 5: for_each, locals, variables with defaults and from tfvars, references, both spellings of a list id', async () => {
    const { rules, lists, virtualNetworks, notes } = await readPolicyFile('config/examples/bring/terraform-v5')
    const byName = new Map(rules.map((one) => [one.name, one]))
    expect(rules.map(({ name, precedence }) => [precedence, name]).sort()).toEqual([
      [20000, 'To the office ashburn'],
      [20010, 'To the office newark'],
      [20110, 'Administrators'],
      [30000, 'Block a site'],
    ])
    const [ashburn, newark] = ['Office ashburn', 'Office newark'].map((name) =>
      lists.find((list) => list.name === name),
    )
    expect(newark?.items.map(({ value }) => value)).toEqual(['198.51.100.64/26', '192.0.2.128/25'])
    expect(byName.get('To the office newark')?.fields).toMatchObject({
      traffic: `net.dst.ip in $${newark?.id}`,
      rule_settings: { egress: { ipv4: '203.0.113.50', ipv4_fallback: '203.0.113.30', ipv6: '2001:db8:50::/64' } },
    })
    const plain = (id = '') => `$${id.replaceAll('-', '')}`
    expect(byName.get('Administrators')?.fields).toMatchObject({
      traffic: `net.vnet_id == "${virtualNetworks[0]?.id}"\nand not(net.dst.ip in ${plain(ashburn?.id)} or net.dst.ip in ${plain(newark?.id)})\n`,
      identity: 'any(identity.saml_attributes[*] == "groups=ITAdmin")',
    })
    expect(virtualNetworks).toMatchObject([{ name: 'vnet-tf-emea', comment: 'made by Terraform', isDefault: false }])
    expect(notes).toEqual([])
  })

  test('one file of a folder: its rules, with the lists and networks of the folder that they use', async () => {
    const { rules, lists } = await readPolicyFile('config/examples/bring/terraform-v5/rules.tf')
    expect([rules.length, lists.map(({ name }) => name)]).toEqual([4, ['Office ashburn', 'Office newark']])
    const only = await readPolicyFile('config/examples/bring/terraform-v5/lists.tf')
    expect([only.rules.length, only.lists.length, only.virtualNetworks.length]).toEqual([0, 2, 1])
  })

  test('version 4: blocks, plain items, the precedence as the API has it, a rule without settings too', async () => {
    const { rules, lists } = await readPolicyFile('config/examples/bring/terraform-v4/main.tf')
    const [partners, rest] = rules
    expect(partners).toMatchObject({
      // 11 × 1000 and the provider's hash of the name
      precedence: expect.toSatisfy((value: number) => Math.floor(value / 1000) === 11),
      fields: {
        traffic: `net.dst.ip in $${lists[0]?.id}`,
        rule_settings: { egress: { ipv4: '203.0.113.30', ipv4_fallback: '203.0.113.50', ipv6: '2001:db8:30::/64' } },
      },
    })
    expect(Math.floor((rest?.precedence ?? 0) / 1000)).toBe(20)
    expect(lists[0]?.items).toEqual([
      { value: '198.51.100.64/26', description: null },
      { value: '192.0.2.0/25', description: 'second site' },
    ])
  })
})

describe('texts', () => {
  test.each([
    ['"net.dst.port == 443"', 'net.dst.port == 443'],
    [String.raw`"any(net.fqdn.domains[*] == \"a.test\")"`, 'any(net.fqdn.domains[*] == "a.test")'],
    ['"net.dst.port == #{40 + 3}"', 'net.dst.port == 43'],
    ['"#{"$"}{x}"', '#{x}'],
    ['"a $#{b} c"', 'a #{b} c'],
    ['" #{1} and #{2} "', ' 1 and 2 '],
    ['format("net.dst.port == %d and %s", 443, "x")', 'net.dst.port == 443 and x'],
    ['join(" or ", formatlist("net.dst.port == %d", [80, 443]))', 'net.dst.port == 80 or net.dst.port == 443'],
    ['join(" ", [for p in [80, 443] : "#{p}" if p > 100])', '443'],
    ['"in {%{ for p in [80, 443] ~} #{p} %{ endfor ~}}"', 'in {80 443 }'],
    ['"%{ if true }yes%{ else }no%{ endif }"', 'yes'],
    [
      'trimspace(<<-EOT\n    net.dst.port == 1\n      and net.dst.port == 2\n  EOT\n  )',
      'net.dst.port == 1\n  and net.dst.port == 2',
    ],
    ['var.missing == null ? "a" : "b"', 'a', 'variable "missing" {\n  default = null\n}'],
    ['lower("NET.DST.PORT") == "net.dst.port" && !contains(["a"], "b") ? "yes" : "no"', 'yes'],
    ['"größer #{"ü"} 🙂 end"', 'größer ü 🙂 end'],
    ['replace("a-b-c", "-", "")', 'abc'],
    ['try(local.nothing.here, "else")', 'else'],
    ['local.map["k"].inner[1]', 'y', 'locals {\n  map = { k = { inner = ["x", "y"] } }\n}'],
    ['join(",", local.all[*].name)', 'a,b', 'locals {\n  all = [{ name = "a" }, { name = "b" }]\n}'],
    ['join(",", [for k, v in merge({ b = 2 }, { a = 1 }) : "#{k}#{v}"])', 'a1,b2'],
    ['yamldecode("port: 443").port + 1', '444'],
  ])('%s is %s', async (expression, expected, more = '') => {
    expect(await traffic(expression, more)).toEqual(typeof expected === 'string' ? placeholders(expected) : expected)
  })
})

describe('how many there are', () => {
  test('count, for_each over a set, and a dynamic block of version 4', async () => {
    const { rules } = await readTerraform({
      'main.tf': `
locals {
  ports = toset(["8443", "443"])
}
resource "cloudflare_zero_trust_gateway_policy" "counted" {
  count      = 2
  name       = "counted \${count.index}"
  precedence = 10 + count.index
  action     = "egress"
  traffic    = "net.dst.port == 1"
}
resource "cloudflare_zero_trust_gateway_policy" "port" {
  for_each   = local.ports
  name       = "port \${each.value}"
  precedence = tonumber(each.key)
  action     = "egress"
  enabled    = "true"
  traffic    = "net.dst.port == \${each.key}"
}
resource "cloudflare_teams_rule" "old" {
  name       = "old"
  precedence = 9
  action     = "egress"
  dynamic "rule_settings" {
    for_each = [1]
    content {
      egress {
        ipv4 = "203.0.113.10"
        ipv6 = "2001:db8:10::/64"
      }
    }
  }
}
`,
    })
    expect(rules.map(({ name }) => name)).toEqual(['counted 0', 'counted 1', 'port 443', 'port 8443', 'old'])
    // the provider makes a rule disabled that does not say
    expect(rules.map(({ fields }) => fields.enabled)).toEqual([false, false, true, true, false])
    expect(rules[4]?.fields.rule_settings).toEqual({ egress: { ipv4: '203.0.113.10', ipv6: '2001:db8:10::/64' } })
  })

  test('modules in folders: their inputs, their outputs', async () => {
    const { rules } = await readTerraform({
      'main.tf': `
module "lists" {
  source = "./lists"
  name   = "From a module"
}
${rule('traffic = "net.dst.ip in $' + '#{module.lists.id}"').replaceAll('$#{', '#{"$"}#{')}
`,
      'lists/main.tf': `
variable "name" {}
resource "cloudflare_zero_trust_list" "l" {
  name  = var.name
  type  = "IP"
  items = [{ value = "192.0.2.1" }]
}
output "id" {
  value = cloudflare_zero_trust_list.l.id
}
`,
    })
    expect(rules[0]?.fields.traffic).toMatch(/^net\.dst\.ip in \$[0-9a-f-]{36}$/)
  })

  test('an import block tells the id that a rule has already', async () => {
    const { rules } = await readTerraform({
      'main.tf': `${rule('traffic = ""')}
import {
  to = cloudflare_zero_trust_gateway_policy.one
  id = "0f1e2d3c4b5a69788796a5b4c3d2e1f0/1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4b01"
}
`,
    })
    expect(rules[0]?.id).toBe('1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4b01')
  })
})

describe('what cannot be known without `terraform plan` is named with file and line:', () => {
  const where = (files: Readonly<Record<string, string>>, path = '') =>
    problemsOf(files, path).then((issues) =>
      issues.map(({ message, file = '', line }) => `${file.slice(folder.length + 1)}:${line} ${message}`),
    )

  test('a variable without a default, but only where an egress rule needs it', async () => {
    const files = {
      'main.tf': rule('traffic = "net.dst.port == #{var.port}"'),
      'variables.tf': '\nvariable "account_id" {}\nvariable "port" {\n  type = number\n}\n',
    }
    expect(await where(files)).toEqual([
      'variables.tf:3 `traffic` of `cloudflare_zero_trust_gateway_policy.one` cannot be known without `terraform plan`: the variable `port` has no default',
    ])
    expect((await readTerraform({ ...files, 'terraform.tfvars': 'port = 443\n' })).rules[0]?.fields.traffic).toBe(
      'net.dst.port == 443',
    )
  })

  test('data sources, functions, resources of others, a for_each of them', async () => {
    const issues = await where({
      'main.tf': [
        rule('traffic = "net.dst.ip in {#{data.http.ranges.body}}"', 'data'),
        rule('traffic = filesha256("x")', 'function'),
        rule('traffic = "net.dst.ip == #{aws_eip.nat.public_ip}"', 'other'),
        rule('for_each = data.x.y.z\n  traffic = ""', 'each'),
        'resource "aws_eip" "nat" {\n  domain = "vpc"\n}\n',
      ].join(''),
    })
    expect(issues.map((text) => text.replace(/.* cannot be known without `terraform plan`: /, ''))).toEqual([
      '`data.http.ranges` is looked up when Terraform plans',
      'the function `filesha256` is not evaluated here',
      'there is no `public_ip` here',
      '`data.x.y` is looked up when Terraform plans',
    ])
    expect(issues[0]).toMatch(/^main\.tf:9 `traffic` of `cloudflare_zero_trust_gateway_policy\.data`/)
  })

  test('what no egress rule needs is left out, and said: rules of other kinds, lists of theirs, modules from elsewhere', async () => {
    const { rules, lists, notes } = await readTerraform({
      'main.tf': `${rule('traffic = "net.dst.port == 1"')}
resource "cloudflare_zero_trust_gateway_policy" "dns" {
  name       = "dns"
  precedence = 5
  action     = "block"
  filters    = ["dns"]
  traffic    = "any(dns.domains[*] in \${"$"}\${cloudflare_zero_trust_list.ads.id}) and \${data.x.y.z}"
}
resource "cloudflare_zero_trust_list" "ads" {
  name  = "ads"
  type  = "DOMAIN"
  items = [for line in split("\\n", data.http.ads.body) : { value = line }]
}
module "elsewhere" {
  source = "cf/egress/cloudflare"
}
`,
    })
    expect([rules.map(({ name }) => name), lists]).toEqual([['one'], []])
    expect(notes.map((note) => note.replaceAll(`${folder}/`, ''))).toEqual([
      'the module `elsewhere` is not a folder beside this one (main.tf:24); its rules, if it has any, are not here',
      expect.stringMatching(
        /^`cloudflare_zero_trust_gateway_policy\.dns` is left out: .* looked up when Terraform plans \(main\.tf:17\)$/,
      ),
      expect.stringMatching(/^`cloudflare_zero_trust_list\.ads` is left out: .* \(main\.tf:22\)$/),
    ])
  })

  test('the id of a posture check or a DNS location stands for itself, and is said', async () => {
    const { rules, notes, madeUpIds } = await readTerraform({
      'main.tf': `${rule('device_posture = "any(device_posture.checks.passed[*] == \\"#{cloudflare_zero_trust_device_posture_rule.disk.id}\\")"')}
resource "cloudflare_zero_trust_device_posture_rule" "disk" {
  name = "disk"
  type = "disk_encryption"
}
`,
    })
    const [id] = [...(madeUpIds ?? [])].map(([made]) => made)
    expect(rules[0]?.fields.device_posture).toBe(`any(device_posture.checks.passed[*] == "${id}")`)
    expect(notes).toEqual([expect.stringContaining('uses the id of `cloudflare_zero_trust_device_posture_rule.disk`')])
  })

  test('locals that need each other end, and so do modules inside themselves', async () => {
    const issues = await where({
      'main.tf': `${rule('traffic = local.a')}\nlocals {\n  a = local.b\n  b = local.a\n}\n`,
    })
    expect(issues).toEqual([expect.stringContaining('refers to itself')])
    const { notes } = await readTerraform({
      'main.tf': `${rule('traffic = ""')}\nmodule "self" {\n  source = "./."\n}\n`,
    })
    expect(notes).toHaveLength(1)
  })
})

describe('files that are not HCL', () => {
  test('one error, at the line where it breaks', async () => {
    const issues = await problemsOf({
      'main.tf': 'resource "cloudflare_teams_rule" "x" {\n  name = \n  precedence = = 3\n}\n',
    })
    expect(issues).toHaveLength(1)
    expect(issues[0]).toMatchObject({
      code: 'rules.not_hcl',
      line: expect.toSatisfy((line: number) => line >= 2 && line <= 3),
    })
  })

  test('what is not closed is named where it begins', async () => {
    for (const [body, said, line] of [
      ['traffic = "net.dst.port == 1', 'the closing quote of this is missing', 2],
      ['filters = ["egress"', '`]` is missing before this', 3],
    ] as const) {
      const [issue] = await problemsOf({ 'main.tf': `resource "cloudflare_teams_rule" "x" {\n  ${body}\n}\n` })
      expect(issue?.message).toContain(said)
      expect(issue?.line).toBe(line)
    }
  })

  test('nobody has so many: counts, ranges and widths without end are not followed', async () => {
    const issues = await problemsOf({
      'main.tf': [
        rule('count = 1000000000\n  traffic = ""', 'many'),
        rule('traffic = join("", range(0, 1000000000))', 'long'),
        rule('traffic = format("%999999999d", 1)', 'wide'),
        rule('traffic = constructor("x")', 'strange'),
      ].join(''),
    })
    expect(issues.map(({ message }) => message.replace(/.*plan`: /, ''))).toEqual([
      'how many there are is no number, map or set',
      '`range` fails: it is too long',
      '`format` fails: it is too wide',
      'the function `constructor` is not evaluated here',
    ])
  })

  test('a folder or file without rules says so, and where there are some', async () => {
    expect(await problemsOf({ 'empty.tf': 'locals {\n  a = 1\n}\n' }, 'empty.tf')).toMatchObject([
      { code: 'rules.nothing' },
    ])
    const [issue] = await problemsOf({ 'rules.tf': rule('traffic = ""') }, 'empty.tf')
    expect(issue?.hint).toContain('rules.tf')
  })
})
