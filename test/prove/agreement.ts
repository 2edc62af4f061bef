// Random policies and connections: does the encoding end where decide() ends? Used by the tests with a small budget and
// by scripts/fuzz-prove.ts with a large one. Needs no solver.

import fc from 'fast-check'
import { compileExpression, parseExpression } from '../../src/expression/index.ts'
import { cidr } from '../../src/net/cidr.ts'
import { ip } from '../../src/net/ip.ts'
import { createLists } from '../../src/policy/account.ts'
import { nameOfEgress } from '../../src/policy/decision.ts'
import { GATEWAY_SCHEME, SLOT_SCHEMES } from '../../src/policy/fields.ts'
import { namedFlowValues } from '../../src/policy/flow-values.ts'
import type { EgressSettings, Rule } from '../../src/policy/rule.ts'
import { compileRuleset, createSnapshot, type Snapshot } from '../../src/policy/ruleset.ts'
import { effectOf } from '../../src/prove/policy-terms.ts'
import { Proof } from '../../src/prove/proof.ts'
import type { Model, Solver } from '../../src/prove/solver.ts'
import type { World } from '../../src/prove/subject.ts'
import { anyExpression } from '../expression/generate.ts'
import { account, group, identity, rule, VNETS, via } from '../policy/build.ts'
import { pick, type Random, randomOf } from '../policy/random-of.ts'
import { TermEvaluator } from './term-evaluator.ts'

export interface ProofAgreement {
  readonly connections: number
  /** those a rule decided */
  readonly matched: number
  readonly policies: number
  readonly faults: readonly string[]
}

const CONNECTIONS_PER_POLICY = 50
export const LIST_ITEMS = ['a', 'ab', 'Example', 'www.example.com', '10.0.0.0/8', '::1', '192.0.2.0-192.0.2.9', 'k=a']

/** A solver for proofs that ask nothing. */
export const NO_SOLVER: Solver = {
  ask: () => Promise.reject(new Error('there is no solver')),
  canHold: () => Promise.reject(new Error('there is no solver')),
  conflictOf: () => Promise.reject(new Error('there is no solver')),
  interrupt: () => {},
  close: () => {},
}

/** Compares until the budget is used up or something disagrees. The same seed gives the same run. */
export function compareWithDecide(
  seed: number,
  connections: number,
  onProgress: (done: number) => void = () => {},
): ProofAgreement {
  const random = randomOf(seed)
  let [done, matched, policies] = [0, 0, 0]
  while (done < connections) {
    const snapshot = randomSnapshot(seed + policies, random)
    policies++
    const proof = new Proof({ policies: [snapshot], world: randomWorld(random), conditions: [] }, NO_SOLVER)
    const evaluator = new TermEvaluator(proof.script.take())
    for (let at = 0; at < CONNECTIONS_PER_POLICY && done < connections; at++) {
      const values = randomValues(evaluator, random)
      if (values === undefined) continue
      done++
      const found = compareOne(proof, evaluator, values)
      if (found.matched) matched++
      if (found.disagreement !== undefined) {
        return { connections: done, matched, policies, faults: [`seed ${seed}: ${found.disagreement}`] }
      }
    }
    onProgress(done)
  }
  return { connections: done, matched, policies, faults: [] }
}

function compareOne(proof: Proof, evaluator: TermEvaluator, values: Map<string, boolean | number>) {
  const model: Model = {
    numberOf: ({ name }) => Number(values.get(name) ?? 0),
    holds: (term) => evaluator.holds(term, values),
  }
  const [policy] = proof.policies
  const { flow, decisions, snapshots } = proof.witnessIn(model)
  const [decision] = decisions
  const [snapshot] = snapshots
  if (policy === undefined || decision === undefined || snapshot === undefined) throw new Error('nothing was decided')
  settleUnknown(proof, snapshot, flow, values)
  const settled = new Map(values)
  const ends = policy.ends.filter(({ when }) => evaluator.holds(when, settled))
  const [end] = ends
  const effect =
    decision.outcome === 'exempt'
      ? 'exempt'
      : decision.egress === null
        ? 'refused'
        : decision.egress.dedicated === undefined
          ? 'shared egress'
          : nameOfEgress(decision.egress)
  const isSame =
    ends.length === 1 &&
    end !== undefined &&
    end.outcome === decision.outcome &&
    end.rule?.id === decision.rule?.id &&
    (end.outcome === 'balanced' || effectOf(end) === effect)
  if (isSame) return { matched: decision.rule !== null }
  const shown = JSON.stringify(flow, (_, value) => (value instanceof Map ? [...value] : value))
  const told = ends.map(
    (one) => `${one.outcome} by ${one.rule?.traffic} / ${one.rule?.identity} / ${one.rule?.devicePosture}`,
  )
  const { outcome, rule: by } = decision
  const disagreement = `the encoding says [${told.join('; ')}], decide() ${outcome} by ${by?.traffic} / ${by?.identity} / ${by?.devicePosture}, for ${shown}`
  return { matched: false, disagreement }
}

/** Parts that stand for an unknown get the value they have for this connection. */
function settleUnknown(
  proof: Proof,
  { account: { lists } }: Snapshot,
  flow: Parameters<typeof namedFlowValues>[0],
  values: Map<string, boolean | number>,
) {
  const named = namedFlowValues(flow, true)
  const all = [...GATEWAY_SCHEME.fields.values()].map(({ name }) => named.get(name))
  for (const { what, term } of proof.connection.approximations) {
    const parsed = parseExpression(what, GATEWAY_SCHEME)
    if (!parsed.ok) throw new Error(`cannot read ${what}`)
    values.set(term, compileExpression(parsed.expression)(all, createLists(lists)))
  }
}

/** Random values, of which those that break a constraint are drawn again. */
function randomValues(evaluator: TermEvaluator, random: Random): Map<string, boolean | number> | undefined {
  const share = pick([2, 3, 6], random)
  const draw = new Map(
    evaluator.variables.map(({ name, bits }) => [
      name,
      () => (bits === undefined ? random(share) === 0 : random(2 ** bits)),
    ]),
  )
  let values = new Map([...draw].map(([name, value]) => [name, value()] as const))
  for (let tries = 0; tries < 500; tries++) {
    const broken = evaluator.brokenBy(values)
    if (broken === undefined) return values
    values = new Map(values)
    for (const name of broken) {
      const value = draw.get(name)
      if (value !== undefined) values.set(name, value())
    }
  }
  return undefined
}

export function randomSnapshot(seed: number, random: Random): Snapshot {
  const lists = ['first', 'second', 'in.both'].map((id, at) => ({
    id,
    name: id,
    type: pick(['IP', 'DOMAIN', 'EMAIL', 'SERIAL'], random),
    items: LIST_ITEMS.filter((_, item) => (item + at + seed) % 3 !== 0),
  }))
  const isPrivate = random(3) === 0
  const own = account({
    lists,
    colosDown: new Set(random(4) === 0 ? ['LHR'] : []),
    privateRoutes: isPrivate
      ? [{ id: 'r', network: cidr('10.0.0.0/8'), virtualNetworkId: VNETS.default, tunnelId: 't', comment: '' }]
      : [],
    hostnameRoutes: random(3) === 0 ? [{ id: 'h', hostname: '*.example.com', tunnelId: 't', comment: '' }] : [],
    settings: {
      udpProxying: random(4) > 0,
      hostSelector: random(6) > 0,
      noRuleMatched: pick(['balanced', 'default'], random),
    },
  })
  const count = 1 + random(6)
  const sample = (slot: keyof typeof SLOT_SCHEMES, number: number) => {
    if (random(3) === 0) return ''
    const [text = ''] = fc.sample(anyExpression(SLOT_SCHEMES[slot], { depth: 2 }), {
      seed: seed * 31 + number,
      numRuns: 1,
    })
    return text
  }
  const rules = Array.from({ length: count }, (_, at): Rule => {
    return rule({
      precedence: at,
      traffic: sample('traffic', 3 * at),
      identity: sample('identity', 3 * at + 1),
      devicePosture: random(3) === 0 ? sample('devicePosture', 3 * at + 2) : '',
      egress: randomEgress(random),
    })
  })
  return createSnapshot(1, own, compileRuleset(rules, lists, own.settings).ruleset)
}

function randomEgress(random: Random): EgressSettings | null {
  if (random(4) === 0) return null
  const settings = via(pick([10, 20, 30, 40, 50], random), pick([null, '0.0.0.0', 10, 20, 30], random))
  return random(10) === 0 ? { ...settings, ipv4: '203.0.113.99' } : settings
}

export function randomWorld(random: Random): World {
  const people = [
    { identity: identity('alice@example.com', ['Finance', 'a'], { k: ['a', 'b'] }) },
    { identity: identity('bob@example.com', [], { other: ['x'] }), defaultDevice: 'd1' },
  ]
  const posture = { passed: ['a', 'ab'], failed: ['b'] }
  return {
    people,
    groups: ['Finance', 'a', 'Example'].map(group),
    devices: [
      { device: { id: 'd1', name: 'd1', posture, internalSourceIp: ip('10.0.0.1') } },
      { device: { id: 'd2', name: 'd2', posture: { passed: [], failed: ['a'] } }, user: 'alice@example.com' },
    ],
    networks: Object.values(VNETS),
    endpoints: ['abc.proxy.cloudflare-gateway.com'],
    destinations: random(2) === 0 ? [] : [{ name: 'www.example.com', addresses: [ip('192.0.2.7'), ip('2001:db8::7')] }],
    ...(random(2) === 0
      ? {}
      : {
          categories: [
            { host: 'example.com', contentCategories: [1, 443], applications: [22] },
            { network: cidr('10.0.0.0/8'), contentCategories: [80], applications: [] },
          ],
        }),
    isClosed: random(2) === 0,
  }
}
