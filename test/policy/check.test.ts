import { describe, expect, test } from 'vitest'
import { checkPractices, type PracticeInput } from '../../src/analysis/best-practices.ts'
import type { Rule } from '../../src/policy/rule.ts'
import { compileRuleset } from '../../src/policy/ruleset.ts'
import { AMS, account, dedicated, LHR, PLACES, rule, via } from './build.ts'

const rest = rule({ name: 'the rest', precedence: 9_000_000, traffic: 'net.protocol in {"tcp" "udp"}' })

function advice(practice: string, rules: readonly Rule[], changes: Partial<PracticeInput> = {}) {
  const given = changes.account ?? account()
  const { ruleset } = compileRuleset(rules, given.lists, given.settings)
  const issues = checkPractices({ account: given, ruleset, users: [], ...changes })
  return issues.filter(({ code }) => code === `practice.${practice}`)
}

const messages = (...given: Parameters<typeof advice>) => advice(...given).map(({ message }) => message)

test('every piece of advice says why it matters and what to change', () => {
  const given = account({ dedicatedIps: [LHR] })
  const { ruleset } = compileRuleset([rule({ egress: via(20) })], [], given.settings)
  const issues = checkPractices({ account: given, ruleset, users: [{ email: 'dave', place: PLACES.india }] })
  expect(issues.map(({ code }) => code)).toEqual(['practice.P1', 'practice.P2', 'practice.P3', 'practice.P4'])
  for (const { why, hint } of issues) for (const text of [why, hint]) expect(text).toMatch(/^[a-z].{20,}[^.]$/)
})

describe('[P1] spread of dedicated IPs', () => {
  test.each([
    [[], ['the account has no dedicated IPs']],
    [[AMS], ['the account has one dedicated IP']],
    [[dedicated('LHR', 20), dedicated('LHR', 21)], ['all 2 dedicated IPs are in London, GB']],
    [[AMS, LHR], []],
  ])('%#', (dedicatedIps, expected) => {
    expect(messages('P1', [], { account: account({ dedicatedIps }) })).toEqual(expected)
  })
})

describe('[P2] fallbacks', () => {
  test.each([
    [null, ['rule `r` has no fallback']],
    [21, ['the fallback `203.0.113.21` of rule `r` is in LHR, like its primary `203.0.113.20`']],
    [30, []],
    ['0.0.0.0' as const, []],
  ])('%s', (fallback, expected) => {
    const given = account({ dedicatedIps: [AMS, LHR, dedicated('LHR', 21), dedicated('IAD', 30)] })
    expect(messages('P2', [rule({ name: 'r', egress: via(20, fallback) })], { account: given })).toEqual(expected)
  })
  test('[R6] a rule with shared egress needs none', () => expect(messages('P2', [rule()])).toEqual([]))
})

describe('[P3] a location with one IP in it', () => {
  const rules = ['a', 'b'].map((name, at) =>
    rule({ name, precedence: at, traffic: 'net.dst.port == 1', egress: via(20, 30) }),
  )
  test('is told once for all rules that send there', () => {
    expect(messages('P3', rules)).toEqual(['rules `a`, `b` send to London, where the account has one dedicated IP'])
  })
  test('but not where there are two', () => {
    const given = account({ dedicatedIps: [AMS, LHR, dedicated('LHR', 21), dedicated('IAD', 30)] })
    expect(messages('P3', rules, { account: given })).toEqual([])
  })
})

test('[P4] people far from every dedicated IP', () => {
  const users = [
    { email: 'bob@example.com', place: PLACES.netherlands },
    { email: 'dave@example.com', place: PLACES.india },
    { email: 'nobody@example.com' },
  ]
  expect(messages('P4', [], { users })).toEqual([
    '`dave@example.com` in Mumbai is 6,861 km from the nearest dedicated IP, at AMS',
  ])
  expect(messages('P4', [], { users, farKm: 7000 })).toEqual([])
})

describe('[P5] [R10] a catch-all', () => {
  test.each([
    { traffic: 'net.protocol in {"tcp" "udp"}' },
    { traffic: 'net.dst.ip != 0.0.0.0' },
    { traffic: 'not (net.dst.ip == 0.0.0.0)' },
    { traffic: 'net.protocol == "tcp" or net.protocol == "udp"' },
    { traffic: 'net.dst.port >= 0' },
    {},
  ])('%j is one', (changes) => expect(messages('P5', [rule(changes)])).toEqual([]))

  test.each([
    { traffic: 'net.protocol == "tcp"' },
    { traffic: 'net.dst.port > 0' },
    { traffic: 'net.src.internal_src_ip != 10.0.0.1 or net.fqdn.host == "a"' },
    { traffic: 'net.protocol in {"tcp" "udp"}', identity: 'identity.email != "a"' },
    { traffic: 'net.protocol in {"tcp" "udp"}', enabled: false },
  ])('%j is none', (changes) => {
    const narrow = rule({ traffic: 'net.dst.port == 1' })
    expect(messages('P5', [narrow, rule(changes)])).toEqual(['no rule matches every connection'])
  })
})

describe('[P6] rules that are never reached', () => {
  const proof = (first: Partial<Rule>, second: Partial<Rule>) => {
    const rules = [rule({ name: 'first', precedence: 1, ...first }), rule({ name: 'second', precedence: 2, ...second })]
    const lists = [
      { id: 'abc', name: 'abc', type: 'IP', items: ['198.51.100.0/24'] },
      { id: 'hosts', name: 'hosts', type: 'DOMAIN', items: ['b'] },
    ]
    return messages('P6', rules, { account: account({ lists }) })
  }

  test.each<[Partial<Rule>, Partial<Rule>]>([
    [{}, { traffic: 'net.dst.port == 443' }],
    [{ traffic: 'net.protocol in {"tcp" "udp"}' }, { identity: 'identity.email == "a"' }],
    [{ traffic: 'net.dst.port in {80 443}' }, { traffic: 'net.dst.port == 443' }],
    [{ traffic: 'net.dst.port in {400..500}' }, { traffic: 'net.dst.port > 440 and net.dst.port <= 443' }],
    [{ traffic: 'net.dst.ip in {10.0.0.0/8}' }, { traffic: 'net.dst.ip in {10.1.0.0/16 10.2.3.4}' }],
    [{ traffic: 'net.dst.ip in {10.0.0.0/9 10.128.0.0/9}' }, { traffic: 'net.dst.ip in {10.0.0.0/8}' }],
    [
      { traffic: 'any(net.fqdn.domains[*] in {"a.test" "b.test"})' },
      { traffic: 'any(net.fqdn.domains[*] == "b.test") and net.dst.port == 1' },
    ],
    [{ traffic: 'net.fqdn.host matches "\\.test$"' }, { traffic: 'net.fqdn.host in {"a.test" "b.test"}' }],
    [{ traffic: 'net.fqdn.host wildcard "*.test"' }, { traffic: '(net.fqdn.host == "A.TEST") and net.dst.port == 1' }],
    [{ traffic: 'net.dst.ip in $abc' }, { traffic: 'net.dst.port == 1 and net.dst.ip in $abc' }],
    [
      { identity: 'any(identity.groups[*].name == "a")' },
      { identity: 'any(identity.groups.name[*] == "a")', traffic: 'net.dst.port == 1' },
    ],
    [{ traffic: 'any(net.fqdn.domains[*] == "b.test")' }, { traffic: 'net.fqdn.host == "b.test"' }],
    [{ traffic: 'net.dst.port != 1' }, { traffic: 'not net.dst.port in {1 2}' }],
    [{ traffic: 'net.src.internal_src_ip != 10.0.0.1' }, { traffic: 'not net.src.internal_src_ip in {10.0.0.0/8}' }],
    [{ traffic: 'net.dst.port == 1 or net.dst.port == 2' }, { traffic: 'net.dst.port in {1..1}' }],
    [
      { traffic: 'net.dst.port == 1 xor net.protocol == "udp"' },
      { traffic: '(net.dst.port == 1 xor net.protocol == "udp") and net.src.port == 5' },
    ],
  ])('%j covers %j', (first, second) => {
    expect(proof(first, second)).toEqual([
      'rule `second` is never reached: rule `first` (precedence 1) matches whenever it would',
    ])
  })

  test.each<[Partial<Rule>, Partial<Rule>]>([
    [{ traffic: 'net.dst.port == 443' }, {}],
    [{ traffic: 'net.dst.port == 443' }, { traffic: 'net.dst.port in {80 443}' }],
    [{ traffic: 'net.dst.port == 443', enabled: false }, { traffic: 'net.dst.port == 443' }],
    [{ traffic: 'net.dst.port == 443', identity: 'identity.email == "a"' }, { traffic: 'net.dst.port == 443' }],
    [{ traffic: 'net.src.internal_src_ip in {10.0.0.0/8}' }, { traffic: 'not net.src.internal_src_ip == 11.0.0.1' }],
    [{ traffic: 'net.fqdn.host in $hosts' }, { traffic: 'net.fqdn.host == "a"' }],
    [{ traffic: 'all(net.fqdn.domains[*] == "a")' }, { traffic: 'any(net.fqdn.domains[*] == "a")' }],
    [{ traffic: 'any(net.fqdn.domains[*] == "a")' }, { traffic: 'all(net.fqdn.domains[*] == "a")' }],
    [
      { identity: 'any((identity.groups.id[*] == "a" and identity.groups.name[*] == "b"))' },
      { identity: 'any(identity.groups.id[*] == "a") and any(identity.groups.name[*] == "b")' },
    ],
  ])('no false alarm: %j before %j', (first, second) => expect(proof(first, second)).toEqual([]))

  test('a rule that contradicts itself', () => {
    expect(messages('P6', [rule({ name: 'r', traffic: 'net.dst.port == 80 and net.dst.port == 443' }), rest])).toEqual([
      'rule `r` can never match: its conditions exclude each other',
    ])
    expect(messages('P6', [rule({ traffic: 'net.dst.port == 70000' })])).toHaveLength(1)
    expect(messages('P6', [rule({ traffic: 'net.dst.port == 80 or net.dst.port == 443' })])).toEqual([])
  })

  test('for capital letters that no mail address and no host name has', () => {
    const shouted = rule({
      name: 'shouted',
      traffic: 'any(net.fqdn.domains[*] in {"Bank.saas.test" "ok.test"})',
      identity: 'identity.email == "Erin@example.com" or identity.name == "Erin"',
    })
    expect(messages('letter_case', [shouted, rest])).toEqual([
      'rule `shouted` compares `net.fqdn.domains`, which is always in lower case, with `Bank.saas.test`',
      'rule `shouted` compares `identity.email`, which is always in lower case, with `Erin@example.com`',
    ])
  })

  test('rules that decided nothing in a recording, unless already proven', () => {
    const used = rule({ name: 'used', precedence: 1, traffic: 'net.dst.port == 1' })
    const idle = rule({ name: 'idle', precedence: 2, traffic: 'net.dst.port == 2' })
    const covered = rule({ name: 'covered', precedence: 3, traffic: 'net.dst.port == 2' })
    expect(messages('P6', [used, idle, covered], { matchedRules: new Set([used.id]) })).toEqual([
      'rule `covered` is never reached: rule `idle` (precedence 2) matches whenever it would',
      'rule `idle` decided no connection of the recording',
    ])
  })
})

test('[P7] rules on host selectors while the setting is off', () => {
  const its = rule({ name: 'r', traffic: 'net.fqdn.host == "a"' })
  expect(messages('P7', [its], { account: account({ settings: { hostSelector: false } }) })).toEqual([
    'rule `r` never matches: it uses `net.fqdn.host` while the host-selector setting is off',
  ])
  expect(messages('P7', [its])).toEqual([])
})

describe('[P8] many narrow rules', () => {
  const narrow = (count: number, changes: Partial<Rule> = {}) =>
    Array.from({ length: count }, (_, at) =>
      rule({
        name: `n${at}`,
        traffic: `net.dst.ip == 10.0.0.${at} and net.dst.port == 443`,
        egress: via(20, 30),
        ...changes,
      }),
    )
  test('that differ in one value', () => {
    const [only, ...others] = advice('P8', narrow(6))
    expect(only?.message).toBe('6 rules differ only in the values they compare `net.dst.ip` with: `n0`, `n1`, `n2` …')
    expect(only?.hint).toBe('make a list of the values and one rule with `net.dst.ip in $list`')
    expect(others).toEqual([])
  })
  test.each([
    ['net.dst.port', (at: number) => `net.dst.port == ${at}`],
    ['app.ids[*]', (at: number) => `any(app.ids[*] in {${at}})`],
  ])('of numbers are one rule with a set, because %s takes no list', (access, traffic) => {
    const rules = narrow(6).map((narrowRule, at) => ({ ...narrowRule, traffic: traffic(at) }))
    const [only] = advice('P8', rules)
    expect(only?.hint).toBe(`make one rule with \`${access} in {…}\``)
  })
  test('are fine when few, or with different egress', () => {
    expect(advice('P8', narrow(4))).toEqual([])
    expect(advice('P8', [...narrow(3), ...narrow(3, { egress: null })])).toEqual([])
  })
})
