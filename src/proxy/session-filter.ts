// Filters sessions. All conditions must hold; letter case does not matter. Pure.

import { containsIp, parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { OUTCOMES } from '../policy/decision.ts'
import type { LabRecord, SessionRecord } from './session-record.ts'

export interface SessionFilter {
  /** email */
  readonly user?: string
  /** name or id */
  readonly vnet?: string
  /** name or id */
  readonly rule?: string
  /** an address or a network */
  readonly egressIp?: string
  /** an outcome, or `failed` for sessions that ended with an error */
  readonly outcome?: string
  /** what the destination's allowlist made of it */
  readonly allowlist?: string
  /** anywhere in the record's JSON */
  readonly text?: string
}

/** What filters look at: a record, or the same facts of a session that is still open. */
export interface FilteredSession
  extends Pick<SessionRecord, 'Email' | 'VirtualNetworkID' | 'EgressRuleID' | 'EgressRuleName' | 'EgressIP'> {
  readonly Lab: Pick<LabRecord, 'virtualNetworkName' | 'outcome' | 'error' | 'allowlist'>
}

/** The outcomes a filter may name ([E1]), and `failed`. */
export const FILTER_OUTCOMES = [...OUTCOMES, 'failed'] as const

/** A predicate on records. Throws a RangeError when `egressIp` is neither an address nor a network. */
export function sessionFilter(filter: SessionFilter): (session: FilteredSession) => boolean {
  const { user, vnet, rule, egressIp, outcome, allowlist, text } = filter
  const network = egressIp === undefined ? undefined : parseCidr(egressIp)
  if (egressIp !== undefined && network === undefined)
    throw new RangeError(`\`${egressIp}\` is neither an address nor a network`)
  const tests: ((session: FilteredSession) => boolean)[] = [
    ...(user === undefined ? [] : [({ Email }: FilteredSession) => same(Email, user)]),
    ...(vnet === undefined
      ? []
      : [
          ({ VirtualNetworkID, Lab }: FilteredSession) =>
            same(VirtualNetworkID, vnet) || same(Lab.virtualNetworkName, vnet),
        ]),
    ...(rule === undefined
      ? []
      : [
          ({ EgressRuleID, EgressRuleName }: FilteredSession) => same(EgressRuleID, rule) || same(EgressRuleName, rule),
        ]),
    ...(network === undefined
      ? []
      : [
          ({ EgressIP }: FilteredSession) => {
            const address = parseIp(EgressIP)
            return address !== undefined && containsIp(network, address)
          },
        ]),
    ...(outcome === undefined
      ? []
      : [({ Lab }: FilteredSession) => (outcome === 'failed' ? Lab.error !== undefined : Lab.outcome === outcome)]),
    ...(allowlist === undefined ? [] : [({ Lab }: FilteredSession) => Lab.allowlist === allowlist]),
    ...(text === undefined
      ? []
      : [(record: FilteredSession) => JSON.stringify(record).toLowerCase().includes(text.toLowerCase())]),
  ]
  return (record) => tests.every((test) => test(record))
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
