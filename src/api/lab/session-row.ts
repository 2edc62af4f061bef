// A session as one short line for tables and maps: where its user is, where it went in and out, and what the other end
// sees. The whole story is behind `/lab/v1/sessions/{id}`.

import type { OpenSession, RecentSession } from '../../proxy/live-sessions.ts'
import type { SessionRecord } from '../../proxy/session-record.ts'
import type { SessionDecision } from '../../proxy/stage-values.ts'
import type { Position, SessionRow } from '../shapes/session-shapes.ts'

/** `now`: lab time, epoch ms; `member`: of the fleet, '' where the lab is alone. */
export function rowOfOpen({ session, decided }: OpenSession, now: number, member: string): SessionRow {
  const at = Date.parse(session.startedAt)
  return {
    id: session.id,
    open: true,
    at,
    member,
    user: session.email,
    vnet: networkName(decided),
    listener: session.listener,
    protocol: session.protocol,
    target: session.target,
    egress: addressIn(session.egress),
    ...decisionColumns(decided),
    received: session.bytesReceived,
    sent: session.bytesSent,
    ms: now - at,
    close: '',
    error: null,
  }
}

/** One finished session as a row of the live view: times in epoch ms and ms, sizes in bytes, what is not known as
 *  ''. */
export function rowOfFinished({ record, decided }: RecentSession): SessionRow {
  const { Lab } = record
  return {
    id: record.SessionID,
    open: false,
    at: Date.parse(record.SessionStartTime),
    member: Lab.fleet?.member ?? '',
    user: record.Email,
    vnet: Lab.virtualNetworkName,
    listener: Lab.listener,
    protocol: Lab.inbound,
    target: Lab.target,
    egress: record.EgressIP,
    ...decisionColumns(decided),
    reason: Lab.reason,
    received: record.BytesReceived,
    sent: record.BytesSent,
    ms: Lab.durationMs,
    close: record.ConnectionCloseReason,
    error: errorOf(record),
  }
}

/** A session of another member of the fleet: its record is all that is known of it here. */
export function rowOfOthers(record: SessionRecord): SessionRow {
  const { logical, userPlace: user, allowlist, outcome = '' } = record.Lab
  return {
    ...rowOfFinished({ id: record.SessionID, record }),
    origin: record.OriginIP,
    outcome,
    rule: record.EgressRuleName,
    rule_id: record.EgressRuleID,
    let_in: allowlist === undefined ? null : allowlist === 'let-in',
    ingress: record.IngressColoName,
    physical: record.EgressColoName,
    logical: placeName(logical),
    logical_at: positionOf(logical),
    user_place: placeName(user),
    user_at: positionOf(user),
  }
}

type DecisionColumns = Pick<
  SessionRow,
  | 'origin'
  | 'outcome'
  | 'rule'
  | 'rule_id'
  | 'reason'
  | 'let_in'
  | 'ingress'
  | 'physical'
  | 'logical'
  | 'logical_at'
  | 'user_place'
  | 'user_at'
  | 'destination_at'
>

function decisionColumns(decided: SessionDecision | undefined): DecisionColumns {
  if (decided === undefined) return UNDECIDED
  const { flow, decision, letIn = null } = decided
  const user = flow.userPlace ?? flow.sourcePlace
  return {
    origin: flow.destination.ip.text,
    outcome: decision.outcome,
    rule: decision.rule?.name ?? '',
    rule_id: decision.rule?.id ?? '',
    reason: decision.reason,
    let_in: letIn,
    ingress: decision.ingressColo.code,
    physical: decision.physicalColo?.code ?? '',
    logical: decision.logical === null ? '' : placeName(decision.logical.place),
    logical_at: positionOf(decision.logical?.place),
    user_place: placeName(user),
    user_at: positionOf(user),
    destination_at: positionOf(flow.destinationPlace),
  }
}

const UNDECIDED: DecisionColumns = {
  origin: '',
  outcome: '',
  rule: '',
  rule_id: '',
  reason: '',
  let_in: null,
  ingress: '',
  physical: '',
  logical: '',
  logical_at: null,
  user_place: '',
  user_at: null,
  destination_at: null,
}

function placeName(
  place: { readonly city?: string | undefined; readonly country?: string | undefined } | undefined,
): string {
  return [place?.city, place?.country].filter((part) => part !== undefined && part !== '').join(', ')
}

function positionOf(place: { readonly latitude: number; readonly longitude: number } | undefined): Position | null {
  return place === undefined ? null : [place.longitude, place.latitude]
}

function networkName(decided: SessionDecision | undefined): string {
  const id = decided?.flow.virtualNetworkId
  return decided?.snapshot.account.virtualNetworks.find((network) => network.id === id)?.name ?? ''
}

/** `203.0.113.10:4711` and `[2001:db8::1]:4711` without the port. */
function addressIn(endpoint: string): string {
  return endpoint.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
}

function errorOf({ Lab }: SessionRecord): SessionRow['error'] {
  return Lab.error === undefined ? null : { code: Lab.error.code, message: Lab.error.message }
}
