// More values than a mask has bits: what the guards then decide, and what they leave to the expression.

import { expect, test } from 'vitest'
import { compileRuleset } from '../../../src/policy/ruleset.ts'
import { flow, rule } from '../build.ts'
import { pick, type Random, randomOf } from '../random-of.ts'

const random = randomOf(20_261_122)

function negatedNowAndThen(text: string): string {
  return random(2) === 0 ? text : `not(${text})`
}

/** Texts or numbers of a field, a few at a time, wanted or not wanted. */
function conditions(field: string, values: readonly string[], count: number): string[] {
  return Array.from({ length: count }, () => {
    const some = Array.from({ length: 1 + random(3) }, () => pick(values, random))
    return negatedNowAndThen(`${field} in {${some.join(' ')}}`)
  })
}

function mismatches(traffic: readonly string[], flowOf: (random: Random) => ReturnType<typeof flow>): string[] {
  const rules = traffic.map((text, at) => rule({ precedence: at, traffic: text }))
  return [1, 3, 10, 60].flatMap((count) =>
    Array.from({ length: 30 }, () => {
      const chosen = Array.from({ length: count }, () => pick(rules, random))
      const { ruleset } = compileRuleset(chosen, [], { hostSelector: true, expressions: 'default' })
      const connection = flowOf(random)
      const found = ruleset.firstMatchAnew(connection)
      return found === ruleset.firstByScan(ruleset.read(connection)) ? [] : [`${found?.rule.traffic}`]
    }).flat(),
  )
}

test.each([5, 31, 32, 200, 1200])(
  '[R2] rules over %i virtual networks, wanted and not wanted, find what a scan finds',
  (count) => {
    const networks = Array.from({ length: count }, (_, at) => `network-${at}`)
    const traffic = conditions(
      'net.vnet_id',
      networks.map((name) => `"${name}"`),
      400,
    )
    const found = mismatches(traffic, () => flow({ virtualNetworkId: pick([...networks, 'unheard-of', ''], random) }))
    expect(found).toEqual([])
  },
)

test.each([5, 15, 16, 300])(
  '[R2] rules over %i stretches of ports, wanted and not wanted, find what a scan finds',
  (count) => {
    const ranges = Array.from({ length: count }, (_, at) => `${at * 100}..${at * 100 + random(99)}`)
    const traffic = conditions('net.dst.port', ranges, 400)
    const found = mismatches(traffic, () => flow({ to: `198.51.100.7:${random(count * 100)}` }))
    expect(found).toEqual([])
  },
)

test('a negated test of a plain field is decided without evaluating the rule', () => {
  const rules = [
    rule({ traffic: 'not(net.dst.port in {80 443}) and net.dst.ip in {198.51.100.0/24}' }),
    rule({ traffic: 'not(net.dst.geo.country == "NL") and net.dst.ip in {198.51.100.0/24}' }),
  ]
  const { ruleset } = compileRuleset(rules, [], { hostSelector: true, expressions: 'default' })
  const values = ruleset.read(flow({ to: '198.51.100.7:443' }))
  expect(ruleset.first(values)?.rule).toBe(rules[1])
  expect(ruleset.countEvaluated(values)).toBe(0)
})
