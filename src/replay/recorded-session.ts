// What a replay needs of a session record: the lab's own, or one of Cloudflare's Zero Trust network sessions, which has no
// `Lab`. Everything else of a record is left alone.

import { canonicalEmail } from '../policy/canonical-email.ts'
import type { NetworkId, RuleId } from '../policy/ids.ts'

/** Fields that are read, as paths into the record. The order gives their slots. */
export const FIELDS = [
  'SessionID',
  'Protocol',
  'Email',
  'UserID',
  'DeviceID',
  'DeviceName',
  'VirtualNetworkID',
  'SourceIP',
  'SourcePort',
  'SourceInternalIP',
  'OriginIP',
  'OriginPort',
  'ResolvedFQDN',
  'IngressColoName',
  'EgressIP',
  'EgressColoName',
  'EgressRuleID',
  'EgressRuleName',
  'Lab.inbound',
  'Lab.outcome',
  'Lab.reason',
  'Lab.virtualNetworkName',
  'Lab.proxyEndpoint',
  'Lab.userPlace.city',
  'Lab.userPlace.country',
  'Lab.userPlace.latitude',
  'Lab.userPlace.longitude',
] as const

export type FieldValue = string | number | undefined

/** Text fields are '' and numbers undefined where a record has none. */
export interface RecordedSession {
  readonly protocol: string
  readonly email: string
  readonly userId: string
  readonly deviceId: string
  readonly deviceName: string
  readonly virtualNetworkId: NetworkId
  readonly sourceIp: string
  readonly sourcePort: number | undefined
  readonly internalSourceIp: string
  readonly originIp: string
  readonly originPort: number | undefined
  readonly host: string
  readonly ingressColo: string
  readonly egressIp: string
  readonly egressColo: string
  readonly ruleId: RuleId
  readonly ruleName: string
  /** recorded by the lab, which knows outcomes; false: by Cloudflare */
  readonly fromLab: boolean
  readonly outcome: string
  readonly reason: string
  readonly virtualNetworkName: string
  readonly proxyEndpoint: string
  readonly placeCity: string
  readonly placeCountry: string
  readonly latitude: number | undefined
  readonly longitude: number | undefined
}

/** The session of values by slot, or undefined where they do not look like a session at all. */
export function sessionOf(values: readonly FieldValue[]): RecordedSession | undefined {
  const [sessionId, protocol, email] = values
  if (sessionId === undefined && protocol === undefined && values[10] === undefined) return undefined
  return {
    protocol: text(protocol),
    email: canonicalEmail(text(email)),
    userId: text(values[3]),
    deviceId: text(values[4]),
    deviceName: text(values[5]),
    virtualNetworkId: text(values[6]),
    sourceIp: text(values[7]),
    sourcePort: number(values[8]),
    internalSourceIp: text(values[9]),
    originIp: text(values[10]),
    originPort: number(values[11]),
    host: text(values[12]),
    ingressColo: text(values[13]),
    egressIp: text(values[14]),
    egressColo: text(values[15]),
    ruleId: text(values[16]),
    ruleName: text(values[17]),
    fromLab: values[18] !== undefined,
    outcome: text(values[19]),
    reason: text(values[20]),
    virtualNetworkName: text(values[21]),
    proxyEndpoint: text(values[22]),
    placeCity: text(values[23]),
    placeCountry: text(values[24]),
    latitude: number(values[25]),
    longitude: number(values[26]),
  }
}

function text(value: FieldValue): string {
  return typeof value === 'string' ? value : ''
}

function number(value: FieldValue): number | undefined {
  return typeof value === 'number' ? value : undefined
}

const PATHS = FIELDS.map((path) => path.split('.'))

/** The same values from a parsed record; undefined where it is no JSON object. */
export function valuesOfJson(record: unknown): FieldValue[] | undefined {
  if (typeof record !== 'object' || record === null || Array.isArray(record)) return undefined
  return PATHS.map((path) => {
    const value = path.reduce<unknown>(
      (inside, key) => (Object.hasOwn(Object(inside), key) ? Object(inside)[key] : undefined),
      record,
    )
    return typeof value === 'string' || typeof value === 'number' ? value : undefined
  })
}
