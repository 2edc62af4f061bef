// Policies as people write them, each with one small mistake planted at random: a bit of a prefix, a letter of a group, a pair of rules
// in the other order. The comparison has to find it, with a connection that decide() sends another way. Used by the tests with a small
// budget and by scripts/fuzz-prove.ts with a large one.

import { decide } from '../../src/policy/decide.ts'
import { type Decision, nameOfEgress } from '../../src/policy/decision.ts'
import type { Rule } from '../../src/policy/rule.ts'
import { compileRuleset, createSnapshot, type Snapshot } from '../../src/policy/ruleset.ts'
import { compareSubjects } from '../../src/prove/compare.ts'
import type { World } from '../../src/prove/subject.ts'
import { account, group, rule, VNETS, via } from '../policy/build.ts'
import { pick, type Random, randomOf } from '../policy/random-of.ts'

export interface PlantedFaults {
  readonly planted: number
  readonly found: number
  /** planted and not found, or found with a connection that does not show it */
  readonly faults: readonly string[]
}

const GROUPS = ['Finance', 'Engineering', 'Sales', 'Support', 'Contractors']
const WORLD: World = {
  people: [],
  groups: GROUPS.map(group),
  devices: [],
  networks: Object.values(VNETS),
  endpoints: [],
  destinations: [],
  isClosed: false,
}
const OWN = account({})
const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
const TIMEOUT_MS = 60_000

/** Plants so many mistakes, each in a policy of its own. Stops at the first that is missed. The same seed gives the same run. */
export async function plantFaults(
  seed: number,
  policies: number,
  onPolicy: (done: number) => void = () => {},
): Promise<PlantedFaults> {
  const random = randomOf(seed)
  for (let at = 0; at < policies; at++) {
    onPolicy(at)
    const before = randomPolicy(random)
    const [kind, after] = (MISTAKES[at % MISTAKES.length] as Mistake)(before, random)
    const sides = [before, after].map((rules) => ({ snapshot: snapshotOf(rules), world: WORLD })) as [Side, Side]
    const { isSame, reason, regions } = await compareSubjects(...sides, { timeoutMs: TIMEOUT_MS })
    const wrong = regions.filter(({ witness: { flow, snapshots } }) => {
      const [a, b] = snapshots.map((snapshot) => effect(decide(snapshot, flow)))
      return a === b
    })
    if (isSame === false && regions.length > 0 && wrong.length === 0) continue
    const what = isSame === false ? 'a connection that does not show it' : `${isSame} ${reason}`
    const fault = `seed ${seed}, policy ${at}, ${kind}: ${what}; ${shown(before)}; ${shown(after)}`
    return { planted: at + 1, found: at, faults: [fault] }
  }
  return { planted: policies, found: policies, faults: [] }
}

interface Side {
  readonly snapshot: Snapshot
  readonly world: World
}

/** A narrow rule for one group, network and port each, and a wider one with another egress behind each. */
function randomPolicy(random: Random): readonly Rule[] {
  const count = 2 + random(12)
  return Array.from({ length: count }, (_, at) => {
    const network = `10.${at}.0.0/${17 + random(7)}`
    const port = pick([22, 80, 443, 8080], random)
    const identity = `any(identity.groups.name[*] == "${pick(GROUPS, random)}")`
    return [
      rule({
        id: idOf(2 * at),
        name: `narrow ${at}`,
        precedence: 2 * at,
        traffic: `net.dst.ip in {${network}} and net.dst.port == ${port}`,
        identity,
        egress: via(10, 20),
      }),
      rule({
        id: idOf(2 * at + 1),
        name: `wide ${at}`,
        precedence: 2 * at + 1,
        traffic: `net.dst.ip in {10.${at}.0.0/16}`,
        identity,
        egress: via(30, 40),
      }),
    ]
  }).flat()
}

type Mistake = (rules: readonly Rule[], random: Random) => readonly [kind: string, rules: readonly Rule[]]

const MISTAKES: readonly Mistake[] = [
  (rules, random) => [
    'one bit of a prefix',
    changed(rules, narrow(rules, random), ({ traffic, ...rest }) => ({
      ...rest,
      traffic: traffic.replace(/(\d+)\.(\d+)\.\d+\.0\/(\d+)/, (_, a, b, length) => {
        const bit = Number(length) - 1
        const value = ((Number(a) << 24) | (Number(b) << 16)) ^ (1 << (31 - bit))
        return `${[value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, 0].join('.')}/${length}`
      }),
    })),
  ],
  (rules, random) => [
    'the length of a prefix',
    changed(rules, narrow(rules, random), ({ traffic, ...rest }) => ({
      ...rest,
      traffic: traffic.replace(/\/(\d+)/, (_, length) => `/${Number(length) + 1}`),
    })),
  ],
  (rules, random) => [
    'one letter of a group',
    changed(rules, narrow(rules, random), ({ identity, ...rest }) => {
      const [, name = ''] = /"(.*)"/.exec(identity) ?? []
      const at = 1 + random(name.length - 1)
      const letter = pick([...LETTERS.replace(name[at] ?? '', '')], random)
      return { ...rest, identity: identity.replace(name, `${name.slice(0, at)}${letter}${name.slice(at + 1)}`) }
    }),
  ],
  (rules, random) => {
    const at = narrow(rules, random)
    const order = new Map([
      [at, at + 1],
      [at + 1, at],
    ])
    return ['a swapped pair', rules.map((one, each) => ({ ...one, precedence: order.get(each) ?? each }))]
  },
]

/** Where a narrow rule stands, whose wide one is behind it. */
function narrow({ length }: readonly Rule[], random: Random): number {
  return 2 * random(length / 2)
}

function changed(rules: readonly Rule[], at: number, change: (rule: Rule) => Rule): readonly Rule[] {
  return rules.map((one, each) => (each === at ? change(one) : one))
}

function idOf(number: number): string {
  return `00000000-0000-4000-9000-${String(number).padStart(12, '0')}`
}

function snapshotOf(rules: readonly Rule[]): Snapshot {
  const { ruleset, problems } = compileRuleset(rules, [], OWN.settings)
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new Error(`a policy that does not compile: ${JSON.stringify(errors)}`)
  return createSnapshot(1, OWN, ruleset)
}

function effect({ egress }: Decision): string {
  return egress === null ? 'none' : nameOfEgress(egress)
}

function shown(rules: readonly Rule[]): string {
  return rules.map(({ precedence, traffic, identity }) => `${precedence}: ${traffic} / ${identity}`).join('; ')
}
