import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type HostFacts, ruleThatDependsOn } from '../../src/analysis/name-screen.ts'
import { parseExpression } from '../../src/expression/index.ts'
import { decide } from '../../src/policy/decide.ts'
import { SLOT_SCHEMES } from '../../src/policy/fields.ts'
import type { Flow } from '../../src/policy/flow.ts'
import { anyExpression } from '../expression/generate.ts'
import { account, flow, rule, snapshot } from './build.ts'

/** The name of the rule that minds this name, without categories unless given. */
function minding(traffic: string, host: string, facts: Partial<HostFacts> = {}, settings = {}): string | undefined {
  const policy = snapshot(account({ settings }), [rule({ name: 'it', traffic })])
  const bare = { contentCategories: [], applications: [], ...facts }
  return ruleThatDependsOn(policy, { named: { ...bare, host }, unnamed: bare })?.name
}

describe('a name that a host selector could match', () => {
  test.each([
    ['net.fqdn.host == "bank.test"', 'bank.test'],
    ['net.fqdn.host in {"a.test" "bank.test"}', 'bank.test'],
    ['any(net.fqdn.domains[*] == "test")', 'bank.test'],
    ['net.fqdn.host matches "^bank"', 'bank.test'],
    ['net.fqdn.host == "bank.test" and net.dst.port == 443', 'bank.test'],
    ['net.fqdn.host == "bank.test" and net.dst.ip in {10.0.0.0/8}', 'bank.test'],
    ['net.dst.port == 443 and (net.fqdn.host == "a.test" or any(net.fqdn.domains[*] == "bank.test"))', 'www.bank.test'],
    ['not (net.fqdn.host == "other.test") and net.protocol == "udp"', 'bank.test'],
    ['net.fqdn.host == "other.test" xor net.dst.port == 443', 'bank.test'],
    ['net.fqdn.host == "other.test" or net.dst.port == 443', 'bank.test'],
  ])('%s: %s is minded', (traffic, host) => {
    expect(minding(traffic, host)).toBe('it')
  })

  test.each([
    ['net.fqdn.host == "bank.test"', 'other.test'],
    ['any(net.fqdn.domains[*] == "bank.test")', 'notbank.test'],
    ['net.fqdn.host == "bank.test" and net.dst.port == 443', 'other.test'],
    ['not (net.dst.port == 443 or not net.fqdn.host == "bank.test")', 'other.test'],
    ['net.dst.ip in {10.0.0.0/8}', 'bank.test'],
    ['any(app.ids[*] == 5)', 'bank.test'],
    ['', 'bank.test'],
  ])('%s: %s is not', (traffic, host) => {
    expect(minding(traffic, host)).toBeUndefined()
  })
})

test('categories and applications of the name count', () => {
  expect(minding('any(app.ids[*] == 5)', 'bank.test', { applications: [5] })).toBe('it')
  expect(minding('any(net.fqdn.content_category[*] in {1 2})', 'bank.test', { contentCategories: [2] })).toBe('it')
  expect(minding('any(net.fqdn.content_category[*] in {1 2})', 'bank.test', { contentCategories: [3] })).toBeUndefined()
})

test('a name that a rule excludes is minded too: by its bare address it would be let in', () => {
  expect(minding('net.fqdn.host != "bank.test"', 'bank.test')).toBe('it')
  expect(minding('not any(net.fqdn.domains[*] == "bank.test")', 'www.bank.test')).toBe('it')
})

test('[F2] nothing is minded while host selectors are off, by a disabled rule, or by a rule of another kind', () => {
  const traffic = 'net.fqdn.host == "bank.test"'
  const seen = { contentCategories: [], applications: [] }
  const minds = (changes: object, settings = {}) =>
    ruleThatDependsOn(snapshot(account({ settings }), [rule({ traffic, ...changes })]), {
      named: { host: 'bank.test', ...seen },
      unnamed: seen,
    })
  expect(minds({})).toBeDefined()
  expect(minds({}, { hostSelector: false })).toBeUndefined()
  expect(minds({ enabled: false })).toBeUndefined()
  expect(minds({ action: 'block', filters: ['dns'] })).toBeUndefined()
})

test('a name that is not minded makes no difference to any decision, whatever the rules and the rest of the connection', () => {
  const fields = [
    'net.fqdn.host',
    'net.fqdn.domains',
    'net.fqdn.content_category',
    'app.ids',
    'net.dst.port',
    'net.protocol',
  ]
  const hosts = ['example.com', 'www.example.com', 'a', 'b', 'ab']
  const flows = fc.record({
    host: fc.constantFrom(...hosts),
    contentCategories: fc.subarray([0, 1, 80]),
    port: fc.constantFrom(22, 80, 443),
    transport: fc.constantFrom('tcp' as const, 'udp' as const),
  })
  const expressions = fc.array(anyExpression(SLOT_SCHEMES.traffic, { fields, depth: 3 }), {
    minLength: 1,
    maxLength: 3,
  })
  let unminded = 0
  const differs = (
    sources: readonly string[],
    { host, contentCategories, port, transport }: typeof flows extends fc.Arbitrary<infer T> ? T : never,
  ) => {
    const rules = sources
      .filter((source) => parseExpression(source, SLOT_SCHEMES.traffic, { mode: 'default' }).ok)
      .map((traffic, at) => rule({ name: `r${at}`, precedence: at, traffic }))
    const policy = snapshot(account(), rules)
    const bare = { contentCategories: [], applications: [] }
    const minded = ruleThatDependsOn(policy, { named: { host, contentCategories, applications: [] }, unnamed: bare })
    if (minded !== undefined) return
    unminded++
    const plain: Flow = { ...flow(), transport, destination: { ...flow().destination, port }, ...bare }
    const { host: _, ...unnamed } = plain
    const named: Flow = { ...unnamed, host, contentCategories }
    expect(decide(policy, named).rule?.name).toBe(decide(policy, unnamed).rule?.name)
  }
  fc.assert(fc.property(expressions, flows, differs), { numRuns: 3_000, seed: 20 })
  expect(unminded).toBeGreaterThan(300)
})
