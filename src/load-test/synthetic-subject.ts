// A synthetic world as what gets decided: Gateway rules, lists and connections.

import type { NamedList } from '../policy/account.ts'
import type { Rule } from '../policy/rule.ts'
import type { PolicyUnderTest } from './decide-worker.ts'
import { createSyntheticFlows, type SyntheticTraffic } from './synthetic-flows.ts'
import { createSyntheticWorld, type SyntheticWorld } from './synthetic-world.ts'

const LIST_TYPES = { prefix: 'IP', email: 'EMAIL', domain: 'DOMAIN' } as const

/** Rules, lists and connections of a synthetic world of this many rules. */
export function createSyntheticSubject(
  rules: number,
  connections: number,
  { seed = 1, traffic = 'zipf' }: { readonly seed?: number; readonly traffic?: SyntheticTraffic } = {},
): PolicyUnderTest {
  const world = createSyntheticWorld(rules, seed)
  return { ...subjectOf(world), flows: createSyntheticFlows(world, connections, { seed: seed + 1, traffic }) }
}

/** The rules and lists of a world; the rule at position n has precedence n. */
export function subjectOf(world: SyntheticWorld): Omit<PolicyUnderTest, 'flows'> {
  const rules = world.rules.map(
    ({ expressions }, at): Rule => ({
      id: `00000000-0000-4000-8000-${at.toString(16).padStart(12, '0')}`,
      name: `rule ${at}`,
      description: '',
      enabled: true,
      precedence: at,
      action: 'egress',
      filters: ['egress'],
      ...expressions,
      devicePosture: '',
      egress: null,
    }),
  )
  const lists = world.lists.map(({ id, of, items }): NamedList => ({ id, name: id, type: LIST_TYPES[of], items }))
  return { rules, lists, settings: { hostSelector: true, expressions: 'default' } }
}
