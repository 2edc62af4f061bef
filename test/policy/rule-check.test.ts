import { describe, expect, test } from 'vitest'
import type { Rule } from '../../src/policy/rule.ts'
import { checkRule, nextPrecedence, RULE_PROBLEMS, type RuleProblemCode } from '../../src/policy/rule-check.ts'
import { account, rule, via } from './build.ts'

function found(changes: Partial<Rule>, others: readonly Rule[] = []) {
  const issues = checkRule(rule({ name: 'r', precedence: 10, ...changes }), account(), others)
  return issues.map(({ severity, code, message }) => `${severity} ${code}: ${message}`)
}

const answerOf = (code: RuleProblemCode) => RULE_PROBLEMS[code]

test('a sound rule has no problems', () => {
  expect(found({ traffic: 'net.dst.port == 443', egress: via(20, 30) })).toEqual([])
  expect(found({ egress: null })).toEqual([])
})

describe('[R1] action and filter', () => {
  test('`egress` wants the filter `egress`', () => {
    expect(found({ filters: ['http'] })).toEqual([
      'error rule.wrong_filter: rule `r` has the action `egress` but not the filter `egress`',
    ])
  })
  test('an action Gateway does not have is 400 / code 2087', () => {
    expect(found({ action: 'teleport' })).toEqual(['error rule.invalid_action: invalid action "teleport"'])
    expect(answerOf('rule.invalid_action')).toEqual({ status: 400, apiCode: 2087 })
  })
})

describe('[R3] precedence', () => {
  test('a taken one is 409 / code 2011, whatever kind of rule has it', () => {
    const holder = rule({ name: 'no ads', action: 'block', filters: ['dns'], precedence: 10 })
    expect(found({}, [holder])).toEqual([
      'error rule.precedence_taken: rule `r` has the precedence 10, which rule `no ads` already has',
    ])
    expect(answerOf('rule.precedence_taken')).toEqual({ status: 409, apiCode: 2011 })
  })
  test('a rule does not collide with its own older version', () => {
    const older = rule({ precedence: 10 })
    expect(checkRule({ ...older, name: 'newer' }, account(), [older])).toEqual([])
  })
  test.each([-1, 1.5, Number.NaN])('%d is refused', (precedence) => {
    expect(found({ precedence })).toHaveLength(1)
  })
  test('0 is allowed', () => expect(found({ precedence: 0 })).toEqual([]))
  test('the first rule gets 1000', () => expect(nextPrecedence([], 0.99)).toBe(1000))
  test('later ones the largest so far + 1000 + 1 to 100', () => {
    const rules = [{ precedence: 3000 }, { precedence: 10 }]
    expect(nextPrecedence(rules, 0)).toBe(4001)
    expect(nextPrecedence(rules, 0.999_999)).toBe(4100)
    expect(nextPrecedence([{ precedence: 0 }], 0)).toBe(1001)
  })
})

describe('[R5] ownership', () => {
  test('a primary that is not the account’s is 400 / code 2055', () => {
    expect(found({ egress: { ...via(20, 30), ipv4: '203.0.113.99' } })).toEqual([
      "error rule.unowned_ipv4: Account doesn't own dedicated primary IPv4 `203.0.113.99`",
    ])
    expect(answerOf('rule.unowned_ipv4')).toEqual({ status: 400, apiCode: 2055 })
  })
  test('fallback and range must be owned as well', () => {
    expect(found({ egress: { ...via(20), ipv4Fallback: '203.0.113.98', ipv6: '2001:db8:98::/64' } })).toEqual([
      'error rule.unowned_fallback: rule `r`: the account does not own the fallback `203.0.113.98`',
      'error rule.unowned_ipv6: rule `r`: the account does not own the IPv6 range `2001:db8:98::/64`',
    ])
  })
  test('addresses that do not parse are told apart from addresses not owned', () => {
    expect(found({ egress: { ipv4: '203.0.113.300', ipv4Fallback: 'x', ipv6: '203.0.113.0/24' } })).toEqual([
      'error rule.invalid_address: rule `r`: `203.0.113.300` is not an IPv4 address',
      'error rule.invalid_address: rule `r`: the fallback `x` is not an IPv4 address',
      'error rule.invalid_address: rule `r`: `203.0.113.0/24` is not an IPv6 range',
    ])
  })
})

describe('[R6] the fallback', () => {
  test('is optional, with a warning', () => {
    expect(found({ egress: via(20) })).toEqual([
      'warning rule.no_fallback: rule `r` has no fallback: while the colo of its IPv4 address is down, its connections are refused',
    ])
  })
  test('may be `0.0.0.0`', () => expect(found({ egress: via(20, '0.0.0.0') })).toEqual([]))
})

test('[R7] a range counts as owned however it is written', () => {
  expect(found({ egress: { ...via(20, 30), ipv6: '2001:DB8:20::5/64' } })).toEqual([])
})

test('[R9] rules of other kinds are checked for precedence and action only', () => {
  expect(
    found({
      action: 'block',
      filters: ['dns'],
      traffic: 'dns.fqdn == "a"',
      egress: { ipv4: 'x', ipv4Fallback: 'y', ipv6: 'z' },
    }),
  ).toEqual([])
})

describe('[R11] spellings', () => {
  test.each([
    ['net.dst.ip == "10.50.20.5"', 'expected IP address character'],
    ['net.dst.port == "443"', ''],
    ['any(net.dst.ip[*] in {10.0.0.0/8})', ''],
    ['net.dst.port !in {80}', ''],
  ])('`%s` is refused', (traffic, message) => {
    const [problem = ''] = found({ traffic })
    expect(problem).toMatch(/^error expression\./)
    expect(problem).toContain(message)
  })
  test('`identity.groups.id == "…"` is refused with the engine’s words', () => {
    expect(found({ identity: 'identity.groups.id == "a"' })[0]).toContain('type Array(Bytes)')
  })
  test('the setting `expressions: lenient` takes documented forms, with a warning', () => {
    const lenient = account({ settings: { expressions: 'lenient' } })
    const issues = checkRule(rule({ traffic: 'net.dst.port == "443"' }), lenient, [])
    expect(issues.map(({ severity }) => severity)).toEqual(['warning'])
  })
})
