// What people bring is recognised by its contents: answers of the API, slices of them, Terraform's files. A file that is none of
// these says once what it looks like and how to get a good one.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { InputError } from '../../src/errors/issue.ts'
import { readPolicyFile } from '../../src/rules-sync/read-policy.ts'

const BRING = 'config/examples/bring'
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-recognise-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, contents: string | Uint8Array): string {
  const file = join(folder, name)
  writeFileSync(file, contents)
  return file
}

async function refusal(file: string) {
  try {
    await readPolicyFile(file)
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown.issues
    throw thrown
  }
  throw new Error('it was read')
}

const EGRESS = {
  id: '1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4b01',
  name: 'one',
  precedence: 5,
  action: 'egress',
  filters: ['egress'],
  traffic: 'net.dst.port == 443',
  enabled: true,
}

describe('the examples', () => {
  test('the answer of GET …/gateway/rules, all types mixed', async () => {
    const { rules, notes } = await readPolicyFile(`${BRING}/api-rules.json`)
    expect(rules.map(({ fields }) => fields.action)).toEqual([
      'block',
      'audit_ssh',
      'off',
      'resolve',
      'egress',
      'egress',
    ])
    expect(notes).toEqual([])
  })

  test('one list with its items, as its own route answers', async () => {
    const { lists } = await readPolicyFile(`${BRING}/api-list.json`)
    expect(lists).toMatchObject([{ name: 'Contractor sites', type: 'IP', items: [{ value: '198.51.100.64/26' }] }])
  })

  test('one bare rule; slices that jq made, on lines of their own and over several', async () => {
    expect((await readPolicyFile(`${BRING}/one-rule.json`)).rules.map(({ name }) => name)).toEqual(['Everything else'])
    expect((await readPolicyFile(`${BRING}/slice.ndjson`)).rules).toMatchObject([
      { name: 'Everything else', precedence: 9000, fields: { action: 'egress' } },
    ])
    const { rules } = await readPolicyFile(`${BRING}/slice-pretty.json`)
    expect(rules.map(({ name }) => name)).toEqual(['Everything else', 'SSH audit'])
  })

  test('terraform.tfstate of version 4, `show -json` of a state and of a plan say the same', async () => {
    const state = await readPolicyFile(`${BRING}/terraform.tfstate`)
    expect(state.rules.map(({ name, precedence }) => [name, precedence])).toEqual([
      ['Contractors from Ashburn', 1500],
      ['Everything else', 9000],
    ])
    expect(state.lists).toMatchObject([{ name: 'Contractor sites', items: [{ value: '198.51.100.64/26' }] }])
    const shown = await readPolicyFile(`${BRING}/show-state.json`)
    expect(shown.rules[0]?.fields).toEqual(state.rules[0]?.fields)
    const plan = await readPolicyFile(`${BRING}/show-plan.json`)
    expect(plan.rules.map(({ name, id }) => [name, id === undefined])).toEqual([
      ['Contractors from Ashburn', false],
      ['Everything else', true],
    ])
  })
})

describe('slices and pages', () => {
  test('answers one after another in a file are one policy', async () => {
    const list = { id: '0c1f4b0a-57d1-4d6b-9f0e-6a1d0b7f3c11', name: 'l', type: 'IP', items: [{ value: '192.0.2.1' }] }
    const network = { id: '3d0e6c5a-8b1f-4c2d-9e7a-1f2b3c4d5e6f', name: 'v', is_default_network: false, comment: '' }
    const file = write(
      'all.json',
      [[EGRESS], [list], [network]].map((result) => JSON.stringify({ success: true, result }, null, 2)).join('\n'),
    )
    const { rules, lists, virtualNetworks } = await readPolicyFile(file)
    expect([rules.length, lists.length, virtualNetworks.length]).toEqual([1, 1, 1])
  })

  test('a page of several, lists without items and other things are said', async () => {
    const result = [EGRESS, { id: 'x', name: 'no items', type: 'IP', count: 3 }, { id: 'y', network: '10.0.0.0/8' }]
    const file = write('page.json', JSON.stringify({ success: true, result, result_info: { page: 1, total_pages: 3 } }))
    const { lists, notes } = await readPolicyFile(file)
    expect(lists).toEqual([])
    expect(notes).toEqual([
      '1 entry left out: neither rules, lists nor virtual networks',
      'list `no items` left out: the answer has no items of it',
      'this is page 1 of 3; the others are not here',
    ])
  })

  test('a slice without `action` is an egress rule where its settings or filters say so, else it is asked for', async () => {
    const { action: _, filters: _filters, ...slice } = EGRESS
    const settings = { rule_settings: { egress: { ipv4: '203.0.113.10', ipv6: '2001:db8:10::/64' } } }
    const { rules } = await readPolicyFile(write('settings.json', JSON.stringify({ ...slice, ...settings })))
    expect(rules[0]?.fields.action).toBe('egress')
    expect(await refusal(write('none.json', JSON.stringify([{ ...slice, version: 2 }])))).toMatchObject([
      {
        code: 'rules.no_kind',
        message: '1 rule without `action` and `filters`, such as `one`: of what kind is not known',
      },
    ])
  })

  test('a value of a wrong type is named, never guessed', async () => {
    const wrong = { ...EGRESS, precedence: 'abc', enabled: 'yes', rule_settings: { egress: { ipv4: 1, ipv6: [] } } }
    expect((await refusal(write('wrong.json', JSON.stringify([wrong])))).map(({ message }) => message)).toEqual([
      '`precedence` of rule `one` has to be a whole number, and is `"abc"`',
      '`enabled` of rule `one` has to be `true` or `false`, and is `"yes"`',
      '`rule_settings.egress.ipv6` of rule `one` has to be a text, and is a list',
    ])
  })

  test('an answer that refuses says what the API said', async () => {
    const answer = {
      success: false,
      errors: [{ code: 10000, message: 'Authentication error' }],
      messages: [],
      result: null,
    }
    expect(await refusal(write('refused.json', JSON.stringify(answer)))).toMatchObject([
      { message: 'the API refused here: Authentication error (10000)' },
    ])
  })
})

describe('an unknown file says what it looks like and how to get a good one, once:', () => {
  test.each([
    ['a web page', '<!DOCTYPE html><html><body>Sign in</body></html>', 'is a web page'],
    ['nothing', ' \n', 'is empty'],
    ['expressions', 'any(net.fqdn.domains[*] == "a.test")\nnet.dst.port == 443\n', 'looks like an expression alone'],
    [
      'HCL by another name',
      'resource "cloudflare_teams_rule" "x" {\n  name = "x"\n}\n',
      'looks like a configuration of Terraform',
    ],
    ['`terraform show`', '# cloudflare_teams_rule.x:\nresource "cloudflare_teams_rule" "x" {\n}\n', 'of Terraform'],
    ['records of sessions', '{"SessionID":"a","EgressIP":"203.0.113.1"}\n{"SessionID":"b"}\n', 'records of sessions'],
    [
      'Terraform in JSON',
      '{"resource":{"cloudflare_teams_rule":{"x":{"name":"x"}}}}',
      'configuration of Terraform in JSON',
    ],
    ['a list of texts', '- net.dst.port == 443\n- net.dst.port == 80\n', 'is a list of texts'],
    ['prose', 'these are our rules\n', 'is a line of text'],
    [
      'something else',
      '{"name":"egresslab","dependencies":{}}',
      'has `name`, `dependencies`, and nothing that says rules',
    ],
    ['broken JSON', '{"rules": [}', ''],
    ['broken YAML', 'rules:\n\t- {\n  : : :\n\t\t]]]\n', ''],
  ])('%s', async (_what, contents, said) => {
    const issues = await refusal(write('unknown.txt', contents))
    expect(issues).toHaveLength(1)
    expect(issues[0]?.message).toContain(said)
    expect(issues[0]?.hint).toContain('`terraform show -json`')
  })

  test('binary files: a plan, an archive', async () => {
    for (const name of ['plan.out', 'rules.gz']) {
      const issues = await refusal(write(name, gzipSync('x'.repeat(200))))
      expect(issues).toMatchObject([{ message: expect.stringContaining('terraform show -json') }])
    }
  })
})
