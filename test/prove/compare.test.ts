import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { renderComparison } from '../../src/cli/render/render-proof.ts'
import { PLAIN } from '../../src/cli/terminal.ts'
import { nameOfEgress } from '../../src/policy/decision.ts'
import type { Rule } from '../../src/policy/rule.ts'
import { compileRuleset, createSnapshot, type Snapshot } from '../../src/policy/ruleset.ts'
import { compareSubjects, comparisonJson, type PolicyComparison } from '../../src/prove/compare.ts'
import { type Solver, startSolver } from '../../src/prove/solver.ts'
import type { World } from '../../src/prove/subject.ts'
import { account, group, rule, VNETS, via } from '../policy/build.ts'

let solver: Solver
beforeAll(async () => {
  // loaded once for all tests
  solver = await startSolver()
})
afterAll(() => solver.close())

const WORLD: World = {
  people: [],
  groups: ['Finance', 'Engineering'].map(group),
  devices: [],
  networks: Object.values(VNETS),
  endpoints: [],
  destinations: [],
  isClosed: false,
}
const LISTS = [
  { id: 'banks', name: 'banks', type: 'DOMAIN', items: ['bank.test', 'Other-Bank.test'] },
  { id: 'empty', name: 'empty', type: 'DOMAIN', items: [] },
  { id: 'mapped', name: 'mapped', type: 'IP', items: ['::ffff:10.0.0.0/104'] },
  { id: 'offices', name: 'offices', type: 'IP', items: ['192.0.2.0/25', '192.0.2.128-192.0.2.255'] },
]

const one = (changes: Partial<Rule>) =>
  rule({ id: '00000000-0000-4000-9000-000000000001', name: 'one', precedence: 1, egress: via(20, 30), ...changes })
const two = (changes: Partial<Rule>) =>
  rule({ id: '00000000-0000-4000-9000-000000000002', name: 'two', precedence: 2, egress: via(10, 20), ...changes })

function snapshot(rules: readonly Rule[]): Snapshot {
  const own = account({ lists: LISTS })
  const { ruleset, problems } = compileRuleset(rules, LISTS, own.settings)
  expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
  return createSnapshot(1, own, ruleset)
}

function compare(
  before: readonly Rule[],
  after: readonly Rule[],
  limit: { readonly timeoutMs: number; readonly signal?: AbortSignal } = { timeoutMs: 60_000 },
): Promise<PolicyComparison> {
  const sides = [before, after].map((rules) => ({ snapshot: snapshot(rules), world: WORLD }))
  const [a, b] = sides
  if (a === undefined || b === undefined) throw new Error('two sides')
  return compareSubjects(a, b, limit)
}

const SAME: readonly (readonly [string, readonly Rule[], readonly Rule[]])[] = [
  [
    'De Morgan',
    [one({ traffic: 'not (net.dst.port == 80 or net.protocol == "udp")' })],
    [one({ traffic: 'not net.dst.port == 80 and not net.protocol == "udp"' })],
  ],
  [
    'a list and its members',
    [one({ traffic: 'any(net.fqdn.domains[*] in $banks)' })],
    [one({ traffic: 'any(net.fqdn.domains[*] in {"bank.test" "other-bank.test"})' })],
  ],
  [
    'a list of networks and one network',
    [one({ traffic: 'net.dst.ip in $offices' })],
    [one({ traffic: 'net.dst.ip in {192.0.2.0/24}' })],
  ],
  [
    'another spelling',
    [one({ traffic: 'net.dst.port  in { 80   443 }' })],
    [one({ traffic: '(net.dst.port == 80) || (net.dst.port == 443)' })],
  ],
  ['other precedences', [one({}), two({})], [one({ precedence: 700 }), two({ precedence: 900 })]],
  [
    'one rule and two',
    [one({ traffic: 'net.dst.port in {80 443}' })],
    [one({ traffic: 'net.dst.port == 80' }), two({ traffic: 'net.dst.port == 443', egress: via(20, 30) })],
  ],
  [
    'rules that exclude each other, in another order',
    [one({ traffic: 'net.dst.port < 1024' }), two({ traffic: 'net.dst.port >= 1024' })],
    [two({ traffic: 'net.dst.port >= 1024', precedence: 1 }), one({ traffic: 'net.dst.port < 1024', precedence: 2 })],
  ],
  [
    'a regular expression and the domain it stands for',
    [one({ traffic: 'net.fqdn.host matches "(^|\\.)bank\\.test$"' })],
    [one({ traffic: 'any(net.fqdn.domains[*] == "bank.test")' })],
  ],
  [
    'a wildcard and an ending',
    [one({ identity: 'identity.email wildcard "*@example.com"' })],
    [one({ identity: 'identity.email matches "(?i)@example\\.com$"' })],
  ],
  [
    'all and not any',
    [one({ identity: 'all(identity.groups.name[*] == "Finance")' })],
    [one({ identity: 'not any(identity.groups.name[*] != "Finance")' })],
  ],
  [
    'a rule nothing reaches, and none',
    [one({ traffic: 'net.dst.port <= 1000' }), two({ traffic: 'net.dst.port == 80' })],
    [one({ traffic: 'net.dst.port <= 1000' })],
  ],
]

const ALIKE: readonly (readonly [slot: 'traffic' | 'identity', one: string, other: string])[] = [
  ['traffic', 'net.dst.ip in $mapped', 'net.dst.ip in {::ffff:10.0.0.0/104}'],
  ['traffic', 'any(net.fqdn.domains[*] in $empty)', 'net.dst.port == 0'],
  [
    'traffic',
    'net.fqdn.host wildcard "*.x.test"',
    'any(net.fqdn.domains[*] == "x.test") and not net.fqdn.host == "x.test"',
  ],
  ['traffic', 'net.fqdn.host strict wildcard "*X.test"', 'net.dst.port == 0'],
  ['traffic', 'net.fqdn.host matches "(?i)X\\.TEST$"', 'net.fqdn.host matches "x\\.test$"'],
  ['traffic', 'net.fqdn.host > "b" and net.fqdn.host < "a"', 'net.dst.port == 0'],
  ['traffic', 'net.dst.geo.country == "GB"', 'net.dst.geo.country == "GB" and net.dst.geo.continent == "EU"'],
  ['traffic', 'not all(net.fqdn.domains[*] != "x.test")', 'any(net.fqdn.domains[*] == "x.test")'],
  ['identity', 'not all(identity.groups.name[*] == "x")', 'any(identity.groups.name[*] != "x")'],
  ['identity', 'identity.email matches "(?i)^BOB$"', 'identity.email matches "^[bB][oO][bB]$"'],
]

test.each(ALIKE)(
  'proven equal, %s: %s as %s',
  async (slot, a, b) => {
    const inSlot = (text: string) => (text.startsWith('net.') ? { traffic: text } : { [slot]: text })
    expect(await compare([one(inSlot(a))], [one(inSlot(b))])).toMatchObject({ isSame: true, regions: [] })
  },
  120_000,
)

test.each(SAME)(
  'proven equal: %s',
  async (_, before, after) => {
    expect(await compare(before, after)).toMatchObject({ isSame: true, regions: [] })
  },
  120_000,
)

const PLANTED: readonly (readonly [string, readonly Rule[], readonly Rule[]])[] = [
  [
    'one bit of a prefix',
    [one({ traffic: 'net.dst.ip in {192.0.2.0/24}' })],
    [one({ traffic: 'net.dst.ip in {192.0.2.0/25}' })],
  ],
  [
    'one letter of a group',
    [one({ identity: 'any(identity.groups.name[*] == "Finance")' })],
    [one({ identity: 'any(identity.groups.name[*] == "Finanse")' })],
  ],
  [
    'a swapped pair',
    [one({ traffic: 'net.dst.port < 1024' }), two({ traffic: 'net.dst.port == 443' })],
    [two({ traffic: 'net.dst.port == 443', precedence: 1 }), one({ traffic: 'net.dst.port < 1024', precedence: 2 })],
  ],
  ['another fallback', [one({})], [one({ egress: via(20, 40) })]],
  [
    'a key with an equals sign, and a value with one',
    [one({ identity: 'any(identity.saml_attributes[*] == "a=b=c")' })],
    [
      one({
        identity: 'any(identity.saml_attributes[*] == "a=b=c") and any(identity.saml_attributes["a"][*] == "b=c")',
      }),
    ],
  ],
  [
    'addresses of IPv4 and the same mapped to IPv6',
    [one({ traffic: 'net.dst.ip in {::ffff:10.0.0.0/104}' })],
    [one({ traffic: 'net.dst.ip in {10.0.0.0/8}' })],
  ],
  [
    'countries that only a pattern speaks of',
    [one({ traffic: 'net.dst.geo.country matches "^X[^K]"' })],
    [one({ traffic: 'net.dst.port == 0' })],
  ],
  [
    'a domain and the name alone',
    [one({ traffic: 'any(net.fqdn.domains[*] == "bank.test")' })],
    [one({ traffic: 'net.fqdn.host == "bank.test"' })],
  ],
]

describe('the time limit is for the whole comparison', () => {
  const [before, after] = [
    [one({ traffic: 'net.dst.port == 443' }), two({ traffic: 'net.protocol == "tcp"' })],
    [one({ traffic: 'net.dst.port == 443' }), two({ traffic: 'net.protocol == "tcp"', egress: null })],
  ]

  /** The time is over once it was looked at so often. */
  function overAfter(looks: number) {
    const { signal } = new AbortController()
    const told = { looks: 0 }
    Object.defineProperty(signal, 'aborted', { get: () => ++told.looks > looks })
    return { told, limit: { timeoutMs: 60_000, signal } }
  }

  test('without time nothing is asked, and nothing decided', async () => {
    const { isSame, reason, regions } = await compare(before, after, { timeoutMs: 0 })
    expect({ isSame, regions }).toEqual({ isSame: undefined, regions: [] })
    expect(reason).toMatch(/^it takes longer than the time limit \(2 rules in /)
  })

  test('wherever it ends, the rest is not decided and what was found stands', async () => {
    const whole = overAfter(Number.POSITIVE_INFINITY)
    const complete = await compare(before, after, whole.limit)
    expect(complete.isSame).toBe(false)
    const egress = ({ regions }: PolicyComparison) =>
      regions.map((region) => [region.before.egress, region.after.egress])
    let withoutCondition = 0
    for (let looks = 0; looks < whole.told.looks; looks += 1 + (whole.told.looks >> 5)) {
      const cut = await compare(before, after, overAfter(looks).limit)
      if (cut.isSame !== undefined) {
        expect(cut.regions).toHaveLength(complete.regions.length)
        continue
      }
      expect(egress(complete)).toEqual(expect.arrayContaining(egress(cut)))
      for (const { condition, witness } of cut.regions) {
        expect(witness.decisions).toHaveLength(2)
        if (condition === undefined) withoutCondition++
      }
    }
    expect(withoutCondition).toBeGreaterThan(0)
  }, 240_000)

  test('a region without its condition says so', async () => {
    const complete = await compare(before, after)
    const regions = complete.regions.map((region) => ({ ...region, condition: undefined }))
    const cut = { ...complete, isSame: undefined, reason: 'it takes longer than the time limit', regions }
    expect(renderComparison(cut, PLAIN)).toContain('  when     not told within the time limit\n')
    expect(comparisonJson(cut).regions[0]).toMatchObject({ condition: null, before: { egress: '203.0.113.10' } })
  })
})

describe('a planted difference is found with a connection that shows it', () => {
  test.each(PLANTED)(
    '%s',
    async (_, before, after) => {
      const { isSame, regions } = await compare(before, after)
      expect(isSame).toBe(false)
      expect(regions.length).toBeGreaterThan(0)
      for (const { witness } of regions) {
        const [a, b] = witness.decisions.map(({ egress }) => (egress === null ? 'refused' : nameOfEgress(egress)))
        expect(a).not.toBe(b)
      }
    },
    120_000,
  )

  test('with the condition of exactly the connections it moves, in the language of rules', async () => {
    const { regions } = await compare(
      [one({ traffic: 'net.dst.port == 443' }), two({ traffic: 'net.protocol == "tcp"' })],
      [one({ traffic: 'net.dst.port == 443' }), two({ traffic: 'net.protocol == "tcp"', egress: null })],
    )
    const conditions = regions.map(({ condition, down, up }) => `${condition} | ${down.join()} | ${up.join()}`)
    expect(conditions).toEqual([
      'net.protocol == "tcp" and not net.dst.port == 443 and net.dst.ip in {0.0.0.0/0} |  | AMS',
      'net.protocol == "tcp" and not net.dst.port == 443 and net.dst.ip in {::/0} |  | ',
      'net.protocol == "tcp" and not net.dst.port == 443 and net.dst.ip in {0.0.0.0/0} | AMS | LHR',
      'net.protocol == "tcp" and not net.dst.port == 443 and net.dst.ip in {0.0.0.0/0} | AMS,LHR | ',
    ])
    expect(regions[0]).toMatchObject({ before: { egress: '203.0.113.10' }, after: { egress: 'shared egress' } })
  })
})
