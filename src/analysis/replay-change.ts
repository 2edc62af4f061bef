// Two answers to the same connection, and what differs between them: what a replay tells. Pure comparison.

import type { Decision, DecisionOutcome } from '../policy/decision.ts'

/** Where a connection left from, or would. */
export interface EgressAnswer {
  /** canonical address; '' where it did not leave */
  readonly egressIp: string
  /** leaves from an address that is not the account's own */
  readonly shared: boolean
  /** empty id and name where no rule decided */
  readonly ruleId: string
  readonly ruleName: string
  /** data center it physically left from, '' for none */
  readonly colo: string
  /** undefined where a recording does not say */
  readonly outcome: DecisionOutcome | undefined
  readonly reason: string
}

export const CHANGES = ['egress_ip', 'rule', 'colo', 'outcome'] as const
export type ReplayChange = (typeof CHANGES)[number]

/** What is different. A recording by another system knows its own shared addresses and no outcomes: then any shared address
 *  is like any other. Rules are the same by id or by name. */
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

/** A decision as an answer. */
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
