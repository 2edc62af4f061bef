// Compares two results for the same connection: the basis of a replay. Pure.

import type { Decision, DecisionOutcome } from '../policy/decision.ts'
import type { ColoCode, RuleId } from '../policy/ids.ts'

/** Where a connection left from, or would leave from. */
export interface EgressAnswer {
  /** canonical address; '' if it did not leave */
  readonly egressIp: string
  /** whether it left from an address that is not the account's own */
  readonly shared: boolean
  /** id and name are empty if no rule decided */
  readonly ruleId: RuleId
  readonly ruleName: string
  /** data center it physically left from, '' if none */
  readonly colo: ColoCode
  /** undefined if a recording does not have it */
  readonly outcome: DecisionOutcome | undefined
  readonly reason: string
}

export const CHANGES = ['egress_ip', 'rule', 'colo', 'outcome'] as const
export type ReplayChange = (typeof CHANGES)[number]

/** The differences. A recording of another system has other shared addresses and no outcomes: then all shared
 *  addresses are considered equal. Rules are equal by id or by name. */
export function changesBetween(before: EgressAnswer, after: EgressAnswer): ReplayChange[] {
  const foreign = before.outcome === undefined
  const sameIp = before.egressIp === after.egressIp || (foreign && before.shared && after.shared)
  const sameRule = before.ruleId === after.ruleId || (before.ruleName !== '' && before.ruleName === after.ruleName)
  const sameOutcome = foreign || before.outcome === after.outcome
  if (sameIp && sameRule && before.colo === after.colo && sameOutcome) return NONE
  return [
    ...(sameIp ? [] : (['egress_ip'] as const)),
    ...(sameRule ? [] : (['rule'] as const)),
    ...(before.colo === after.colo ? [] : (['colo'] as const)),
    ...(sameOutcome ? [] : (['outcome'] as const)),
  ]
}

const NONE: ReplayChange[] = []

/** The decision in the form compared here. */
export function answerOf({ outcome, rule, egress, physicalColo, reason }: Decision): EgressAnswer {
  return {
    egressIp: egress?.address.text ?? '',
    shared: egress !== null && egress.dedicated === undefined,
    ruleId: rule?.id ?? '',
    ruleName: rule?.name ?? '',
    colo: physicalColo?.code ?? '',
    outcome,
    reason,
  }
}
