// One flow in, one decision out: which rule, which address, from where, and why (gateway-egress section 4). Pure: no
// clock, and no state but tables prepared per version of the account and the rules.

import type { Account } from './account.ts'
import { type AccountTables, accountTablesOf } from './account-tables.ts'
import type { Decision, ExemptReason } from './decision.ts'
import { userKeyOf } from './egress-address.ts'
import { chooseWithoutRule, type EgressPlan, planExempt, planForRule, planWithoutRule } from './egress-plan.ts'
import type { Flow } from './flow.ts'
import { homeColo } from './ingress.ts'
import type { Colo } from './place.ts'
import { EVERY_COLO_DOWN, reasonForExemption, reasonForRule, reasonWithoutRule } from './reason.ts'
import type { Rule } from './rule.ts'
import type { Snapshot } from './ruleset.ts'

/** Decides one flow (gateway-egress section 4). Never throws for a valid snapshot. */
export function decide(snapshot: Snapshot, flow: Flow): Decision {
  return decideBy(snapshot, flow, (ruleset) => ruleset.firstMatch(flow)?.rule)
}

/** Decides with another way of finding the rule; {@link decide} and explain() share everything else. `find` is
 *  called only for flows that rules apply to. */
export function decideBy(
  { account, ruleset }: Snapshot,
  flow: Flow,
  find: (ruleset: Snapshot['ruleset']) => Rule | undefined,
): Decision {
  const lab = accountTablesOf(account)
  const ingress = lab.ingress.nearest(flow.userPlace ?? flow.sourcePlace)
  if (ingress === undefined) return noIngress(account)
  const exempt = exemptionOf(account, flow)
  if (exempt !== undefined) {
    const plan = planExempt(account, flow, ingress)
    return { ...settle(account, flow, ingress, plan, null, reasonForExemption(exempt, flow, ingress)), exempt }
  }
  const inputs = { account, lab, flow, ingress }
  const rule = find(ruleset)
  return rule === undefined ? decideWithoutRule(inputs) : decideForRule(inputs, rule)
}

interface DecisionInputs {
  readonly account: Account
  readonly lab: AccountTables
  readonly flow: Flow
  readonly ingress: Colo
}

function decideForRule({ account, lab, flow, ingress }: DecisionInputs, rule: Rule): Decision {
  const known = lab.decisions.find(rule, flow, ingress)
  if (known !== undefined) return forUser(known, lab, flow)
  const plan = planForRule(account, flow, rule, ingress)
  const decision = settle(account, flow, ingress, plan, rule, reasonForRule(rule, plan, flow, ingress))
  return lab.decisions.keep(rule, flow, ingress, decision)
}

/** Decisions on an IPv6 range differ between users only in the address ([E4]). */
function forUser(decision: Decision, lab: AccountTables, flow: Flow): Decision {
  const { egress } = decision
  if (egress === null || egress.family === 4 || egress.dedicated === undefined) return decision
  const own = lab.egressOf(egress.dedicated, 6, userKeyOf(flow), false)
  return own === undefined || own === egress ? decision : { ...decision, egress: own }
}

function decideWithoutRule({ account, lab, flow, ingress }: DecisionInputs): Decision {
  const chosen = chooseWithoutRule(account, flow)
  // users with addresses of their own have them in the reason, so such a decision is not shared
  const isShared = chosen === undefined || flow.destination.ip.family === 4
  const cause = chosen ?? account
  const known = isShared ? lab.decisions.find(cause, flow, ingress) : undefined
  if (known !== undefined) return known
  const plan = planWithoutRule(account, flow, ingress, chosen)
  const owns = account.dedicatedIps.length > 0
  const reason = reasonWithoutRule(plan, owns, account.settings.noRuleMatched, ingress)
  const decision = settle(account, flow, ingress, plan, null, reason)
  return isShared ? lab.decisions.keep(cause, flow, ingress, decision) : decision
}

/** Why egress rules do not apply to this flow, or undefined when they do ([E1] `exempt`). */
export function exemptionOf(account: Account, flow: Flow): ExemptReason | undefined {
  if (flow.gatewayDns === true) return { kind: 'gateway-dns' }
  const { routes } = accountTablesOf(account)
  const byName = routes.hostnameRoute(flow.host)
  if (byName !== undefined) return { kind: 'hostname-route', routeId: byName.id, tunnelId: byName.tunnelId }
  const byAddress = routes.privateRoute(flow.virtualNetworkId, flow.destination.ip)
  if (byAddress !== undefined) return { kind: 'private-route', routeId: byAddress.id, tunnelId: byAddress.tunnelId }
  const { tcpProxying, udpProxying } = account.settings
  const proxied = flow.transport === 'tcp' ? tcpProxying : udpProxying
  return proxied ? undefined : { kind: 'proxying-off', transport: flow.transport }
}

/** Adds the colo it physically and logically leaves from ([E5]). */
function settle(
  account: Account,
  flow: Flow,
  ingressColo: Colo,
  { outcome, egress }: EgressPlan,
  rule: Rule | null,
  reason: string,
): Decision {
  if (egress === null) {
    return { outcome, rule, reason, egress: null, ingressColo, physicalColo: null, logical: null }
  }
  const own = egress.dedicated === undefined ? undefined : account.colos.get(egress.dedicated.colo)
  if (egress.dedicated === undefined || own === undefined) {
    const logical = { colo: ingressColo, place: ingressColo }
    return { outcome, rule, reason, egress, ingressColo, physicalColo: ingressColo, logical }
  }
  const fromOwnColo = egress.family === 4 && !flow.proxiedByCloudflare
  const logical = { colo: own, place: egress.dedicated.geolocation }
  return { outcome, rule, reason, egress, ingressColo, physicalColo: fromOwnColo ? own : ingressColo, logical }
}

function noIngress(account: Account): Decision {
  const ingressColo = homeColo(account)
  const nothing = { egress: null, physicalColo: null, logical: null }
  return { outcome: 'unroutable', rule: null, reason: EVERY_COLO_DOWN, ingressColo, ...nothing }
}
