// `rules push` knows beforehand what the target would refuse, and says all of it before anything is done. A push that fails
// half-way all the same puts the rules back, or says exactly what to run.

import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { liveRules, TOKEN, twoLabs } from './two-labs.ts'

const labs = twoLabs()
const { file, rules } = labs

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

/** The other lab's API, behind a door that turns away: `turnsAway` gets the number of the change, from 1. */
async function brokenApi(
  turnsAway: (change: number, method: string) => 'before' | 'after' | undefined,
): Promise<string> {
  let changes = 0
  const server = createServer((request, response) => {
    const { method = 'GET', url = '' } = request
    const how = method === 'GET' ? undefined : turnsAway(++changes, method)
    const forward = async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(Buffer.from(chunk))
      const body = Buffer.concat(chunks)
      const answer = await fetch(labs.there.replace('/client/v4', '') + url, {
        method,
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
        ...(body.length === 0 ? {} : { body }),
      })
      if (how !== undefined) {
        response.writeHead(400, { 'content-type': 'application/json' })
        response.end('{"success":false,"errors":[{"code":9999,"message":"turned away"}],"messages":[],"result":null}')
        return
      }
      response.writeHead(answer.status, { 'content-type': 'application/json' })
      response.end(Buffer.from(await answer.arrayBuffer()))
    }
    if (how !== 'before') return void forward()
    request.resume()
    response.writeHead(400, { 'content-type': 'application/json' })
    response.end('{"success":false,"errors":[{"code":9999,"message":"turned away"}],"messages":[],"result":null}')
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/client/v4`
}

describe('a plan is checked against the target before anything is done', () => {
  test('every reason at once: ownership, syntax, lists and networks that are not there, list types, actions', async () => {
    writeFileSync(
      file('bad.json'),
      JSON.stringify([
        {
          name: 'owner',
          action: 'egress',
          precedence: 1,
          rule_settings: { egress: { ipv4: '192.0.2.1', ipv4_fallback: '192.0.2.2', ipv6: '2001:db8:99::/64' } },
        },
        { name: 'syntax', action: 'egress', precedence: 2, traffic: 'net.dst.prot == 443', identity: 'any(' },
        { name: 'list', action: 'egress', precedence: 3, traffic: 'net.dst.ip in $11111111222233334444555555555555' },
        {
          name: 'type',
          action: 'egress',
          precedence: 4,
          identity: `identity.email in $${labs.lab.lab.snapshot().account.lists[0]?.id}`,
        },
        {
          name: 'network',
          action: 'egress',
          precedence: 5,
          traffic: 'net.vnet_id == "11111111-2222-3333-4444-555555555555"',
        },
        { name: 'action', action: 'nonsense', filters: ['dns'], precedence: 6 },
        { name: 'range', action: 'egress', precedence: 7, rule_settings: { egress: { ipv4: '203.0.113.20' } } },
      ]),
    )
    const { revision } = labs.lab.lab.store.current()
    for (const how of ['--dry-run', '--yes']) {
      const { code, stderr, stdout } = await rules('push', file('bad.json'), how)
      expect(code).toBe(2)
      expect(stdout).toContain('+ rule 1 `owner`')
      for (const said of [
        'rule `owner`: the lab at http://127.0.0.1',
        'does not own the primary IPv4 `192.0.2.1`',
        'does not own the fallback IPv4 `192.0.2.2`',
        'does not own the IPv6 range `2001:db8:99::/64`',
        'rule `syntax`: unknown identifier `net.dst.prot`',
        'rule `list` uses the list `11111111222233334444555555555555`, which is neither in the file nor in the target',
        'rule `type` compares `identity.email` with a list of the type IP',
        'rule `network` uses the virtual network `11111111-2222-3333-4444-555555555555`',
        'rule `action` has the action `nonsense`',
        'rule `range`: dedicated egress needs `ipv6`',
      ])
        expect(stderr).toContain(said)
    }
    expect(labs.lab.lab.store.current().revision).toBe(revision)
  })

  test('limits of an account: 500 egress rules, 100 lists, 5,000 items in a list', async () => {
    const many = Array.from({ length: 496 }, (_, at) => ({ name: `r${at}`, action: 'egress', precedence: 20_000 + at }))
    writeFileSync(file('rules.json'), JSON.stringify(many))
    expect((await rules('push', file('rules.json'), '--dry-run')).stderr).toMatch(
      /would have 502 egress rules; an account has at most 500/,
    )
    const lists = Array.from({ length: 100 }, (_, at) => ({ name: `l${at}`, type: 'IP', items: [] }))
    const items = Array.from({ length: 5001 }, (_, at) => ({ value: `10.0.${at >> 8}.${at & 255}` }))
    writeFileSync(file('lists.json'), JSON.stringify([...lists, { name: 'long', type: 'IP', items }]))
    const { stderr } = await rules('push', file('lists.json'), '--dry-run')
    expect(stderr).toContain('would have 102 lists; an account has at most 100')
    expect(stderr).toContain('list `long` would have 5,001 items; a list has at most 5000')
  })

  test('what only Terraform knows is not pushed', async () => {
    writeFileSync(
      file('posture.tf'),
      `resource "cloudflare_zero_trust_device_posture_rule" "disk" {\n  name = "disk"\n}\nresource "cloudflare_zero_trust_gateway_policy" "r" {\n  name           = "r"\n  precedence     = 77\n  action         = "egress"\n  device_posture = "any(device_posture.checks.passed[*] == \\"\${cloudflare_zero_trust_device_posture_rule.disk.id}\\")"\n}\n`,
    )
    const { code, stderr } = await rules('push', file('posture.tf'), '--yes')
    expect(code).toBe(2)
    expect(stderr).toContain(
      'uses the id of `cloudflare_zero_trust_device_posture_rule.disk`, which only Terraform knows',
    )
  })

  test('where the target does not say what it owns, addresses new to it are named', async () => {
    const { pathname } = new URL(labs.there)
    const api = await brokenApi(() => undefined)
    // another API than a lab's: nothing but Cloudflare's routes
    const server = createServer(async (request, response) => {
      const answer = await fetch(api.replace(pathname, '') + request.url)
      const isCloudflares = request.url?.startsWith('/client/v4/') === true
      response.writeHead(isCloudflares ? answer.status : 404, { 'content-type': 'application/json' })
      response.end(isCloudflares ? Buffer.from(await answer.arrayBuffer()) : '{}')
    })
    servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const there = `http://127.0.0.1:${(server.address() as AddressInfo).port}/client/v4`
    writeFileSync(file('new.yaml'), '- { name: new, egress: { ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" } }\n')
    const { code, stdout } = await rules('push', file('new.yaml'), '--to', there, '--dry-run')
    expect(code).toBe(0)
    expect(stdout).toContain(
      'uses `203.0.113.20`, `2001:db8:20::/64` yet; the API refuses addresses that the account does not own',
    )
  })
})

describe('a push that fails half-way', () => {
  const WANTED = `
virtual_networks: [{ name: new }]
lists: [{ name: sites, type: IP, items: [192.0.2.0/24] }]
rules:
  - { name: first, precedence: 10, traffic: net.dst.port == 1 }
  - { name: second, precedence: 20, traffic: net.dst.port == 2 }
  - { name: third, precedence: 30, traffic: net.dst.port == 3 }
`
  /** Three rules in the other account, of which two are to change places, one to change, and a fourth to come. */
  async function begin(): Promise<string> {
    writeFileSync(file('before.yaml'), WANTED)
    expect((await rules('push', file('before.yaml'), '--to', labs.there, '--yes')).code).toBe(0)
    writeFileSync(
      file('after.yaml'),
      WANTED.replace('precedence: 10', 'precedence: 99')
        .replace('precedence: 20', 'precedence: 10')
        .replace('precedence: 99', 'precedence: 20')
        .replace('port == 3', 'port == 33')
        .replace('sites, type: IP, items: [', 'sites, type: IP, items: [198.51.100.0/24, ')
        .concat('  - { name: fourth, precedence: 40 }\n'),
    )
    return JSON.stringify(liveRules(labs.other).map(({ id, precedence, traffic }) => [id, precedence, traffic]))
  }
  const now = () =>
    JSON.stringify(liveRules(labs.other).map(({ id, precedence, traffic }) => [id, precedence, traffic]))

  test.each([1, 2, 3, 4, 5, 6])('at change %i, whether it was done or not: the rules are as they were', async (at) => {
    for (const how of ['before', 'after'] as const) {
      const was = await begin()
      const api = await brokenApi((change) => (change === at ? how : undefined))
      const { code, stderr } = await rules('push', file('after.yaml'), '--to', api, '--yes')
      expect(code).toBe(1)
      expect(stderr).toContain(`stopped at step ${at} of 6: 400: turned away (9999)`)
      expect(stderr).toContain('the rules are as they were; fix the cause and run the same command again')
      expect(now()).toBe(was)
      expect(labs.other.lab.snapshot().account.lists[0]?.items).toEqual(['192.0.2.0/24'])
    }
  })

  test('what was made and stays is named, and the same push continues from there', async () => {
    writeFileSync(file('before.yaml'), WANTED)
    const api = await brokenApi((change) => (change === 4 ? 'before' : undefined))
    const { stderr, stdout } = await rules('push', file('before.yaml'), '--to', api, '--yes')
    expect(stdout).toContain('done  + rule 10 `first`')
    expect(stderr).toContain(
      'failed:   create rule `second`\nnot done: create rule `third`\nundone:   1 changes of 3 made\n',
    )
    expect(stderr).toContain('stays:    create virtual network `new`, create list `sites`; no rule uses it yet')
    expect(liveRules(labs.other)).toEqual([])
    expect((await rules('push', file('before.yaml'), '--to', labs.there, '--yes')).stdout).toMatch(/3 done\n$/)
  })

  test('that cannot be undone says the command that puts the rules back, and that command works', async () => {
    const was = await begin()
    const home = process.cwd()
    const folder = mkdtempSync(join(tmpdir(), 'egresslab-undo-'))
    process.chdir(folder)
    try {
      const api = await brokenApi((change) => (change >= 4 ? 'before' : undefined))
      const { stderr } = await rules('push', file('after.yaml'), '--to', api, '--yes', '--json')
      expect(stderr).toContain('the rules could not be put back: 400: turned away (9999)')
      const [, command = ''] = /run this to put them back: egresslab rules push (.*)\n/.exec(stderr) ?? []
      expect(command).toBe(`rules-before-push.json --to ${api} --prune`)
      expect(existsSync('rules-before-push.json')).toBe(true)
      expect(now()).not.toBe(was)
      const args = command.split(' ').map((word) => (word === api ? labs.there : word))
      expect((await rules('push', ...args, '--yes')).code).toBe(0)
      expect(now()).toBe(was)
    } finally {
      process.chdir(home)
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

test('pull, then diff: nothing would change, whatever spelling of a list’s id the rules have', async () => {
  const account = labs.lab.lab.snapshot().account.id
  const url = `http://127.0.0.1:${labs.lab.lab.api.port}/client/v4/accounts/${account}/gateway/rules`
  const token = readFileSync(join(labs.lab.folder, 'api-token'), 'utf8').trim()
  const id = labs.lab.lab.snapshot().account.lists[0]?.id ?? expect.unreachable()
  const spellings = [id, id.replaceAll('-', ''), id.toUpperCase()]
  const texts = [
    '',
    ...spellings.map((spelling) => `net.dst.ip in $${spelling}`),
    'net.dst.port == 1\n  or net.dst.port == 2',
  ]
  for (const [at, traffic] of texts.entries()) {
    const body = { name: `yes: #${at} "`, action: 'egress', filters: ['egress'], precedence: 50_000 + at, traffic }
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    expect(response.status).toBe(200)
  }
  for (const name of ['all.yaml', 'all.json']) {
    await rules('pull', file(name))
    const { stdout, code } = await rules('diff', file(name), '--fail-on-change')
    expect([code, stdout]).toEqual([0, expect.stringContaining('nothing would change')])
  }
  // the other spelling in the file alone
  const text = readFileSync(file('all.json'), 'utf8')
  writeFileSync(file('spelt.json'), text.replaceAll(`$${id}`, `$${id.replaceAll('-', '')}`))
  expect((await rules('diff', file('spelt.json'))).stdout).toContain('nothing would change')
})
