// The same rules in CEL, parsed once and tried one after another, with both JavaScript engines. Prefixes, lists and (for the
// engine without `matches`) regular expressions are host functions over the connection at hand: CEL has none of its own.

import { Environment } from '@marcbachmann/cel-js'
import { evaluate, parse } from 'cel-js'
import type { SyntheticCondition, SyntheticRule, SyntheticWorld } from '../../../src/load-test/synthetic-world.ts'
import type { Flow } from '../../../src/policy/flow.ts'
import { createPrefixTest, listMembership, type PlainFacts, plainFacts, type Rival } from './rival.ts'

export const celJs: Rival = {
  name: 'cel-js',
  how: 'parsed once, in a row; prefixes, lists and regular expressions as host functions',
  prepare(world) {
    const trees = world.rules.map((rule) => {
      const parsed = parse(toCel(rule))
      if (!parsed.isSuccess) throw new Error(parsed.errors.join('; '))
      return parsed.cst
    })
    const host = createHost(world)
    return (flow) => {
      const facts = host.turnTo(flow)
      return trees.findIndex((tree) => evaluate(tree, { ...facts }, host.functions) === true)
    }
  },
}

export const marcbachmannCelJs: Rival = {
  name: '@marcbachmann/cel-js',
  how: 'parsed and type-checked once, in a row; prefixes, lists and regular expressions as host functions',
  prepare(world) {
    const host = createHost(world)
    const environment = new Environment()
    for (const name of ['email', 'vnet', 'country']) environment.registerVariable(name, 'string')
    for (const name of ['groups', 'domains']) environment.registerVariable(name, 'list<string>')
    environment.registerVariable('port', 'int')
    for (const [name, run] of Object.entries(host.functions)) {
      environment.registerFunction(`${name}(string): bool`, run)
    }
    const programs = world.rules.map((rule) => environment.parse(toCel(rule)))
    return (flow) => {
      const { email, vnet, country, groups, domains, port } = host.turnTo(flow)
      const context = { email, vnet, country, groups, domains, port: BigInt(port) }
      return programs.findIndex((program) => program(context) === true)
    }
  },
}

/** Host functions that speak of one connection at a time. */
function createHost({ lists }: SyntheticWorld) {
  const inPrefix = createPrefixTest()
  const inList = listMembership(lists)
  const patterns = new Map<string, RegExp>()
  let flow: Flow
  let facts: PlainFacts
  return {
    turnTo(next: Flow): PlainFacts {
      flow = next
      facts = plainFacts(next)
      return facts
    },
    functions: {
      inPrefix: (prefix: string) => inPrefix(flow, prefix),
      inList: (id: string) => inList(id, facts),
      hostFits: (pattern: string) => {
        const known = patterns.get(pattern) ?? new RegExp(pattern)
        patterns.set(pattern, known)
        return known.test(facts.host)
      },
    },
  }
}

function toCel(rule: SyntheticRule): string {
  return rule.conditions
    .map((condition) => (condition.negated ? `!(${positive(condition)})` : `(${positive(condition)})`))
    .join(' && ')
}

function positive(condition: SyntheticCondition): string {
  switch (condition.kind) {
    case 'group':
      return condition.names.map((name) => `"${name}" in groups`).join(' || ')
    case 'email':
      return condition.emails.map((email) => `email == "${email}"`).join(' || ')
    case 'vnet':
      return `vnet == "${condition.id}"`
    case 'prefix':
      return condition.prefixes.map((prefix) => `inPrefix("${prefix}")`).join(' || ')
    case 'domain':
      return condition.domains.map((domain) => `"${domain}" in domains`).join(' || ')
    case 'country':
      return `country in [${condition.countries.map((country) => `"${country}"`).join(', ')}]`
    case 'port':
      return condition.ranges.map(([from, to]) => `port >= ${from} && port <= ${to}`).join(' || ')
    case 'list':
      return `inList("${condition.id}")`
    case 'regex':
      // the two engines differ on what a backslash in a string is, so there is none
      return `hostFits("${condition.pattern.replaceAll('\\.', '[.]')}")`
  }
}
