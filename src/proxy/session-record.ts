// From what a connection has come to, the one flat line that is kept of it ([S1]). Pure apart from
// reading its arguments; decides nothing.

import type { CloseReason, ConnectionErrorCode } from '../errors/catalogue.ts'
import type { GatewayError } from '../errors/gateway-error.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import type { Decision, DecisionOutcome } from '../policy/decision.ts'
import type { Place } from '../policy/place.ts'
import type { InboundProtocol, Knock } from './arrival.ts'
import type { Progress, SessionEnd } from './session.ts'
import type { DialAttempt } from './stage-values.ts'

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

/** Times are RFC 3339 with nanoseconds, durations milliseconds, bytes whole numbers. Text fields are '' and numbers 0 where
 *  a connection has no value, as in Cloudflare's data set. */
export interface SessionRecord {
  readonly AccountID: string
  /** origin → client */
  readonly BytesReceived: number
  /** client → origin */
  readonly BytesSent: number
  readonly ClientTCPHandshakeDurationMs: number
  readonly ClientTLSCipher: string
  readonly ClientTLSHandshakeDurationMs: number
  readonly ClientTLSVersion: string
  readonly ConnectionCloseReason: CloseReason
  readonly ConnectionReuse: boolean
  readonly DestinationTunnelID: string
  /** by the client's first bytes: `http`, `http2`, `tls`, `ssh` */
  readonly DetectedProtocol: string
  readonly DeviceID: string
  readonly DeviceName: string
  readonly EgressColoName: string
  readonly EgressIP: string
  readonly EgressPort: number
  readonly EgressRuleID: string
  readonly EgressRuleName: string
  readonly Email: string
  readonly IngressColoName: string
  readonly InitialOriginIP: string
  readonly Offramp: 'INTERNET' | 'MAGIC' | 'CFD_TUNNEL' | 'DEVICE_CLIENT' | 'MESH'
  readonly OriginIP: string
  readonly OriginPort: number
  readonly OriginTLSCertificateIssuer: string
  readonly OriginTLSCertificateValidationResult: string
  readonly OriginTLSCipher: string
  readonly OriginTLSHandshakeDurationMs: number
  readonly OriginTLSVersion: string
  readonly Protocol: 'TCP' | 'UDP' | 'ICMP' | 'ICMPV6'
  readonly RegistrationID: string
  readonly ResolvedFQDN: string
  readonly RuleEvaluationDurationMs: number
  /** as the client of a tunnel names it in its first bytes */
  readonly SNI: string
  readonly SessionEndTime: string
  readonly SessionID: string
  readonly SessionStartTime: string
  readonly SourceIP: string
  readonly SourceInternalIP: string
  readonly SourcePort: number
  readonly TenantID: string
  readonly UserID: string
  readonly VirtualNetworkID: string
  readonly Lab: LabRecord
}

/** What Cloudflare's record has no field for. `replay` decides a session anew from these and the fields above. */
export interface LabRecord {
  readonly inbound: InboundProtocol
  readonly listener: string
  /** absent where the connection failed before a decision */
  readonly outcome?: DecisionOutcome | undefined
  readonly reason: string
  /** set when the connection failed or was cut */
  readonly error?: { readonly code: ConnectionErrorCode; readonly message: string } | undefined
  readonly rulePrecedence?: number | undefined
  readonly policyRevision: number
  readonly logical?:
    | {
        readonly colo: string
        readonly city: string
        readonly country: string
        readonly latitude: number
        readonly longitude: number
      }
    | undefined
  readonly virtualNetworkName: string
  readonly proxyEndpoint?: string | undefined
  readonly userPlace?:
    | {
        readonly city?: string | undefined
        readonly country?: string | undefined
        readonly latitude: number
        readonly longitude: number
      }
    | undefined
  /** the destination as asked for, `host:port` */
  readonly target: string
  /** the local address really bound and the address really dialled, with ports */
  readonly bind?: string | undefined
  readonly dial?: string | undefined
  /** the proxy elsewhere it left by */
  readonly exit?: string | undefined
  /** the way from the user to the destination by its data centers, and the round trip that was added to connecting for it */
  readonly distance?: { readonly km: number; readonly addedMs: number } | undefined
  /** the TCP connection to the origin: round trips and segments sent more than once; absent where the system does not tell */
  readonly tcp?: { readonly rttMs: number; readonly minRttMs: number; readonly retransmits: number } | undefined
  readonly durationMs: number
  /** forwarded HTTP: requests carried by this connection */
  readonly requests?: number | undefined
}

/** The second last written: sessions come thousands to a second, and Date takes 2 µs to spell one. */
let lastSecond = { seconds: Number.NaN, text: '' }

/** Instants spelled lately, by the last digits of their milliseconds: sessions that end together share one text, also in memory. */
const latest = Array.from({ length: 128 }, () => ({ epochMs: Number.NaN, text: '' }))

/** Epoch milliseconds (with fractions) as RFC 3339 in UTC with nine fractional digits. */
export function formatInstant(epochMs: number): string {
  const known = latest[Math.floor(epochMs) % latest.length]
  if (known?.epochMs === epochMs) return known.text
  const seconds = Math.floor(epochMs / 1000)
  const nanos = Math.min(999_999_999, Math.round((epochMs - seconds * 1000) * 1e6))
  // joined, so that it is text in one piece (net/flat-text.ts)
  const text = [spellSecond(seconds), `${String(nanos).padStart(9, '0')}Z`].join('.')
  if (known !== undefined) {
    known.epochMs = epochMs
    known.text = text
  }
  return text
}

function spellSecond(seconds: number): string {
  if (seconds !== lastSecond.seconds) {
    lastSecond = { seconds, text: new Date(seconds * 1000).toISOString().slice(0, 19) }
  }
  return lastSecond.text
}
