// What watchers of a lab may ask, against a whole lab with real traffic through its proxy.

import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { run } from '../cli/run.ts'
import { type ConsoleLab, startConsoleLab, TOKEN } from '../console/running-lab.ts'

const FINANCE = '00b5f608-7d87-572d-88c2-3ef1bfa116d2'
const AMER_RULE = '53ed0b53-fdbe-5cd8-b321-a37bb0ca560e'

let lab: ConsoleLab
let account: string
beforeAll(async () => {
  lab = await startConsoleLab(20)
  const [first] = (await lab.ask('GET', '/client/v4/accounts')) as { id: string }[]
  account = first?.id ?? ''
})
afterAll(() => lab.close())

interface Row {
  readonly id: string
  readonly open: boolean
  readonly user: string
  readonly target: string
  readonly egress: string
}

async function finished(): Promise<Row[]> {
  return ((await lab.ask('GET', '/lab/v1/traffic/now')) as { finished: Row[] }).finished
}

async function sessionTo(target: string): Promise<string> {
  const rows = await finished()
  return rows.findLast((row) => row.target.startsWith(target))?.id ?? ''
}

describe('a session in detail', () => {
  test('is explained by the policy it was decided by, also after the rules changed', async () => {
    await lab.send('alice', 'http://bank.saas.test/')
    const id = await sessionTo('bank.saas.test')
    const before = (await lab.ask('GET', `/lab/v1/sessions/${id}`)) as Detail
    expect(before.policy.current).toBe(true)
    expect(before.record.EgressIP).toBe('203.0.113.20')
    expect(before.explanation.decision.rule.name).toBe('Finance to the bank')
    await lab.ask('PUT', '/lab/v1/colos/LHR', { up: false })
    const after = (await lab.ask('GET', `/lab/v1/sessions/${id}`)) as Detail
    await lab.ask('PUT', '/lab/v1/colos/LHR', { up: true })
    expect(after.policy.current).toBe(false)
    expect(after.explanation.decision).toEqual(before.explanation.decision)
  })

  test('becomes a policy test that `egresslab test` passes', async () => {
    await lab.send('carol;vnet=vnet-EMEA;family=4', 'http://espn.com/')
    const { policy_test: made } = (await lab.ask('GET', `/lab/v1/sessions/${await sessionTo('espn.com')}`)) as Detail
    expect(made.expect).toMatchObject({
      outcome: 'dedicated',
      rule: 'vnet-EMEA leaves from London',
      physical_colo: 'LHR',
    })
    const file = join(mkdtempSync(join(tmpdir(), 'policy-test-')), 'made.yaml')
    writeFileSync(file, stringify({ config: resolve('config/lab.yaml'), cases: [made] }))
    const { code, stdout } = await run(['test', file])
    expect(`${code} ${stdout}`).toMatch(/^0 /)
  })

  test('that nobody remembers is 404, with where to look', async () => {
    await expect(lab.ask('GET', '/lab/v1/sessions/none')).rejects.toThrow('look in the session log')
  })
})

interface Detail {
  readonly policy: { readonly current: boolean }
  readonly record: { readonly EgressIP: string }
  readonly explanation: { readonly decision: { readonly rule: { readonly name: string } } }
  readonly policy_test: { readonly expect: object }
}

interface Previewed {
  readonly problems: readonly {
    severity: string
    code: string
    message: string
    field: string | null
    span: number[] | null
  }[]
  readonly replay: {
    sessions: number
    changed: number
    changes: { user: string; before: { egress: string }; after: { egress: string; rule: string } }[]
  } | null
}

describe('a rule before it is saved', () => {
  const rule = {
    name: 'bob from Newark',
    action: 'egress',
    enabled: true,
    precedence: 50,
    traffic: '',
    identity: 'identity.email == "bob@example.com"',
    rule_settings: { egress: { ipv4: '203.0.113.50', ipv4_fallback: '203.0.113.30', ipv6: '2001:db8:50::/64' } },
  }
  const preview = async (body: unknown) => (await lab.ask('POST', '/lab/v1/rules/preview', body)) as Previewed

  test('has every problem with its place, and is then not tried on sessions', async () => {
    const traffic = 'net.dst.prot == 443 and net.dst.ip == "1.2.3.4"'
    const { problems, replay } = await preview({ rule: { ...rule, traffic } })
    expect(problems[0]).toMatchObject({ severity: 'error', field: 'traffic', span: [0, 12] })
    expect(replay).toBeNull()
  })

  test('says which of the last sessions would leave from elsewhere, and changes nothing', async () => {
    await lab.send('bob', 'http://ipv4.icanhazip.com/')
    const { problems, replay } = await preview({ rule })
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(replay?.changed).toBeGreaterThan(0)
    expect(replay?.changes[0]).toMatchObject({
      user: 'bob@example.com',
      before: { egress: '203.0.113.10' },
      after: { egress: '203.0.113.50', rule: 'bob from Newark' },
    })
    expect(await lab.send('bob', 'http://ipv4.icanhazip.com/')).toBe('203.0.113.10\n')
  })

  test('may be the deletion of one', async () => {
    await lab.send('bob;vnet=vnet-AMER', 'http://ipv4.icanhazip.com/')
    const { replay } = await preview({ id: AMER_RULE, rule: null })
    expect(replay?.changes[0]).toMatchObject({ before: { egress: '203.0.113.40' }, after: { egress: '203.0.113.10' } })
  })

  const rules = () => `/client/v4/accounts/${account}/gateway/rules`

  test('[R3] without a precedence is tried where saving would put it: as a replacement it stays where it is', async () => {
    const first = {
      name: 'first',
      action: 'egress',
      enabled: true,
      filters: ['egress'],
      traffic: 'any(net.fqdn.domains[*] == "saas.test") or net.fqdn.host == "bank.saas.test"',
      rule_settings: { egress: { ipv4: '203.0.113.40', ipv4_fallback: '0.0.0.0', ipv6: '2001:db8:40::/64' } },
    }
    const { id } = (await lab.ask('POST', rules(), { ...first, precedence: 5 })) as { id: string }
    await lab.send('alice', 'http://bank.saas.test/')
    expect((await preview({ id, rule: first })).replay).toMatchObject({ changed: 0, changes: [] })
    expect((await preview({ rule: first })).replay?.changes).toEqual([])
    const saved = (await lab.ask('PUT', `${rules()}/${id}`, first)) as { precedence: number }
    expect(saved.precedence).toBe(5)
    await lab.ask('DELETE', `${rules()}/${id}`)
  })

  test.each([
    ['no range', { rule_settings: { egress: { ipv4: '203.0.113.50' } } }],
    ['no primary', { rule_settings: { egress: { ipv6: '2001:db8:50::/64' } } }],
    ['an unknown field', { trafic: 'net.dst.port == 443' }],
    ['a name of the wrong type', { name: 7 }],
    ['no action', { action: undefined }],
    ['an action that is none', { action: 'explode' }],
    ['a schedule', { schedule: { mon: '08:00-17:00' } }],
  ])('with %s is refused in the words that saving it would be', async (_fault, change) => {
    const body = { ...rule, precedence: 60, ...change }
    const { problems, replay } = await preview({ rule: body })
    const refusal = await lab.ask('POST', rules(), body).then(
      () => 'saved',
      (thrown: Error) => thrown.message,
    )
    const errors = problems.filter(({ severity }) => severity === 'error')
    expect(errors.length).toBeGreaterThan(0)
    for (const { message } of errors) expect(refusal).toContain(JSON.stringify(message))
    expect(replay).toBeNull()
  })

  test('[R6] without a fallback says so once', async () => {
    const egress = { ipv4: '203.0.113.50', ipv6: '2001:db8:50::/64' }
    const { problems } = await preview({ rule: { ...rule, rule_settings: { egress } } })
    expect(problems.filter(({ code }) => /no_fallback|P2/.test(code)).map(({ code }) => code)).toEqual([
      'rule.no_fallback',
    ])
  })

  test('[R9] of another type is kept and changes no session', async () => {
    const dns = { name: 'dns', action: 'block', filters: ['dns'], enabled: true, traffic: 'dns.fqdn == "x.test"' }
    const { problems, replay } = await preview({ rule: dns })
    expect([problems, replay?.changed]).toEqual([[], 0])
  })

  test('is tried on as many of the last sessions as were asked for, on none too', async () => {
    for (const _ of [1, 2, 3]) await lab.send('bob', 'http://ipv4.icanhazip.com/')
    await expect.poll(async () => (await preview({ rule })).replay?.sessions).toBeGreaterThan(2)
    for (const sessions of [0, 1, 2]) expect((await preview({ rule, sessions })).replay?.sessions).toBe(sessions)
  })

  test('that deletes says which', async () => {
    await expect(preview({ rule: null })).rejects.toThrow('which rule would be deleted?')
    await expect(preview({ id: null, rule: null })).rejects.toThrow('which rule would be deleted?')
  })

  test('that replaces one which is not there is 404, as saving it is', async () => {
    await expect(preview({ id: '00000000-0000-4000-8000-000000000000', rule })).rejects.toThrow('not found')
  })

  test('with a precedence that is taken says by which rule', async () => {
    const { problems } = await preview({ rule: { ...rule, precedence: 1000 } })
    expect(problems).toContainEqual(expect.objectContaining({ code: 'rule.precedence_taken', severity: 'error' }))
  })
})

test('the checks name the rule they are about', async () => {
  await lab.ask('PUT', `/client/v4/accounts/${account}/gateway/rules/${FINANCE}`, {
    name: 'Finance to the bank',
    action: 'egress',
    enabled: true,
    traffic: 'any(net.fqdn.domains[*] == "bank.saas.test")',
    identity: 'any(identity.groups.name[*] in {"Finance"})',
    rule_settings: { egress: { ipv4: '203.0.113.20', ipv6: '2001:db8:20::/64' } },
  })
  const checks = (await lab.ask('GET', '/lab/v1/checks')) as { rule: string | null; code: string }[]
  await lab.ask('DELETE', `/lab/v1/overrides/rule/${FINANCE}`)
  expect(checks).toContainEqual(expect.objectContaining({ rule: FINANCE, code: 'rule.no_fallback' }))
  expect(checks.filter(({ rule, code }) => rule === FINANCE && code === 'practice.P2')).toEqual([])
  expect(checks).toContainEqual(expect.objectContaining({ rule: null, code: 'practice.P4' }))
})

test('test origins say whom they would let in as things are', async () => {
  const origins = (await lab.ask('GET', '/lab/v1/origins')) as {
    name: string
    allow: string[] | null
    visitors: { user: string; egress: string; let_in: boolean }[]
  }[]
  const bank = origins.find(({ name }) => name === 'bank.saas.test')
  expect(bank?.allow).toEqual(['203.0.113.20', '203.0.113.30'])
  expect(bank?.visitors.map(({ user, let_in }) => `${user} ${let_in}`)).toEqual([
    'alice@example.com true',
    'bob@example.com false',
    'carol@example.com false',
    'dave@example.com true',
  ])
})

describe('the verification', () => {
  test('asks real echo origins through the proxy, in both families', async () => {
    const verified = (await lab.ask('POST', '/lab/v1/verify', {
      user: 'bob@example.com',
      vnet: 'vnet-AMER',
    })) as Verified
    expect(verified.dedicated).toBe(true)
    expect(verified.answers.map(({ family, seen, colo }) => ({ family, colo, seen: seen.slice(0, 13) }))).toEqual([
      { family: 4, colo: 'LAX', seen: '203.0.113.40' },
      { family: 6, colo: 'LAX', seen: '2001:db8:40:0' },
    ])
  })

  test('works for people with their own credentials, and with nobody else’s', async () => {
    const ask = (credentials: string) =>
      fetch(`${lab.url}/lab/v1/me/verify`, {
        method: 'POST',
        headers: { authorization: `Basic ${btoa(credentials)}`, 'content-type': 'application/json' },
        body: '{}',
      })
    const mine = (await (await ask('carol@example.com:lab-carol')).json()) as { result: Verified }
    expect(mine.result.answers[0]?.seen).toBe('203.0.113.40')
    expect((await ask('carol@example.com:lab-bob')).status).toBe(401)
    const foreign = await fetch(`${lab.url}/lab/v1/verify`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa('a:b')}` },
    })
    expect(foreign.status).toBe(401)
  })

  test('of an unknown user names the known ones', async () => {
    await expect(lab.ask('POST', '/lab/v1/verify', { user: 'eve@example.com' })).rejects.toThrow('unknown user')
  })
})

interface Verified {
  readonly dedicated: boolean
  readonly answers: readonly { family: number; seen: string; colo: string }[]
}

test('the traffic stream tells openings and ends, and no more than a page can show', async () => {
  const leave = new AbortController()
  const response = await fetch(`${lab.url}/lab/v1/traffic`, {
    headers: { authorization: `Bearer ${TOKEN}` },
    signal: leave.signal,
  })
  const beats: { finished: Row[] }[] = []
  void lab.send('dave', 'http://ipv4.icanhazip.com/')
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString()
    for (const [, data = ''] of text.matchAll(/event: beat\ndata: (.*)\n\n/g)) beats.push(JSON.parse(data))
    if (beats.some(({ finished: rows }) => rows.some(({ user }) => user === 'dave@example.com'))) break
  }
  leave.abort()
  expect(text).toMatch(/^: egresslab\n\nevent: hello\n/)
})
