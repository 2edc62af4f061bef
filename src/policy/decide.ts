// One flow in, one decision out: which rule, which address, from where, and why ([E1]). Pure: no
// clock, and no state but tables prepared per version of the account and the rules.

import { type AccountTables, homeColo } from './account-tables.ts'
import type { Decision, ExemptReason } from './decision.ts'
import { userKeyOf } from './egress-address.ts'
import {
  chooseWithoutRule,
  type EgressPlan,
  EVERY_COLO_DOWN,
  planExempt,
  planForRule,
  planWithoutRule,
  reasonForExemption,
  reasonForRule,
  reasonWithoutRule,
} from './egress-plan.ts'
import type { Flow } from './flow.ts'
import type { Colo } from './place.ts'
import type { Rule } from './rule.ts'
import type { Snapshot } from './ruleset.ts'

/** Decides one flow ([E1]). Never throws for a valid snapshot. */
export function decide(snapshot: Snapshot, flow: Flow): Decision {
  return decideBy(snapshot, flow, (ruleset) => ruleset.firstMatch(flow)?.rule)
}

/** Decides with another way of finding the rule; {@link decide} and explain() share everything else. `find` is
 *  called only for flows that rules apply to. */
export function decideBy(
  { tables, ruleset }: Snapshot,
  flow: Flow,
  find: (ruleset: Snapshot['ruleset']) => Rule | undefined,
): Decision {
  const ingress = tables.ingress.nearest(flow.userPlace ?? flow.sourcePlace)
  if (ingress === undefined) return noIngress(tables)
  const exempt = exemptionOf(tables, flow)
  if (exempt !== undefined) {
    const plan = planExempt(tables, flow, ingress, exempt)
    return { ...settle(tables, flow, ingress, plan, null, reasonForExemption(exempt, flow, ingress, plan)), exempt }
  }
  const inputs = { tables, flow, ingress }
  const rule = find(ruleset)
  return rule === undefined ? decideWithoutRule(inputs) : decideForRule(inputs, rule)
}

interface DecisionInputs {
  readonly tables: AccountTables
  readonly flow: Flow
  readonly ingress: Colo
}

function decideForRule({ tables, flow, ingress }: DecisionInputs, rule: Rule): Decision {
  const known = tables.decisions.find(rule, flow, ingress)
  if (known !== undefined) return forUser(known, tables, flow)
  const plan = planForRule(tables, flow, rule, ingress)
  const decision = settle(tables, flow, ingress, plan, rule, reasonForRule(rule, plan, flow, ingress))
  return tables.decisions.keep(rule, flow, ingress, decision)
}

/** Decisions on an IPv6 range differ between users only in the address ([E4]). */
function forUser(decision: Decision, tables: AccountTables, flow: Flow): Decision {
  const { egress } = decision
  if (egress === null || egress.family === 4 || egress.dedicated === undefined) return decision
  const own = tables.egressOf(egress.dedicated, 6, userKeyOf(flow), false)
  return own === undefined || own === egress ? decision : { ...decision, egress: own }
}

function decideWithoutRule({ tables, flow, ingress }: DecisionInputs): Decision {
  const { account } = tables
  const chosen = chooseWithoutRule(tables, flow)
  // users with addresses of their own have them in the reason, so such a decision is not shared
  const isShared = chosen === undefined || flow.destination.ip.family === 4
  const cause = chosen ?? account
  const known = isShared ? tables.decisions.find(cause, flow, ingress) : undefined
  if (known !== undefined) return known
  const plan = planWithoutRule(tables, flow, ingress, chosen)
  const owns = account.dedicatedIps.length > 0
  const reason = reasonWithoutRule(plan, owns, account.settings.noRuleMatched, ingress)
  const decision = settle(tables, flow, ingress, plan, null, reason)
  return isShared ? tables.decisions.keep(cause, flow, ingress, decision) : decision
}

/** Why egress rules do not apply to this flow, or undefined when they do ([E1] `exempt`). */
export function exemptionOf({ account, routes }: AccountTables, flow: Flow): ExemptReason | undefined {
  if (flow.gatewayDns === true) return { kind: 'gateway-dns' }
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
  { account }: AccountTables,
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

function noIngress({ account }: AccountTables): Decision {
  const ingressColo = homeColo(account)
  const nothing = { egress: null, physicalColo: null, logical: null }
  return { outcome: 'unroutable', rule: null, reason: EVERY_COLO_DOWN, ingressColo, ...nothing }
}
