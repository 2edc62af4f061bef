// The same rules in json-rules-engine, with operators of its own kind for what it lacks. It evaluates every rule on each run;
// the earliest event is the first match.

import { Engine } from 'json-rules-engine'
import type { SyntheticCondition } from '../../../src/load-test/synthetic-world.ts'
import type { Flow } from '../../../src/policy/flow.ts'
import { createPrefixTest, listMembership, type PlainFacts, plainFacts, type Rival } from './rival.ts'

export const jsonRulesEngine: Rival = {
  name: 'json-rules-engine',
  how: 'one rule each with custom operators; stops at the first event of the highest priority',
  prepare({ rules, lists }) {
    const engine = new Engine()
    const inPrefix = createPrefixTest()
    const inList = listMembership(lists)
    const patterns = new Map<string, RegExp>()
    engine.addOperator<readonly string[], readonly string[]>('shares', (values, wanted) =>
      values.some((value) => wanted.includes(value)),
    )
    engine.addOperator<number, readonly (readonly [number, number])[]>('within', (port, ranges) =>
      ranges.some(([from, to]) => port >= from && port <= to),
    )
    engine.addOperator<Flow, readonly string[]>('inPrefix', (flow, prefixes) =>
      prefixes.some((prefix) => inPrefix(flow, prefix)),
    )
    engine.addOperator<PlainFacts, string>('inList', (facts, id) => inList(id, facts))
    engine.addOperator<string, string>('fits', (host, pattern) => {
      const known = patterns.get(pattern) ?? new RegExp(pattern)
      patterns.set(pattern, known)
      return known.test(host)
    })
    rules.forEach((rule, at) => {
      const all = rule.conditions.map((one) => (one.negated ? { not: toCondition(one) } : toCondition(one)))
      engine.addRule({
        conditions: { all },
        event: { type: String(at) },
        priority: rules.length - at,
        onSuccess: () => engine.stop(),
      })
    })
    return async (flow) => {
      const facts = plainFacts(flow)
      const { events } = await engine.run({ ...facts, flow, facts })
      return events.length === 0 ? -1 : Math.min(...events.map((event) => Number(event.type)))
    }
  },
}

function toCondition(condition: SyntheticCondition) {
  switch (condition.kind) {
    case 'group':
      return { fact: 'groups', operator: 'shares', value: condition.names }
    case 'email':
      return { fact: 'email', operator: 'in', value: condition.emails }
    case 'vnet':
      return { fact: 'vnet', operator: 'equal', value: condition.id }
    case 'prefix':
      return { fact: 'flow', operator: 'inPrefix', value: condition.prefixes }
    case 'domain':
      return { fact: 'domains', operator: 'shares', value: condition.domains }
    case 'country':
      return { fact: 'country', operator: 'in', value: condition.countries }
    case 'port':
      return { fact: 'port', operator: 'within', value: condition.ranges }
    case 'list':
      return { fact: 'facts', operator: 'inList', value: condition.id }
    case 'regex':
      return { fact: 'host', operator: 'fits', value: condition.pattern }
  }
}
