// What a replay needs of a recorded session, whoever recorded it: the lab, or Cloudflare's data sets
// zero_trust_network_sessions, gateway_network and gateway_http, told apart by their fields. The record's words are read
// by meaning: nil UUIDs are none, `"443"` is 443. Everything else of a record is left alone.

import { MISSABLE, type Missable, type RecordedDataSet } from '../analysis/replay-summary.ts'
import { cidr, containsIp } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { NetworkId, RuleId } from '../policy/ids.ts'

let next = 0
/** Slots of the fields that are read, by their paths into the record. */
const SLOT = {
  SessionID: next++,
  Protocol: next++,
  Email: next++,
  UserID: next++,
  DeviceID: next++,
  DeviceName: next++,
  VirtualNetworkID: next++,
  SourceIP: next++,
  SourcePort: next++,
  SourceInternalIP: next++,
  OriginIP: next++,
  OriginPort: next++,
  ResolvedFQDN: next++,
  SNI: next++,
  IngressColoName: next++,
  EgressIP: next++,
  EgressPort: next++,
  EgressColoName: next++,
  EgressRuleID: next++,
  EgressRuleName: next++,
  Offramp: next++,
  OnrampType: next++,
  DestinationTunnelID: next++,
  ConnectionCloseReason: next++,
  SessionStartTime: next++,
  'Lab.inbound': next++,
  'Lab.outcome': next++,
  'Lab.reason': next++,
  'Lab.virtualNetworkName': next++,
  'Lab.proxyEndpoint': next++,
  'Lab.userPlace.city': next++,
  'Lab.userPlace.country': next++,
  'Lab.userPlace.latitude': next++,
  'Lab.userPlace.longitude': next++,
  DestinationIP: next++,
  DestinationPort: next++,
  TransportProtocol: next++,
  Transport: next++,
  Action: next++,
  ProxyEndpoint: next++,
  VirtualNetworkName: next++,
  Datetime: next++,
  HTTPHost: next++,
  HTTPVersion: next++,
  URL: next++,
  ApplicationIDs: next++,
  CategoryIDs: next++,
  SourceIPCountryCode: next++,
  SourceIPContinentCode: next++,
  DestinationIPCountryCode: next++,
  DestinationIPContinentCode: next++,
}

/** The paths, in the order of their slots. */
export const FIELDS = Object.keys(SLOT)

/** Fields that hold lists of whole numbers; their value is the list's JSON. */
export const LIST_FIELDS: ReadonlySet<string> = new Set(['ApplicationIDs', 'CategoryIDs'])

export type FieldValue = string | number | undefined

/** Where host names come from: the record's name alone, or the TLS server name where it has none. */
export type NameSource = 'recorded' | 'sni'

/** Text fields are '' and numbers undefined where a record has none. */
export interface RecordedSession {
  readonly dataSet: RecordedDataSet
  /** `other`: neither of these; `unknown`: the record does not say */
  readonly transport: 'tcp' | 'udp' | 'icmp' | 'other' | 'unknown'
  readonly email: string
  readonly userId: string
  readonly deviceId: string
  readonly deviceName: string
  readonly virtualNetworkId: NetworkId
  readonly sourceIp: string
  readonly sourcePort: number | undefined
  /** behind a GRE/IPsec on-ramp; a device client's own address is none */
  readonly internalSourceIp: string
  readonly originIp: string
  readonly originPort: number | undefined
  readonly host: string
  /** the name is that of the TLS handshake */
  readonly isNamedBySni: boolean
  readonly ingressColo: string
  /** undefined: the record does not say; '': the lab recorded that there was none */
  readonly egressIp: string | undefined
  readonly egressColo: string | undefined
  readonly ruleId: RuleId | undefined
  readonly ruleName: string
  /** the record says that egress rules did not apply: ICMP, or a destination that is not the internet */
  readonly isExempt: boolean
  /** as far as the record says, it reached its origin, so the origin saw an address */
  readonly hasLeft: boolean
  /** as written: RFC 3339 text, or a number of seconds, milliseconds, microseconds or nanoseconds */
  readonly startedAt: FieldValue
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
  /** JSON lists of numbers */
  readonly applications: string
  readonly contentCategories: string
  readonly sourceCountry: string
  readonly sourceContinent: string
  readonly originCountry: string
  readonly originContinent: string
  /** bit n: the record lacks MISSABLE[n] */
  readonly missing: number
}

/** The session of values by slot, or undefined where they do not look like a session at all. */
export function sessionOf(values: readonly FieldValue[], names: NameSource = 'recorded'): RecordedSession | undefined {
  const dataSet = dataSetOf(values)
  if (dataSet === undefined) return undefined
  const fromLab = values[SLOT['Lab.inbound']] !== undefined
  const isHttp = dataSet === 'gateway_http'
  const recordedName =
    text(values[SLOT.ResolvedFQDN]) || (isHttp ? hostOf(text(values[SLOT.HTTPHost]), text(values[SLOT.URL])) : '')
  const isNamedBySni = recordedName === '' && names === 'sni' && text(values[SLOT.SNI]) !== ''
  const written = text(values[SLOT.Protocol]) || text(values[SLOT.TransportProtocol]) || text(values[SLOT.Transport])
  const kind = transportOf(written, isHttp ? text(values[SLOT.HTTPVersion]) : '', isHttp)
  const tunnelId = uuid(values[SLOT.DestinationTunnelID])
  const egress = text(values[SLOT.EgressIP])
  const isExempt = kind === 'icmp' || (!fromLab && (EXEMPT_OFFRAMPS.has(text(values[SLOT.Offramp])) || tunnelId !== ''))
  const knowsRule = values[SLOT.EgressRuleID] !== undefined || values[SLOT.EgressRuleName] !== undefined
  return {
    dataSet,
    transport: kind,
    email: canonicalEmail(text(values[SLOT.Email])),
    userId: uuid(values[SLOT.UserID]),
    deviceId: uuid(values[SLOT.DeviceID]),
    deviceName: text(values[SLOT.DeviceName]),
    virtualNetworkId: uuid(values[SLOT.VirtualNetworkID]),
    sourceIp: text(values[SLOT.SourceIP]),
    sourcePort: portOf(values[SLOT.SourcePort]),
    internalSourceIp: internalSource(
      text(values[SLOT.SourceInternalIP]),
      text(values[SLOT.OnrampType]),
      !fromLab && uuid(values[SLOT.DeviceID]) !== '',
    ),
    originIp: text(values[SLOT.OriginIP]) || text(values[SLOT.DestinationIP]),
    originPort:
      portOf(values[SLOT.OriginPort]) ??
      portOf(values[SLOT.DestinationPort]) ??
      (isHttp ? portOfUrl(text(values[SLOT.URL])) : undefined),
    host: isNamedBySni ? text(values[SLOT.SNI]) : recordedName,
    isNamedBySni,
    ingressColo: text(values[SLOT.IngressColoName]),
    egressIp: egress === '' && !fromLab ? undefined : egress,
    egressColo: text(values[SLOT.EgressColoName]) === '' && !fromLab ? undefined : text(values[SLOT.EgressColoName]),
    ruleId: knowsRule ? uuid(values[SLOT.EgressRuleID]) : undefined,
    ruleName: text(values[SLOT.EgressRuleName]),
    isExempt,
    hasLeft:
      (values[SLOT.EgressIP] === undefined || egress !== '') &&
      !endedBefore(text(values[SLOT.ConnectionCloseReason]), portOf(values[SLOT.EgressPort])) &&
      !BLOCKED.test(text(values[SLOT.Action])),
    startedAt: values[SLOT.SessionStartTime] ?? values[SLOT.Datetime],
    fromLab,
    outcome: text(values[SLOT['Lab.outcome']]),
    reason: text(values[SLOT['Lab.reason']]),
    virtualNetworkName: text(values[SLOT['Lab.virtualNetworkName']]) || text(values[SLOT.VirtualNetworkName]),
    proxyEndpoint: text(values[SLOT['Lab.proxyEndpoint']]) || text(values[SLOT.ProxyEndpoint]).toLowerCase(),
    placeCity: text(values[SLOT['Lab.userPlace.city']]),
    placeCountry: text(values[SLOT['Lab.userPlace.country']]),
    latitude: number(values[SLOT['Lab.userPlace.latitude']]),
    longitude: number(values[SLOT['Lab.userPlace.longitude']]),
    applications: text(values[SLOT.ApplicationIDs]),
    contentCategories: text(values[SLOT.CategoryIDs]),
    sourceCountry: text(values[SLOT.SourceIPCountryCode]),
    sourceContinent: text(values[SLOT.SourceIPContinentCode]),
    originCountry: text(values[SLOT.DestinationIPCountryCode]),
    originContinent: text(values[SLOT.DestinationIPContinentCode]),
    missing: fromLab ? 0 : missingOf(values, isHttp, isNamedBySni),
  }
}

/** A record of any of them has its own fields; those that all have say nothing. */
function dataSetOf(values: readonly FieldValue[]): RecordedDataSet | undefined {
  const has = (slot: number) => values[slot] !== undefined
  if (has(SLOT['Lab.inbound']) || has(SLOT.OriginIP) || has(SLOT.EgressIP)) return 'zero_trust_network_sessions'
  if (has(SLOT.HTTPHost) || has(SLOT.URL)) return 'gateway_http'
  if (has(SLOT.DestinationIP) || has(SLOT.TransportProtocol) || has(SLOT.Transport)) return 'gateway_network'
  const isSession = has(SLOT.SessionID) || has(SLOT.Protocol) || has(SLOT.ResolvedFQDN) || has(SLOT.SessionStartTime)
  return isSession ? 'zero_trust_network_sessions' : undefined
}

const EXEMPT_OFFRAMPS: ReadonlySet<string> = new Set(['CFD_TUNNEL', 'MAGIC', 'MESH', 'DEVICE_CLIENT', 'WARP'])

/** Close reasons of sessions that no origin ever saw. */
const NEVER_LEFT: ReadonlySet<string> = new Set([
  'ORIGIN_UNREACHABLE',
  'PROXY_CONN_REFUSED',
  'MISMATCHED_IP_VERSIONS',
  'EGRESS_PORT_ALLOCATION_ERROR',
  'TOO_MANY_ACTIVE_SESSIONS_FOR_ACCOUNT',
  'TOO_MANY_ACTIVE_SESSIONS_FOR_USER',
  'TOO_MANY_NEW_SESSIONS_FOR_ACCOUNT',
  'TOO_MANY_NEW_SESSIONS_FOR_USER',
])

/** An open connection can lose its route; only then did it have a port. */
function endedBefore(reason: string, egressPort: number | undefined): boolean {
  return NEVER_LEFT.has(reason) || (reason === 'ORIGIN_UNROUTABLE' && egressPort === undefined)
}

/** What Gateway's network and HTTP policies did: egress was decided before, nothing left. */
const BLOCKED = /^block/i

function transportOf(written: string, httpVersion: string, isHttp: boolean): RecordedSession['transport'] {
  if (written === 'TCP') return 'tcp'
  switch (written.toLowerCase()) {
    case 'tcp':
      return 'tcp'
    case 'udp':
    case 'quic':
      return 'udp'
    case 'icmp':
    case 'icmpv6':
      return 'icmp'
    case '':
      return isHttp ? (/3$/.test(httpVersion) ? 'udp' : 'tcp') : 'unknown'
    default:
      return 'other'
  }
}

/** A device client reports its own address from 100.96.0.0/12, or from a range of the account's: never what rules mean. */
const CLIENT_RANGE = cidr('100.96.0.0/12')

function internalSource(address: string, onramp: string, isClient: boolean): string {
  if (address === '' || (onramp !== '' && onramp !== 'MAGIC')) return ''
  if (onramp === 'MAGIC') return address
  const parsed = isClient ? undefined : parseIp(address)
  return parsed === undefined || containsIp(CLIENT_RANGE, parsed) ? '' : address
}

function hostOf(hostField: string, url: string): string {
  const authority = hostField === '' ? (/^[a-z]+:\/\/([^/?#]*)/i.exec(url)?.[1] ?? '') : hostField
  const host = authority.replace(/^.*@/, '').replace(/:\d*$/, '')
  return host.startsWith('[') || parseIp(host) !== undefined ? '' : host
}

function portOfUrl(url: string): number | undefined {
  const [, scheme = '', port] = /^([a-z]+):\/\/[^/?#]*?(?::(\d+))?(?:[/?#]|$)/i.exec(url) ?? []
  return port === undefined ? { http: 80, https: 443 }[scheme.toLowerCase()] : portOf(port)
}

/** In the order of MISSABLE; a person or device, a rule or network is known by either of two fields. */
const NEEDED: readonly (readonly number[])[] = [
  [SLOT.Protocol, SLOT.TransportProtocol, SLOT.Transport],
  [SLOT.SourceIP],
  [SLOT.SourcePort],
  [SLOT.OriginIP, SLOT.DestinationIP],
  [SLOT.OriginPort, SLOT.DestinationPort],
  [SLOT.ResolvedFQDN, SLOT.HTTPHost],
  [SLOT.Email, SLOT.UserID],
  [SLOT.DeviceID, SLOT.DeviceName],
  [SLOT.VirtualNetworkID, SLOT.VirtualNetworkName],
  [SLOT.IngressColoName],
  [SLOT.EgressIP],
  [SLOT.EgressColoName],
  [SLOT.EgressRuleID, SLOT.EgressRuleName],
]

/** A URL stands for name and port, HTTP for its transport. */
const OF_A_URL = bitsOf('OriginPort', 'ResolvedFQDN')
const OF_HTTP = bitsOf('Protocol')
const OF_A_NAME = bitsOf('ResolvedFQDN')

function missingOf(values: readonly FieldValue[], isHttp: boolean, isNamedBySni: boolean): number {
  let missing = 0
  for (let nth = 0; nth < NEEDED.length; nth++) {
    const slots = NEEDED[nth]
    if (slots?.every((slot) => values[slot] === undefined)) missing |= 1 << nth
  }
  if (isHttp) missing &= ~(values[SLOT.URL] === undefined ? OF_HTTP : OF_HTTP | OF_A_URL)
  return isNamedBySni ? missing & ~OF_A_NAME : missing
}

function bitsOf(...fields: readonly Missable[]): number {
  return fields.reduce((bits, field) => bits | (1 << MISSABLE.indexOf(field)), 0)
}

function text(value: FieldValue): string {
  return typeof value === 'string' ? value : ''
}

const NIL = /^0{8}-?0{4}-?0{4}-?0{4}-?0{12}$/

/** Nil UUIDs stand for "none". */
function uuid(value: FieldValue): string {
  const written = text(value)
  return written.startsWith('00000000') && NIL.test(written) ? '' : written
}

function number(value: FieldValue): number | undefined {
  return typeof value === 'number' ? value : undefined
}

/** 0 stands for "none". */
function portOf(value: FieldValue): number | undefined {
  const port = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value
  return typeof port === 'number' && Number.isInteger(port) && port > 0 && port <= 65_535 ? port : undefined
}
