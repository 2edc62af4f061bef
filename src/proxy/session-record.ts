// The record of a connection: one flat line, made from the furthest stage it reached ([S1]). Pure; decides nothing.

import type { CloseReason, ConnectionErrorCode } from '../errors/catalogue.ts'
import type { GatewayError } from '../errors/gateway-error.ts'
import { formatEndpoint, formatTarget } from '../net/endpoint.ts'
import { type AllowlistVerdict, letsIn } from '../policy/allowlist.ts'
import type { Decision, DecisionOutcome } from '../policy/decision.ts'
import type { Place } from '../policy/place.ts'
import type { ClientInfo, InboundProtocol } from './arrival.ts'
import type { HttpExchange, SessionEnd } from './session.ts'
import type { DialAttempt, Reached } from './stage-values.ts'

/** What the record needs beside the stage reached. */
export interface RecordFacts {
  readonly id: string
  readonly end: SessionEnd
  /** lab time, epoch ms */
  readonly endedAt: number
  /** monotonic, ms */
  readonly endedTick: number
  readonly requests: number
  readonly exchanges: readonly HttpExchange[]
}

/** The record of a connection, whether it got through or failed at any stage. */
export function makeSessionRecord(reached: Reached, facts: RecordFacts): SessionRecord {
  const { client, context, upstream, snapshot, placeholder } = reached
  const attempt = upstream?.attempt ?? reached.attempts?.[0]
  const decision = attempt?.decision
  const source = context?.source ?? client.peer
  const tunnel = tunnelOf(decision)
  return {
    AccountID: snapshot.account.id,
    BytesReceived: facts.end.bytesReceived,
    BytesSent: facts.end.bytesSent,
    ClientTCPHandshakeDurationMs: client.tcpHandshakeMs ?? 0,
    ClientTLSCipher: client.tls?.cipher ?? '',
    ClientTLSHandshakeDurationMs: client.tls?.handshakeMs ?? 0,
    ClientTLSVersion: client.tls?.version ?? '',
    ConnectionCloseReason: facts.end.reason,
    ConnectionReuse: facts.requests > 1,
    DestinationReplicaID: '',
    DestinationTunnelID: tunnel,
    DetectedProtocol: isForwarding(client) ? 'http' : (facts.end.firstBytes?.protocol ?? ''),
    DeviceID: context?.device?.id ?? '',
    DeviceName: context?.device?.name ?? '',
    EgressColoName: decision?.physicalColo?.code ?? '',
    EgressIP: upstream?.publicEndpoint.ip.text ?? decision?.egress?.address.text ?? '',
    EgressPort: upstream?.publicEndpoint.port ?? 0,
    EgressRuleID: decision?.rule?.id ?? '',
    EgressRuleName: decision?.rule?.name ?? '',
    Email: context?.identity?.email ?? '',
    IngressColoName: decision?.ingressColo.code ?? '',
    InitialOriginIP: placeholder?.initial.text ?? '',
    Offramp: tunnel === '' ? 'INTERNET' : 'CFD_TUNNEL',
    OnrampType: onrampOf(client, context),
    OriginIP: (attempt?.candidate.destination.ip ?? placeholder?.address)?.text ?? '',
    OriginPort: attempt?.candidate.destination.port ?? 0,
    OriginTLSCertificateIssuer: '',
    OriginTLSCertificateValidationResult: '',
    OriginTLSCipher: '',
    OriginTLSHandshakeDurationMs: 0,
    OriginTLSVersion: '',
    Protocol: client.transport === 'tcp' ? 'TCP' : 'UDP',
    RegistrationID: '',
    ResolvedFQDN: attempt?.flow.host ?? placeholder?.name ?? '',
    RuleEvaluationDurationMs: reached.ruleEvaluationMs ?? 0,
    SNI: facts.end.firstBytes?.sni ?? '',
    SessionEndTime: formatInstant(facts.endedAt),
    SessionID: facts.id,
    SessionStartTime: formatInstant(client.acceptedAt),
    SourceID: '',
    SourceIP: source.ip.text,
    SourceInternalIP: context?.internalSource?.text ?? '',
    SourceName: '',
    SourcePort: source.port,
    TenantID: '',
    UserID: context?.identity?.id ?? '',
    VirtualNetworkID: context?.virtualNetworkId ?? '',
    Lab: labRecord(reached, facts, attempt),
  }
}

/** One object literal, even for absent fields: assembling optional parts costs 2 µs more. JSON omits undefined fields.
 *   */
function labRecord(reached: Reached, facts: RecordFacts, attempt: DialAttempt | undefined): LabRecord {
  const { client, context, target, upstream, snapshot } = reached
  const decision = attempt?.decision
  const { error } = facts.end
  const network = snapshot.account.virtualNetworks.find(({ id }) => id === context?.virtualNetworkId)
  return {
    inbound: client.protocol,
    listener: client.listener.name,
    reason: decision?.reason ?? messageOf(error) ?? '',
    policyRevision: snapshot.revision,
    virtualNetworkName: network?.name ?? '',
    target: target === undefined ? '' : formatTarget(target),
    durationMs: facts.endedTick - reached.receivedTick,
    outcome: decision?.outcome,
    error: error === undefined ? undefined : { code: error.code, message: messageOf(error) ?? '' },
    rulePrecedence: decision?.rule?.precedence,
    allowlist: allowlistOf(upstream),
    logical: logicalPlace(decision?.logical),
    proxyEndpoint: client.listener.endpoint?.host,
    userPlace: userPlace(context?.userPlace),
    bind: upstream === undefined ? undefined : formatEndpoint(upstream.local),
    dial: upstream === undefined ? undefined : formatEndpoint(upstream.attempt.candidate.dial),
    exit: upstream?.exit,
    distance: upstream?.distance,
    tcp: tcpOf(facts.end),
    requests: isForwarding(client) ? facts.requests : undefined,
    exchanges: facts.requests > 1 ? facts.exchanges : undefined,
    traceparent: client.traceparent,
  }
}

/** Whether the destination lets in the address it sees. */
function allowlistOf(upstream: Reached['upstream']): LabRecord['allowlist'] {
  const allowlist = upstream?.attempt.candidate.allowlist
  if (upstream === undefined || allowlist === undefined) return undefined
  return letsIn(allowlist, upstream.publicEndpoint.ip) ? 'let-in' : 'refused'
}

function tcpOf({ tcp }: SessionEnd): LabRecord['tcp'] {
  if (tcp === undefined) return undefined
  return { rttMs: tcp.rttUs / 1000, minRttMs: tcp.minRttUs / 1000, retransmits: tcp.retransmits }
}

/** A proxy endpoint is no on-ramp with a name of its own; whoever uses none stands for a device client. */
function onrampOf({ listener }: ClientInfo, context: Reached['context']): SessionRecord['OnrampType'] {
  if (context?.internalSource !== undefined) return 'MAGIC'
  return listener.endpoint === undefined ? 'CF1_CLIENT' : 'OTHER'
}

/** The log may contain more than the reply to the client. */
function messageOf(error: GatewayError | undefined): string | undefined {
  return error?.logged ?? error?.message
}

function isForwarding({ protocol }: ClientInfo): boolean {
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

/** One session in the format of Cloudflare's Zero Trust Network Sessions data set. Times are RFC 3339 with nanoseconds,
 *  durations milliseconds, bytes whole numbers. Where a connection has no value, text is '' and numbers are 0. */
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
  /** the replica of a tunnel that served the session; the lab's tunnels have none */
  readonly DestinationReplicaID: string
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
  readonly Offramp: 'INTERNET' | 'MAGIC' | 'CFD_TUNNEL' | 'DEVICE_CLIENT' | 'WARP' | 'MESH'
  readonly OnrampType: 'OTHER' | 'CF1_CLIENT' | 'MESH' | 'WORKERS_VPC' | 'MAGIC'
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
  /** from the TLS ClientHello of a tunnel */
  readonly SNI: string
  readonly SessionEndTime: string
  readonly SessionID: string
  readonly SessionStartTime: string
  /** id and name of the Worker that began the session; '' where it was none */
  readonly SourceID: string
  readonly SourceIP: string
  /** behind a GRE or IPsec on-ramp */
  readonly SourceInternalIP: string
  readonly SourceName: string
  readonly SourcePort: number
  readonly TenantID: string
  readonly UserID: string
  readonly VirtualNetworkID: string
  readonly Lab: LabRecord
}

/** Fields Cloudflare's record does not have. `replay` decides a session again from these and the fields above. */
export interface LabRecord {
  readonly inbound: InboundProtocol
  readonly listener: string
  /** absent where the connection failed before a decision */
  readonly outcome?: DecisionOutcome | undefined
  readonly reason: string
  /** set when the connection failed or was reset */
  readonly error?: { readonly code: ConnectionErrorCode; readonly message: string } | undefined
  readonly rulePrecedence?: number | undefined
  /** whether the destination's allowlist has the egress address; absent where it has none, or was not reached */
  readonly allowlist?: AllowlistVerdict | undefined
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
  /** the upstream proxy it left by */
  readonly exit?: string | undefined
  /** the distance from the user to the destination by way of the data centers, and the connect delay added for it */
  readonly distance?: { readonly km: number; readonly addedMs: number } | undefined
  /** the TCP connection to the origin: round trips and segments sent more than once; absent where the system does not
   *  report it */
  readonly tcp?: { readonly rttMs: number; readonly minRttMs: number; readonly retransmits: number } | undefined
  readonly durationMs: number
  /** forwarded HTTP: requests carried by this connection */
  readonly requests?: number | undefined
  /** the last 100 of them, where there were several */
  readonly exchanges?: readonly HttpExchange[] | undefined
  /** the member of the fleet that it entered at, and whether that was cut off from the fleet; absent: there is no fleet */
  readonly fleet?: { readonly member: string; readonly cutOff: boolean } | undefined
  /** the trace of the request that opened it, as its client named it (W3C Trace Context) */
  readonly traceparent?: string | undefined
}

/** The second formatted last: thousands of sessions end per second, and Date takes 2 µs to format one. */
let lastSecond = { seconds: Number.NaN, text: '' }

/** Recently formatted instants, by their milliseconds modulo 128: sessions that end together share one string, in
 *  memory too. */
const recent = Array.from({ length: 128 }, () => ({ epochMs: Number.NaN, text: '' }))

/** Epoch milliseconds (with fractions) as RFC 3339 in UTC with nine fractional digits. */
export function formatInstant(epochMs: number): string {
  const known = recent[Math.floor(epochMs) % recent.length]
  if (known?.epochMs === epochMs) return known.text
  const seconds = Math.floor(epochMs / 1000)
  const nanos = Math.min(999_999_999, Math.round((epochMs - seconds * 1000) * 1e6))
  // join() gives one flat string (net/ip.ts)
  const text = [formatSecond(seconds), `${String(nanos).padStart(9, '0')}Z`].join('.')
  if (known !== undefined) {
    known.epochMs = epochMs
    known.text = text
  }
  return text
}

function formatSecond(seconds: number): string {
  if (seconds !== lastSecond.seconds) {
    lastSecond = { seconds, text: new Date(seconds * 1000).toISOString().slice(0, 19) }
  }
  return lastSecond.text
}
