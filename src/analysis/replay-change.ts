// Compares two results for the same connection: the basis of a replay. Pure.

import { type Decision, type DecisionOutcome, nameOfEgress } from '../policy/decision.ts'

/** Where a connection left from, or would leave from. What a recording does not say is undefined. */
export interface EgressAnswer {
  /** canonical address; '' if it did not leave */
  readonly egressIp: string | undefined
  /** the same as the account names it: the dedicated IPv6 range of an address inside one */
  readonly egressName: string | undefined
  /** whether it left from an address that is not the account's own */
  readonly shared: boolean
  /** id and name are empty if no rule decided */
  readonly ruleId: string | undefined
  readonly ruleName: string
  /** data center it physically left from, '' if none */
  readonly colo: string | undefined
  readonly outcome: DecisionOutcome | undefined
  readonly reason: string
}

export const CHANGES = ['egress_ip', 'rule', 'colo', 'outcome'] as const
export type ReplayChange = (typeof CHANGES)[number]

/** The differences. What is not known is not compared. A recording of another system has other shared addresses and no
 *  outcomes: then all shared addresses are considered equal. Rules are equal by id or by name. */
export function changesBetween(before: EgressAnswer, after: EgressAnswer): ReplayChange[] {
  const foreign = before.outcome === undefined
  const sameIp =
    before.egressName === undefined ||
    before.egressName === after.egressName ||
    (foreign && before.shared && after.shared)
  const sameRule =
    before.ruleId === undefined ||
    before.ruleId === after.ruleId ||
    (before.ruleName !== '' && before.ruleName === after.ruleName) ||
    before.ruleId.toLowerCase() === after.ruleId?.toLowerCase()
  const sameColo = before.colo === undefined || before.colo === after.colo || before.colo.toUpperCase() === after.colo
  const sameOutcome = foreign || before.outcome === after.outcome
  if (sameIp && sameRule && sameColo && sameOutcome) return NONE
  return [
    ...(sameIp ? [] : (['egress_ip'] as const)),
    ...(sameRule ? [] : (['rule'] as const)),
    ...(sameColo ? [] : (['colo'] as const)),
    ...(sameOutcome ? [] : (['outcome'] as const)),
  ]
}

/** Is there anything to compare with? */
export function saysSomething({ egressName, ruleId, colo, outcome }: EgressAnswer): boolean {
  return egressName !== undefined || ruleId !== undefined || colo !== undefined || outcome !== undefined
}

const NONE: ReplayChange[] = []

/** The decision in the form compared here. */
export function answerOf({ outcome, rule, egress, physicalColo, reason }: Decision): EgressAnswer {
  return {
    egressIp: egress?.address.text ?? '',
    egressName: egress === null ? '' : nameOfEgress(egress),
    shared: egress !== null && egress.dedicated === undefined,
    ruleId: rule?.id ?? '',
    ruleName: rule?.name ?? '',
    colo: physicalColo?.code ?? '',
    outcome,
    reason,
  }
}
