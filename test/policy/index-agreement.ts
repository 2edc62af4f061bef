// Random rule sets and flows over the whole language: does the index find the rule that trying every rule in order finds? Used by the
// tests with a small budget and by scripts/fuzz-decide.ts with a large one.

import fc from 'fast-check'
import {
  compileExpression,
  type FieldValues,
  listContents,
  parseExpression,
  type Scheme,
} from '../../src/expression/index.ts'
import type { KnownLists } from '../../src/policy/account.ts'
import { GATEWAY_SCHEME } from '../../src/policy/fields.ts'
import { IndexedRules } from '../../src/policy/matcher/index-keys.ts'
import { fieldOriginOf } from '../../src/policy/matcher/key-table.ts'
import { type LazyFlow, type RememberedUser, RuleMatcher, unknownUser } from '../../src/policy/matcher/rule-matcher.ts'
import { anyExpression, anyValues } from '../expression/generate.ts'
import { scheme as languageScheme } from '../expression/support.ts'
import { pick, type Random, randomOf } from './random-of.ts'

export interface AgreementOptions {
  readonly seed: number
  readonly comparisons: number
  readonly onProgress?: (done: number) => void
}

export interface Agreement {
  readonly comparisons: number
  readonly matched: number
  /** rules evaluated in full, over all comparisons */
  readonly evaluated: number
  /** rules there were, over all comparisons */
  readonly rules: number
  readonly disagreements: readonly string[]
}

const RULES_IN_POOL = 400
const VALUES_IN_POOL = 300
const FLOWS_PER_SET = 100
const LIST_NAMES = ['first', 'second', 'in.both', '3f2504e04f8911d39a0c0305e82c3301']
const LIST_ITEMS = [
  'a',
  'ab',
  'Example',
  'www.example.com',
  '22',
  '80',
  '443',
  '10.0.0.0/8',
  '::1',
  '192.0.2.0-192.0.2.9',
]
const LIST_TYPES = ['IP', 'DOMAIN', 'EMAIL', 'SERIAL']

/** Compares until the budget is used up or something disagrees. The same seed gives the same run. */
export function compareWithScan({ seed, comparisons, onProgress }: AgreementOptions): Agreement {
  const random = randomOf(seed)
  const total = { comparisons: 0, matched: 0, evaluated: 0, rules: 0 }
  for (let round = 0; total.comparisons < comparisons; round++) {
    const scheme = round % 2 === 0 ? languageScheme : GATEWAY_SCHEME
    const pool = createPool(scheme, seed + round)
    for (let set = 0; set < 20 && total.comparisons < comparisons; set++) {
      const disagreement = compareSet(pool, random, total)
      if (disagreement !== undefined) return { ...total, disagreements: [disagreement] }
      onProgress?.(total.comparisons)
    }
  }
  return { ...total, disagreements: [] }
}

type Pool = ReturnType<typeof createPool>

function createPool(scheme: Scheme, seed: number) {
  const parts = fc.array(anyExpression(scheme, { depth: 2 }), { minLength: 1, maxLength: 4 })
  const conjunctions = parts.map((all) => all.map((part) => `(${part})`).join(' and '))
  const sources = fc.sample(conjunctions, { seed, numRuns: RULES_IN_POOL })
  const rules = sources.flatMap((source) => {
    const parsed = parseExpression(source, scheme)
    if (!parsed.ok) return []
    const { expression } = parsed
    return [{ source, expression, matches: compileExpression(expression) }]
  })
  if (rules.length < RULES_IN_POOL / 2) throw new Error('the generator makes expressions the parser refuses')
  const origins = [...scheme.fields.values()].map(({ name }) => fieldOriginOf(name))
  const values = fc.sample(anyValues(scheme), { seed, numRuns: VALUES_IN_POOL })
  return { rules, scheme, origins, values: scheme === GATEWAY_SCHEME ? values.map(withDomains) : values }
}

function compareSet(
  pool: Pool,
  random: Random,
  total: { -readonly [key in keyof Omit<Agreement, 'disagreements'>]: number },
) {
  const rules = Array.from({ length: 1 + random(40) }, () => pick(pool.rules, random))
  const maxPerKey = pick([1, 4, 64], random)
  let lists = randomLists(random)
  let memory = new Map<FieldValues, RememberedUser>()
  const indexed = new IndexedRules()
  for (const { expression } of rules) indexed.add([expression])
  let index = RuleMatcher.build(rules, indexed, lists, maxPerKey)
  for (let at = 0; at < FLOWS_PER_SET; at++) {
    if (at === FLOWS_PER_SET / 2) {
      lists = randomLists(random)
      index = index.withLists(lists)
      memory = new Map()
    }
    const values = pick(pool.values, random)
    const expected = rules.findIndex((rule) => rule.matches(values, lists))
    const known = memory.get(values) ?? unknownUser()
    memory.set(values, known)
    const remembering = findRemembering(index, pool, values, known, pick(pool.values, random))
    const found = index.first(values)
    total.comparisons++
    total.evaluated += index.evaluated
    total.rules += rules.length
    if (expected >= 0) total.matched++
    if (found !== expected) return describe(rules[expected]?.source, rules[found]?.source, values)
    if (remembering !== expected) {
      return `with memory: ${describe(rules[expected]?.source, rules[remembering]?.source, values)}`
    }
  }
  return undefined
}

const HOST = GATEWAY_SCHEME.fields.get('net.fqdn.host')?.slot ?? -1
const DOMAINS = GATEWAY_SCHEME.fields.get('net.fqdn.domains')?.slot ?? -1

function hostOf(values: FieldValues): string | undefined {
  const host = values[HOST]
  return typeof host === 'string' ? host : undefined
}

/** The domains that go with the host, of which half have a parent more. */
function withDomains(values: FieldValues, number: number): FieldValues {
  const generated = hostOf(values)
  const host = generated === undefined || number % 2 === 0 ? generated : `parent.${generated}`
  const labels = host?.split('.')
  const domains = labels?.map((_, at) => labels.slice(at).join('.'))
  return values.map((value, slot) => (slot === HOST ? host : slot === DOMAINS ? domains : value))
}

/** As for a connection of a known user to a host: their values are stale ones until they are asked for. */
function findRemembering(
  index: RuleMatcher,
  { origins, scheme }: Pool,
  values: FieldValues,
  user: RememberedUser,
  stale: FieldValues,
): number {
  if (scheme !== GATEWAY_SCHEME) return index.first(values)
  const partial = values.map((value, slot) => (origins[slot] === 'flow' ? value : stale[slot]))
  const flow: LazyFlow = {
    user,
    host: hostOf(values),
    complete: () => {
      for (const [slot, value] of values.entries()) partial[slot] = value
    },
  }
  return index.first(partial, flow)
}

function describe(expected: string | undefined, found: string | undefined, values: FieldValues): string {
  const shown = JSON.stringify(values, (_, value) =>
    typeof value === 'bigint' ? String(value) : value instanceof Map ? [...value] : value,
  )
  return `a scan finds ${expected ?? 'nothing'}, the index ${found ?? 'nothing'}, for the values ${shown}`
}

function randomLists(random: Random): KnownLists {
  const present = LIST_NAMES.filter(() => random(4) > 0)
  return new Map(
    present.map((name) => {
      const items = LIST_ITEMS.filter(() => random(3) === 0)
      return [name, listContents(pick(LIST_TYPES, random), items)] as const
    }),
  )
}
