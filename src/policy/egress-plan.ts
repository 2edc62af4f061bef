// Where a connection leaves from, given the rule that decided or that none did ([E1], [E4], [R4], [R6]): the steps
// considered, in order, as data, and the reason for the decision in words.

import type { Ip } from '../net/ip.ts'
import type { DedicatedEgressIp } from './account.ts'
import { type AccountTables, homeColo } from './account-tables.ts'
import type { Balanced, BalanceStep } from './balance.ts'
import type { DecisionOutcome, Egress, ExemptReason } from './decision.ts'
import { SHARED_FALLBACK, userKeyOf } from './egress-address.ts'
import type { Flow } from './flow.ts'
import type { ColoCode } from './ids.ts'
import type { Colo } from './place.ts'
import type { EgressSettings, Rule } from './rule.ts'

/** Why a step was used or was not. */
export type StepVerdict = 'used' | 'colo-down' | 'not-owned' | 'not-set' | 'not-needed'

/** One egress address that was considered. */
export interface PlanStep {
  readonly from: 'primary' | 'fallback' | 'range' | 'balanced' | 'shared' | 'tunnel'
  /** the address or range as the rule writes it, or the address chosen */
  readonly written: string
  /** code of the colo it would leave from */
  readonly colo?: ColoCode
  readonly verdict: StepVerdict
}

export interface EgressPlan {
  readonly outcome: DecisionOutcome
  readonly egress: Egress | null
  readonly steps: readonly PlanStep[]
  /** only for `balanced` */
  readonly balanced?: { readonly by: BalanceStep; readonly distance: number | undefined }
}

/** The plan for a flow that a rule matched ([E4], [R4], [R6]). Refused plans have the outcome `unroutable`. */
export function planForRule(tables: AccountTables, flow: Flow, rule: Rule, ingress: Colo): EgressPlan {
  if (rule.egress === null) return shared(tables, flow, ingress, [])
  const inputs: PlanInputs = { tables, flow, ingress }
  return flow.destination.ip.family === 6 ? planRange(inputs, rule.egress) : planIpv4(inputs, rule.egress)
}

/** The dedicated IP for a flow that no rule matched; undefined where shared egress is used ([B1]). */
export function chooseWithoutRule({ account, balancer }: AccountTables, flow: Flow): Balanced | undefined {
  if (account.settings.noRuleMatched === 'default') return undefined
  return balancer.choose({
    family: flow.destination.ip.family,
    // not from the ingress colo: its outage would move users of addresses that are up ([B4])
    user: flow.userPlace ?? flow.sourcePlace ?? homeColo(account),
    destination: flow.destinationPlace,
    userKey: userKeyOf(flow),
  })
}

/** The plan for a flow that no rule matched ([E2], [B1]). */
export function planWithoutRule(
  tables: AccountTables,
  flow: Flow,
  ingress: Colo,
  chosen = chooseWithoutRule(tables, flow),
): EgressPlan {
  const egress = chosen && tables.egressOf(chosen.dedicated, flow.destination.ip.family, userKeyOf(flow), false)
  if (chosen === undefined || egress === undefined) return shared(tables, flow, ingress, [])
  const steps = [step('balanced', egress.address.text, 'used', chosen.dedicated.colo)]
  return { outcome: 'balanced', egress, steps, balanced: { by: chosen.by, distance: chosen.distance } }
}

/** The plan for exempt traffic ([E1]): the address of the tunnel's own connector where a host name route leads there and it is
 *  declared, else shared egress, whatever the rules say. */
export function planExempt(tables: AccountTables, flow: Flow, ingress: Colo, exempt: ExemptReason): EgressPlan {
  const plan = shared(tables, flow, ingress, [])
  const own = connectorAddress(tables, flow, exempt)
  if (own === undefined || plan.egress === null) return { ...plan, outcome: 'exempt' }
  return { outcome: 'exempt', egress: { ...plan.egress, address: own }, steps: [step('tunnel', own.text, 'used')] }
}

function connectorAddress({ account }: AccountTables, { destination }: Flow, exempt: ExemptReason): Ip | undefined {
  if (exempt.kind !== 'hostname-route') return undefined
  const { family } = destination.ip
  return account.tunnelEgress?.get(exempt.tunnelId)?.find((address) => address.family === family)
}

interface PlanInputs {
  readonly tables: AccountTables
  readonly flow: Flow
  readonly ingress: Colo
}

/** [E4]: a range works from every colo, so it needs no fallback. */
function planRange({ tables, flow }: PlanInputs, settings: EgressSettings): EgressPlan {
  const owner = tables.ownerOf(settings.ipv6, 6)
  const egress = owner && tables.egressOf(owner, 6, userKeyOf(flow), false)
  if (owner === undefined || egress === undefined) {
    return refused([step('range', settings.ipv6, settings.ipv6 === '' ? 'not-set' : 'not-owned')])
  }
  return { outcome: 'dedicated', egress, steps: [step('range', settings.ipv6, 'used', owner.colo)] }
}

function planIpv4(inputs: PlanInputs, settings: EgressSettings): EgressPlan {
  const { tables } = inputs
  const primary = tables.ownerOf(settings.ipv4, 4)
  const verdict = verdictOn(tables, primary, settings.ipv4)
  const first = step('primary', settings.ipv4, verdict, primary?.colo)
  const egress = verdict === 'used' && primary !== undefined ? tables.egressOf(primary, 4, '', false) : undefined
  if (egress !== undefined) {
    return { outcome: 'dedicated', egress, steps: [first, ...unneeded(tables, settings.ipv4Fallback)] }
  }
  return planFallback(inputs, settings.ipv4Fallback, first)
}

function planFallback({ tables, flow, ingress }: PlanInputs, fallback: string | null, first: PlanStep): EgressPlan {
  if (first.verdict !== 'colo-down') return refused([first])
  if (fallback === null || fallback === '') return refused([first, step('fallback', '', 'not-set')])
  if (fallback === SHARED_FALLBACK) return shared(tables, flow, ingress, [first])
  const owner = tables.ownerOf(fallback, 4)
  const verdict = verdictOn(tables, owner, fallback)
  const second = step('fallback', fallback, verdict, owner?.colo)
  const egress = verdict === 'used' && owner !== undefined ? tables.egressOf(owner, 4, '', true) : undefined
  if (egress === undefined) return refused([first, second])
  return { outcome: 'dedicated-fallback', egress, steps: [first, second] }
}

function verdictOn({ account }: AccountTables, owner: DedicatedEgressIp | undefined, written: string): StepVerdict {
  if (owner === undefined) return written === '' ? 'not-set' : 'not-owned'
  return account.colosDown.has(owner.colo) ? 'colo-down' : 'used'
}

/** The fallback of a rule whose primary works: listed, never used. */
function unneeded(tables: AccountTables, fallback: string | null): readonly PlanStep[] {
  if (fallback === null || fallback === '') return []
  if (fallback === SHARED_FALLBACK) return [step('shared', fallback, 'not-needed')]
  return [step('fallback', fallback, 'not-needed', tables.ownerOf(fallback, 4)?.colo)]
}

function shared(tables: AccountTables, flow: Flow, ingress: Colo, before: readonly PlanStep[]): EgressPlan {
  const egress = tables.shared.egressOf(ingress.code, flow.destination.ip.family)
  const steps = [...before, step('shared', egress.address.text, 'used', ingress.code)]
  return { outcome: 'default', egress, steps }
}

function refused(steps: readonly PlanStep[]): EgressPlan {
  return { outcome: 'unroutable', egress: null, steps }
}

function step(from: PlanStep['from'], written: string, verdict: StepVerdict, colo?: ColoCode): PlanStep {
  return colo === undefined ? { from, written, verdict } : { from, written, colo, verdict }
}

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
export function reasonForExemption(exempt: ExemptReason, flow: Flow, ingress: Colo, plan: EgressPlan): string {
  const [used] = plan.steps
  const shared = `egress rules do not apply; shared egress at ${ingress.code}`
  switch (exempt.kind) {
    case 'gateway-dns':
      return `DNS queries are resolved by Gateway itself: ${shared}`
    case 'hostname-route':
      if (used?.from === 'tunnel') {
        return `\`${flow.host}\` is behind tunnel ${exempt.tunnelId} by a host name route: egress rules do not apply; its connector's own address ${used.written}`
      }
      return `\`${flow.host}\` is behind tunnel ${exempt.tunnelId} by a host name route: ${shared}`
    case 'private-route':
      return `${flow.destination.ip.text} is behind tunnel ${exempt.tunnelId} by a private route: ${shared}`
    case 'proxying-off':
      return `the account does not proxy ${exempt.transport.toUpperCase()}: ${shared}`
  }
}

/** Why a connection is refused when no colo is up. */
export const EVERY_COLO_DOWN = 'every data center is down, so no connection can leave'
