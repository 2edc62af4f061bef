// From what a connection has come to, the one flat line that is kept of it (gateway-egress section 8). Pure apart from
// reading its arguments; decides nothing.

import type { GatewayError } from '../errors/gateway-error.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import type { Decision } from '../policy/decision.ts'
import type { Place } from '../policy/place.ts'
import type { Knock } from './arrival.ts'
import { formatInstant } from './instant.ts'
import type { DialAttempt } from './ports.ts'
import type { Progress } from './progress.ts'
import type { LabRecord, SessionRecord } from './record.ts'
import type { SessionEnd } from './session.ts'

/** What the record says beside the progress itself. Times: lab epoch ms and monotonic ms. */
export interface RecordFacts {
  readonly id: string
  readonly end: SessionEnd
  readonly endedAt: number
  readonly endedTick: number
  readonly requests: number
}

/** The record of a connection, whether it got through or failed at any stage. */
export function makeSessionRecord(progress: Progress, facts: RecordFacts): SessionRecord {
  const { knock, persona, upstream, snapshot } = progress
  const attempt = upstream?.attempt ?? progress.attempts?.[0]
  const decision = attempt?.decision
  const source = persona?.source ?? knock.peer
  const tunnel = tunnelOf(decision)
  return {
    AccountID: snapshot.account.id,
    BytesReceived: facts.end.bytesReceived,
    BytesSent: facts.end.bytesSent,
    ClientTCPHandshakeDurationMs: knock.tcpHandshakeMs ?? 0,
    ClientTLSCipher: knock.tls?.cipher ?? '',
    ClientTLSHandshakeDurationMs: knock.tls?.handshakeMs ?? 0,
    ClientTLSVersion: knock.tls?.version ?? '',
    ConnectionCloseReason: facts.end.reason,
    ConnectionReuse: facts.requests > 1,
    DestinationTunnelID: tunnel,
    DetectedProtocol: isForwarding(knock) ? 'http' : (progress.firstBytes?.protocol ?? ''),
    DeviceID: persona?.device?.id ?? '',
    DeviceName: persona?.device?.name ?? '',
    EgressColoName: decision?.physicalColo?.code ?? '',
    EgressIP: upstream?.announced.ip.text ?? decision?.egress?.address.text ?? '',
    EgressPort: upstream?.announced.port ?? 0,
    EgressRuleID: decision?.rule?.id ?? '',
    EgressRuleName: decision?.rule?.name ?? '',
    Email: persona?.identity?.email ?? '',
    IngressColoName: decision?.ingressColo.code ?? '',
    InitialOriginIP: progress.placeholder?.initial.text ?? '',
    Offramp: tunnel === '' ? 'INTERNET' : 'CFD_TUNNEL',
    OriginIP: (attempt?.candidate.destination.ip ?? progress.placeholder?.address)?.text ?? '',
    OriginPort: attempt?.candidate.destination.port ?? 0,
    OriginTLSCertificateIssuer: '',
    OriginTLSCertificateValidationResult: '',
    OriginTLSCipher: '',
    OriginTLSHandshakeDurationMs: 0,
    OriginTLSVersion: '',
    Protocol: knock.transport === 'tcp' ? 'TCP' : 'UDP',
    RegistrationID: '',
    ResolvedFQDN: attempt?.flow.host ?? progress.placeholder?.name ?? '',
    RuleEvaluationDurationMs: progress.ruleEvaluationMs ?? 0,
    SNI: progress.firstBytes?.sni ?? '',
    SessionEndTime: formatInstant(facts.endedAt),
    SessionID: facts.id,
    SessionStartTime: formatInstant(progress.startedAt),
    SourceIP: source.ip.text,
    SourceInternalIP: persona?.internalSource?.text ?? '',
    SourcePort: source.port,
    TenantID: '',
    UserID: persona?.identity?.id ?? '',
    VirtualNetworkID: persona?.virtualNetworkId ?? '',
    Lab: labRecord(progress, facts, attempt),
  }
}

/** One literal, whatever is absent: what is put together of optional parts costs 2 µs more. JSON leaves out what is undefined. */
function labRecord(progress: Progress, facts: RecordFacts, attempt: DialAttempt | undefined): LabRecord {
  const { knock, persona, upstream, snapshot } = progress
  const decision = attempt?.decision
  const { error } = facts.end
  const network = snapshot.account.virtualNetworks.find(({ id }) => id === persona?.virtualNetworkId)
  return {
    inbound: knock.protocol,
    listener: knock.listener.name,
    reason: decision?.reason ?? wordsOf(error) ?? '',
    policyRevision: snapshot.revision,
    virtualNetworkName: network?.name ?? '',
    target: progress.target,
    durationMs: facts.endedTick - progress.startedTick,
    outcome: decision?.outcome,
    error: error === undefined ? undefined : { code: error.code, message: wordsOf(error) ?? '' },
    rulePrecedence: decision?.rule?.precedence,
    logical: logicalPlace(decision?.logical),
    proxyEndpoint: knock.listener.endpoint?.host,
    userPlace: userPlace(persona?.userPlace),
    bind: upstream === undefined ? undefined : formatEndpoint(upstream.local),
    dial: upstream === undefined ? undefined : formatEndpoint(upstream.attempt.candidate.dial),
    exit: upstream?.exit,
    distance: upstream?.distance,
    tcp: tcpOf(facts.end),
    requests: isForwarding(knock) ? facts.requests : undefined,
  }
}

function tcpOf({ tcp }: SessionEnd): LabRecord['tcp'] {
  if (tcp === undefined) return undefined
  return { rttMs: tcp.rttUs / 1000, minRttMs: tcp.minRttUs / 1000, retransmits: tcp.retransmits }
}

/** The log may say more than the client was told. */
function wordsOf(error: GatewayError | undefined): string | undefined {
  return error?.logged ?? error?.message
}

function isForwarding({ protocol }: Knock): boolean {
  return protocol === 'http-forward' || protocol === 'h2-forward'
}

function tunnelOf(decision: Decision | undefined): string {
  const exempt = decision?.exempt
  return exempt?.kind === 'private-route' || exempt?.kind === 'hostname-route' ? exempt.tunnelId : ''
}

function logicalPlace(logical: Decision['logical'] | undefined): LabRecord['logical'] {
  if (!logical) return undefined
  const { latitude, longitude, city = '', country = '' } = logical.place
  return { colo: logical.colo.code, city, country, latitude, longitude }
}

function userPlace(place: Place | undefined): LabRecord['userPlace'] {
  if (place === undefined) return undefined
  const { latitude, longitude, city, country } = place
  return { latitude, longitude, city, country }
}
