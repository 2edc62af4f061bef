// The same rules as Cedar permits in a prepared policy set. Cedar answers with every policy that applies, of which the
// earliest is the first match. It has no regular expressions and no lists by name: those facts are computed outside and handed
// over in the context, untimed effort saved for Cedar rather than against it.

import { type Context, preparsePolicySet, statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs'
import type { SyntheticCondition, SyntheticRule } from '../../../src/load-test/synthetic-world.ts'
import { listMembership, plainFacts, type Rival } from './rival.ts'

const POLICY_SET = 'egresslab-bench'

export const cedar: Rival = {
  name: 'Cedar (wasm)',
  how: 'one permit a rule in a prepared policy set; list and pattern hits computed outside',
  prepare({ rules, lists }) {
    const staticPolicies = Object.fromEntries(rules.map((rule, at) => [String(at), toCedar(rule)]))
    const prepared = preparsePolicySet(POLICY_SET, { staticPolicies })
    if (prepared.type !== 'success') throw new Error(JSON.stringify(prepared))
    const inList = listMembership(lists)
    const patterns = [
      ...new Set(
        rules.flatMap((rule) => rule.conditions.flatMap((one) => (one.kind === 'regex' ? [one.pattern] : []))),
      ),
    ]
    const compiled = patterns.map((pattern) => new RegExp(pattern))
    return (flow) => {
      const { ip, host, ...facts } = plainFacts(flow)
      const context: Context = {
        ...facts,
        groups: [...facts.groups],
        domains: [...facts.domains],
        ip: { __extn: { fn: 'ip', arg: ip } },
        lists: lists.filter((list) => inList(list.id, { ip, host, ...facts })).map((list) => list.id),
        patterns: patterns.filter((_, at) => compiled[at]?.test(host)),
      }
      const answer = statefulIsAuthorized({
        principal: { type: 'User', id: 'u' },
        action: { type: 'Action', id: 'connect' },
        resource: { type: 'Destination', id: 'd' },
        context,
        preparsedPolicySetId: POLICY_SET,
        entities: [],
      })
      if (answer.type !== 'success') throw new Error(JSON.stringify(answer))
      const matched = answer.response.diagnostics.reason.map(Number)
      return matched.length === 0 ? -1 : Math.min(...matched)
    }
  },
}

function toCedar(rule: SyntheticRule): string {
  const tests = rule.conditions.map((one) => (one.negated ? `!(${positive(one)})` : `(${positive(one)})`))
  return `permit(principal, action, resource) when { ${tests.join(' && ')} };`
}

function positive(condition: SyntheticCondition): string {
  switch (condition.kind) {
    case 'group':
      return `context.groups.containsAny(${set(condition.names)})`
    case 'email':
      return `${set(condition.emails)}.contains(context.email)`
    case 'vnet':
      return `context.vnet == "${condition.id}"`
    case 'prefix':
      return condition.prefixes.map((prefix) => `context.ip.isInRange(ip("${prefix}"))`).join(' || ')
    case 'domain':
      return `context.domains.containsAny(${set(condition.domains)})`
    case 'country':
      return `${set(condition.countries)}.contains(context.country)`
    case 'port':
      return condition.ranges.map(([from, to]) => `context.port >= ${from} && context.port <= ${to}`).join(' || ')
    case 'list':
      return `context.lists.contains("${condition.id}")`
    case 'regex':
      return `context.patterns.contains("${condition.pattern.replaceAll('\\', '\\\\')}")`
  }
}

function set(items: readonly string[]): string {
  return `[${items.map((item) => `"${item}"`).join(', ')}]`
}
