// What rules of type `dns` do to a query, as far as it decides how a name is mapped: overrides, which bypass host selectors, and blocks,
// which are how an IP version is forced. Rules on anything but the name, the type and the time of the query are left out.

import type { JsonObject, RuleDocument } from '../config/lab-state.ts'
import { compileExpression, isBlank, type Mode, type Predicate, parseExpression } from '../expression/index.ts'
import { createScheme } from '../expression/value.ts'
import { type Ip, parseIp } from '../net/ip.ts'

export type DnsAction =
  | { readonly kind: 'override'; readonly addresses: readonly Ip[]; readonly host?: string }
  | { readonly kind: 'block' }

export interface DnsPolicies {
  /** What the first rule that matches does; undefined: the query is answered as without rules. `type` as in `A`, `AAAA`, `HTTPS`;
   *  `now`: lab time, epoch ms. */
  actionFor(name: string, type: string, lists: Parameters<Predicate>[1], now: number): DnsAction | undefined
  /** names of enabled rules that look at something else, or do something else to a query */
  readonly leftOut: readonly string[]
}

const SCHEME = createScheme(
  { 'dns.fqdn': 'Bytes', 'dns.domains': { array: 'Bytes' }, 'dns.query_rtype': 'Bytes' },
  { listTypes: ['Bytes', 'Ip'] },
)

interface Policy {
  readonly isInForce: (now: number) => boolean
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
    const isInForce = forceOf(rule.rest)
    if (matches === undefined || action === undefined || isInForce === undefined) leftOut.push(rule.name)
    else policies.push({ matches, isInForce, action: action === 'allow' ? undefined : action })
  }
  return {
    leftOut,
    actionFor(name, type, lists, now) {
      const labels = name.split('.')
      const values = [name, labels.map((_, at) => labels.slice(at).join('.')), type]
      return policies.find(({ matches, isInForce }) => matches(values, lists) && isInForce(now))?.action
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

/** When a rule is in force, by its `expiration` and its `schedule`; undefined: by the place of whoever asks, as schedules without a
 *  time zone are. */
function forceOf({ expiration, schedule }: RuleDocument['rest']): ((now: number) => boolean) | undefined {
  const { expires_at: end } = Object(expiration) as JsonObject
  const endsAt = typeof end === 'string' ? Date.parse(end) : Number.POSITIVE_INFINITY
  const { time_zone: timeZone, ...sent } = Object(schedule) as JsonObject
  const days = Object.entries(sent).flatMap(([day, text]) =>
    text === null || text === '' ? [] : [[day, String(text)]],
  )
  if (days.length === 0) return (now) => now < endsAt
  if (typeof timeZone !== 'string' || timeZone === '') return undefined
  const hours = new Map(days.map(([day = '', text = '']) => [day, text.split(',').map((each) => each.split('-'))]))
  const clock = new Intl.DateTimeFormat('en-US', { timeZone, weekday: 'short', ...CLOCK })
  return (now) => {
    const parts = new Map(clock.formatToParts(now).map(({ type, value }) => [type, value]))
    const time = `${parts.get('hour')}:${parts.get('minute')}`
    const today = hours.get(parts.get('weekday')?.toLowerCase() ?? '') ?? []
    return now < endsAt && today.some(([from = '', until = '']) => from <= time && time < until)
  }
}

const CLOCK = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const
