// `rules pull`, `push` and `diff` between files and real labs; a second lab stands in for the account at Cloudflare, reached by
// its address and a token, as the real one would be.

import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { curl } from '../support/curl.ts'
import type { PrivateLab } from '../support/private-lab.ts'
import { run } from './run.ts'
import { EMPTY, liveRules, TOKEN, twoLabs } from './two-labs.ts'

const labs = twoLabs()
const { file, rules, where } = labs
const named = (which: PrivateLab, name: string) => liveRules(which).find((rule) => rule.name === name)

describe('pull', () => {
  test('writes rules and what they speak of as YAML; pushing that back changes nothing', async () => {
    const pulled = await rules('pull', file('rules.yaml'))
    expect(pulled).toMatchObject({ code: 0, stderr: '' })
    expect(pulled.stdout).toMatch(/^wrote 6 rules, 1 list, 2 virtual networks of the lab at .* to .*rules\.yaml\n$/)
    const document = parse(readFileSync(file('rules.yaml'), 'utf8'))
    expect(Object.keys(document)).toEqual(['virtual_networks', 'lists', 'rules'])
    expect(document.rules[0]).toEqual({
      name: 'Finance to the bank',
      id: '00b5f608-7d87-572d-88c2-3ef1bfa116d2',
      description: "The bank's allowlist has 203.0.113.20 and 203.0.113.30",
      precedence: 1000,
      traffic: 'any(net.fqdn.domains[*] == "bank.saas.test")',
      identity: 'any(identity.groups.name[*] in {"Finance"})',
      egress: { ipv4: '203.0.113.20', ipv4_fallback: '203.0.113.30', ipv6: '2001:db8:20::/64' },
    })
    const { revision } = labs.lab.lab.store.current()
    const pushed = await rules('push', file('rules.yaml'), '--yes')
    expect(pushed).toMatchObject({ code: 0, stderr: '' })
    expect(pushed.stdout).toContain('nothing would change\n9 unchanged\n')
    expect(labs.lab.lab.store.current().revision).toBe(revision)
  })

  test('as JSON keeps everything the API said, and pushes back without a change', async () => {
    await rules('pull', file('rules.json'))
    const document = JSON.parse(readFileSync(file('rules.json'), 'utf8'))
    expect(document.rules[0]).toMatchObject({ version: 1, created_at: expect.any(String), schedule: null })
    const { stdout } = await rules('push', file('rules.json'), '--dry-run', '--json')
    expect(JSON.parse(stdout)).toMatchObject({ steps: [], unchanged: 9 })
  })

  test('a pulled file is a configuration section: the lab reads it as its own', async () => {
    const { stdout } = await rules('pull')
    writeFileSync(file('whole.yaml'), EMPTY + stdout)
    expect(await run(['check', '-c', file('whole.yaml')])).toMatchObject({ code: 0 })
  })

  test('YAML says what it has no words for; JSON has them', async () => {
    const account = labs.lab.lab.snapshot().account.id
    const body = {
      name: 'dns',
      action: 'block',
      filters: ['dns'],
      rule_settings: { block_reason: 'x' },
      precedence: 77,
    }
    await curl(
      '-X',
      'POST',
      `http://127.0.0.1:${labs.lab.lab.api.port}/client/v4/accounts/${account}/gateway/rules`,
      ...json(labs.lab, body),
    )
    const yaml = await rules('pull')
    expect(yaml.stderr).toBe('1 rule that is not an egress rule left out; use JSON to keep it\n')
    expect(yaml.stdout).not.toContain('dns\n')
    const { stdout } = await rules('pull', '--format', 'json')
    expect(JSON.parse(stdout).rules).toContainEqual(expect.objectContaining({ rule_settings: { block_reason: 'x' } }))
  })
})

function json(of: PrivateLab, body: unknown): string[] {
  const token = readFileSync(join(of.folder, 'api-token'), 'utf8').trim()
  return ['-H', `Authorization: Bearer ${token}`, '-H', 'Content-Type: application/json', '-d', JSON.stringify(body)]
}

describe('push', () => {
  test('to another account: lists and networks are made first, and rules speak of the new ids', async () => {
    await rules('pull', file('rules.yaml'))
    const planned = await rules('push', file('rules.yaml'), '--to', labs.there, '--dry-run')
    expect(planned.stdout).toContain('+ virtual network `vnet-AMER`')
    expect(planned.stdout).toMatch(/\+ list `Partner networks`\n {4}added {4}198\.51\.100\.128\/25\n/)
    expect(planned.stdout).toMatch(/\+ rule 1000 `Finance to the bank`\n {4}description/)
    expect(liveRules(labs.other)).toEqual([])
    const pushed = await rules('push', file('rules.yaml'), '--to', labs.there, '--yes')
    expect(pushed).toMatchObject({ code: 0, stderr: '' })
    expect(pushed.stdout).toMatch(/9 done\n$/)
    const [list] = labs.other.lab.snapshot().account.lists
    expect(list).toMatchObject({ name: 'Partner networks', items: ['198.51.100.128/25'] })
    expect(named(labs.other, 'Partners')?.traffic).toBe(`net.dst.ip in $${list?.id}`)
    const amer = labs.other.lab.snapshot().account.virtualNetworks.find(({ name }) => name === 'vnet-AMER')
    expect(named(labs.other, 'vnet-AMER leaves from Los Angeles')?.traffic).toBe(`net.vnet_id == "${amer?.id}"`)
    const again = await rules('push', file('rules.yaml'), '--to', labs.there, '--yes')
    expect(again.stdout).toContain('nothing would change')
  })

  test('a rule that names a network and a list in its file has their ids at the API', async () => {
    writeFileSync(
      file('names.yaml'),
      [
        'virtual_networks: [{ name: vnet-APAC }]',
        'lists: [{ name: Branch offices, type: IP, items: [198.51.100.64/26] }]',
        'rules:',
        '  - name: By name',
        '    traffic: net.vnet_id == "vnet-apac" and net.dst.ip in $"Branch offices"',
        '',
      ].join('\n'),
    )
    expect(await rules('push', file('names.yaml'), '--to', labs.there, '--yes')).toMatchObject({ code: 0, stderr: '' })
    const { lists, virtualNetworks } = labs.other.lab.snapshot().account
    const [network, list] = [
      virtualNetworks.find(({ name }) => name === 'vnet-APAC'),
      lists.find(({ name }) => name === 'Branch offices'),
    ]
    expect(named(labs.other, 'By name')?.traffic).toBe(`net.vnet_id == "${network?.id}" and net.dst.ip in $${list?.id}`)
  })

  test('a rule that names what its file does not have is refused, at its place', async () => {
    writeFileSync(file('nothing.yaml'), '- name: By name\n  traffic: net.vnet_id == "vnet-AMER"\n')
    const { code, stderr } = await rules('push', file('nothing.yaml'), '--yes')
    expect(code).toBe(2)
    expect(stderr).toContain('nothing.yaml:2:27: error: there is no virtual network `vnet-AMER` [config.unknown_name]')
  })

  test('two rules change places without a moment of conflict', async () => {
    await rules('pull', file('rules.yaml'))
    const text = readFileSync(file('rules.yaml'), 'utf8')
    writeFileSync(
      file('swapped.yaml'),
      text
        .replace('precedence: 2000', 'precedence: x')
        .replace('precedence: 3000', 'precedence: 2000')
        .replace('precedence: x', 'precedence: 3000'),
    )
    const { code, stdout } = await rules('push', file('swapped.yaml'), '--yes')
    expect({ code, last: stdout.split('\n').at(-2) }).toEqual({ code: 0, last: '3 done' })
    expect(
      liveRules(labs.lab)
        .map(({ precedence, name }) => [precedence, name.split(' ')[0]])
        .slice(1, 3),
    ).toEqual([
      [2000, 'vnet-EMEA'],
      [3000, 'vnet-AMER'],
    ])
  })

  test('what the file does not say stays: fields, other rules; --prune deletes egress rules alone', async () => {
    writeFileSync(
      file('one.yaml'),
      '- name: Finance to the bank\n  id: 00b5f608-7d87-572d-88c2-3ef1bfa116d2\n  precedence: 1000\n  traffic: net.dst.port == 443\n  egress: { ipv4: 203.0.113.30, ipv6: "2001:db8:30::/64" }\n',
    )
    const planned = await rules('diff', file('one.yaml'))
    expect(planned.stdout).toContain('~ rule 1000 `Finance to the bank`')
    expect(planned.stdout).toMatch(
      /traffic +any\(net\.fqdn\.domains\[\*\] == "bank\.saas\.test"\) → net\.dst\.port == 443\n/,
    )
    expect(planned.stdout).toMatch(/egress ipv4_fallback +203\.0\.113\.30 → nothing\n/)
    expect(planned.stdout).toContain('5 only in the target, left alone:')
    expect((await rules('push', file('one.yaml'), '--yes', '--prune')).stdout).toMatch(/6 done\n$/)
    expect(liveRules(labs.lab).map(({ name }) => name)).toEqual(['Finance to the bank'])
  })

  test('settings of a rule that YAML has no words for survive a push from YAML', async () => {
    const account = labs.lab.lab.snapshot().account.id
    const path = `http://127.0.0.1:${labs.lab.lab.api.port}/client/v4/accounts/${account}/gateway/rules/53ed0b53-fdbe-5cd8-b321-a37bb0ca560e`
    await rules('pull', file('rules.yaml'))
    const sent = {
      name: 'vnet-AMER',
      action: 'egress',
      precedence: 2000,
      rule_settings: { allow_child_bypass: true },
    }
    await curl('-X', 'PUT', path, ...json(labs.lab, sent))
    expect((await rules('push', file('rules.yaml'), '--yes')).code).toBe(0)
    expect(named(labs.lab, 'vnet-AMER leaves from Los Angeles')).toMatchObject({
      egress: { ipv4: '203.0.113.40' },
      rest: { rule_settings: { allow_child_bypass: true } },
    })
  })

  test('without a terminal or --yes nothing is done; on a terminal only `y` does', async () => {
    writeFileSync(file('new.yaml'), '- { name: new, precedence: 5 }\n')
    const silent = await rules('push', file('new.yaml'))
    expect(silent.code).toBe(2)
    expect(silent.stderr).toContain('needs confirmation, but there is no terminal [rules.not_confirmed]')
    const args = ['rules', 'push', ...where(), file('new.yaml')]
    const no = await run(args, { terminal: true, stdin: '\n' })
    expect({ code: no.code, stderr: no.stderr }).toEqual({ code: 1, stderr: 'nothing was changed\n' })
    expect(named(labs.lab, 'new')).toBeUndefined()
    expect((await run(args, { terminal: true, stdin: 'y\n' })).code).toBe(0)
    expect(named(labs.lab, 'new')).toBeDefined()
  })

  test('contradictions are all said before anything is done', async () => {
    writeFileSync(file('taken.yaml'), '- { name: first, precedence: 1000 }\n- { name: second, precedence: 2000 }\n')
    const { code, stderr } = await rules('push', file('taken.yaml'), '--yes')
    expect(code).toBe(2)
    expect(stderr).toContain('precedence 1000 of rule `first` is taken by rule `Finance to the bank`')
    expect(stderr).toContain('precedence 2000 of rule `second` is taken by rule `vnet-AMER leaves from Los Angeles`')
    writeFileSync(file('twice.yaml'), '- { name: a, precedence: 5 }\n- { name: b, precedence: 5 }\n')
    expect((await rules('push', file('twice.yaml'), '--yes')).stderr).toContain(
      'the rules `a` and `b` share the precedence 5',
    )
    writeFileSync(
      file('list.yaml'),
      'lists: [{ name: Partner networks, type: DOMAIN, items: [a.example] }]\nrules: []\n',
    )
    expect((await rules('push', file('list.yaml'), '--yes')).stderr).toContain(
      'is of type IP in the target and of type DOMAIN in the file',
    )
  })

  test('a list is changed item by item, down to none', async () => {
    const list = (items: string) => `lists: [{ name: Partner networks, type: IP, items: [${items}] }]\nrules: []\n`
    writeFileSync(file('more.yaml'), list('198.51.100.128/25, 192.0.2.1'))
    expect((await rules('push', file('more.yaml'), '--yes')).stdout).toMatch(
      /~ list `Partner networks`\n {4}added {4}192\.0\.2\.1\n/,
    )
    expect(labs.lab.lab.snapshot().account.lists[0]?.items).toEqual(['198.51.100.128/25', '192.0.2.1'])
    writeFileSync(file('none.yaml'), list(''))
    expect((await rules('push', file('none.yaml'), '--yes')).code).toBe(0)
    expect(labs.lab.lab.snapshot().account.lists[0]?.items).toEqual([])
  })
})

describe('an answer of the API', () => {
  test('as saved by curl is pushed elsewhere, with the answers for the lists and networks in the same file', async () => {
    const account = labs.lab.lab.snapshot().account.id
    const base = `http://127.0.0.1:${labs.lab.lab.api.port}/client/v4/accounts/${account}`
    const token = readFileSync(join(labs.lab.folder, 'api-token'), 'utf8').trim()
    const [list] = labs.lab.lab.snapshot().account.lists
    const answers = []
    for (const path of ['gateway/rules', `gateway/lists/${list?.id}`, 'teamnet/virtual_networks']) {
      answers.push((await curl(`${base}/${path}`, '-H', `Authorization: Bearer ${token}`)).body)
    }
    writeFileSync(file('answer.json'), answers.join('\n'))
    expect(await rules('push', file('answer.json'), '--to', labs.there, '--yes')).toMatchObject({ code: 0, stderr: '' })
    expect(liveRules(labs.other)).toHaveLength(6)
    const [copied] = labs.other.lab.snapshot().account.lists
    expect(copied?.items).toEqual(list?.items)
  })

  test('with a field nobody knows: kept by a conversion, not sent, and said so', async () => {
    const rule = { name: 'future', action: 'egress', precedence: 9, made_up: { a: 1 }, enabled: true }
    writeFileSync(file('future.json'), JSON.stringify({ success: true, result: [rule] }))
    await rules('pull', '--from', file('future.json'), file('converted.json'))
    expect(JSON.parse(readFileSync(file('converted.json'), 'utf8')).rules).toEqual([rule])
    const { code, stdout } = await rules('push', file('converted.json'), '--yes')
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringContaining('`made_up` of rule `future` is not sent'),
    })
    expect(named(labs.lab, 'future')).toMatchObject({ precedence: 9, enabled: true })
  })
})

describe('what cannot work says so:', () => {
  test('no credentials, wrong ones, nobody labs.there, a place that is a file', async () => {
    writeFileSync(file('x.yaml'), '[]\n')
    delete process.env.CLOUDFLARE_API_TOKEN
    expect((await rules('push', file('x.yaml'), '--to', 'cloudflare')).stderr).toContain(
      'no credentials for Cloudflare: CLOUDFLARE_API_TOKEN is not set',
    )
    process.env.CLOUDFLARE_API_TOKEN = 'not-the-token-at-all'
    expect((await rules('push', file('x.yaml'), '--to', labs.there)).stderr).toContain(
      'says: 401: Authentication error (10000) [rules.api]',
    )
    process.env.CLOUDFLARE_API_TOKEN = TOKEN
    expect((await rules('diff', file('x.yaml'), '--against', 'http://127.0.0.1:9/client/v4')).code).toBe(2)
    expect((await rules('push', file('x.yaml'), '--to', file('y.yaml'))).stderr).toContain('error: cannot push to `')
    expect((await rules('pull', file('no/such/folder.yaml'))).stderr).toContain('folder.yaml` (ENOENT)')
  })

  test('files: every mistake with its place', async () => {
    writeFileSync(file('bad.yaml'), '- { name: a, presedence: 5 }\n- { name: b, egress: { ipv4: 203.0.113.20 } }\n')
    const { code, stderr } = await rules('push', file('bad.yaml'))
    expect(code).toBe(2)
    expect(stderr).toContain(`${file('bad.yaml')}:1:14: error: unknown key \`presedence\``)
    writeFileSync(file('range.yaml'), '- { name: b, egress: { ipv4: 203.0.113.20 } }\n')
    expect((await rules('push', file('range.yaml'))).stderr).toContain('rule `b` has no `ipv6` range')
  })
})

describe('with the account at Cloudflare', () => {
  test('a token for several accounts has to say which', async () => {
    const answers: RequestListener = (_request, response) => {
      const result = [
        { id: 'one', name: 'A' },
        { id: 'two', name: 'B' },
      ]
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify({
          success: true,
          errors: [],
          messages: [],
          result,
          result_info: { page: 1, per_page: 20, total_pages: 1 },
        }),
      )
    }
    const server = createServer(answers).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const { stderr } = await run(['rules', 'pull', '--from', `http://127.0.0.1:${port}/client/v4`])
    expect(stderr).toContain('has more than one account: one, two')
    server.close()
  })
})
