// Puts the reason for a decision into words. Reads the plan; decides nothing.

import type { ExemptReason } from './decision.ts'
import type { EgressPlan, PlanStep } from './egress-plan.ts'
import type { Flow } from './flow.ts'
import type { Colo } from './place.ts'
import type { Rule } from './rule.ts'

/** Why a connection matched by a rule leaves from where it does, or is refused. */
export function reasonForRule(rule: Rule, plan: EgressPlan, flow: Flow, ingress: Colo): string {
  const who = `rule \`${rule.name}\` (precedence ${rule.precedence})`
  const [first, second] = plan.steps
  if (rule.egress === null) {
    return `${who} uses shared egress, which leaves from ${ingress.code}, the data center nearest the user`
  }
  if (first === undefined) return who
  const wish = `${who} sends this to ${first.written}`
  if (plan.outcome === 'dedicated') return `${wish}${whereFrom(first, flow, ingress)}`
  if (first.verdict === 'not-set') return `${who} names no ${first.from === 'range' ? 'IPv6 range' : 'IPv4 address'}`
  if (first.verdict === 'not-owned') return `${wish}, which the account does not own`
  return `${wish}; its colo ${first.colo} is down${afterOutage(plan, second, ingress)}`
}

function whereFrom(step: PlanStep, flow: Flow, ingress: Colo): string {
  if (step.from === 'range') return `, which works from every data center and leaves from ${ingress.code}`
  if (!flow.proxiedByCloudflare) return ` at ${step.colo}`
  return `; Cloudflare proxies the destination, so it is reached from ${ingress.code}, the data center nearest the user`
}

function afterOutage(plan: EgressPlan, second: PlanStep | undefined, ingress: Colo): string {
  if (plan.outcome === 'dedicated-fallback') return `, so the fallback ${second?.written} is used`
  if (plan.outcome === 'default') return `, so the fallback \`0.0.0.0\`, shared egress, is used at ${ingress.code}`
  if (second === undefined || second.verdict === 'not-set') return ' and the rule has no fallback'
  if (second.verdict === 'not-owned') return ` and the account does not own its fallback ${second.written}`
  return `, and so is ${second.colo}, the colo of its fallback ${second.written}`
}

/** Why a connection that no rule matched leaves from where it does. */
export function reasonWithoutRule(plan: EgressPlan, ownsDedicated: boolean, setting: string, ingress: Colo): string {
  if (plan.balanced !== undefined && plan.egress !== null) {
    const chosen = `${plan.egress.address.text} at ${plan.egress.dedicated?.colo}`
    return `no rule matched; the account's dedicated IPs are balanced and ${chosen} ${choice(plan.balanced)}`
  }
  const shared = `so shared egress at ${ingress.code} is used`
  if (!ownsDedicated) return `no rule matched and the account has no dedicated IPs, ${shared}`
  if (setting === 'default') return `no rule matched and the account uses shared egress in that case, ${shared}`
  return `no rule matched and no dedicated IP of this family is at a data center that is up, ${shared}`
}

function choice({ by, distance }: NonNullable<EgressPlan['balanced']>): string {
  const far = distance === undefined ? '' : ` (${Math.round(distance)} km)`
  if (by === 'only') return 'is the only one that is up'
  if (by === 'nearest-user') return `is nearest the user${far}`
  if (by === 'nearest-destination')
    return `is the one nearest the destination among those about equally near the user${far}`
  return `is the one assigned to this user among those about equally near${far}`
}

/** Why no rule was evaluated ([E1]). */
export function reasonForExemption(exempt: ExemptReason, flow: Flow, ingress: Colo): string {
  const shared = `egress rules do not apply; shared egress at ${ingress.code}`
  switch (exempt.kind) {
    case 'gateway-dns':
      return `DNS queries are resolved by Gateway itself: ${shared}`
    case 'hostname-route':
      return `\`${flow.host}\` is behind tunnel ${exempt.tunnelId} by a host name route: ${shared}`
    case 'private-route':
      return `${flow.destination.ip.text} is behind tunnel ${exempt.tunnelId} by a private route: ${shared}`
    case 'proxying-off':
      return `the account does not proxy ${exempt.transport.toUpperCase()}: ${shared}`
  }
}

/** Why a connection is refused when no colo is up. */
export const EVERY_COLO_DOWN = 'every data center is down, so no connection can leave'
