// The session record: one flat line per connection under Cloudflare's field names for its Zero Trust network sessions,
// and the lab's own facts under `Lab` (gateway-egress section 8).

import type { CloseReason, ConnectionErrorCode } from '../errors/catalogue.ts'
import type { Outcome } from '../policy/decision.ts'
import type { InboundProtocol } from './arrival.ts'

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
  readonly outcome?: Outcome | undefined
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
