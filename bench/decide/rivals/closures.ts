// The same rules as JavaScript closures, tried one after another: what a careful programmer would write by hand.

import type { SyntheticCondition, SyntheticWorld } from '../../../src/load-test/synthetic-world.ts'
import { cidr, containsIp } from '../../../src/net/cidr.ts'
import type { Flow } from '../../../src/policy/flow.ts'
import { listMembership, type PlainFacts, plainFacts, type Rival } from './rival.ts'

type Test = (facts: PlainFacts, flow: Flow) => boolean

export const closures: Rival = {
  name: 'closures in a row',
  how: 'one closure per condition, sets and parsed prefixes prepared',
  prepare(world) {
    const tests = closureTests(world)
    return (flow) => {
      const facts = plainFacts(flow)
      return tests.findIndex((test) => test(facts, flow))
    }
  },
}

/** One test per rule. */
export function closureTests({ rules, lists }: SyntheticWorld): Test[] {
  const inList = listMembership(lists)
  return rules.map(({ conditions }): Test => {
    const tests = conditions.map((condition) => toTest(condition, inList))
    return (facts, flow) => tests.every((test) => test(facts, flow))
  })
}

function toTest(condition: SyntheticCondition, inList: (id: string, facts: PlainFacts) => boolean): Test {
  const test = positive(condition, inList)
  return condition.negated ? (facts, flow) => !test(facts, flow) : test
}

function positive(condition: SyntheticCondition, inList: (id: string, facts: PlainFacts) => boolean): Test {
  switch (condition.kind) {
    case 'group': {
      const names = new Set(condition.names)
      return (facts) => facts.groups.some((group) => names.has(group))
    }
    case 'email': {
      const emails = new Set(condition.emails)
      return (facts) => emails.has(facts.email)
    }
    case 'vnet':
      return (facts) => facts.vnet === condition.id
    case 'prefix': {
      const prefixes = condition.prefixes.map(cidr)
      return (_, flow) => prefixes.some((prefix) => containsIp(prefix, flow.destination.ip))
    }
    case 'domain': {
      const domains = new Set(condition.domains)
      return (facts) => facts.domains.some((domain) => domains.has(domain))
    }
    case 'country': {
      const countries = new Set(condition.countries)
      return (facts) => countries.has(facts.country)
    }
    case 'port':
      return (facts) => condition.ranges.some(([from, to]) => facts.port >= from && facts.port <= to)
    case 'list':
      return (facts) => inList(condition.id, facts)
    case 'regex': {
      const pattern = new RegExp(condition.pattern)
      return (facts) => pattern.test(facts.host)
    }
  }
}
