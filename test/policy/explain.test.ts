import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decide } from '../../src/policy/decide.ts'
import { explain, explainDecision } from '../../src/policy/explain.ts'
import { SLOT_SCHEMES } from '../../src/policy/fields.ts'
import { anyExpression } from '../expression/generate.ts'
import { account, flow, identity, PLACES, rule, snapshot, VNETS, via } from './build.ts'

const alice = identity('alice@example.com', ['Finance'])
const bank = rule({
  id: 'b4nk',
  name: 'Finance to the bank',
  precedence: 1000,
  traffic: 'any(net.fqdn.domains[*] == "bank.saas.test") and net.dst.port == 443',
  identity: 'any(identity.groups[*].name == "Finance")',
  egress: via(20, 30),
})
const off = rule({ name: 'switched off', precedence: 500, enabled: false })
const rest = rule({ id: 'r3st', name: 'the rest', precedence: 2000, traffic: 'net.protocol in {"tcp" "udp"}' })
const given = snapshot(account(), [bank, off, rest])
const its = flow({ identity: alice, host: 'bank.saas.test', userPlace: PLACES.england })

describe('an explanation has the shape of `explain --json`', () => {
  const explained = explain(given, its)

  test('facts by field name, missing ones left out', () => {
    expect(explained.flow).toEqual({
      'net.dst.ip': '198.51.100.7',
      'net.dst.port': 443,
      'net.src.ip': '192.0.2.9',
      'net.src.port': 50000,
      'net.protocol': 'tcp',
      'net.vnet_id': VNETS.default,
      'net.fqdn.host': 'bank.saas.test',
      'net.fqdn.domains': ['bank.saas.test', 'saas.test', 'test'],
      'identity.email': 'alice@example.com',
      'identity.name': 'alice',
      'identity.groups.id': ['id-finance'],
      'identity.groups.name': ['Finance'],
      'identity.groups.email': ['finance@example.com'],
    })
  })

  test('the decision', () => {
    expect(explained.decision).toEqual({
      outcome: 'dedicated',
      rule: { id: 'b4nk', name: 'Finance to the bank', precedence: 1000 },
      reason: 'rule `Finance to the bank` (precedence 1000) sends this to 203.0.113.20 at LHR',
      egress: { ipv4: '203.0.113.20', fallback: false, bind: '127.0.10.20' },
      ingress_colo: 'LHR',
      physical_colo: 'LHR',
      logical: { colo: 'LHR', city: 'London', country: 'GB' },
    })
  })

  test('each rule in order, with its parts or why it was skipped', () => {
    expect(explained.trace).toEqual([
      { id: off.id, rule: 'switched off', precedence: 500, matched: false, skipped: 'disabled', expressions: {} },
      {
        id: 'b4nk',
        rule: 'Finance to the bank',
        precedence: 1000,
        matched: true,
        skipped: null,
        expressions: {
          traffic: {
            result: true,
            parts: [
              {
                text: 'any(net.fqdn.domains[*] == "bank.saas.test")',
                span: [0, 44],
                result: true,
                field: 'net.fqdn.domains',
                value: ['bank.saas.test', 'saas.test', 'test'],
                decisive: true,
              },
              {
                text: 'net.dst.port == 443',
                span: [49, 68],
                result: true,
                field: 'net.dst.port',
                value: 443,
                decisive: true,
              },
            ],
          },
          identity: {
            result: true,
            parts: [
              {
                text: 'any(identity.groups[*].name == "Finance")',
                span: [0, 41],
                result: true,
                field: 'identity.groups.name',
                value: ['Finance'],
                decisive: true,
              },
            ],
          },
        },
      },
      {
        id: 'r3st',
        rule: 'the rest',
        precedence: 2000,
        matched: false,
        skipped: 'not reached: rule `Finance to the bank` matched first',
        expressions: {},
      },
    ])
  })

  test('the egress plan, with the fallback that was not needed', () => {
    expect(explained.plan).toEqual([
      { from: 'primary', written: '203.0.113.20', colo: 'LHR', verdict: 'used' },
      { from: 'fallback', written: '203.0.113.30', colo: 'IAD', verdict: 'not-needed' },
    ])
  })
})

describe('near misses', () => {
  const missesOf = (changes: Parameters<typeof flow>[0]) =>
    explain(given, flow({ identity: alice, ...changes })).near_misses

  test('tell the one part that stood in the way', () => {
    expect(missesOf({ host: 'bank.saas.test', to: '198.51.100.7:8443' })).toEqual([
      {
        id: 'b4nk',
        rule: 'Finance to the bank',
        precedence: 1000,
        expression: 'traffic',
        parts: [{ text: 'net.dst.port == 443', field: 'net.dst.port', value: 8443 }],
      },
    ])
  })

  test('are none where two parts failed, or nothing held', () => {
    expect(missesOf({ host: 'other.test', to: '198.51.100.7:8443' })).toEqual([])
    const single = snapshot(account(), [rule({ traffic: 'net.dst.port == 1' })])
    expect(explain(single, flow()).near_misses).toEqual([])
  })

  test.each([
    [
      'net.dst.port == 443 and (net.protocol == "udp" or net.src.port == 1)',
      ['net.protocol == "udp"', 'net.src.port == 1'],
    ],
    ['net.dst.port == 443 and not(net.protocol == "tcp")', ['net.protocol == "tcp"']],
    ['net.dst.port == 443 and not(net.protocol == "tcp" or net.src.port == 50000)', undefined],
    [
      'net.dst.port == 443 and not(net.protocol == "tcp" and net.src.port == 50000)',
      ['net.protocol == "tcp"', 'net.src.port == 50000'],
    ],
    ['net.dst.port == 443 xor net.protocol == "tcp"', ['net.dst.port == 443', 'net.protocol == "tcp"']],
  ])('of `%s`', (traffic, texts) => {
    const [miss] = explain(snapshot(account(), [rule({ traffic })]), flow()).near_misses
    expect(miss?.parts.map(({ text }) => text)).toEqual(texts)
  })
})

test('an outage is told step by step', () => {
  const dark = snapshot(account({ colosDown: new Set(['LHR', 'IAD']) }), [bank])
  expect(explain(dark, its)).toMatchObject({
    decision: { outcome: 'unroutable', egress: null, physical_colo: null, logical: null },
    plan: [
      { from: 'primary', written: '203.0.113.20', colo: 'LHR', verdict: 'colo-down' },
      { from: 'fallback', written: '203.0.113.30', colo: 'IAD', verdict: 'colo-down' },
    ],
  })
})

test('an exempt connection says that no rule is consulted, and why', () => {
  const { decision, trace } = explain(given, { ...its, gatewayDns: true })
  expect(decision).toMatchObject({ outcome: 'exempt', exempt: { kind: 'gateway-dns' }, rule: null })
  expect(new Set(trace.map(({ skipped }) => skipped))).toEqual(new Set(['no rule is evaluated for this connection']))
})

test('the traced evaluation finds the rule that deciding finds, and the explained decision is the decision', () => {
  const traffic = anyExpression(SLOT_SCHEMES.traffic, { depth: 2 })
  const who = anyExpression(SLOT_SCHEMES.identity, { depth: 1 })
  const rules = fc.array(fc.tuple(traffic, who), { minLength: 1, maxLength: 8 })
  const flows = fc.record({
    host: fc.constantFrom('example.com', 'www.example.com', 'a'),
    to: fc.constantFrom('10.0.0.1:443', '10.1.2.3:80', '[2001:db8::7]:22', '203.0.113.10:8080'),
    email: fc.constantFrom('a', 'ab', 'example.com'),
    group: fc.constantFrom('a', 'b', 'Example'),
  })
  fc.assert(
    fc.property(rules, flows, (slots, { host, to, email, group }) => {
      const all = slots.map(([one, two], at) =>
        rule({
          name: `r${at}`,
          precedence: at,
          traffic: one,
          identity: two,
          egress: at % 2 === 0 ? via(10, 20) : null,
        }),
      )
      const against = snapshot(account(), all)
      const connection = flow({ host, to, identity: identity(email, [group]) })
      const explained = explain(against, connection)
      const decision = decide(against, connection)
      expect(explained.decision).toEqual(explainDecision(decision))
      expect(explained.trace.find(({ matched }) => matched)?.id).toBe(decision.rule?.id)
    }),
    { numRuns: 300, seed: 7 },
  )
})
