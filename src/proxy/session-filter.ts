// Filters session records. All conditions must hold; letter case does not matter. Pure.

import { containsIp, parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { OUTCOMES } from '../policy/decision.ts'
import type { SessionRecord } from './session-record.ts'

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

/** The outcomes a filter may name ([E1]), and `failed`. */
export const FILTER_OUTCOMES = [...OUTCOMES, 'failed'] as const

/** A predicate on records. Throws a RangeError when `egressIp` is neither an address nor a network. */
export function sessionFilter(filter: SessionFilter): (record: SessionRecord) => boolean {
  const { user, vnet, rule, egressIp, outcome, allowlist, text } = filter
  const network = egressIp === undefined ? undefined : parseCidr(egressIp)
  if (egressIp !== undefined && network === undefined)
    throw new RangeError(`\`${egressIp}\` is neither an address nor a network`)
  const tests: ((record: SessionRecord) => boolean)[] = [
    ...(user === undefined ? [] : [({ Email }: SessionRecord) => same(Email, user)]),
    ...(vnet === undefined
      ? []
      : [
          ({ VirtualNetworkID, Lab }: SessionRecord) =>
            same(VirtualNetworkID, vnet) || same(Lab.virtualNetworkName, vnet),
        ]),
    ...(rule === undefined
      ? []
      : [({ EgressRuleID, EgressRuleName }: SessionRecord) => same(EgressRuleID, rule) || same(EgressRuleName, rule)]),
    ...(network === undefined
      ? []
      : [
          ({ EgressIP }: SessionRecord) => {
            const address = parseIp(EgressIP)
            return address !== undefined && containsIp(network, address)
          },
        ]),
    ...(outcome === undefined
      ? []
      : [({ Lab }: SessionRecord) => (outcome === 'failed' ? Lab.error !== undefined : Lab.outcome === outcome)]),
    ...(allowlist === undefined ? [] : [({ Lab }: SessionRecord) => Lab.allowlist === allowlist]),
    ...(text === undefined
      ? []
      : [(record: SessionRecord) => JSON.stringify(record).toLowerCase().includes(text.toLowerCase())]),
  ]
  return (record) => tests.every((test) => test(record))
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
