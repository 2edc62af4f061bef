import { describe, expect, test } from 'vitest'
import type { Flow } from '../../src/policy/flow.ts'
import type { Rule } from '../../src/policy/rule.ts'
import { compileRuleset } from '../../src/policy/ruleset.ts'
import { account, flow, identity, rule, settings, snapshot, VNETS } from './build.ts'

/** Name of the rule that decides; undefined when none does. */
function decider(rules: readonly Rule[], its: Flow, changes: Parameters<typeof settings>[0] = {}): string | undefined {
  return snapshot(account({ settings: changes }), rules).ruleset.firstMatch(its)?.rule.name
}

const alice = identity(
  'alice@example.com',
  ['Finance', 'Staff'],
  { department: ['treasury', 'audit'] },
  { department: ['engineering'], level: ['3'] },
)

describe('[R1] three expressions, all of which must be true', () => {
  const its = flow({ identity: alice, device: { id: 'd', name: 'd', posture: { passed: ['disk'], failed: [] } } })
  const yes = {
    traffic: 'net.dst.port == 443',
    identity: 'identity.email == "alice@example.com"',
    devicePosture: 'any(device_posture.checks.passed[*] == "disk")',
  }
  const no = {
    traffic: 'net.dst.port == 80',
    identity: 'identity.email == "bob@example.com"',
    devicePosture: 'any(device_posture.checks.failed[*] == "disk")',
  }

  test('all true: it matches', () => expect(decider([rule({ name: 'r', ...yes })], its)).toBe('r'))
  test.each(['traffic', 'identity', 'devicePosture'] as const)('%s false: it does not', (slot) => {
    expect(decider([rule({ name: 'r', ...yes, [slot]: no[slot] })], its)).toBeUndefined()
  })
  test.each(['', ' \n '])('an empty expression (%j) is true', (empty) => {
    expect(decider([rule({ name: 'r', ...yes, identity: empty })], its)).toBe('r')
  })
  test('[R8] an all-empty rule matches everything', () => {
    expect(decider([rule({ name: 'all' })], flow())).toBe('all')
  })
})

describe('[R2] the order of rules', () => {
  const low = rule({ name: 'low', precedence: 0 })
  const high = rule({ name: 'high', precedence: 50 })

  test('the least precedence decides, however rules are given; 0 is allowed', () => {
    expect(decider([high, low], flow())).toBe('low')
    expect(decider([low, high], flow())).toBe('low')
  })
  test('a rule that is not enabled has no say, and is reported as skipped', () => {
    const off = { ...low, enabled: false }
    expect(decider([off, high], flow())).toBe('high')
    expect(snapshot(account(), [off, high]).ruleset.skipped).toMatchObject([{ rule: off, why: 'disabled' }])
  })
})

describe('[R9] rules of other kinds', () => {
  const block = rule({
    name: 'no ads',
    action: 'block',
    filters: ['dns'],
    traffic: 'dns.fqdn == "ads.test"',
    precedence: 1,
  })
  const http = rule({
    name: 'no uploads',
    action: 'block',
    filters: ['http'],
    traffic: 'http.method == "PUT"',
    precedence: 2,
  })

  test('are kept and never evaluated', () => {
    const { ruleset } = snapshot(account(), [block, http])
    expect(ruleset.rules).toEqual([block, http])
    expect(ruleset.firstMatch(flow())).toBeUndefined()
    expect(ruleset.skipped.map(({ why }) => why)).toEqual(['not-egress', 'not-egress'])
  })
  test('are told of once', () => {
    const { problems } = compileRuleset([block, http, rule()], [], settings())
    expect(problems).toMatchObject([
      {
        severity: 'advice',
        code: 'rule.not_egress',
        message: '2 rules are not egress rules and are never evaluated here: `no ads`, `no uploads`',
      },
    ])
  })
})

describe('rules with problems', () => {
  const bad = rule({
    name: 'bad',
    traffic: 'net.dst.prot == 443 and net.dst.port == "443"',
    identity: 'identity.email = "x"',
    precedence: 1,
  })

  test('are left out, the rest works', () => {
    const good = rule({ name: 'good', precedence: 2 })
    const { ruleset } = compileRuleset([bad, good], [], settings())
    expect(ruleset.firstMatch(flow())?.rule.name).toBe('good')
    expect(ruleset.skipped).toMatchObject([
      { rule: bad, why: 'invalid', reason: 'invalid: 3 problems in its expressions' },
    ])
  })
  test('are reported with every problem, its place and a drawing', () => {
    const { problems } = compileRuleset([bad], [], settings())
    expect(problems.map(({ code, slot, problem }) => [code, slot, problem?.span])).toEqual([
      ['expression.unknown_field', 'traffic', [0, 12]],
      ['expression.syntax', 'traffic', [40, 45]],
      ['expression.syntax', 'identity', [15, 20]],
    ])
    expect(problems[0]).toMatchObject({ path: ['rules', 'bad', 'traffic'], hint: 'did you mean `net.dst.port`?' })
    expect(problems[0]?.drawing).toContain('^^^^^^^^^^^^')
  })
})

// a byte order mark that was pasted along must not make a rule one for everybody
describe('[R1] an empty expression', () => {
  test.each(['', ' \n\t', '\u0085', '\u00a0', '\u3000\u2028'])('is white space alone: %j', (traffic) => {
    const { ruleset, problems } = compileRuleset([rule({ traffic })], [], settings())
    expect(problems).toEqual([])
    expect(ruleset.firstMatch(flow())).toBeDefined()
  })
  test.each(['\ufeff', '\u200b', ' \ufeff '])('is not what only looks empty: %j', (traffic) => {
    const { ruleset, problems } = compileRuleset([rule({ traffic })], [], settings())
    expect(problems).toMatchObject([{ severity: 'error', code: 'expression.syntax' }])
    expect(ruleset.firstMatch(flow())).toBeUndefined()
  })
})

describe('[R12] fields and where they belong', () => {
  const hintOf = (changes: Partial<Rule>) => {
    const { problems } = compileRuleset([rule(changes)], [], settings())
    return problems.filter(({ code }) => code === 'expression.unknown_field').map(({ hint }) => hint)
  }
  test.each([
    [
      { traffic: 'identity.email == "a"' },
      "`identity.email` belongs in the rule's `identity` expression, not in `traffic`",
    ],
    [
      { traffic: 'any(identity.groups[*].name == "a")' },
      "`identity.groups` belongs in the rule's `identity` expression, not in `traffic`",
    ],
    [
      { identity: 'any(device_posture.checks.passed[*] == "a")' },
      "`device_posture.checks.passed` belongs in the rule's `device_posture` expression, not in `identity`",
    ],
    [
      { devicePosture: 'net.dst.port == 1' },
      "`net.dst.port` belongs in the rule's `traffic` expression, not in `device_posture`",
    ],
    [
      { traffic: 'http.request.host == "a"' },
      'fields of HTTP rules do not exist in egress rules: they run before any request is read',
    ],
    [
      { traffic: 'dns.fqdn == "a"' },
      'fields of DNS rules do not exist in egress rules; match the name with `net.fqdn.domains`',
    ],
    [{ traffic: 'any(net.fqdn.security_category[*] in {1})' }, 'security categories do not exist in egress rules'],
    [{ traffic: 'net.vnet == "a"' }, 'did you mean `net.vnet_id`?'],
    [{ traffic: 'net.vent_id == "a"' }, 'did you mean `net.vnet_id`?'],
    [{ traffic: 'net.dst.prot == 1' }, 'did you mean `net.dst.port`?'],
    [
      { traffic: 'identity.emial == "a"' },
      "`identity.email` belongs in the rule's `identity` expression, not in `traffic`",
    ],
    [{ traffic: 'Any(net.fqdn.domains[*] == "a")' }, 'did you mean `any`?'],
    [{ traffic: 'al (net.fqdn.domains[*] == "a")' }, 'did you mean `all`?'],
    [
      { traffic: 'lowr(net.fqdn.host) == "a"' },
      'there is no function `lower`: `wildcard "…"` and `matches "(?i)…"` ignore case',
    ],
    [
      { traffic: 'starts_wiht(net.fqdn.host, "a")' },
      'there is no function `starts_with`: write `matches "^…"` or `wildcard "…*"`',
    ],
    [{ traffic: 'cidr(net.dst.ip, 8)' }, 'there are no functions, only `any( … )` and `all( … )`'],
  ])('%j', (changes, hint) => expect(hintOf(changes)).toEqual([hint]))
})

describe('[F1] [F2] what fields hold', () => {
  const full = flow({
    identity: alice,
    host: 'pay.bank.saas.test',
    contentCategories: [7, 9],
    applications: [1001],
    sourcePlace: { country: 'GB', continent: 'EU', latitude: 0, longitude: 0 },
    destinationPlace: { country: 'NL', continent: 'EU', latitude: 0, longitude: 0 },
    proxyEndpoint: 'abc.proxy.cloudflare-gateway.com',
    device: { id: 'd', name: 'd', posture: { passed: ['disk'], failed: ['os'] } },
  })
  const matches = (changes: Partial<Rule>, its: Flow, hostSelector = true) =>
    decider([rule({ name: 'r', ...changes })], its, { hostSelector }) === 'r'

  test.each<Partial<Rule>>([
    { traffic: 'net.dst.ip == 198.51.100.7 and net.dst.port == 443 and net.protocol == "tcp"' },
    { traffic: 'net.src.ip in {192.0.2.0/24} and net.src.port == 50000' },
    { traffic: 'net.src.geo.country == "GB" and net.src.geo.continent == "EU"' },
    { traffic: 'net.dst.geo.country == "NL" and net.dst.geo.continent == "EU"' },
    { traffic: `net.vnet_id == "${VNETS.default}"` },
    { traffic: 'net.fqdn.host == "pay.bank.saas.test"' },
    { traffic: 'any(net.fqdn.domains[*] == "pay.bank.saas.test")' },
    { traffic: 'any(net.fqdn.domains[*] == "bank.saas.test")' },
    { traffic: 'any(net.fqdn.domains[*] == "test")' },
    { traffic: 'any(net.fqdn.content_category[*] in {9}) and any(app.ids[*] == 1001)' },
    { traffic: 'proxy.endpoint == "abc.proxy.cloudflare-gateway.com"' },
    { identity: 'identity.email == "alice@example.com" and identity.name == "alice"' },
    { identity: 'any(identity.groups.name[*] == "Staff") and any(identity.groups[*].name == "Staff")' },
    {
      identity: 'any(identity.groups.id[*] == "id-finance") and any(identity.groups.email[*] == "finance@example.com")',
    },
    { identity: 'any(identity.saml_attributes["department"][*] == "audit")' },
    {
      identity:
        'any((identity.saml_attributes["department"] == "audit" or identity.saml_attributes["department"] == "y"))',
    },
    { identity: 'any(identity.saml_attributes[*] == "department=audit")' },
    { identity: 'any((not (identity.saml_attributes[*] == "department=none")))' },
    { identity: 'any(identity.oidc_claims[*] == "\\"department=engineering\\"")' },
    { identity: 'any(identity.oidc_claims[*] in {"level=3" "level=4"})' },
    {
      devicePosture: 'any(device_posture.checks.passed[*] == "disk") and any(device_posture.checks.failed[*] == "os")',
    },
  ])('a full flow matches %j, an empty one does not', (changes) => {
    expect(matches(changes, full)).toBe(true)
    expect(
      matches(
        changes,
        flow({ to: '203.0.113.1:1', from: '203.0.113.1:1', virtualNetworkId: 'none', transport: 'udp' }),
      ),
    ).toBe(false)
  })

  test('[F1] a missing field makes `!=` true and everything else false', () => {
    expect(matches({ traffic: 'net.src.internal_src_ip != 10.0.0.1' }, flow())).toBe(true)
    expect(matches({ traffic: 'net.src.internal_src_ip in {0.0.0.0/0 ::/0}' }, flow())).toBe(false)
  })

  test.each([
    'net.fqdn.host == "pay.bank.saas.test"',
    'net.fqdn.host != "x"',
    'not any(app.ids[*] == 5)',
    'not any(net.fqdn.content_category[*] in {5})',
  ])('[F2] `%s` never matches while the host-selector setting is off', (traffic) => {
    expect(matches({ traffic }, full)).toBe(true)
    expect(matches({ traffic }, full, false)).toBe(false)
  })

  test('[F2] and its rule is reported as skipped for that reason', () => {
    const its = rule({ traffic: 'net.fqdn.host == "a" or any(net.fqdn.domains[*] == "a")' })
    expect(snapshot(account({ settings: { hostSelector: false } }), [its]).ruleset.skipped).toMatchObject([
      {
        why: 'host-selectors-off',
        reason: 'uses `net.fqdn.host`, `net.fqdn.domains` while the host-selector setting is off',
      },
    ])
  })

  test('text beyond ASCII compares by its UTF-8 bytes', () => {
    const zoe = identity('zoë@example.com', ['Führung'], { Büro: ['Köln'] })
    const its = flow({ identity: zoe })
    expect(matches({ identity: 'identity.email == "zoë@example.com"' }, its)).toBe(true)
    expect(matches({ identity: 'any(identity.groups.name[*] == "F\\xc3\\xbchrung")' }, its)).toBe(true)
    expect(matches({ identity: 'any(identity.saml_attributes["Büro"][*] == "Köln")' }, its)).toBe(true)
    expect(matches({ identity: 'any(identity.saml_attributes[*] == "Büro=Köln")' }, its)).toBe(true)
  })
})

describe('rules that change', () => {
  const named = (name: string, precedence: number, changes: Parameters<typeof rule>[0] = {}) =>
    rule({ name, precedence, traffic: 'net.dst.port == 443', ...changes })
  const [first, second, third] = [named('first', 10), named('second', 20), named('third', 30)]
  const before = compileRuleset([first, second, third], [], settings()).ruleset
  const decided = (ruleset: Pick<typeof before, 'firstMatch'>) => ruleset.firstMatch(flow())?.rule.name

  test('decide at once, and the others keep their compiled form and order', () => {
    const other = named('other', 10, { traffic: 'net.dst.port == 80' })
    const { ruleset } = before.withRules([third, second, other])
    expect(decided(ruleset)).toBe('second')
    expect(decided(before)).toBe('first')
    expect(ruleset.active.map((one) => one.rule)).toEqual([other, second, third])
    expect(ruleset.active.slice(1)).toEqual(before.active.slice(1))
    expect(ruleset.active[1]).toBe(before.active[1])
    expect(decided(ruleset.withRules([first, third]).ruleset)).toBe('first')
    expect(decided(ruleset.withRules([]).ruleset)).toBeUndefined()
  })

  test('report the problems of all, and leave out what cannot match', () => {
    const wrong = named('wrong', 20, { traffic: 'net.dst.port ==' })
    const { ruleset, problems } = before.withRules([named('off', 10, { enabled: false }), wrong, third])
    expect(problems).toMatchObject([{ severity: 'error', rule: wrong }])
    expect(ruleset.skipped.map(({ rule: { name }, why }) => [name, why])).toEqual([
      ['off', 'disabled'],
      ['wrong', 'invalid'],
    ])
    expect(decided(ruleset)).toBe('third')
    expect(ruleset.withRules([third]).problems).toEqual([])
  })

  test('may be many', () => {
    const many = Array.from({ length: 200 }, (_, at) => named(`new ${at}`, 40 + at))
    const { ruleset } = before.withRules([...many, third])
    expect(ruleset.active).toHaveLength(201)
    expect(decided(ruleset)).toBe('third')
    expect(decided(ruleset.withRules(many).ruleset)).toBe('new 0')
  })
})

describe('lists', () => {
  const list = (id: string, type: string, items: string[]) => ({ id, name: id, type, items })
  const ID = 'AAAAAAAA-0000-4000-8000-000000000001'
  const inList = rule({ name: 'listed', traffic: `net.dst.ip in $${ID.toLowerCase()}` })

  test('change while running, without compiling rules; older versions stay as they were', () => {
    const before = compileRuleset([inList], [list(ID, 'IP', ['10.0.0.0/8'])], settings()).ruleset
    const after = before.withLists([list(ID, 'IP', ['198.51.100.0/24', '2001:db8::/32'])])
    expect(before.firstMatch(flow())).toBeUndefined()
    expect(after.firstMatch(flow())?.rule.name).toBe('listed')
    expect(after.firstMatch(flow({ to: '[2001:db8::1]:1' }))?.rule.name).toBe('listed')
    expect(before.firstMatch(flow())).toBeUndefined()
    expect(after.active).toBe(before.active)
  })

  test('that do not exist contain nothing', () => {
    expect(compileRuleset([inList], [], settings()).ruleset.firstMatch(flow())).toBeUndefined()
  })

  // [R14]: of ports, applications and categories there are none
  test.each([
    ['net.dst.port in $ports', 'list the values: `net.dst.port in {…}`'],
    ['net.src.port in $ports', 'list the values: `net.src.port in {…}`'],
    ['any(app.ids[*] in $apps)', 'list the values: `app.ids[*] in {…}`'],
    ['any(net.fqdn.content_category[*] in $c)', 'list the values: `net.fqdn.content_category[*] in {…}`'],
  ])('%s is refused, as there are no lists of numbers', (traffic, hint) => {
    for (const expressions of ['default', 'lenient'] as const) {
      const { problems } = compileRuleset([rule({ traffic })], [], { ...settings(), expressions })
      expect(problems).toMatchObject([
        {
          code: 'expression.type_mismatch',
          message: expect.stringContaining('cannot perform this operation on type Int'),
          hint: `there are no lists of type Int; ${hint}`,
        },
      ])
    }
  })

  test.each([
    ['DOMAIN', ['Bank.saas.TEST'], 'any(net.fqdn.domains[*] in $L)'],
    ['EMAIL', ['Alice@example.com'], ''],
    ['SERIAL', ['pay.bank.saas.test'], 'net.fqdn.host in $L'],
  ])('of type %s', (type, items, traffic) => {
    const own = traffic.replace('L', ID.replaceAll('-', '').toLowerCase())
    const who = traffic === '' ? `identity.email in $${ID.toLowerCase()}` : ''
    const { ruleset } = compileRuleset(
      [rule({ name: 'r', traffic: own, identity: who })],
      [list(ID, type, items)],
      settings(),
    )
    expect(ruleset.firstMatch(flow({ identity: alice, host: 'pay.bank.saas.test' }))?.rule.name).toBe('r')
    expect(ruleset.firstMatch(flow({ to: '198.51.100.7:8080', host: 'saas.test' }))).toBeUndefined()
  })
})
