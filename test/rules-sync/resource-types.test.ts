// Values of a wrong type in Terraform's files: converted as Terraform converts, else named with file and line.

import { join } from 'node:path'
import { expect, test } from 'vitest'
import { folder, problemsOf, readTerraform, rule } from './terraform-files.ts'

test('what is a number, a text or a boolean to Terraform is one here', async () => {
  const text = rule('traffic = ""').replace('1000', '"67"').replace('true', '"true"').replace('"one"\n', '5\n')
  const { rules } = await readTerraform({ 'main.tf': text })
  expect(rules[0]).toMatchObject({ name: '5', precedence: 67, fields: { enabled: true } })
})

test('every value of a wrong type is named where it stands', async () => {
  const found = await problemsOf({
    'main.tf': `
resource "cloudflare_zero_trust_gateway_policy" "one" {
  name       = "one"
  precedence = "abc"
  enabled    = "yes"
  action     = "egress"
  filters    = "egress"
  traffic    = ["net.dst.ip in \${"$"}\${cloudflare_zero_trust_list.l.id}"]
  identity   = "identity.email in \${"$"}\${cloudflare_zero_trust_list.l.id}"
  rule_settings = {
    egress = {
      ipv4 = ["203.0.113.10"]
    }
  }
}
resource "cloudflare_teams_rule" "two" {
  name       = "two"
  precedence = 1.5
  rule_settings {
    egress {
      ipv6 = {}
    }
  }
}
resource "cloudflare_zero_trust_list" "l" {
  name  = "l"
  type  = "IP"
  items = [{ value = "192.0.2.1" }, { value = ["192.0.2.2"] }]
}
`,
  })
  const one = '`cloudflare_zero_trust_gateway_policy.one`'
  expect(
    found.map(({ code, line, message }) => [code, line, message]).sort((a, b) => Number(a[1]) - Number(b[1])),
  ).toEqual([
    ['rules.wrong_type', 4, `\`precedence\` of ${one} has to be a whole number, and is \`"abc"\``],
    ['rules.wrong_type', 5, `\`enabled\` of ${one} has to be \`true\` or \`false\`, and is \`"yes"\``],
    ['rules.wrong_type', 7, `\`filters\` of ${one} has to be a list, and is \`"egress"\``],
    ['rules.wrong_type', 8, `\`traffic\` of ${one} has to be a text, and is a list`],
    ['rules.wrong_type', 12, `\`rule_settings.egress.ipv4\` of ${one} has to be a text, and is a list`],
    ['rules.wrong_type', 18, '`precedence` of `cloudflare_teams_rule.two` has to be a whole number, and is `1.5`'],
    [
      'rules.wrong_type',
      21,
      '`rule_settings[0].egress[0].ipv6` of `cloudflare_teams_rule.two` has to be a text, and is an object',
    ],
    ['rules.wrong_type', 28, '`items[1].value` of `cloudflare_zero_trust_list.l` has to be a text, and is a list'],
  ])
  expect(found.every(({ file }) => file === join(folder, 'main.tf'))).toBe(true)
})

test('what no rule needs is left out with its wrong type, and an argument that is nearly one is said', async () => {
  const { lists, rules, notes } = await readTerraform({
    'main.tf': `${rule('trafic = ""')}
resource "cloudflare_zero_trust_list" "l" {
  name  = "l"
  type  = "DOMAIN"
  items = "example.com"
}
`,
  })
  expect([rules.length, lists.length]).toEqual([1, 0])
  expect(notes).toEqual([
    expect.stringMatching(
      /^`cloudflare_zero_trust_list\.l` is left out: `items` .* has to be a list, .*main\.tf:15\)$/,
    ),
    expect.stringMatching(/`trafic` \(.*main\.tf:9\), which is ignored; `traffic` is similar$/),
  ])
})
