// What rules of type `dns` do to a query, as far as it decides how a name is mapped: overrides, which bypass host selectors, and blocks,
// which are how an IP version is forced. Rules on anything but the name and the type of the query are left out.

import type { RuleDocument } from '../config/lab-state.ts'
import { compileExpression, isBlank, type Mode, type Predicate, parseExpression } from '../expression/index.ts'
import { createScheme } from '../expression/value.ts'
import { type Ip, parseIp } from '../net/ip.ts'

export type DnsAction =
  | { readonly kind: 'override'; readonly addresses: readonly Ip[]; readonly host?: string }
  | { readonly kind: 'block' }

export interface DnsPolicies {
  /** What the first rule that matches does; undefined: the query is answered as without rules. `type` as in `A`, `AAAA`, `HTTPS`. */
  actionFor(name: string, type: string, lists: Parameters<Predicate>[1]): DnsAction | undefined
  /** names of enabled rules that look at something else, or do something else to a query */
  readonly leftOut: readonly string[]
}

const SCHEME = createScheme(
  { 'dns.fqdn': 'Bytes', 'dns.domains': { array: 'Bytes' }, 'dns.query_rtype': 'Bytes' },
  { listTypes: ['Bytes', 'Ip'] },
)

interface Policy {
  readonly matches: Predicate
  readonly action: DnsAction | undefined
}

/** Compiles the enabled rules of type `dns`, in order of precedence. */
export function createDnsPolicies(rules: readonly RuleDocument[], mode: Mode): DnsPolicies {
  const policies: Policy[] = []
  const leftOut: string[] = []
  const enabled = rules.filter(({ enabled: isEnabled, filters }) => isEnabled && filters.includes('dns'))
  for (const rule of enabled.toSorted((a, b) => a.precedence - b.precedence)) {
    const matches = predicateOf(rule, mode)
    const action = actionOf(rule)
    if (matches === undefined || action === undefined) leftOut.push(rule.name)
    else policies.push({ matches, action: action === 'allow' ? undefined : action })
  }
  return {
    leftOut,
    actionFor(name, type, lists) {
      const labels = name.split('.')
      const values = [name, labels.map((_, at) => labels.slice(at).join('.')), type]
      return policies.find(({ matches }) => matches(values, lists))?.action
    },
  }
}

function predicateOf({ traffic, identity, devicePosture }: RuleDocument, mode: Mode): Predicate | undefined {
  if (!isBlank(identity) || !isBlank(devicePosture)) return undefined
  if (isBlank(traffic)) return () => true
  const parsed = parseExpression(traffic, SCHEME, { mode })
  return parsed.ok ? compileExpression(parsed.expression) : undefined
}

function actionOf({ action, rest }: RuleDocument): DnsAction | 'allow' | undefined {
  if (action === 'allow' || action === 'block') return action === 'allow' ? 'allow' : { kind: 'block' }
  if (action !== 'override') return undefined
  const { override_ips: sent, override_host: host } = Object(rest.rule_settings) as Record<string, unknown>
  const addresses = (Array.isArray(sent) ? sent : []).flatMap((text) => parseIp(String(text)) ?? [])
  if (typeof host === 'string' && host !== '') return { kind: 'override', addresses, host: host.toLowerCase() }
  return addresses.length === 0 ? undefined : { kind: 'override', addresses }
}
