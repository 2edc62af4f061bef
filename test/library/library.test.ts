// The library as a program uses it: a lab in this process, on free ports, with every part of its interface.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { libraryDocs } from '../../scripts/library-docs.ts'
import { ROOT } from '../../scripts/source-files.ts'
import { GatewayError, type Lab, startLab } from '../../src/library/index.ts'
import { curl } from '../support/curl.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { issuesOf } from './issues-of.ts'

const ALICE = 'alice@example.com'
const BOB = 'bob@example.com'
const BANK = 'http://bank.saas.test/'
const ECHO = 'http://ipv4.icanhazip.com/'
const PATIENT = { timeoutMs: PATIENCE_MS }

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-library-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('a lab on the shipped configuration', () => {
  let lab: Lab
  beforeAll(async () => {
    lab = await startLab()
  })
  afterAll(() => lab.close())
  beforeEach(() => lab.reset())

  const echoed = async (choice: Parameters<Lab['fetch']>[1]) => (await lab.fetch(ECHO, choice)).text()

  test.each(['http', 'https', 'socks5'] as const)('fetch says why the proxy refused, over %s', async (protocol) => {
    const wrong = { user: ALICE, password: 'wrong', protocol }
    for (const url of [BANK, 'https://bank.saas.test/']) {
      const thrown: unknown = await lab.fetch(url, wrong).catch((error: unknown) => error)
      expect(thrown).toBeInstanceOf(GatewayError)
      expect(thrown).toMatchObject({ code: 'identity.rejected', message: expect.stringContaining('password') })
    }
    const nowhere: unknown = await lab.fetch('https://nowhere.test/', { user: ALICE, protocol }).catch((error) => error)
    if (protocol !== 'socks5') {
      expect(nowhere).toBeInstanceOf(GatewayError)
      expect(nowhere).toMatchObject({ code: 'name.not_found', message: expect.stringContaining('`nowhere.test`') })
    }
    expect(inspect(nowhere)).not.toContain('lab-alice')
  })

  test('fetch connects as a user without a password, on the network and by the protocol chosen', async () => {
    expect(await echoed({ user: BOB })).toBe('203.0.113.10\n')
    expect(await echoed({ user: BOB, virtualNetwork: 'vnet-AMER' })).toBe('203.0.113.40\n')
    expect(await echoed({ user: BOB, protocol: 'https' })).toBe('203.0.113.10\n')
    expect(await echoed({ user: BOB, protocol: 'socks5' })).toBe('203.0.113.10\n')
    expect(await (await lab.fetch('https://ifconfig.me/ip', { user: 'carol@example.com', family: 4 })).text()).toBe(
      '203.0.113.40\n',
    )
  })

  test.each(['http', 'https', 'socks5'] as const)('curl takes the proxy URL of protocol %s', async (protocol) => {
    const url = lab.proxyUrl({ user: 'carol@example.com', virtualNetwork: 'vnet-EMEA', protocol })
    const trust = ['--proxy-cacert', lab.caFile, '--cacert', lab.caFile]
    const answer = await curl(...trust, '-x', url, 'https://ipv4.icanhazip.com/')
    expect(answer).toMatchObject({ exit: 0, status: 200, body: '203.0.113.20\n' })
  })

  test('env has what a program needs to find proxy and certificates', () => {
    const env = lab.env({ user: BOB })
    const proxy = lab.proxyUrl({ user: BOB })
    expect(env).toMatchObject({ HTTP_PROXY: proxy, https_proxy: proxy, ALL_PROXY: proxy, SSL_CERT_FILE: lab.caFile })
    expect(proxy).toContain('bob%40example.com:lab-bob@127.0.0.1:')
  })

  test('an added origin sees requests, and is found no more once it is removed', async () => {
    const erp = await lab.origins.add({ host: 'erp.test', allow: ['203.0.113.20'] })
    const answers = [
      await lab.fetch('https://erp.test/orders?id=7', {
        user: BOB,
        method: 'POST',
        body: 'x',
        headers: { 'x-order': '7' },
      }),
      await lab.fetch('http://erp.test/', { user: BOB, virtualNetwork: 'vnet-EMEA' }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([403, 200])
    expect(erp.requests).toMatchObject([
      {
        method: 'POST',
        url: 'https://erp.test/orders?id=7',
        headers: { 'x-order': '7' },
        egressIp: '203.0.113.10',
        user: BOB,
        outcome: 'balanced',
        status: 403,
      },
      { method: 'GET', egressIp: '203.0.113.20', rule: 'vnet-EMEA leaves from London', status: 200 },
    ])
    await lab.origins.remove('erp.test')
    expect((await lab.fetch('http://erp.test/', { user: BOB })).status).toBe(502)
    expect((await issuesOf(() => lab.origins.get('erp.test')))[0]).toMatchObject({ path: ['host'] })
  })

  test('sessions are listed, waited for and forgotten', async () => {
    await lab.fetch(BANK, { user: ALICE })
    const session = await lab.sessions.waitFor(({ Email }) => Email === ALICE, PATIENT)
    expect(session).toMatchObject({
      EgressIP: '203.0.113.20',
      EgressRuleName: 'Finance to the bank',
      Lab: { target: 'bank.saas.test:80' },
    })
    expect(lab.sessions.list({ user: ALICE, egressIp: '203.0.113.0/24' })).toEqual([session])
    expect(lab.sessions.list({ user: BOB })).toEqual([])
    lab.sessions.clear()
    expect(lab.sessions.list()).toEqual([])
    const late = lab.sessions.waitFor({ user: BOB }, PATIENT)
    await lab.fetch(ECHO, { user: BOB })
    expect((await late).Email).toBe(BOB)
  })

  test('waiting in vain ends with an InputError that says how many others came', async () => {
    await lab.fetch(ECHO, { user: BOB })
    await lab.sessions.waitFor({ user: BOB }, PATIENT)
    const [issue] = await issuesOf(() => lab.sessions.waitFor({ user: ALICE }, { timeoutMs: 1 }))
    expect(issue?.message).toBe('no session fits: none came within 1 ms; finished ones that do not fit: 1')
  })

  test('explain decides without traffic', async () => {
    const { decision, trace } = await lab.explain({ user: ALICE, destination: BANK, colosDown: ['LHR'] })
    expect(decision).toMatchObject({ outcome: 'dedicated-fallback', egress: { ipv4: '203.0.113.30' } })
    expect(trace[0]).toMatchObject({ rule: 'Finance to the bank', matched: true })
    expect(lab.sessions.list()).toEqual([])
  })

  test('rules are added, replaced at once, and removed; each change decides the next connection', async () => {
    const added = await lab.rules.add({
      name: 'Bob from Newark',
      precedence: 1,
      identity: `identity.email == "${BOB}"`,
      egress: { ipv4: '203.0.113.50' },
    })
    expect(added).toMatchObject({
      name: 'Bob from Newark',
      enabled: true,
      rule_settings: { egress: { ipv6: '2001:db8:50::/64' } },
    })
    expect(await echoed({ user: BOB })).toBe('203.0.113.50\n')
    await lab.rules.remove('Bob from Newark')
    expect(await echoed({ user: BOB })).toBe('203.0.113.10\n')
    const replaced = await lab.rules.replace([
      { name: 'all from Los Angeles', egress: { ipv4: '203.0.113.40' } },
      { name: 'never reached', rule_settings: null },
    ])
    expect(replaced.map(({ precedence }) => precedence)[0]).toBe(1000)
    expect((await lab.rules.list()).map(({ name }) => name)).toEqual(['all from Los Angeles', 'never reached'])
    expect(await echoed({ user: ALICE })).toBe('203.0.113.40\n')
  })

  test('where one rule is refused, none is replaced', async () => {
    const before = await lab.rules.list()
    const [issue] = await issuesOf(() =>
      lab.rules.replace([{ name: 'good' }, { name: 'bad', traffic: 'net.dst.port = 1' }]),
    )
    expect(issue?.message).toContain('Filter parsing error')
    expect(await lab.rules.list()).toEqual(before)
  })

  test('data centers, clock and choices change as told, and reset takes everything back', async () => {
    const start = Date.now()
    await lab.colos.down('LHR')
    await lab.virtualNetworks.choose(BOB, 'vnet-AMER')
    await lab.origins.add({ host: 'erp.test' })
    const advanced = Date.parse(await lab.clock.advance('14d'))
    expect(advanced - start).toBeGreaterThanOrEqual(14 * 86_400_000)
    expect(await lab.clock.set('2031-01-01T00:00:00Z')).toMatch(/^2031-01-01T00:00:0/)
    expect(await echoed({ user: BOB })).toBe('203.0.113.40\n')
    expect((await lab.explain({ user: ALICE, destination: BANK })).decision.outcome).toBe('dedicated-fallback')
    await lab.reset()
    expect(await echoed({ user: BOB })).toBe('203.0.113.10\n')
    expect((await lab.explain({ user: ALICE, destination: BANK })).decision.outcome).toBe('dedicated')
    expect(Date.parse(await lab.clock.reset()) - start).toBeLessThan(86_400_000)
    expect((await lab.fetch('http://erp.test/', { user: BOB })).status).toBe(502)
  })

  test.each<[string, () => unknown, object]>([
    [
      'an unknown user',
      () => lab.proxyUrl({ user: 'alise@example.com' }),
      { path: ['user'], hint: expect.stringContaining(ALICE) },
    ],
    [
      'a misspelt option',
      () => lab.proxyUrl({ vnet: 'x' } as object),
      { code: 'library.unknown_option', path: ['vnet'] },
    ],
    [
      'an unknown network',
      () => lab.proxyUrl({ virtualNetwork: 'vnet-EMAE' }),
      { path: ['virtualNetwork'], hint: 'did you mean `vnet-EMEA`?' },
    ],
    ['an unknown device', () => lab.proxyUrl({ device: 'laptop' }), { path: ['device'] }],
    [
      'an unknown listener',
      () => lab.proxyUrl({ listener: 'mian' }),
      { path: ['listener'], hint: 'did you mean `main`?' },
    ],
    [
      'a family that is none',
      () => lab.fetch(ECHO, { family: 5 as 4 }),
      { path: ['family'], message: '`family` is `5`; expected `4` or `6`' },
    ],
    ['an origin without a host', () => lab.origins.add({} as { host: string }), { path: ['host'] }],
    ['an origin twice', () => lab.origins.add({ host: 'bank.saas.test' }), { path: ['host'] }],
    [
      'an allowlist that is none',
      () => lab.origins.add({ host: 'erp.test', allow: ['London'] }),
      { path: ['allow', 0] },
    ],
    ['an unknown data center', () => lab.colos.down('XXX'), { message: expect.stringContaining('XXX') }],
    ['a duration that is none', () => lab.clock.advance('soon'), { message: 'invalid duration `soon`' }],
    ['a question without a destination', () => lab.explain({} as { destination: string }), { path: ['destination'] }],
    ['a duration that is a number', () => lab.clock.advance(5 as unknown as string), { path: ['duration'] }],
    ['a rule that is none', () => lab.rules.add(undefined as unknown as { name: string }), { path: ['rule'] }],
    ['a data center that is not named', () => lab.colos.down(undefined as unknown as string), { path: ['code'] }],
    ['rules that are no list', () => lab.rules.replace('x' as unknown as []), { path: ['rules'] }],
    [
      'a misspelt member of a rule',
      () => lab.rules.add({ name: 'x', trafic: 'y' }),
      { path: ['trafic'], message: 'unknown field `trafic`; did you mean `traffic`?' },
    ],
    ['a rule that is not there', () => lab.rules.remove('nobody'), { path: ['rule'] }],
    [
      'a rule with an unknown field',
      () => lab.rules.add({ name: 'a', identity: 'identity.emial == "a"', egress: { ipv4: '203.0.113.20' } }),
      { path: ['identity'], message: expect.stringContaining('did you mean `identity.email`?') },
    ],
    [
      'a rule that leaves from somewhere else',
      () => lab.rules.add({ name: 'a', egress: { ipv4: '192.0.2.1' } }),
      { path: ['egress', 'ipv4'], message: 'the account has no dedicated IP `192.0.2.1` with an IPv6 range' },
    ],
    [
      'a rule that falls back to somewhere else',
      () => lab.rules.add({ name: 'a', egress: { ipv4: '203.0.113.20', ipv4_fallback: '192.0.2.1' } }),
      { path: ['egress', 'ipv4_fallback'] },
    ],
    [
      'a rule at a precedence that is taken',
      () => lab.rules.add({ name: 'a', precedence: 1000, egress: null }),
      { path: ['precedence'] },
    ],
    [
      'rules of which one leaves from somewhere else',
      () =>
        lab.rules.replace([
          { name: 'a', egress: null },
          { name: 'b', egress: { ipv4: '192.0.2.1' } },
        ]),
      { path: ['rules', 1, 'egress', 'ipv4'] },
    ],
    [
      'rules of which one cannot be read',
      () => lab.rules.replace([{ name: 'a', traffic: 'net.fqdn.host ==', egress: null }]),
      { path: ['rules'] },
    ],
    ['a data center that there is not', () => lab.colos.down('XXX'), { path: ['code'] }],
    ['a duration that is none', () => lab.clock.advance('soon'), { path: ['duration'] }],
    [
      'a virtual network that there is not',
      () => lab.virtualNetworks.choose(ALICE, 'vnet-APAC'),
      { path: ['virtualNetwork'] },
    ],
    [
      'somebody unknown who chooses a network',
      () => lab.virtualNetworks.choose('mallory@example.com', 'default'),
      { path: ['user'] },
    ],
    [
      'a question about somebody unknown',
      () => lab.explain({ user: 'mallory@example.com', destination: 'bank.saas.test' }),
      { path: ['user'] },
    ],
    [
      'a filter that is unknown',
      () => lab.sessions.list({ usr: 'x' } as object),
      { path: ['usr'], hint: 'did you mean `user`?' },
    ],
  ])('%s is an InputError with its path', async (_what, attempt, expected) => {
    expect((await issuesOf(attempt))[0]).toMatchObject(expected)
  })
})

test('docs/library.md is what the declarations say (`node scripts/library-docs.ts` writes it)', () => {
  expect(readFileSync(join(ROOT, 'docs/library.md'), 'utf8')).toBe(libraryDocs())
})
