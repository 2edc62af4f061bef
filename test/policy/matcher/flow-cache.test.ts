import { expect, test } from 'vitest'
import { ip } from '../../../src/net/ip.ts'
import { GATEWAY_SCHEME } from '../../../src/policy/fields.ts'
import { FlowCache, UNKNOWN } from '../../../src/policy/matcher/flow-cache.ts'
import { compileRuleset } from '../../../src/policy/ruleset.ts'
import { TEST_LIMIT_MS } from '../../support/patience.ts'
import { flow, rule } from '../build.ts'
import { compareCacheWithScan } from '../cache-agreement.ts'
import { randomOf } from '../random-of.ts'

const seed = Number(process.env.SEED ?? 20_261_122)
const comparisons = Number(process.env.COMPARISONS ?? 20_000)

test(`[R2] the cache answers what trying every rule in order answers (seed ${seed})`, {
  timeout: TEST_LIMIT_MS + comparisons,
}, () => {
  const agreement = compareCacheWithScan({ seed, comparisons })
  expect(agreement.disagreements).toEqual([])
  expect(agreement.comparisons).toBeGreaterThanOrEqual(comparisons)
  expect(agreement.known / agreement.comparisons).toBeGreaterThan(0.3)
  expect(agreement.matched / agreement.comparisons).toBeGreaterThan(0.3)
})

const PORT = GATEWAY_SCHEME.fields.get('net.dst.port')?.slot ?? -1
const ADDRESS = GATEWAY_SCHEME.fields.get('net.dst.ip')?.slot ?? -1

function valuesOf(facts: Readonly<Record<number, unknown>>) {
  return Array.from({ length: GATEWAY_SCHEME.fields.size }, (_, slot) => facts[slot] as undefined)
}

test('a full cache forgets, and never mistakes one connection for another', () => {
  const cache = new FlowCache(new Set(['net.dst.ip', 'net.dst.port']))
  const random = randomOf(seed)
  const answers = new Map<string, number>()
  for (let at = 0; at < 200_000; at++) {
    // many more connections than there is room for, a few of them again and again
    const [address, port] = random(3) > 0 ? [random(50), random(50)] : [random(1000), random(1000)]
    const person = random(3)
    const values = valuesOf({ [ADDRESS]: ip(`10.0.${address >> 8}.${address & 255}`), [PORT]: port })
    const known = cache.find(values, person, undefined)
    const key = `${address} ${port} ${person}`
    if (known === UNKNOWN) {
      answers.set(key, at)
      cache.keep(at)
    } else expect({ key, known }).toEqual({ key, known: answers.get(key) })
  }
  expect(cache.counts.asked).toBe(200_000)
  expect(cache.counts.known).toBeGreaterThan(50_000)
})

test('a number that does not fit an entry is not kept', () => {
  const cache = new FlowCache(new Set(['net.dst.port']))
  for (const port of [2 ** 32 + 443, 443.5, -(2 ** 31) - 1, 443n]) {
    expect(cache.find(valuesOf({ [PORT]: port }), 0, undefined)).toBe(UNKNOWN)
    cache.keep(1)
    expect(cache.find(valuesOf({ [PORT]: port }), 0, undefined)).toBe(UNKNOWN)
  }
  expect(cache.find(valuesOf({ [PORT]: 443 }), 0, undefined)).toBe(UNKNOWN)
})

test('a cache that knows next to nothing is left out for a while, and asked again later', () => {
  const cache = new FlowCache(new Set(['net.dst.port']))
  const findAndKeep = (port: number) => {
    const known = cache.find(valuesOf({ [PORT]: port }), 0, undefined)
    if (known === UNKNOWN) cache.keep(port)
    return known
  }
  for (let port = 0; port < 40_000; port++) findAndKeep(port)
  expect(findAndKeep(40_000)).toBe(UNKNOWN)
  expect(findAndKeep(40_000)).toBe(UNKNOWN)
  for (let at = 0; at < 600_000; at++) findAndKeep(1)
  expect(findAndKeep(1)).toBe(1)
})

test('a connection that comes again is decided from the cache, and by new lists at once', () => {
  const list = (items: string[]) => [{ id: 'sites', name: 'sites', type: 'DOMAIN' as const, items }]
  const rules = [rule({ traffic: 'net.fqdn.host in $sites' })]
  const { ruleset } = compileRuleset(rules, list(['a.test']), { hostSelector: true, expressions: 'default' })
  const connection = () => flow({ host: 'a.test' })
  expect(ruleset.firstMatch(connection())?.rule).toBe(rules[0])
  expect(ruleset.firstMatch(connection())?.rule).toBe(rules[0])
  expect(ruleset.cacheCounts).toEqual({ asked: 2, known: 1 })
  const changed = ruleset.withLists(list(['b.test']))
  expect(changed.firstMatch(connection())).toBeUndefined()
  expect(changed.firstMatch(connection())).toBeUndefined()
  expect(changed.cacheCounts).toEqual({ asked: 2, known: 1 })
  expect(ruleset.firstMatch(connection())?.rule).toBe(rules[0])
})
